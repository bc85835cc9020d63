//! Virtual time: stands still while a task can run, jumps to the next timer when none can.

use crate::clock::Moment;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Wall time at the start of a simulation: 2024-01-01, in milliseconds since 1970.
const WALL_ZERO_MS: u64 = 1_704_067_200_000;

/// The time of one simulation and the tasks that wait for it.
#[derive(Debug, Default)]
pub(crate) struct SimTime {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: u64,
    next_key: u64,
    /// By moment, then by order of registration.
    timers: BTreeMap<(u64, u64), Waker>,
    due: BTreeMap<u64, u64>,
}

impl SimTime {
    pub(crate) fn now(&self) -> Moment {
        Moment::from_nanos(self.lock().now)
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        WALL_ZERO_MS + self.lock().now / 1_000_000
    }

    pub(crate) fn poll_wait(&self, at: Moment, key: &mut Option<u64>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if at.nanos() <= state.now {
            if let Some(key) = key.take() {
                state.forget(key);
            }
            return Poll::Ready(());
        }
        let id = *key.get_or_insert_with(|| {
            state.next_key += 1;
            state.next_key
        });
        state.due.insert(id, at.nanos());
        state.timers.insert((at.nanos(), id), cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn forget(&self, key: u64) {
        self.lock().forget(key);
    }

    /// Jumps to the next timer, but not past `limit`, and wakes all that wait for that moment. `false` if there is
    /// none to jump to.
    pub(crate) fn advance(&self, limit: Moment) -> bool {
        let mut wake = Vec::new();
        {
            let mut state = self.lock();
            let Some(((at, _), _)) = state.timers.first_key_value() else { return false };
            let at = *at;
            if at > limit.nanos() {
                return false;
            }
            state.now = state.now.max(at);
            while let Some(entry) = state.timers.first_entry()
                && entry.key().0 <= at
            {
                let ((_, key), waker) = entry.remove_entry();
                state.due.remove(&key);
                wake.push(waker);
            }
        }
        wake.into_iter().for_each(Waker::wake);
        true
    }

    /// Sets the clock to `at` if that is later: the end of a bounded run.
    pub(crate) fn reach(&self, at: Moment) {
        let mut state = self.lock();
        state.now = state.now.max(at.nanos());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, key: u64) {
        if let Some(at) = self.due.remove(&key) {
            self.timers.remove(&(at, key));
        }
    }
}
