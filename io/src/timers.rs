//! The timers of a shard on io_uring: kept here, rung by its ring.
//!
//! Shape   those that wait, by moment; the ring holds a timeout for the earliest. A timeout that nobody waits for any more rings
//!         for nothing.
//! Units   nanoseconds of the process' clock.
//!
//! Glommio has timers of its own. We use none: when one is cancelled while the shard goes to sleep, glommio 0.12 may sleep with a
//! task that could run, until something else wakes it.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Poll, Waker};

/// What waits, and what the ring will ring for.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// By moment, then by order of registration.
    waiting: BTreeMap<(u64, u64), Waker>,
    /// The moments of the ring's timeouts.
    armed: BTreeSet<u64>,
    next_key: u64,
}

impl Timers {
    /// Ready if `at` has come; else waits, under `key` from now on.
    pub(crate) fn poll(&mut self, at: u64, now: u64, key: &mut Option<u64>, cx: &Context<'_>) -> Poll<()> {
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
        self.waiting.insert((at, key), cx.waker().clone());
        Poll::Pending
    }

    /// Gives up a wait.
    pub(crate) fn forget(&mut self, at: u64, key: u64) {
        self.waiting.remove(&(at, key));
    }

    /// The moment for which the ring needs a timeout that it does not have; it counts as armed from now on.
    pub(crate) fn arm(&mut self) -> Option<u64> {
        if !self.is_unarmed() {
            return None;
        }
        let ((first, _), _) = self.waiting.first_key_value()?;
        self.armed.insert(*first);
        Some(*first)
    }

    /// Whether [`arm`](Self::arm) would ask for a timeout.
    pub(crate) fn is_unarmed(&self) -> bool {
        let first = self.waiting.first_key_value().map(|((at, _), _)| *at);
        first.is_some_and(|first| self.armed.first().is_none_or(|armed| first < *armed))
    }

    /// The ring has rung for `at`.
    pub(crate) fn rung(&mut self, at: u64) {
        self.armed.remove(&at);
    }

    /// Takes those whose moment has come.
    pub(crate) fn due(&mut self, now: u64) -> Vec<Waker> {
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
    fn the_ring_is_armed_for_the_earliest_and_never_twice_for_one_moment() {
        let mut timers = Timers::default();
        let cx = Context::from_waker(Waker::noop());
        let (mut late, mut soon) = (None, None);
        assert!(timers.poll(30, 0, &mut late, &cx).is_pending());
        assert!(timers.is_unarmed());
        assert_eq!(timers.arm(), Some(30));
        assert!(timers.poll(5, 0, &mut soon, &cx).is_pending());
        assert!(timers.is_unarmed());
        assert_eq!(timers.arm(), Some(5));
        timers.rung(5);
        assert_eq!(timers.due(5).len(), 1);
        assert!(!timers.is_unarmed(), "the timeout for 30 is still there");
        assert!(timers.poll(5, 5, &mut soon, &cx).is_ready());
        timers.forget(30, late.unwrap());
        timers.rung(30);
        assert!(timers.due(31).is_empty(), "it was given up");
    }
}
