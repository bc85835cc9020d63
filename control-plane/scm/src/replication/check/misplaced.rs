//! Replicas that stand on too few racks, where nothing else ails the container.

use std::collections::BTreeMap;

use allotrope_types::ReplicationConfig;

use super::{Facts, Want};
use crate::placement::is_scattered;
use crate::replication::Held;
use crate::replication::surplus;

/// What is moved, one replica at a time; `None` where they stand well or something is under way.
pub(super) fn check(facts: &Facts<'_>) -> Option<Vec<Want>> {
    let wanted = facts.container.config.required_nodes();
    let serving: Vec<&Held<'_>> = facts.held.iter().filter(|h| h.is_live() && h.in_service()).collect();
    if facts.racks <= 1 || serving.len() != wanted || facts.held.len() != wanted {
        return None;
    }
    let racks: Vec<&str> = serving.iter().map(|held| held.rack).collect();
    let well = match facts.container.config {
        ReplicationConfig::Ec(_) => is_scattered(&racks, wanted, facts.racks),
        _ => wanted < 2 || racks.iter().any(|rack| *rack != racks[0]),
    };
    if well {
        return None;
    }
    if !facts.is_at_rest() {
        return Some(Vec::new());
    }
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    for rack in &racks {
        *on.entry(rack).or_default() += 1;
    }
    let most = on.values().max().copied().unwrap_or(0);
    let crowded: Vec<&Held<'_>> =
        serving.iter().copied().filter(|held| on[held.rack] == most && held.is_sure()).collect();
    let moved = surplus::which(facts.id(), &crowded, &serving)?;
    Some(vec![Want::Move { node: moved.node(), index: moved.replica.index }])
}
