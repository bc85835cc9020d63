//! From a verdict to orders: who copies, who takes the copy, who rebuilds, who deletes.
//!
//! Shape   [`plan`] is pure but for its generator: facts, verdict, who may take a replica and what everybody may still be
//!         given go in; orders come out, and [`Short`], which says why it is not all. The budget is charged.
//! Law     no target holds anything of the container or gets it already; nobody is given more than its budget.
//! Source  wire facts: scm.md 2.9, 3.1.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{DatanodeId, ReplicaIndex, ReplicaState, ReplicationConfig};

use super::verdict::Removal;
use super::{Condition, Facts, Held, Verdict, Want};
use crate::blocks::choose::policy;
use crate::placement::{Candidate, NotEnough, Wish};

/// What one datanode is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `source` sends its replica to `target`.
    Copy {
        /// Who has it.
        source: DatanodeId,
        /// Who shall have it.
        target: DatanodeId,
        /// Which part of an EC group it is.
        index: Option<ReplicaIndex>,
    },
    /// The first target makes the missing replicas of an EC container from the sources, for itself and the others.
    Rebuild {
        /// Who has what.
        sources: Vec<(DatanodeId, ReplicaIndex)>,
        /// Who shall have what.
        targets: Vec<(DatanodeId, ReplicaIndex)>,
    },
    /// A replica is deleted, whatever is in it.
    Delete(Removal),
}

/// Why not all was ordered that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Short {
    /// Nobody can take a replica.
    #[error("no target: {0}")]
    NoTarget(#[from] NotEnough),
    /// No rack is better than the one where it is.
    #[error("no target: no other rack has a datanode with room")]
    NoBetterRack,
    /// Too few replicas can be read now.
    #[error("no source: {found} replicas can be read now, and it takes {wanted}")]
    NoSource {
        /// How many can be read.
        found: usize,
        /// How many it takes.
        wanted: usize,
    },
    /// Those who could have enough to do.
    #[error("it waits its turn")]
    Busy,
}

/// What may still be given to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Copies that each datanode may still be told to make; a datanode that is not named gets none.
    pub copies: BTreeMap<DatanodeId, u32>,
    /// Deletions that each may still be given.
    pub deletes: BTreeMap<DatanodeId, u32>,
    /// Copies that the whole cluster may still be given.
    pub cluster: u32,
    /// As how many copies a reconstruction counts.
    pub rebuild_weight: u32,
}

impl Budget {
    fn copies_of(&self, node: DatanodeId) -> u32 {
        self.copies.get(&node).copied().unwrap_or(0).min(self.cluster)
    }

    fn charge(&mut self, node: DatanodeId, weight: u32) {
        if let Some(left) = self.copies.get_mut(&node) {
            *left = left.saturating_sub(weight);
        }
        self.cluster = self.cluster.saturating_sub(weight);
    }
}

/// What was ordered, and why it is not all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What datanodes are told.
    pub orders: Vec<Order>,
    /// Why something that is wanted was not ordered.
    pub short: Option<Short>,
}

/// What is being planned: the container's facts, with what the plan itself has taken.
struct Planner<'p, 'f> {
    facts: &'p Facts<'f>,
    candidates: &'p [Candidate],
    budget: &'p mut Budget,
    rng: &'p mut fastrand::Rng,
    /// Who holds or gets a replica.
    taken: BTreeSet<DatanodeId>,
    /// Racks of replicas that count, those on their way among them.
    racks: Vec<String>,
    plan: Plan,
}

/// Orders for what `verdict` wants. `candidates` are those who may take a replica of this container.
pub fn plan(
    facts: &Facts<'_>,
    verdict: &Verdict,
    candidates: &[Candidate],
    budget: &mut Budget,
    rng: &mut fastrand::Rng,
) -> Plan {
    let rack_of = |node| candidates.iter().find(|c| c.node == node).map(|c| c.rack.clone());
    let serving = facts.held.iter().filter(|h| h.is_live() && h.in_service()).map(|h| h.rack.to_owned());
    let racks = serving.chain(facts.coming.iter().filter_map(|coming| rack_of(coming.node))).collect();
    let taken = facts.held.iter().map(Held::node).chain(facts.coming.iter().map(|c| c.node)).collect();
    let mut planner = Planner { facts, candidates, budget, rng, taken, racks, plan: Plan::default() };
    for want in &verdict.wants {
        match want {
            Want::Rebuild(indexes) => planner.rebuild(indexes, verdict),
            Want::Copy { sources, index, count } => planner.copy(sources, *index, *count),
            Want::Move { node, index } => planner.shift(*node, *index),
            Want::Delete(removal) => planner.delete(*removal),
            Want::Step(..) => {} // the log's business
        }
    }
    if let Some(Short::NoTarget(_)) = planner.plan.short
        && planner.plan.orders.is_empty()
        && let Some(removal) = verdict.dispensable
        && facts.is_at_rest()
    {
        // It stands where a better one is needed.
        planner.delete(removal);
    }
    planner.plan
}

impl Planner<'_, '_> {
    fn choose(&mut self, count: usize) -> Result<Vec<DatanodeId>, Short> {
        let wish = Wish { count, racks_used: self.racks.clone(), excluded: self.taken.clone() };
        Ok(policy(self.facts.container.config).choose(&wish, self.candidates, self.rng)?)
    }

    fn take(&mut self, node: DatanodeId) {
        self.taken.insert(node);
        self.racks.extend(self.candidates.iter().find(|c| c.node == node).map(|c| c.rack.clone()));
    }

    fn is_short(&mut self, short: Short) {
        // The weightiest reason stays: a turn comes by itself, a datanode does not.
        if !matches!((&self.plan.short, &short), (Some(_), Short::Busy)) {
            self.plan.short = Some(short);
        }
    }

    fn copy(&mut self, sources: &[DatanodeId], index: Option<ReplicaIndex>, count: usize) {
        for _ in 0..count {
            let free = sources.iter().copied().filter(|node| self.budget.copies_of(*node) > 0);
            let Some(source) = free.max_by_key(|node| (self.budget.copies_of(*node), *node)) else {
                return self.is_short(Short::Busy);
            };
            match self.choose(1) {
                Ok(targets) => {
                    for target in targets {
                        self.take(target);
                        self.budget.charge(source, 1);
                        self.plan.orders.push(Order::Copy { source, target, index });
                    }
                }
                Err(short) => return self.is_short(short),
            }
        }
    }

    /// A copy to a rack that has at least two fewer than the one where it is.
    fn shift(&mut self, node: DatanodeId, index: Option<ReplicaIndex>) {
        let Some(held) = self.facts.held.iter().find(|held| held.node() == node) else { return };
        let from = held.rack;
        let on = |rack: &str| self.racks.iter().filter(|used| *used == rack).count();
        let here = on(from);
        let better: Vec<Candidate> =
            self.candidates.iter().filter(|c| c.rack != from && on(&c.rack) + 1 < here).cloned().collect();
        if self.budget.copies_of(node) == 0 {
            return self.is_short(Short::Busy);
        }
        let wish = Wish { count: 1, racks_used: self.racks.clone(), excluded: self.taken.clone() };
        match policy(self.facts.container.config).choose(&wish, &better, self.rng).as_deref() {
            Ok([target, ..]) => {
                self.take(*target);
                self.budget.charge(node, 1);
                self.plan.orders.push(Order::Copy { source: node, target: *target, index });
            }
            _ => self.is_short(Short::NoBetterRack),
        }
    }

    fn rebuild(&mut self, indexes: &[ReplicaIndex], verdict: &Verdict) {
        let ReplicationConfig::Ec(ec) = self.facts.container.config else { return };
        let sources = sources(self.facts);
        if sources.len() < ec.data() {
            return self.is_short(Short::NoSource { found: sources.len(), wanted: ec.data() });
        }
        // As many as there are datanodes for, the lowest indexes first.
        let mut chosen = Vec::new();
        for count in (1..=indexes.len()).rev() {
            match self.choose(count) {
                Ok(targets) => {
                    chosen = targets;
                    break;
                }
                Err(short) => self.is_short(short),
            }
        }
        if chosen.is_empty() {
            return;
        }
        let weight = self.budget.rebuild_weight;
        // The one with the least to do makes all of them. What bears no further loss is not made to wait.
        chosen.sort_by_key(|node| (std::cmp::Reverse(self.budget.copies_of(*node)), *node));
        let free = self.budget.copies_of(chosen[0]);
        let urgent = verdict.redundancy == 0 && verdict.has(Condition::UnderReplicated) && free > 0;
        if free < weight && !urgent {
            return self.is_short(Short::Busy);
        }
        self.budget.charge(chosen[0], weight);
        for target in &chosen {
            self.take(*target);
        }
        let targets = chosen.into_iter().zip(indexes.iter().copied()).collect();
        self.plan.orders.push(Order::Rebuild { sources, targets });
    }

    fn delete(&mut self, removal: Removal) {
        match self.budget.deletes.get_mut(&removal.node) {
            Some(left) if *left > 0 => {
                *left -= 1;
                self.plan.orders.push(Order::Delete(removal));
            }
            _ => self.is_short(Short::Busy),
        }
    }
}

/// From whom a container is rebuilt: one closed replica of each index, in service rather than not.
fn sources(facts: &Facts<'_>) -> Vec<(DatanodeId, ReplicaIndex)> {
    let mut by_index: BTreeMap<ReplicaIndex, &Held<'_>> = BTreeMap::new();
    let closed = |h: &&Held<'_>| h.is_live() && h.reachable() && h.replica.state == ReplicaState::Closed;
    for held in facts.held.iter().filter(closed) {
        let Some(index) = held.replica.index else { continue };
        let entry = by_index.entry(index).or_insert(held);
        if held.in_service() && !entry.in_service() {
            *entry = held;
        }
    }
    by_index.into_iter().map(|(index, held)| (held.node(), index)).collect()
}
