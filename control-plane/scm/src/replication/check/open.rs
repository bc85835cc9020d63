//! A container that is written: whether it still can be. Its life cycle closes it where it cannot.

use allotrope_types::ReplicaState;

use super::{Condition, Facts, Verdict};

pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    if !facts.pipeline_open {
        return Verdict::of(Condition::OpenWithoutPipeline);
    }
    match facts.held.iter().any(|held| held.replica.state != ReplicaState::Open) {
        true => Verdict::of(Condition::OpenUnhealthy),
        false => Verdict::default(),
    }
}
