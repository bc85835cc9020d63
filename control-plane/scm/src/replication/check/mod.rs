//! The checks: what ails a container, and what it wants. One file a check; the first that claims the container decides.
//!
//! Shape   pure functions from [`Facts`] to a [`Verdict`]. What is on its way is counted as if it failed where something
//!         would be deleted, and as if it came where something would be copied again.
//! Source  wire facts: scm.md 2.9. Closing replicas and deleting them where the container is CLOSING, QUASI_CLOSED or
//!         DELETING is [`crate::container::lifecycle`]'s.

mod closing;
mod copies_over;
mod copies_under;
mod ec_over;
mod ec_under;
mod empty;
mod misplaced;
mod open;
mod quasi_closed_stuck;
mod unhealthy;
mod vulnerable;

use allotrope_types::{ContainerState, ReplicationConfig};

use super::{Condition, Facts, Verdict, Want};

/// What ails the container of `facts`, and what it wants.
pub fn check(facts: &Facts<'_>) -> Verdict {
    if facts.container.suppressed {
        return Verdict::default();
    }
    match facts.container.state {
        ContainerState::Open => open::check(facts),
        ContainerState::Closing => closing::check(facts),
        // Whatever is left of it is deleted by its life cycle.
        ContainerState::Deleting | ContainerState::Deleted | ContainerState::Recovering => Verdict::default(),
        ContainerState::QuasiClosed | ContainerState::Closed => {
            let mut verdict = sealed(facts);
            vulnerable::add(facts, &mut verdict);
            verdict
        }
    }
}

fn sealed(facts: &Facts<'_>) -> Verdict {
    if let Some(verdict) = empty::check(facts) {
        return verdict;
    }
    if let Some(verdict) = quasi_closed_stuck::check(facts) {
        return verdict;
    }
    let (mut verdict, surplus) = match facts.container.config {
        ReplicationConfig::Ec(ec) => (ec_under::check(facts, ec), ec_over::surplus(facts, ec)),
        ReplicationConfig::Ratis(_) | ReplicationConfig::StandAlone(_) => {
            (copies_under::check(facts), copies_over::surplus(facts))
        }
    };
    let damaged = unhealthy::redundant(facts);
    if !surplus.is_empty() {
        verdict.conditions.push(Condition::OverReplicated);
    }
    verdict.dispensable = damaged.first().or(surplus.first()).copied().or(unhealthy::last_resort(facts));
    if verdict.lacks_replicas() {
        return verdict; // first what it lacks; deletions wait
    }
    verdict.dispensable = None;
    verdict.wants.extend(damaged.into_iter().chain(surplus).map(Want::Delete));
    if verdict.conditions.is_empty()
        && verdict.wants.is_empty()
        && let Some(moved) = misplaced::check(facts)
    {
        verdict.conditions.push(Condition::MisReplicated);
        verdict.wants.extend(moved);
    }
    verdict
}

#[cfg(test)]
mod tests;
