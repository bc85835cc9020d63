//! A damaged copy of a quasi-closed container on a datanode that leaves: where it may have what no other copy has, it is copied
//! before the datanode goes.

use allotrope_types::{ContainerState, ReplicaState};

use super::{Condition, Facts, Verdict, Want};
use crate::replication::Held;

/// Adds to `verdict` the copies that must be made.
pub(super) fn add(facts: &Facts<'_>, verdict: &mut Verdict) {
    if facts.container.state != ContainerState::QuasiClosed {
        return;
    }
    let goes = |h: &&Held<'_>| {
        h.replica.state == ReplicaState::Unhealthy && !h.going && !h.in_service() && h.reachable()
    };
    let alone = facts.held.iter().filter(goes).find(|held| {
        let others = || facts.held.iter().filter(|h| h.node() != held.node() && h.in_service() && !h.going);
        let origin_known = others().any(|h| h.replica.origin == held.replica.origin);
        let newest = held.replica.bcsid >= facts.container.sequence;
        let newest_known = others().any(|h| h.replica.bcsid >= held.replica.bcsid);
        !origin_known || (newest && !newest_known)
    });
    let Some(held) = alone else { return };
    if !verdict.has(Condition::UnderReplicated) {
        verdict.conditions.push(Condition::UnderReplicated);
        verdict.only_leaving = true;
    }
    if facts.coming.is_empty() && !verdict.wants.iter().any(|want| matches!(want, Want::Copy { .. })) {
        verdict.wants.push(Want::Copy { sources: vec![held.node()], index: None, count: 1 });
    }
}
