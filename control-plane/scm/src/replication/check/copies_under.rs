//! A replicated container: how many good copies it lacks, and from whom they are made.
//!
//! Law     damaged copies are copied only where there is nothing else.

use allotrope_types::{ContainerState, DatanodeId, ReplicaState, ReplicationConfig};

use super::{Condition, Facts, Verdict, Want};
use crate::replication::Held;

/// Whether this copy has all that the container has, as far as can be known.
pub(super) fn is_good(facts: &Facts<'_>, held: &Held<'_>) -> bool {
    let container = facts.container;
    let ratis = matches!(container.config, ReplicationConfig::Ratis(_));
    let late = ratis
        && container.state == ContainerState::Closed
        && held.replica.state == ReplicaState::QuasiClosed
        && held.replica.bcsid != container.sequence;
    held.is_live() && !late
}

pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let wanted = facts.container.config.required_nodes();
    let good: Vec<&Held<'_>> = facts.held.iter().filter(|held| is_good(facts, held)).collect();
    if good.is_empty() {
        return damaged_only(facts, wanted);
    }
    let serving = good.iter().filter(|held| held.in_service()).count();
    let away = good.iter().filter(|held| held.in_maintenance()).count();
    let mut short = wanted.saturating_sub(serving);
    if short > 0 && away > 0 {
        let here_min = wanted.min(facts.rules.copies_in_maintenance);
        short = short.saturating_sub(away).max(here_min.saturating_sub(serving));
    }
    let mut verdict = Verdict { redundancy: (good.len() - 1).min(wanted), ..Verdict::default() };
    if short == 0 {
        return verdict;
    }
    verdict.conditions.push(Condition::UnderReplicated);
    verdict.only_leaving = good.len() >= wanted;
    let count = short.saturating_sub(facts.coming.len());
    let sources = sources(&good);
    if count > 0 && !sources.is_empty() {
        verdict.wants.push(Want::Copy { sources, index: None, count });
    }
    verdict
}

/// Who can give a copy: closed ones, else quasi-closed ones; of these those with the newest write.
fn sources(good: &[&Held<'_>]) -> Vec<DatanodeId> {
    let of = |state: ReplicaState| {
        let here: Vec<&&Held<'_>> =
            good.iter().filter(|held| held.reachable() && held.replica.state == state).collect();
        let newest = here.iter().map(|held| held.replica.bcsid).max();
        here.into_iter().filter(|h| Some(h.replica.bcsid) == newest).map(|h| h.node()).collect::<Vec<_>>()
    };
    match of(ReplicaState::Closed) {
        none if none.is_empty() => of(ReplicaState::QuasiClosed),
        closed => closed,
    }
}

/// All copies are damaged, or there is none: what is left is kept as often as the container should be.
fn damaged_only(facts: &Facts<'_>, wanted: usize) -> Verdict {
    let damaged: Vec<&Held<'_>> =
        facts.held.iter().filter(|h| h.replica.state == ReplicaState::Unhealthy && !h.going).collect();
    if damaged.is_empty() {
        let known = facts.held.iter().any(|held| held.is_live());
        let condition = if known { Condition::Unhealthy } else { Condition::Missing };
        return Verdict::of(condition);
    }
    let mut verdict = Verdict::of(Condition::Unhealthy);
    let serving = damaged.iter().filter(|held| held.in_service() || held.in_maintenance()).count();
    let count = wanted.saturating_sub(serving);
    if count > 0 {
        verdict.conditions.push(Condition::UnderReplicated);
        let newest = damaged.iter().filter(|h| h.reachable()).map(|h| h.replica.bcsid).max();
        let sources = damaged.iter().filter(|h| h.reachable() && Some(h.replica.bcsid) == newest);
        let sources: Vec<DatanodeId> = sources.map(|h| h.node()).collect();
        let count = count.saturating_sub(facts.coming.len());
        if count > 0 && !sources.is_empty() {
            verdict.wants.push(Want::Copy { sources, index: None, count });
        }
    }
    verdict
}
