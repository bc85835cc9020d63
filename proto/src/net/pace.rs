//! How slow a peer may be.

use std::time::Duration;

/// How slow a peer may read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferPace {
    /// Time for any transfer, however short. Default 30 s.
    pub time_min: Duration,
    /// Bytes a second expected of a longer one. Default 64 KiB: a frame of 128 MiB may take 35 minutes.
    pub bytes_per_second_min: u32,
}

impl Default for TransferPace {
    fn default() -> TransferPace {
        TransferPace { time_min: Duration::from_secs(30), bytes_per_second_min: 64 << 10 }
    }
}

impl TransferPace {
    /// The longest that `bytes` may take.
    pub fn time_max(&self, bytes: usize) -> Duration {
        let seconds = bytes as u64 / u64::from(self.bytes_per_second_min.max(1));
        self.time_min.saturating_add(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_transfer_may_take_longer() {
        let pace = TransferPace { time_min: Duration::from_secs(1), bytes_per_second_min: 1000 };
        assert_eq!(pace.time_max(10), Duration::from_secs(1));
        assert_eq!(pace.time_max(5000), Duration::from_secs(6));
    }
}
