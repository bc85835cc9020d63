//! A quasi-closed container that cannot be closed, since not every origin has been heard: each origin's copy may have what
//! the others lack, so each is kept several times.
//!
//! Units   copies an origin: [`BEST_ORIGIN_COPIES`] of those that have the newest write, and of an only origin;
//!         [`OTHER_ORIGIN_COPIES`] of the others.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{ContainerState, DatanodeId, ReplicaState, ReplicationConfig};

use super::{Condition, Facts, Verdict, Want};
use crate::replication::Held;

/// `hdds.scm.replication.quasi.closed.stuck.best.origin.copies`.
const BEST_ORIGIN_COPIES: usize = 3;
/// `hdds.scm.replication.quasi.closed.stuck.other.origin.copies`.
const OTHER_ORIGIN_COPIES: usize = 2;

pub(super) fn check(facts: &Facts<'_>) -> Option<Verdict> {
    let container = facts.container;
    if container.state != ContainerState::QuasiClosed {
        return None;
    }
    let ReplicationConfig::Ratis(factor) = container.config else { return None };
    let counts = |h: &&Held<'_>| {
        matches!(h.replica.state, ReplicaState::QuasiClosed | ReplicaState::Closed | ReplicaState::Unhealthy)
    };
    let origins: BTreeSet<DatanodeId> = facts.held.iter().filter(counts).map(|h| h.replica.origin).collect();
    if origins.len() >= factor.copies() || origins.is_empty() {
        return None; // its life cycle closes it, or there is nothing to copy
    }
    let mut by_origin: BTreeMap<DatanodeId, Vec<&Held<'_>>> = BTreeMap::new();
    for held in facts.held.iter().filter(|held| held.is_live()) {
        by_origin.entry(held.replica.origin).or_default().push(held);
    }
    let newest = by_origin.values().flatten().map(|held| held.replica.bcsid).max();
    let mut verdict = Verdict::of(Condition::QuasiClosedStuck);
    for copies in by_origin.values() {
        let best = copies.iter().map(|held| held.replica.bcsid).max();
        let wanted =
            if by_origin.len() == 1 || best == newest { BEST_ORIGIN_COPIES } else { OTHER_ORIGIN_COPIES };
        let serving = copies.iter().filter(|held| held.in_service()).count();
        let away = copies.iter().filter(|held| held.in_maintenance()).count();
        // What may be away counts as long as one copy is here.
        let have = if serving > 0 { serving + away } else { 0 };
        let short = wanted.saturating_sub(have);
        let sources: Vec<DatanodeId> = copies
            .iter()
            .filter(|h| h.reachable() && Some(h.replica.bcsid) == best)
            .map(|h| h.node())
            .collect();
        // Which origin's copy is on its way is not known: one after the other.
        if short > 0 {
            verdict.conditions.push(Condition::UnderReplicated);
            if facts.coming.is_empty() && !sources.is_empty() {
                verdict.wants.push(Want::Copy { sources, index: None, count: short });
            }
        }
    }
    verdict.conditions.dedup();
    Some(verdict)
}
