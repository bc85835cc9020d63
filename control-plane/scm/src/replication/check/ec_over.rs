//! An erasure-coded container: which indexes are held more than once by datanodes that can be counted on.

use std::collections::BTreeMap;

use allotrope_types::{EcConfig, ReplicaIndex, ReplicaState};

use super::Facts;
use crate::replication::Held;
use crate::replication::surplus;
use crate::replication::verdict::Removal;

/// The replicas that are too many: for each index all but one, the one that stays being closed and sure.
pub(super) fn surplus(facts: &Facts<'_>, ec: EcConfig) -> Vec<Removal> {
    let mut by_index: BTreeMap<ReplicaIndex, Vec<&Held<'_>>> = BTreeMap::new();
    for held in facts.held.iter().filter(|held| held.is_sure()) {
        if let Some(index) = held.replica.index.filter(|index| ec.has(*index)) {
            by_index.entry(index).or_default().push(held);
        }
    }
    by_index.retain(|_, held| held.len() > 1);
    if by_index.is_empty() {
        return Vec::new();
    }
    let mut staying: Vec<&Held<'_>> = facts.held.iter().filter(|held| held.is_sure()).collect();
    let mut removals = Vec::new();
    for held in by_index.into_values() {
        let closed = |h: &&&Held<'_>| h.replica.state == ReplicaState::Closed;
        let mut left = held.iter().filter(closed).count();
        let mut here = held;
        while here.len() > 1 {
            // The last closed one stays.
            let may_go: Vec<&Held<'_>> = here
                .iter()
                .copied()
                .filter(|h| h.replica.state != ReplicaState::Closed || left > 1)
                .collect();
            let Some(goes) = surplus::which(facts.id(), &may_go, &staying) else { break };
            left -= usize::from(goes.replica.state == ReplicaState::Closed);
            here.retain(|held| held.node() != goes.node());
            staying.retain(|held| held.node() != goes.node());
            if left == 0 {
                break; // none of them is closed yet: none goes
            }
            removals.push(Removal { node: goes.node(), index: goes.replica.index });
        }
    }
    removals
}
