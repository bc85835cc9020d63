//! A pulse for shards on glommio: each is woken now and then, whatever it waits for.
//!
//! Shape   one thread a pool; one task a shard that leaves its waker here. The thread ends after the last shard.
//! Units   [`PERIOD`] between two wakes.
//!
//! Glommio 0.12 goes to sleep when its preemption timer rings before it has run anything, tasks that could run or not: that
//! takes a machine which leaves the thread aside for those 100 ms at one particular place. The pulse makes of a sleep for good
//! a late turn.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

/// The longest such a sleep lasts. Four wakes a second cost an idle shard less than 0.1 % of its core.
const PERIOD: Duration = Duration::from_millis(250);

/// Where one shard leaves its waker.
#[derive(Default)]
pub(crate) struct Pulse(Mutex<Option<Waker>>);

impl Pulse {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the shard runs as a task of its own.
    pub(crate) fn felt(self: Arc<Pulse>) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            let mut slot = self.slot();
            if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *slot = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    /// The shard ends: its waker goes while its executor is still there.
    pub(crate) fn end(&self) {
        *self.slot() = None;
    }

    fn beat(&self) {
        if let Some(waker) = &*self.slot() {
            waker.wake_by_ref();
        }
    }
}

/// Beats for `shards` until the last of them is gone.
pub(crate) fn start(name: &str, shards: Vec<Weak<Pulse>>) -> std::io::Result<()> {
    let beat = move || {
        loop {
            std::thread::sleep(PERIOD);
            let alive: Vec<_> = shards.iter().filter_map(Weak::upgrade).collect();
            if alive.is_empty() {
                return;
            }
            alive.iter().for_each(|pulse| pulse.beat());
        }
    };
    std::thread::Builder::new().name(format!("{name}-pulse")).spawn(beat).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::{LocalExecutorBuilder, Placement};

    #[test]
    fn a_shard_that_waits_for_nothing_is_woken_at_each_beat_and_left_alone_after_its_end() {
        let pulse = Arc::<Pulse>::default();
        start("test", vec![Arc::downgrade(&pulse)]).unwrap();
        let executor = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).make().unwrap();
        executor.run(async {
            let mut polls = 0;
            let mut felt = Box::pin(pulse.clone().felt());
            // No timer and no I/O: what polls this again is the pulse alone.
            poll_fn(|cx| {
                assert!(felt.as_mut().poll(cx).is_pending());
                polls += 1;
                if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            pulse.end();
            assert!(pulse.slot().is_none(), "its waker went with it");
        });
    }
}
