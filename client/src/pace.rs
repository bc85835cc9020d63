//! When a read that is out is asked for elsewhere too: a pure function from the latencies seen to a delay.
//!
//! Shape   [`HedgePolicy`] holds the limits; a [`Pace`] remembers the last latencies of reads, by how long they were, and says how
//!         long a read may be out before it counts as slow. Extra reads come out of a budget that ordinary reads fill, so that a
//!         cluster that is slow as a whole is not made slower by being asked twice.
//! Units   durations; lengths in bytes; the budget counts extra reads.
//! Never   a clock: the caller brings what it measured.

use std::time::Duration;

/// How slow reads are hedged: asked for elsewhere too, while the first answer is still awaited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgePolicy {
    /// How long a read may be out while too few were seen to learn from. Default 500 ms.
    pub delay_first: Duration,
    /// Shortest delay that is learnt. Default 30 ms: below that, asking twice costs more than waiting.
    pub delay_min: Duration,
    /// Longest delay that is learnt. Default 3 s.
    pub delay_max: Duration,
    /// Extra reads that each read earns. Default 0.1: in the long run a tenth of the reads may be hedged.
    pub earned: f64,
    /// Most extra reads that can be saved up, and what a client begins with. Default 32. Zero hedges nothing.
    pub saved_max: u32,
    /// How long a datanode that was overtaken, or gave no answer, is asked last. Default 10 s.
    pub avoid_for: Duration,
}

impl Default for HedgePolicy {
    fn default() -> HedgePolicy {
        HedgePolicy {
            delay_first: Duration::from_millis(500),
            delay_min: Duration::from_millis(30),
            delay_max: Duration::from_secs(3),
            earned: 0.1,
            saved_max: 32,
            avoid_for: Duration::from_secs(10),
        }
    }
}

impl HedgePolicy {
    /// Waits for every answer until its deadline.
    pub const NEVER: HedgePolicy = HedgePolicy {
        delay_first: Duration::MAX,
        delay_min: Duration::MAX,
        delay_max: Duration::MAX,
        earned: 0.0,
        saved_max: 0,
        avoid_for: Duration::ZERO,
    };
}

/// Latencies that are remembered of each class of lengths.
const REMEMBERED: usize = 64;
/// Latencies below which nothing is learnt.
const ENOUGH: usize = 8;
/// The classes' longest lengths; what is longer still is the last class.
const CLASSES: [u64; 2] = [64 << 10, 1 << 20];
/// How much longer than nine of ten reads took a read may take.
const SLACK: u32 = 3;

/// What a client learnt of how long reads take.
#[derive(Debug)]
pub(crate) struct Pace {
    policy: HedgePolicy,
    classes: [Recent; CLASSES.len() + 1],
    saved: f64,
}

/// The last latencies of one class, the oldest overwritten first.
#[derive(Debug, Default)]
struct Recent {
    seen: Vec<Duration>,
    next: usize,
}

impl Pace {
    pub(crate) fn new(policy: HedgePolicy) -> Pace {
        Pace { policy, classes: Default::default(), saved: f64::from(policy.saved_max) }
    }

    fn class(len: u64) -> usize {
        CLASSES.partition_point(|&longest| longest < len)
    }

    /// A read of `len` bytes was answered after `took`.
    pub(crate) fn answered(&mut self, len: u64, took: Duration) {
        let recent = &mut self.classes[Pace::class(len)];
        match recent.seen.get_mut(recent.next) {
            Some(oldest) => *oldest = took,
            None => recent.seen.push(took),
        }
        recent.next = (recent.next + 1) % REMEMBERED;
        self.saved = (self.saved + self.policy.earned).min(f64::from(self.policy.saved_max));
    }

    /// How long a read of `len` bytes may be out before it is slow; `None` if reads are never hedged.
    pub(crate) fn delay(&self, len: u64) -> Option<Duration> {
        if self.policy.saved_max == 0 {
            return None;
        }
        let seen = &self.classes[Pace::class(len)].seen;
        if seen.len() < ENOUGH {
            return Some(self.policy.delay_first);
        }
        let mut seen = seen.clone();
        let nine_of_ten = (seen.len() * 9).div_ceil(10) - 1;
        let (_, usual, _) = seen.select_nth_unstable(nine_of_ten);
        Some(usual.saturating_mul(SLACK).clamp(self.policy.delay_min, self.policy.delay_max))
    }

    /// Takes `count` extra reads out of the budget; false, and none is taken, if there are not so many.
    pub(crate) fn spend(&mut self, count: usize) -> bool {
        let count = count as f64;
        let enough = self.saved >= count;
        if enough {
            self.saved -= count;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_delay_follows_what_nine_of_ten_reads_took() {
        let mut pace = Pace::new(HedgePolicy::default());
        assert_eq!(pace.delay(1 << 20), Some(500 * MS), "nothing was seen yet");
        for n in 1..=100 {
            // One of twenty is an outlier, and moves nothing.
            let took = if n % 20 == 0 { 900 * MS } else { 40 * MS };
            pace.answered(1 << 20, took);
        }
        assert_eq!(pace.delay(1 << 20), Some(120 * MS));
        assert_eq!(pace.delay(4 << 20), Some(500 * MS), "longer reads are learnt apart");
        for _ in 0..REMEMBERED {
            pace.answered(1 << 20, MS);
        }
        assert_eq!(pace.delay(1 << 20), Some(30 * MS), "and never below the least");
        for _ in 0..REMEMBERED {
            pace.answered(1 << 20, 9000 * MS);
        }
        assert_eq!(pace.delay(1 << 20), Some(3000 * MS), "nor above the most");
    }

    #[test]
    fn extra_reads_come_out_of_a_budget_that_reads_fill() {
        let mut pace = Pace::new(HedgePolicy { saved_max: 2, ..HedgePolicy::default() });
        assert!(!pace.spend(3) && pace.spend(2) && !pace.spend(1));
        for _ in 0..11 {
            pace.answered(1, MS);
        }
        assert!(pace.spend(1) && !pace.spend(1));
        for _ in 0..1000 {
            pace.answered(1, MS);
        }
        assert!(pace.spend(2) && !pace.spend(1), "no more is saved than may be");
    }

    #[test]
    fn never_is_never() {
        let mut pace = Pace::new(HedgePolicy::NEVER);
        assert_eq!(pace.delay(1), None);
        pace.answered(1, MS);
        assert!(!pace.spend(1));
    }
}
