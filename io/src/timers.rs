//! The timers of a shard on io_uring: kept here, rung by one timer of the kernel.
//!
//! Shape   those that wait, by moment; the kernel's timer is set for the earliest. A wait that is given up leaves it set, and it
//!         rings for nothing.
//! Units   nanoseconds of the process' clock.
//!
//! Glommio has timers of its own. We use none: when one is cancelled while the shard goes to sleep, glommio 0.12 may sleep with
//! tasks that could run, until something else wakes it. (Nor do we use timeouts of the disk's ring: a few that ring late would
//! fill it.)

use crate::clock::{Clock, Moment};
use glommio::io::{PollState, PollableFd};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// The timers of one shard. Clones share them.
#[derive(Clone)]
pub(crate) struct ShardTimers(Rc<Inner>);

struct Inner {
    fd: PollableFd<OwnedFd>,
    timers: RefCell<Timers>,
}

thread_local! {
    /// The timers of the shard that this thread is, for the futures of its clock.
    static HERE: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) };
}

fn here() -> Option<Rc<Inner>> {
    HERE.try_with(|here| here.borrow().upgrade()).ok().flatten()
}

impl ShardTimers {
    /// Timers for the shard whose executor this runs on.
    pub(crate) fn new() -> io::Result<ShardTimers> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let inner = Rc::new(Inner { fd: PollableFd::new(fd)?, timers: RefCell::default() });
        HERE.set(Rc::downgrade(&inner));
        Ok(ShardTimers(inner))
    }

    /// Wakes for ever those whose moment has come; the shard runs this as one task.
    pub(crate) async fn drive(self) -> io::Result<()> {
        let mut wait = PollState::new();
        poll_fn(|cx| {
            loop {
                self.0.ring()?;
                match self.0.fd.poll_readable(cx, &mut wait) {
                    Poll::Ready(ready) => ready?,
                    Poll::Pending => return Poll::Pending,
                }
                // How often it rang is of no interest, and that it has not is no error.
                let _ = rustix::io::read(self.0.fd.get_ref(), &mut [0; 8]);
                self.0.timers.borrow_mut().rung();
            }
        })
        .await
    }
}

impl Inner {
    /// Wakes those whose moment has come and sets the kernel's timer for the next.
    fn ring(&self) -> io::Result<()> {
        let due = self.timers.borrow_mut().due(now());
        due.into_iter().for_each(Waker::wake);
        self.set()
    }

    fn set(&self) -> io::Result<()> {
        let Some(at) = self.timers.borrow_mut().arm() else { return Ok(()) };
        // Zero would turn it off.
        let after = at.saturating_sub(now()).max(1);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(after / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: (after % 1_000_000_000) as _,
            },
        };
        rustix::time::timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

fn now() -> u64 {
    Clock::uring().now().nanos()
}

/// A wait for a moment on a shard with a ring. Poll and drop it on that shard's thread.
#[derive(Debug)]
pub(crate) struct ShardSleep {
    at: u64,
    key: Option<u64>,
}

impl ShardSleep {
    pub(crate) fn until(at: Moment) -> ShardSleep {
        ShardSleep { at: at.nanos(), key: None }
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        // A shard that is ending rings no more.
        let Some(inner) = here() else { return Poll::Pending };
        let polled = inner.timers.borrow_mut().poll(self.at, now(), &mut self.key, cx);
        if let Err(e) = inner.set() {
            tracing::error!(error = %e, "a shard's timer cannot be set");
        }
        polled
    }
}

impl Drop for ShardSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key
            && let Some(inner) = here()
        {
            inner.timers.borrow_mut().forget(self.at, key);
        }
    }
}

/// What waits, and for when the kernel's timer is set.
#[derive(Debug, Default)]
struct Timers {
    /// By moment, then by order of registration.
    waiting: BTreeMap<(u64, u64), Waker>,
    armed: Option<u64>,
    next_key: u64,
}

impl Timers {
    /// Ready if `at` has come; else waits, under `key` from now on.
    fn poll(&mut self, at: u64, now: u64, key: &mut Option<u64>, cx: &Context<'_>) -> Poll<()> {
        if at <= now {
            if let Some(key) = key.take() {
                self.forget(at, key);
            }
            return Poll::Ready(());
        }
        let key = *key.get_or_insert_with(|| {
            self.next_key += 1;
            self.next_key
        });
        self.waiting
            .entry((at, key))
            .and_modify(|waker| waker.clone_from(cx.waker()))
            .or_insert_with(|| cx.waker().clone());
        Poll::Pending
    }

    /// Gives up a wait.
    fn forget(&mut self, at: u64, key: u64) {
        self.waiting.remove(&(at, key));
    }

    /// The moment for which the kernel's timer must be set, if it is not set for that or an earlier one; it counts as set from
    /// now on.
    fn arm(&mut self) -> Option<u64> {
        let ((first, _), _) = self.waiting.first_key_value()?;
        if self.armed.is_some_and(|armed| armed <= *first) {
            return None;
        }
        self.armed = Some(*first);
        self.armed
    }

    /// The kernel's timer has rung.
    fn rung(&mut self) {
        self.armed = None;
    }

    /// Takes those whose moment has come.
    fn due(&mut self, now: u64) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_is_set_for_the_earliest_and_never_later_than_needed() {
        let mut timers = Timers::default();
        let cx = Context::from_waker(Waker::noop());
        let (mut late, mut soon) = (None, None);
        assert!(timers.poll(30, 0, &mut late, &cx).is_pending());
        assert_eq!(timers.arm(), Some(30));
        assert!(timers.poll(5, 0, &mut soon, &cx).is_pending());
        assert_eq!(timers.arm(), Some(5));
        assert_eq!(timers.arm(), None, "it is set for that");
        timers.rung();
        assert_eq!(timers.due(5).len(), 1);
        assert!(timers.poll(5, 5, &mut soon, &cx).is_ready());
        assert_eq!(timers.arm(), Some(30), "one kernel timer: what it was set for before is set again");
        timers.forget(30, late.unwrap());
        timers.rung();
        assert!(timers.due(31).is_empty(), "it was given up");
        assert_eq!(timers.arm(), None);
    }

    #[test]
    fn a_wait_that_is_polled_often_waits_once_and_wakes_its_last_poller() {
        let mut timers = Timers::default();
        let mut key = None;
        for _ in 0..100 {
            assert!(timers.poll(7, 0, &mut key, &Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(timers.due(7).len(), 1);
    }
}
