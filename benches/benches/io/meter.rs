//! What a turn cost: wall time and CPU time of the process.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

pub(crate) const GIB: f64 = (1u64 << 30) as f64;

/// A turn that has begun.
pub(crate) struct Meter {
    began: Instant,
    cpu: f64,
}

/// What one turn did and cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Operations a second.
    pub(crate) per_second: f64,
    /// Bytes a second.
    pub(crate) bytes_per_second: f64,
    /// CPU seconds a GiB.
    pub(crate) cpu_per_gib: f64,
}

impl Meter {
    pub(crate) fn start() -> Meter {
        Meter { began: Instant::now(), cpu: cpu_seconds() }
    }

    pub(crate) fn stop(self, operations: u64, bytes: u64) -> Turn {
        let (wall, cpu) = (self.began.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        Turn {
            per_second: operations as f64 / wall,
            bytes_per_second: bytes as f64 / wall,
            cpu_per_gib: cpu / (bytes as f64 / GIB),
        }
    }
}

/// CPU seconds of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
