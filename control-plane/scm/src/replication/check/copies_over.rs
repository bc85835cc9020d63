//! A replicated container: which good copies are too many.
//!
//! Law     only copies on healthy datanodes in service are counted, and only these go: one that has fallen silent may be
//!         gone. Of a quasi-closed container a copy goes only if another one of the same origin has as much.

use allotrope_types::{ContainerState, ReplicaState};

use super::Facts;
use super::copies_under::is_good;
use crate::replication::Held;
use crate::replication::surplus;
use crate::replication::verdict::Removal;

pub(super) fn surplus(facts: &Facts<'_>) -> Vec<Removal> {
    let wanted = facts.container.config.required_nodes();
    let mut sure: Vec<&Held<'_>> =
        facts.held.iter().filter(|held| held.is_sure() && is_good(facts, held)).collect();
    let mut removals = Vec::new();
    while sure.len() > wanted {
        let sealed = sure.iter().filter(|held| is_sealed(held)).count();
        let may_go: Vec<&Held<'_>> = sure
            .iter()
            .copied()
            .filter(|held| !is_sealed(held) || sealed > wanted)
            .filter(|held| facts.container.state == ContainerState::Closed || has_twin(held, &sure))
            .collect();
        let Some(goes) = surplus::which(facts.id(), &may_go, &sure) else { break };
        removals.push(Removal { node: goes.node(), index: None });
        sure.retain(|held| held.node() != goes.node());
    }
    removals
}

fn is_sealed(held: &Held<'_>) -> bool {
    matches!(held.replica.state, ReplicaState::Closed | ReplicaState::QuasiClosed)
}

/// Whether another copy of the same origin has as much.
fn has_twin(held: &Held<'_>, sure: &[&Held<'_>]) -> bool {
    sure.iter().any(|other| {
        other.node() != held.node()
            && other.replica.origin == held.replica.origin
            && other.replica.bcsid >= held.replica.bcsid
    })
}
