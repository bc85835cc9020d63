//! The replication manager's look at the cluster: checks what has changed, plans for what waits, queues commands.
//!
//! Shape   [`Cluster::repair`] does a bounded piece of work under one hold of the lock and says whether there is more. Which
//!         container wants what is decided by [`crate::replication`]; here facts are gathered and orders carried out.
//! Law     for a leader outside safe mode, once the wait after both is over.

use std::collections::BTreeSet;

use allotrope_proto::hdds;
use allotrope_types::{ByteCount, ContainerId, ContainerState, DatanodeId, ReplicaIndex};

use super::{Cluster, Now, Reconstruct, Replicate};
use crate::config::ms;
use crate::node::Health;
use crate::placement::Candidate;
use crate::replicated::command::{Change, Step};
use crate::replication::check::check;
use crate::replication::pending::{Act, Operation};
use crate::replication::plan::{self, Budget, Order, Short};
use crate::replication::{Condition, Facts, Rules, Verdict, Want};

/// Containers checked under one hold of the lock.
const CHECKED_AT_ONCE: usize = 2_000;
/// Containers planned for under one hold of the lock.
const PLANNED_AT_ONCE: usize = 200;
/// Room that the smallest replica is taken to need: it grows no more, but files and folders cost something.
const REPLICA_LEN_MIN: u64 = 1 << 20;

/// What a look has led to.
#[derive(Debug, Default)]
pub struct Repaired {
    /// What is to be proposed.
    pub changes: Vec<Change>,
    /// Copies that were ordered.
    pub copies: u64,
    /// Reconstructions that were ordered.
    pub rebuilds: u64,
    /// Deletions that were ordered.
    pub removals: u64,
    /// Containers for which nothing can be done since this look, and why.
    pub stuck: Vec<(ContainerId, Short)>,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// What ails the cluster's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// When all containers were last checked, in ms since 1970; 0 if never.
    pub checked_unix_ms: u64,
    /// How many containers are in each state.
    pub states: Vec<(ContainerState, usize)>,
    /// How many have each condition, and some of them.
    pub conditions: Vec<(Condition, usize, Vec<ContainerId>)>,
    /// How many names a condition has at most.
    pub sample_max: usize,
}

impl Cluster {
    /// Something about the container has changed: it is checked soon.
    pub fn container_changed(&mut self, container: ContainerId) {
        if self.manager.changed(container) {
            self.bell.notify_one();
        }
    }

    /// A datanode has come, or has come back.
    pub fn node_is_back(&mut self, node: DatanodeId) {
        if self.manager.collects() {
            self.manager.wake();
            for container in self.replicas.on(node).collect::<Vec<_>>() {
                self.container_changed(container);
            }
            self.bell.notify_one();
        }
    }

    /// A datanode has registered: what it was told to copy or take in before, it may have forgotten.
    pub fn node_has_restarted(&mut self, node: DatanodeId) {
        for container in self.manager.pending.node_died(node) {
            self.container_changed(container);
        }
    }

    /// Checks, plans and orders, for a bounded time.
    pub fn repair(&mut self, now: Now) -> Repaired {
        let mut repaired = Repaired::default();
        let wait_ms = ms(self.config.replication.start_wait);
        if self.safe_mode.is_on() || !self.manager.is_ready(now.monotonic_ms, wait_ms) {
            return repaired;
        }
        self.manager.prune(now.monotonic_ms);
        self.expire(now, &mut repaired);
        self.walk_on(now);
        let racks = self.racks_serving();
        for container in self.manager.take_changed(now.monotonic_ms, CHECKED_AT_ONCE) {
            let mut verdict = self.verdict(container, racks);
            let steps = verdict.wants.extract_if(.., |want| matches!(want, Want::Step(..)));
            for want in steps.collect::<Vec<_>>() {
                repaired.changes.extend(self.step(container, &want));
            }
            self.manager.checked(container, &verdict);
        }
        let mut budget = None;
        for _ in 0..PLANNED_AT_ONCE {
            if budget.as_ref().is_some_and(|budget: &Budget| budget.cluster == 0) {
                return repaired; // what ends makes room
            }
            let Some(container) = self.manager.take_queued() else { break };
            if budget.is_none() {
                budget = Some(self.budget());
            }
            if let Some(budget) = budget.as_mut() {
                self.plan(container, racks, budget, now, &mut repaired);
            }
        }
        repaired.more = self.manager.has_work(now.monotonic_ms);
        repaired
    }

    fn step(&self, container: ContainerId, want: &Want) -> Option<Change> {
        let Want::Step(event, bcsid) = want else { return None };
        let info = self.blocks.container(container)?;
        Some(Change::Step(Step::new(container, *event, bcsid.as_u64(), info.used.as_u64(), info.keys)))
    }

    /// Marks the next page of a walk over all containers, if one is due.
    fn walk_on(&mut self, now: Now) {
        let interval_ms = ms(self.config.replication.scan_interval);
        let manager = &mut self.manager;
        if manager.walk_from.is_none() {
            let due =
                manager.walked_at_ms.is_none_or(|at| now.monotonic_ms.saturating_sub(at) >= interval_ms);
            if !due {
                return;
            }
            manager.walk_from = Some(ContainerId::new(0));
            manager.walked_at_ms = Some(now.monotonic_ms);
        }
        let Some(from) = manager.walk_from else { return };
        let page: Vec<ContainerId> =
            self.blocks.containers_from(from).take(CHECKED_AT_ONCE).map(|c| c.id).collect();
        manager.walk_from = match page.last() {
            Some(last) if page.len() == CHECKED_AT_ONCE => Some(ContainerId::new(last.as_u64() + 1)),
            _ => {
                manager.walked_unix_ms = now.unix_ms;
                None
            }
        };
        for container in page {
            manager.changed(container);
        }
    }

    /// Racks that have a datanode which serves.
    pub(super) fn racks_serving(&self) -> usize {
        let serving = self.nodes.all().filter(|node| node.serves());
        serving.map(|node| node.rack()).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn facts(&self, container: ContainerId, racks: usize) -> Option<Facts<'_>> {
        let info = self.blocks.container(container)?;
        let replication = &self.config.replication;
        let rules = Rules {
            copies_in_maintenance: replication.copies_in_maintenance,
            redundancy_in_maintenance: replication.redundancy_in_maintenance,
        };
        let pipeline = info.pipeline.and_then(|id| self.blocks.pipeline(id));
        let open = info.state == ContainerState::Open && pipeline.is_some_and(|p| self.takes_writes(p));
        let operations = self.manager.pending.of(container);
        Some(Facts::of(info, self.replicas.of(container), operations, &self.nodes, racks, open, rules))
    }

    /// What ails a container now, and what it wants. Asks, and changes nothing.
    pub fn verdict(&self, container: ContainerId, racks: usize) -> Verdict {
        self.facts(container, racks).map(|facts| check(&facts)).unwrap_or_default()
    }

    /// What everybody may still be given.
    fn budget(&self) -> Budget {
        let settings = &self.config.replication;
        let mut budget = Budget { rebuild_weight: settings.rebuild_weight, ..Budget::default() };
        let mut healthy = 0;
        for node in self.nodes.all().filter(|node| node.reachable()) {
            let load = self.manager.pending.load(node.id);
            let leaves = !node.is_in_service();
            let most = settings.node_copies_max.saturating_mul(if leaves { 2 } else { 1 });
            budget.copies.insert(node.id, most.saturating_sub(load.copies));
            if node.health == Health::Healthy {
                budget.deletes.insert(node.id, settings.node_deletes_max.saturating_sub(load.deletes));
                healthy += 1;
            }
        }
        let most = (healthy as f64 * f64::from(settings.node_copies_max) * settings.in_flight_share).ceil();
        // Neither negative nor near the end of 32 bits: nodes times a small limit.
        budget.cluster = (most as u32).saturating_sub(self.manager.pending.copies());
        budget
    }

    /// Who may take a replica of that size.
    fn takers(&self, container: ContainerId, used: ByteCount, now: Now) -> Vec<Candidate> {
        let size = ByteCount::new(used.as_u64().max(REPLICA_LEN_MIN).saturating_mul(2));
        let most = u64::from(self.config.replication.node_copies_max);
        let free = |node: DatanodeId| !self.manager.has_refused(container, node, now.monotonic_ms);
        self.nodes
            .all()
            .filter(|node| node.serves() && free(node.id))
            .map(|node| {
                let arriving = u64::from(self.manager.pending.load(node.id).arriving);
                let slots = node.usage.slots(size).saturating_sub(arriving);
                Candidate {
                    node: node.id,
                    rack: node.rack().to_owned(),
                    slots: if arriving >= most { 0 } else { slots },
                    share_used: node.usage.share_used(),
                }
            })
            .collect()
    }

    fn plan(
        &mut self,
        container: ContainerId,
        racks: usize,
        budget: &mut Budget,
        now: Now,
        repaired: &mut Repaired,
    ) {
        let mut rng = self.rng.fork();
        let Some(facts) = self.facts(container, racks) else { return };
        let verdict = check(&facts);
        let takers = self.takers(container, facts.container.used, now);
        let plan = plan::plan(&facts, &verdict, &takers, budget, &mut rng);
        let mut short = plan.short;
        for order in plan.orders {
            if !self.carry_out(container, order, now, repaired) {
                short = short.or(Some(Short::Busy));
            }
        }
        if self.manager.planned(container, short.clone(), now.monotonic_ms) {
            repaired.stuck.extend(short.map(|why| (container, why)));
        }
    }

    /// Queues the command for an order; false if its datanode's queue is full.
    fn carry_out(&mut self, container: ContainerId, order: Order, now: Now, repaired: &mut Repaired) -> bool {
        let settings = &self.config.replication;
        let until_ms = now.monotonic_ms.saturating_add(ms(settings.operation_time_max));
        let lasts_ms = ms(settings.operation_time_max.saturating_sub(settings.datanode_gives_up_before));
        let deadline = now.unix_ms.saturating_add(lasts_ms);
        let (push, rebuild_weight) = (settings.push, settings.rebuild_weight);
        match order {
            Order::Copy { source, target, index } => {
                let (worker, copy) = self.copy(container, index, (source, target), push);
                let Some(command) = self.commands.replicate(worker, copy, deadline) else { return false };
                let operation =
                    Operation { act: Act::Add, node: target, index, worker, weight: 1, command, until_ms };
                self.manager.pending.begin(container, operation);
                repaired.copies += 1;
                tracing::info!(%container, %source, %target, "a replica is copied");
            }
            Order::Rebuild { sources, targets } => {
                let Some((worker, _)) = targets.first().copied() else { return true };
                let Some(rebuild) = self.rebuild(container, &sources, &targets) else { return true };
                let Some(command) = self.commands.reconstruct(worker, rebuild, deadline) else {
                    return false;
                };
                for (at, (node, index)) in targets.iter().copied().enumerate() {
                    let weight = if at == 0 { rebuild_weight } else { 0 };
                    let index = Some(index);
                    let operation =
                        Operation { act: Act::Add, node, index, worker, weight, command, until_ms };
                    self.manager.pending.begin(container, operation);
                }
                repaired.rebuilds += 1;
                tracing::info!(%container, %worker, replicas = targets.len(), "replicas are rebuilt");
            }
            Order::Delete(removal) => {
                let (node, index) = (removal.node, removal.index);
                let ordered = self.commands.remove_replica(node, container, index, deadline);
                let Some(command) = ordered else { return false };
                let operation =
                    Operation { act: Act::Delete, node, index, worker: node, weight: 0, command, until_ms };
                self.manager.pending.begin(container, operation);
                repaired.removals += 1;
                tracing::info!(%container, %node, "a replica that is not needed is deleted");
            }
        }
        true
    }

    /// Who is told to copy, and what.
    fn copy(
        &self,
        container: ContainerId,
        index: Option<ReplicaIndex>,
        (source, target): (DatanodeId, DatanodeId),
        push: bool,
    ) -> (DatanodeId, Replicate) {
        match push {
            true => {
                (source, Replicate { container, index, target: self.details(target), sources: Vec::new() })
            }
            false => {
                let sources = self.details(source).into_iter().collect();
                (target, Replicate { container, index, target: None, sources })
            }
        }
    }

    fn rebuild(
        &self,
        container: ContainerId,
        sources: &[(DatanodeId, ReplicaIndex)],
        targets: &[(DatanodeId, ReplicaIndex)],
    ) -> Option<Reconstruct> {
        let config = self.blocks.container(container)?.config.ec()?;
        let named =
            |nodes: &[(DatanodeId, ReplicaIndex)]| -> Vec<(hdds::DatanodeDetailsProto, ReplicaIndex)> {
                nodes.iter().filter_map(|(node, index)| Some((self.details(*node)?, *index))).collect()
            };
        Some(Reconstruct { container, config, sources: named(sources), targets: named(targets) })
    }

    /// Ends what has run out of time. A deletion that may have been lost goes to the same datanode again, unless its replica
    /// has come to be needed.
    fn expire(&mut self, now: Now, repaired: &mut Repaired) {
        let replicas = &self.replicas;
        let is_there = |container, node| replicas.of(container).iter().any(|replica| replica.node == node);
        let expired = self.manager.pending.expired(now.monotonic_ms, is_there);
        for (container, operation) in expired.over {
            tracing::warn!(%container, node = %operation.node, act = ?operation.act, "an operation has run out of time");
            self.container_changed(container);
        }
        let again = expired.again;
        if again.is_empty() {
            return;
        }
        let racks = self.racks_serving();
        for (container, operation) in again {
            let until_ms = now.monotonic_ms.saturating_add(1);
            self.manager.pending.begin(container, Operation { until_ms, ..operation });
            let needed = self.verdict(container, racks).lacks_replicas();
            self.manager.pending.gone(container, operation.node);
            let removal =
                crate::replication::verdict::Removal { node: operation.node, index: operation.index };
            if needed || !self.carry_out(container, Order::Delete(removal), now, repaired) {
                self.container_changed(container);
            }
        }
    }

    /// What ails the cluster's containers, as far as they have been checked.
    pub fn repair_report(&self) -> Report {
        let sample_max = self.config.replication.sample_max;
        let mut samples = vec![Vec::new(); Condition::ALL.len()];
        for (container, ill) in self.manager.ills() {
            for condition in &ill.conditions {
                let sample = &mut samples[*condition as usize];
                if sample.len() < sample_max {
                    sample.push(container);
                }
            }
        }
        let conditions = Condition::ALL.into_iter().zip(samples);
        Report {
            checked_unix_ms: self.manager.walked_unix_ms,
            states: ContainerState::ALL.iter().map(|state| (*state, self.blocks.count(*state))).collect(),
            conditions: conditions.map(|(c, sample)| (c, self.manager.count(c), sample)).collect(),
            sample_max,
        }
    }
}
