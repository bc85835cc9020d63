//! A sealed container that holds nothing any more: it goes.
//!
//! Law     it goes only when so many replicas are heard as it takes to read it, or most of its copies, each says that it is
//!         empty by each of its figures, and SCM's own figures say so too. A datanode refuses on its own to delete a replica
//!         that has blocks, and a container of which as many turn out to have some comes back.

use std::collections::BTreeSet;

use allotrope_types::{ContainerEvent, ContainerState, ReplicaState};

use super::{Condition, Facts, Verdict, Want};

pub(super) fn check(facts: &Facts<'_>) -> Option<Verdict> {
    let container = facts.container;
    if container.keys > 0 || !container.used.is_zero() {
        return None;
    }
    let mut verdict = Verdict::of(Condition::Empty);
    if facts.held.is_empty() {
        // Nothing was ever written. Left alone: a replica may turn up.
        return (container.state == ContainerState::Closed).then_some(verdict);
    }
    let state = match container.state {
        ContainerState::Closed => ReplicaState::Closed,
        _ => ReplicaState::QuasiClosed,
    };
    let all = facts.held.iter().all(|h| h.is_empty() && h.replica.state == state && h.reachable());
    if !all {
        return None;
    }
    let wanted = container.config.required_nodes();
    let distinct: BTreeSet<_> = facts.held.iter().map(|held| held.replica.index).collect();
    let complete = match container.config.ec() {
        Some(ec) => distinct.len() >= ec.data(),
        None => facts.held.len() > wanted / 2,
    };
    if complete && facts.is_at_rest() {
        let newest = facts.held.iter().map(|held| held.replica.bcsid).max().unwrap_or(container.sequence);
        verdict.wants.push(Want::Step(ContainerEvent::Delete, newest.max(container.sequence)));
    }
    Some(verdict)
}
