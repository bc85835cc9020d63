//! How many bytes of copies leave this datanode in a second, all shards together.
//!
//! Shape   whoever sends first asks for the time at which it may: bytes are laid end to end on a line of time. An idle line
//!         lends some time's worth of them.
//! Units   bytes, nanoseconds of the shards' clock; 0 bytes a second are no limit.

use allotrope_io::Clock;
use allotrope_types::ByteCount;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Time's worth of bytes that may leave at once after a pause.
const AHEAD: Duration = Duration::from_millis(200);

/// A line of time on which bytes are laid.
#[derive(Debug, Default)]
pub struct Budget {
    bytes_per_second: AtomicU64,
    /// When the line is free, in nanoseconds.
    free: AtomicU64,
    /// How far an idle line lends, in nanoseconds.
    ahead: u64,
}

impl Budget {
    /// A budget of so many bytes a second; 0 is none.
    pub fn new(bytes_per_second: ByteCount) -> Budget {
        let budget = Budget { ahead: AHEAD.as_nanos() as u64, ..Budget::default() };
        budget.set(bytes_per_second);
        budget
    }

    /// The same, of which nothing leaves at once, not after a pause either.
    pub fn even(bytes_per_second: ByteCount) -> Budget {
        Budget { ahead: 0, ..Budget::new(bytes_per_second) }
    }

    /// Changes it for what is asked for from now on.
    pub fn set(&self, bytes_per_second: ByteCount) {
        self.bytes_per_second.store(bytes_per_second.as_u64(), Relaxed);
    }

    /// How long `len` bytes have to wait at `now`, in nanoseconds of one clock.
    pub(crate) fn lay(&self, len: u64, now: u64) -> Duration {
        let rate = self.bytes_per_second.load(Relaxed);
        if rate == 0 {
            return Duration::ZERO;
        }
        let takes = u64::try_from(u128::from(len) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        let earliest = now.saturating_sub(self.ahead);
        let mut starts = 0;
        // The closure always says where the line is free next, so this never fails.
        let _ = self.free.fetch_update(Relaxed, Relaxed, |free| {
            starts = free.max(earliest);
            Some(starts.saturating_add(takes))
        });
        Duration::from_nanos(starts.saturating_add(takes).saturating_sub(now))
    }

    /// Waits until `len` bytes may leave.
    pub async fn wait(&self, clock: &Clock, len: u64) {
        let wait = self.lay(len, clock.now().nanos());
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn bytes_leave_at_the_rate_and_a_pause_lends_little() {
        let budget = Budget::new(ByteCount::new(1000));
        let at = 100 * SECOND;
        // The line was idle for long: it lends 200 ms.
        assert_eq!(budget.lay(500, at), Duration::from_millis(300));
        assert_eq!(budget.lay(500, at), Duration::from_millis(800));
        assert_eq!(budget.lay(500, at + SECOND), Duration::from_millis(300));
        // No more after a long pause.
        assert_eq!(budget.lay(500, at + 50 * SECOND), Duration::from_millis(300));
    }

    #[test]
    fn a_budget_changes_while_bytes_leave_and_none_is_no_limit() {
        let budget = Budget::new(ByteCount::ZERO);
        assert_eq!(budget.lay(u64::MAX, SECOND), Duration::ZERO);
        budget.set(ByteCount::new(1000));
        budget.lay(1200, 10 * SECOND);
        budget.set(ByteCount::new(2000));
        assert_eq!(budget.lay(2000, 11 * SECOND), Duration::from_secs(1));
    }
}
