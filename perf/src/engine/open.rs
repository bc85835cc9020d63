//! The open loop: operations begin at fixed moments, whatever became of those before.
//!
//! Shape   the moments are fixed by the rate alone. An operation whose moment has come waits while as many as may be are in
//!         flight, and its time runs from that moment on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Clock;
use super::turn::{Turn, turned};

/// Begins `per_second` operations a second, at most `at_once` in flight. Gives back how many were due and had not begun when
/// time was up.
///
/// Cancel safety: dropped early, operations in flight are given up.
pub(super) async fn run(turn: &Arc<Turn>, at_once: usize, per_second: f64, clock: Clock) -> u64 {
    let slots = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
    let mut timer = Timer::new(clock);
    let mut running = JoinSet::new();
    let mut quit = turn.quit.subscribe();
    let not_begun = loop {
        let number = turn.next.load(Ordering::Relaxed);
        let due = turn.began + Duration::from_secs_f64(number as f64 / per_second);
        if turn.count.is_some_and(|count| number >= count) || turn.ends.is_some_and(|ends| due >= ends) {
            break 0;
        }
        let begin = async {
            timer.until(due).await;
            slots.clone().acquire_owned().await.expect("the slots are never closed")
        };
        let slot = tokio::select! {
            biased;
            () = turned(&mut quit) => break 0,
            () = until_end(turn.ends) => break due_since(turn, number, per_second),
            slot = begin => slot,
        };
        turn.next.store(number + 1, Ordering::Relaxed);
        let turn = turn.clone();
        running.spawn(async move {
            turn.operate(number, due).await;
            drop(slot);
        });
        while let Some(ended) = running.try_join_next() {
            ended.expect("an operation does not panic");
        }
    };
    running.join_all().await;
    not_begun
}

/// Waits until time is up; for ever where time does not count.
async fn until_end(ends: Option<Instant>) {
    match ends {
        Some(ends) => tokio::time::sleep_until(ends).await,
        None => std::future::pending().await,
    }
}

/// How many operations from `number` on were due before time was up.
fn due_since(turn: &Turn, number: u64, per_second: f64) -> u64 {
    let Some(ends) = turn.ends else { return 0 };
    let due = ((ends - turn.began).as_secs_f64() * per_second).ceil() as u64;
    due.saturating_sub(number)
}

/// Waits for moments.
enum Timer {
    /// A thread that sleeps: it is told a moment, and says when that has come.
    Kernel {
        ask: std::sync::mpsc::Sender<Instant>,
        come: mpsc::Receiver<()>,
    },
    Tokio,
}

impl Timer {
    /// The clock that is asked for, or tokio's where no thread can be had.
    fn new(clock: Clock) -> Timer {
        let kernel = || -> io::Result<Timer> {
            let (ask, asked) = std::sync::mpsc::channel::<Instant>();
            let (say, come) = mpsc::channel(1);
            // It ends when the timer is dropped.
            std::thread::Builder::new().name("pace".to_owned()).spawn(move || {
                for due in asked {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if say.blocking_send(()).is_err() {
                        return;
                    }
                }
            })?;
            Ok(Timer::Kernel { ask, come })
        };
        match clock {
            Clock::Kernel => kernel().unwrap_or(Timer::Tokio),
            Clock::Tokio => Timer::Tokio,
        }
    }

    async fn until(&mut self, due: Instant) {
        if due <= Instant::now() {
            return;
        }
        if let Timer::Kernel { ask, come } = self
            && ask.send(due).is_ok()
            && come.recv().await.is_some()
        {
            return;
        }
        tokio::time::sleep_until(due).await;
    }
}
