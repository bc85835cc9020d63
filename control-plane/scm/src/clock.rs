//! Time as SCM sees it: one clock that only runs forward, for silence and intervals, and the wall's, for stamps.
//!
//! Units   milliseconds. `monotonic_ms` counts from any start; `unix_ms` from 1970.
//! Never   compare the two: the wall's clock may jump by a day, and nobody may be declared dead for that.

/// Where SCM's time comes from. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since some start of this process; never runs backwards.
    fn monotonic_ms(&self) -> u64;
    /// Milliseconds since 1970-01-01 UTC.
    fn unix_ms(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// The machine's clocks, with the monotonic one starting now.
    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
    pub fn new() -> SystemClock {
        SystemClock { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
    fn unix_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}
