//! Bytes a second, shared by the shards that scan one volume.
//!
//! Shape   each read books its bytes and is told when it may begin; bookings follow each other without gaps, so that the
//!         rate holds over any stretch of time, whoever reads.

use allotrope_io::{Clock, Moment};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A rate of reading.
#[derive(Debug)]
pub struct Budget {
    bytes_per_second: u64,
    /// When the next read may begin, in nanoseconds of the clock.
    next: AtomicU64,
}

impl Budget {
    /// So many bytes a second; 0 reads nothing.
    pub fn new(bytes_per_second: u64) -> Budget {
        Budget { bytes_per_second, next: AtomicU64::new(0) }
    }

    /// Books `bytes`, and says how long to wait before they are read.
    pub fn book(&self, bytes: u64, now: Moment) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let mut begin = 0;
        // The booking is made whatever others book: the closure runs again if one came between.
        let _ = self.next.fetch_update(Relaxed, Relaxed, |next| {
            begin = next.max(now.nanos());
            Some(begin.saturating_add(nanos))
        });
        Duration::from_nanos(begin - now.nanos())
    }

    /// Waits until `bytes` may be read.
    pub async fn wait(&self, bytes: u64, clock: &Clock) {
        let wait = self.book(bytes, clock.now());
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::{Sim, SimConfig};

    #[test]
    fn the_rate_holds_over_bursts_and_pauses() {
        let sim = Sim::new(SimConfig::seeded(1, 1));
        let start = sim.clock().now();
        let budget = Budget::new(1000);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(budget.book(500, at(0)), Duration::ZERO);
        assert_eq!(budget.book(500, at(0)), Duration::from_millis(500));
        assert_eq!(budget.book(100, at(100)), Duration::from_millis(900));
        // Time that nobody used is gone.
        assert_eq!(budget.book(100, at(60_000)), Duration::ZERO);
        assert_eq!(budget.book(100, at(60_000)), Duration::from_millis(100));
    }
}
