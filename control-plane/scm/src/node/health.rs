//! From silence to STALE to DEAD, by a clock that stands still while SCM itself does.
//!
//! ```text
//! HEALTHY ─silent ≥ stale→ STALE ─silent ≥ dead→ DEAD
//!    ↑ layout matches          └─heartbeat─┐ │heartbeat
//!    └──────────────── HEALTHY_READONLY ←──┴─┘
//! ```
//!
//! Units   milliseconds of the watch clock.
//! Source  wire facts: scm.md 2.6; numbers of the wire's NodeState.

use std::time::Duration;

/// How a node is, judged by its heartbeats. Its numbers are the wire's `NodeState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Health {
    /// It reports, and takes blocks.
    Healthy = 1,
    /// It has been silent for a while: it gets no new blocks, its pipelines are closed.
    Stale = 2,
    /// It has been silent for long: its replicas count as lost.
    Dead = 3,
    /// It reports, but in another layout version: it can be read only.
    HealthyReadonly = 6,
}

impl Health {
    /// Every health, in the order of the numbers.
    pub const ALL: [Health; 4] = [Health::Healthy, Health::Stale, Health::Dead, Health::HealthyReadonly];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Healthy => "HEALTHY",
            Health::Stale => "STALE",
            Health::Dead => "DEAD",
            Health::HealthyReadonly => "HEALTHY_READONLY",
        }
    }

    /// After a heartbeat in a layout that is ours (or not).
    pub fn after_heartbeat(layout_is_ours: bool) -> Health {
        if layout_is_ours { Health::Healthy } else { Health::HealthyReadonly }
    }

    /// After `silent_ms` without a heartbeat. Silence never mends anything.
    pub fn after_silence(self, silent_ms: u64, thresholds: &Thresholds) -> Health {
        let at_least = |time: Duration| u128::from(silent_ms) >= time.as_millis();
        match self {
            Health::Dead => Health::Dead,
            _ if at_least(thresholds.dead) => Health::Dead,
            Health::Stale => Health::Stale,
            _ if at_least(thresholds.stale) => Health::Stale,
            healthy => healthy,
        }
    }
}

/// When silence is what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// How often silence is looked at (`ozone.scm.heartbeat.thread.interval`). Default 3 s.
    pub check: Duration,
    /// Silence after which a node is stale (`ozone.scm.stale.node.interval`). Default 5 min.
    pub stale: Duration,
    /// Silence after which it is dead (`ozone.scm.dead.node.interval`). Default 10 min.
    pub dead: Duration,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Thresholds { check: Duration::from_secs(3), stale: minutes(5), dead: minutes(10) }
    }
}

impl Thresholds {
    /// Failures seen within seconds (`allotrope.scm.failure-detection = fast`), for datanodes that heartbeat each
    /// second: stale after 5 s, dead after 15 s.
    pub const FAST: Thresholds = Thresholds {
        check: Duration::from_secs(1),
        stale: Duration::from_secs(5),
        dead: Duration::from_secs(15),
    };
}

/// The clock that silence is measured with. It advances at each check, by what has passed since the last one but by
/// no more than two checks: while SCM itself is paused (a stopped process, a starved machine) nobody grows older,
/// since nobody could have been heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchClock {
    watched_ms: u64,
    last_check_ms: Option<u64>,
    step_max_ms: u64,
}

impl WatchClock {
    pub(crate) fn new(thresholds: &Thresholds) -> WatchClock {
        let check_ms = u64::try_from(thresholds.check.as_millis()).unwrap_or(u64::MAX);
        WatchClock { watched_ms: 0, last_check_ms: None, step_max_ms: check_ms.saturating_mul(2) }
    }

    /// Milliseconds of watching so far, as of the last check.
    pub(crate) fn now_ms(&self) -> u64 {
        self.watched_ms
    }

    /// A check at `monotonic_ms`; returns how much of the time since the last one was a pause.
    pub(crate) fn check(&mut self, monotonic_ms: u64) -> u64 {
        let passed = monotonic_ms.saturating_sub(self.last_check_ms.unwrap_or(monotonic_ms));
        let step = passed.min(self.step_max_ms);
        self.watched_ms = self.watched_ms.saturating_add(step);
        self.last_check_ms = Some(monotonic_ms);
        passed - step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_makes_a_node_stale_and_then_dead_and_mends_nothing() {
        let t = Thresholds::FAST;
        let table = [
            (Health::Healthy, 4_999, Health::Healthy),
            (Health::Healthy, 5_000, Health::Stale),
            (Health::HealthyReadonly, 5_000, Health::Stale),
            (Health::Stale, 14_999, Health::Stale),
            (Health::Stale, 15_000, Health::Dead),
            (Health::Healthy, 15_000, Health::Dead),
            (Health::Dead, 0, Health::Dead),
            (Health::Stale, 0, Health::Stale),
        ];
        for (before, silent_ms, after) in table {
            assert_eq!(before.after_silence(silent_ms, &t), after, "{before:?} {silent_ms}");
        }
    }

    #[test]
    fn a_pause_of_scm_makes_nobody_older_than_two_checks() {
        let mut clock = WatchClock::new(&Thresholds::FAST);
        clock.check(50_000);
        clock.check(51_000);
        assert_eq!(clock.now_ms(), 1_000);
        assert_eq!(clock.check(51_000 + 86_400_000), 86_400_000 - 2_000, "a day of pause");
        assert_eq!(clock.now_ms(), 3_000);
        assert_eq!(clock.check(10), 0, "a clock that ran backwards adds nothing");
        assert_eq!(clock.now_ms(), 3_000);
    }
}
