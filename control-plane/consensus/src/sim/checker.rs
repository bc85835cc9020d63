//! Is a history of calls on a counter linearizable? The search of Wing and Gong, with Lowe's memory of dead ends.

use std::collections::BTreeSet;

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Added so much and was told the sum.
    Added { by: u64, sum: u64 },
    /// Was told the sum.
    Read { sum: u64 },
    /// Added so much, or did not: it was never told.
    MaybeAdded { by: u64 },
}

/// A call from when it was made until it was answered; a call never answered lasts for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) done: Done,
}

/// Whether the calls on one counter, which began at 0, could have happened one after another.
pub(crate) fn linearizable(calls: &[Call]) -> bool {
    let mut dead = BTreeSet::new();
    let mut left: Vec<usize> = (0..calls.len()).collect();
    left.sort_by_key(|n| calls[*n].from);
    search(calls, &mut left, 0, &mut dead)
}

fn search(calls: &[Call], left: &mut Vec<usize>, sum: u64, dead: &mut BTreeSet<(Vec<usize>, u64)>) -> bool {
    if left.iter().all(|n| matches!(calls[*n].done, Done::MaybeAdded { .. })) {
        return true;
    }
    if !dead.insert((left.clone(), sum)) {
        return false;
    }
    // Next can be any call that began before every call still left was answered.
    let first_answer = left.iter().map(|n| calls[*n].to).min().unwrap_or(u64::MAX);
    for place in 0..left.len() {
        let call = calls[left[place]];
        if call.from > first_answer {
            break;
        }
        let after = match call.done {
            Done::Added { by, sum: told } if sum + by == told => told,
            Done::Read { sum: told } if sum == told => sum,
            Done::MaybeAdded { by } => sum + by,
            _ => continue,
        };
        let taken = left.remove(place);
        if search(calls, left, after, dead) {
            return true;
        }
        left.insert(place, taken);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{Done::*, *};

    fn call(from: u64, to: u64, done: Done) -> Call {
        Call { from, to, done }
    }

    #[test]
    fn calls_that_fit_one_after_another_are_linearizable() {
        let history = [
            call(0, 10, Added { by: 2, sum: 5 }),
            call(1, 9, Added { by: 3, sum: 3 }),
            call(4, 5, Read { sum: 3 }),
        ];
        assert!(linearizable(&history));
    }

    #[test]
    fn a_stale_read_is_not() {
        let history = [call(0, 1, Added { by: 2, sum: 2 }), call(2, 3, Read { sum: 0 })];
        assert!(!linearizable(&history));
    }

    #[test]
    fn a_command_applied_twice_is_not() {
        let history = [call(0, 9, Added { by: 2, sum: 2 }), call(10, 11, Read { sum: 4 })];
        assert!(!linearizable(&history));
    }

    #[test]
    fn a_lost_answer_may_have_counted_or_not() {
        let lost = call(0, u64::MAX, MaybeAdded { by: 7 });
        assert!(linearizable(&[lost, call(5, 6, Read { sum: 7 })]));
        assert!(linearizable(&[lost, call(5, 6, Read { sum: 0 })]));
        assert!(!linearizable(&[lost, call(5, 6, Read { sum: 7 }), call(7, 8, Read { sum: 0 })]));
    }
}
