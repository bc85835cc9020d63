//! When to ask again, and whom: a pure function from a failure to the next step.
//!
//! Shape   [`RetryPolicy`] holds the limits, [`Failure`] says what went wrong, [`Next`] what to do. No clock and no
//!         random source here: the caller brings the time that has passed and a number from 0 to 1.
//! Units   delays are durations; attempts count from 1, the first.

use std::time::Duration;

/// How often and how long an act is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first among them.
    pub attempts_max: u32,
    /// Wait before the second attempt; it doubles from there on.
    pub delay_first: Duration,
    /// Longest wait between two attempts.
    pub delay_max: Duration,
    /// No attempt starts later than this after the first.
    pub budget: Duration,
}

/// What went wrong with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The peer could not be reached; nothing was sent.
    NotSent,
    /// The peer fell silent or the connection broke after something was sent: it may have been carried out.
    Unclear,
    /// The peer says that another one leads.
    NotLeader,
    /// The peer says that it cannot now and may soon.
    Busy,
    /// The peer refused for a reason that asking again does not change.
    Final,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask again after this wait; `elsewhere` says whether to ask the next peer.
    Again {
        /// How long to wait first.
        after: Duration,
        /// Whether the next peer is to be asked.
        elsewhere: bool,
    },
    /// Give up and report the failure.
    GiveUp,
}

impl Default for RetryPolicy {
    /// 15 attempts over at most two minutes, from 100 ms to 5 s apart.
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts_max: 15,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(5),
            budget: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// One attempt only.
    pub const NEVER: RetryPolicy = RetryPolicy {
        attempts_max: 1,
        delay_first: Duration::ZERO,
        delay_max: Duration::ZERO,
        budget: Duration::ZERO,
    };

    /// What to do after attempt `attempt` failed, `elapsed` after the first began. `chance`, from 0 to 1, spreads the
    /// waits over the upper half of their length, so that clients that failed together do not return together.
    ///
    /// ```
    /// use std::time::Duration;
    /// use allotrope_client::{Failure, Next, RetryPolicy};
    ///
    /// let policy = RetryPolicy::default();
    /// let wait = policy.next(Failure::Busy, 2, Duration::from_secs(1), 1.0);
    /// assert_eq!(wait, Next::Again { after: Duration::from_millis(200), elsewhere: false });
    /// assert_eq!(policy.next(Failure::Final, 1, Duration::ZERO, 0.5), Next::GiveUp);
    /// ```
    pub fn next(&self, failure: Failure, attempt: u32, elapsed: Duration, chance: f64) -> Next {
        if failure == Failure::Final || attempt >= self.attempts_max || elapsed >= self.budget {
            return Next::GiveUp;
        }
        let doubled = self.delay_first.saturating_mul(1 << (attempt - 1).min(16));
        let whole = doubled.min(self.delay_max).min(self.budget - elapsed);
        let after = whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        Next::Again { after, elsewhere: failure != Failure::Busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(next: Next) -> Duration {
        match next {
            Next::Again { after, .. } => after,
            Next::GiveUp => panic!("gave up"),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_spread_over_their_upper_half() {
        let policy = RetryPolicy::default();
        let wait = |attempt, chance| after(policy.next(Failure::Busy, attempt, Duration::ZERO, chance));
        assert_eq!([1, 2, 3, 9].map(|n| wait(n, 1.0).as_millis()), [100, 200, 400, 5000]);
        assert_eq!([1, 2, 3, 9].map(|n| wait(n, 0.0).as_millis()), [50, 100, 200, 2500]);
    }

    #[test]
    fn no_wait_leads_past_the_budget() {
        let policy = RetryPolicy::default();
        let elapsed = policy.budget - Duration::from_millis(30);
        assert_eq!(after(policy.next(Failure::Unclear, 9, elapsed, 1.0)), Duration::from_millis(30));
        assert_eq!(policy.next(Failure::Unclear, 9, policy.budget, 1.0), Next::GiveUp);
        assert_eq!(policy.next(Failure::NotSent, policy.attempts_max, Duration::ZERO, 1.0), Next::GiveUp);
        assert_eq!(RetryPolicy::NEVER.next(Failure::NotSent, 1, Duration::ZERO, 1.0), Next::GiveUp);
    }

    #[test]
    fn only_a_busy_peer_is_asked_again_itself() {
        let policy = RetryPolicy::default();
        for failure in [Failure::NotSent, Failure::Unclear, Failure::NotLeader, Failure::Busy] {
            let Next::Again { elsewhere, .. } = policy.next(failure, 1, Duration::ZERO, 0.0) else {
                panic!("gave up on {failure:?}");
            };
            assert_eq!(elsewhere, failure != Failure::Busy, "{failure:?}");
        }
    }

    #[test]
    fn absurd_limits_do_not_overflow() {
        let policy =
            RetryPolicy { attempts_max: u32::MAX, delay_first: Duration::MAX, ..RetryPolicy::default() };
        assert_eq!(after(policy.next(Failure::Busy, u32::MAX - 1, Duration::ZERO, 2.0)), policy.delay_max);
    }
}
