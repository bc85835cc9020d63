//! A container that is being closed: whether anybody holds what was written.

use super::{Condition, Facts, Verdict};

pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    match facts.held.is_empty() && facts.container.keys > 0 {
        true => Verdict::of(Condition::Missing),
        false => Verdict::default(),
    }
}
