//! An erasure-coded container: which indexes are lost, which only leaving datanodes hold, and whether it can be read.
//!
//! Shape   sets of indexes are bits of a `u32`, index 1 the lowest; a scheme has at most 32.

use allotrope_types::{DatanodeId, EcConfig, ReplicaIndex, ReplicaState};

use super::{Condition, Facts, Verdict, Want};
use crate::replication::Held;

/// Indexes by who holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    /// Live, in service.
    pub(super) serving: u32,
    /// Live, on a datanode that is or will be away.
    pub(super) away: u32,
    /// Live, on a datanode that goes for ever.
    pub(super) leaving: u32,
    /// Damaged.
    pub(super) damaged: u32,
    /// On their way.
    pub(super) coming: u32,
}

pub(super) fn bit(index: Option<ReplicaIndex>) -> u32 {
    index.map_or(0, |index| 1 << index.position())
}

fn of(bits: u32) -> impl Iterator<Item = ReplicaIndex> {
    (1..=ReplicaIndex::MAX).filter_map(ReplicaIndex::new).filter(move |index| bits & bit(Some(*index)) != 0)
}

impl Indexes {
    pub(super) fn of(facts: &Facts<'_>) -> Indexes {
        let mut found = Indexes::default();
        for held in &facts.held {
            let bit = bit(held.replica.index);
            match held {
                held if held.replica.state == ReplicaState::Unhealthy && !held.going => found.damaged |= bit,
                held if !held.is_live() => {}
                held if held.in_service() => found.serving |= bit,
                held if held.in_maintenance() => found.away |= bit,
                _ => found.leaving |= bit,
            }
        }
        found.coming = facts.coming.iter().fold(0, |bits, coming| bits | bit(coming.index));
        found
    }

    /// All that are live anywhere.
    pub(super) fn live(&self) -> u32 {
        self.serving | self.away | self.leaving
    }
}

/// Who could give a copy of `index`: closed there, on a datanode that is heard.
fn sources(facts: &Facts<'_>, index: ReplicaIndex) -> Vec<DatanodeId> {
    let closed = |h: &&Held<'_>| {
        h.replica.index == Some(index)
            && h.is_live()
            && h.reachable()
            && h.replica.state == ReplicaState::Closed
    };
    facts.held.iter().filter(closed).map(Held::node).collect()
}

pub(super) fn check(facts: &Facts<'_>, ec: EcConfig) -> Verdict {
    let all = u32::MAX >> (u32::BITS as usize - ec.total());
    let found = Indexes::of(facts);
    let have = (found.live() & all).count_ones() as usize;
    let mut verdict = Verdict { redundancy: have.saturating_sub(ec.data()), ..Verdict::default() };

    let lost = all & !found.live();
    let only_leaving = found.leaving & !(found.serving | found.away);
    // Of what is away so many are copied that the rest bears the losses it shall.
    let only_away = found.away & !found.serving;
    let serving_after = (found.serving | lost | only_leaving).count_ones() as usize;
    let wanted = (ec.data() + facts.rules.redundancy_in_maintenance).min(ec.total());
    let short = wanted.saturating_sub(serving_after);
    // Those on their way first: they were chosen before.
    let mut chosen: Vec<ReplicaIndex> =
        of(only_away & found.coming).chain(of(only_away & !found.coming)).collect();
    chosen.truncate(short);

    if lost != 0 || only_leaving != 0 || !chosen.is_empty() {
        verdict.conditions.push(Condition::UnderReplicated);
        verdict.only_leaving = lost == 0;
    }
    let readable = have >= ec.data();
    if !readable {
        let with_damaged = ((found.live() | found.damaged) & all).count_ones() as usize;
        let worse = if with_damaged >= ec.data() { Condition::Unhealthy } else { Condition::Missing };
        verdict.conditions.push(worse);
    }
    let mut rebuilt: Vec<ReplicaIndex> = of(lost & !found.coming).collect();
    for index in of(only_leaving & !found.coming)
        .chain(chosen.into_iter().filter(|i| found.coming & bit(Some(*i)) == 0))
    {
        match sources(facts, index) {
            // A datanode that may be away is: what it holds is made from the others.
            none if none.is_empty() && only_away & bit(Some(index)) != 0 => rebuilt.push(index),
            none if none.is_empty() => {}
            sources => verdict.wants.push(Want::Copy { sources, index: Some(index), count: 1 }),
        }
    }
    if readable && !rebuilt.is_empty() {
        verdict.wants.push(Want::Rebuild(rebuilt));
    }
    verdict
}
