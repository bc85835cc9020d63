//! Damaged replicas that are not needed: another good one is there, and sure.
//!
//! Law     of a quasi-closed container no damaged copy goes: it may have a write that no other one has.

use allotrope_types::{ContainerState, ReplicaState, ReplicationConfig};

use super::Facts;
use super::copies_under::is_good;
use crate::node::Health;
use crate::replication::Held;
use crate::replication::verdict::Removal;

fn damaged<'f, 'a>(facts: &'f Facts<'a>) -> impl Iterator<Item = &'f Held<'a>> {
    let here =
        |h: &&Held<'_>| h.replica.state == ReplicaState::Unhealthy && !h.going && h.health == Health::Healthy;
    facts.held.iter().filter(here)
}

fn removal(held: &Held<'_>) -> Removal {
    Removal { node: held.node(), index: held.replica.index }
}

/// The damaged replicas that are not needed.
pub(super) fn redundant(facts: &Facts<'_>) -> Vec<Removal> {
    if facts.container.state != ContainerState::Closed {
        return Vec::new();
    }
    let closed = |h: &&Held<'_>| h.is_sure() && h.replica.state == ReplicaState::Closed;
    match facts.container.config {
        ReplicationConfig::Ec(_) => damaged(facts)
            .filter(|held| {
                facts.held.iter().filter(closed).any(|good| good.replica.index == held.replica.index)
            })
            .map(removal)
            .collect(),
        _ => {
            let good = facts.held.iter().filter(closed).filter(|held| is_good(facts, held)).count();
            match good >= facts.container.config.required_nodes() {
                true => damaged(facts).map(removal).collect(),
                false => Vec::new(),
            }
        }
    }
}

/// A damaged replica that goes where no other datanode is left for a good one: the good ones that stay can make it anew.
pub(super) fn last_resort(facts: &Facts<'_>) -> Option<Removal> {
    if facts.container.state != ContainerState::Closed {
        return None;
    }
    let closed = |h: &&Held<'_>| h.is_sure() && h.replica.state == ReplicaState::Closed;
    let mut good: Vec<_> =
        facts.held.iter().filter(closed).map(|held| (held.replica.index, held.node())).collect();
    if facts.container.config.ec().is_some() {
        good.sort_unstable();
        good.dedup_by_key(|(index, _)| *index);
    }
    // One more than it takes, so that what stays bears a loss while it is mended.
    let enough = facts.container.config.minimum_nodes() + 1;
    if good.len() < enough.min(facts.container.config.required_nodes()) {
        return None;
    }
    damaged(facts).filter(|held| held.in_service()).map(removal).next()
}
