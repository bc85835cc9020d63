//! Operations under way: replicas on their way to a datanode, and replicas that a datanode was told to delete.
//!
//! Law     an operation ends when a report shows it done, when its datanode says that it failed, when the datanode that does
//!         it is dead, or when its time is over. A deletion whose time is over is sent to the same datanode again for as
//!         long as the replica is reported there.
//! Units   times are milliseconds of the clock that only runs forward.
//! Source  wire facts: scm.md 2.9.

use std::collections::BTreeMap;

use allotrope_types::{ContainerId, DatanodeId, ReplicaIndex};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A replica comes to the node.
    Add,
    /// The node's replica goes.
    Delete,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub act: Act,
    /// Where.
    pub node: DatanodeId,
    /// To which part of an EC group.
    pub index: Option<ReplicaIndex>,
    /// Who does the work.
    pub worker: DatanodeId,
    /// As how many copies it counts for the worker.
    pub weight: u32,
    /// The command that was given.
    pub command: i64,
    /// When it counts as lost.
    pub until_ms: u64,
}

/// What a datanode has under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Copies that it makes, by weight.
    pub copies: u32,
    /// Deletions.
    pub deletes: u32,
    /// Replicas that come to it.
    pub arriving: u32,
}

/// All operations under way.
#[derive(Debug, Default)]
pub struct Pending {
    by_container: BTreeMap<ContainerId, Vec<Operation>>,
    by_command: BTreeMap<i64, ContainerId>,
    load: BTreeMap<DatanodeId, Load>,
    copies: u32,
    /// Not later than the first operation's end.
    first_end_ms: u64,
}

impl Pending {
    /// What is under way for `container`.
    pub fn of(&self, container: ContainerId) -> &[Operation] {
        self.by_container.get(&container).map_or(&[], Vec::as_slice)
    }

    /// What `node` has under way.
    pub fn load(&self, node: DatanodeId) -> Load {
        self.load.get(&node).copied().unwrap_or_default()
    }

    /// Copies under way in the whole cluster, by weight.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// How many replicas are on their way, and how many are to go.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.by_container.values().flatten();
        (all().filter(|op| op.act == Act::Add).count(), all().filter(|op| op.act == Act::Delete).count())
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.by_container.is_empty()
    }

    /// Notes an operation.
    pub fn begin(&mut self, container: ContainerId, operation: Operation) {
        if self.by_container.is_empty() {
            self.first_end_ms = u64::MAX;
        }
        self.first_end_ms = self.first_end_ms.min(operation.until_ms);
        self.by_command.insert(operation.command, container);
        self.count(&operation, true);
        self.by_container.entry(container).or_default().push(operation);
    }

    fn count(&mut self, operation: &Operation, begins: bool) {
        let change = |count: &mut u32, by: u32| {
            *count = if begins { count.saturating_add(by) } else { count.saturating_sub(by) };
        };
        let mut on = |node: DatanodeId, copies, deletes, arriving| {
            let load = self.load.entry(node).or_default();
            change(&mut load.copies, copies);
            change(&mut load.deletes, deletes);
            change(&mut load.arriving, arriving);
            if *load == Load::default() {
                self.load.remove(&node);
            }
        };
        match operation.act {
            Act::Add => {
                on(operation.worker, operation.weight, 0, 0);
                on(operation.node, 0, 0, 1);
                change(&mut self.copies, operation.weight);
            }
            Act::Delete => on(operation.node, 0, 1, 0),
        }
    }

    /// Ends those of `container` that `ends` picks; returns them.
    fn end(&mut self, container: ContainerId, mut ends: impl FnMut(&Operation) -> bool) -> Vec<Operation> {
        let Some(here) = self.by_container.get_mut(&container) else { return Vec::new() };
        let ended: Vec<Operation> = here.extract_if(.., |operation| ends(operation)).collect();
        if here.is_empty() {
            self.by_container.remove(&container);
        }
        for operation in &ended {
            self.count(operation, false);
            let others = self.of(container).iter().any(|other| other.command == operation.command);
            if !others {
                self.by_command.remove(&operation.command);
            }
        }
        ended
    }

    /// A report shows a replica of `container` on `node`, in the place `index`. True if it was on its way.
    pub fn arrived(&mut self, container: ContainerId, node: DatanodeId, index: Option<ReplicaIndex>) -> bool {
        let is = |op: &Operation| op.act == Act::Add && op.node == node && op.index == index;
        !self.end(container, is).is_empty()
    }

    /// A report shows no replica of `container` on `node`. True if it was to go.
    pub fn gone(&mut self, container: ContainerId, node: DatanodeId) -> bool {
        !self.end(container, |op| op.act == Act::Delete && op.node == node).is_empty()
    }

    /// A datanode says that it could not carry out `command`: whose container that was, and where replicas do not come to.
    pub fn failed(&mut self, command: i64) -> Option<(ContainerId, Vec<DatanodeId>)> {
        let container = *self.by_command.get(&command)?;
        let ended = self.end(container, |op| op.command == command && op.act == Act::Add);
        (!ended.is_empty()).then(|| (container, ended.into_iter().map(|op| op.node).collect()))
    }

    /// `node` is dead: what it was to make or to take in does not come. Its deletions stay until their time is over: it may
    /// carry them out still. Returns the containers that this is about.
    pub fn node_died(&mut self, node: DatanodeId) -> Vec<ContainerId> {
        let lost = |op: &Operation| op.act == Act::Add && (op.node == node || op.worker == node);
        let about: Vec<ContainerId> =
            self.by_container.iter().filter(|(_, ops)| ops.iter().any(lost)).map(|(id, _)| *id).collect();
        for container in &about {
            self.end(*container, lost);
        }
        about
    }

    /// Ends what has run out of time by `now_ms`. Deletions of replicas that `is_there` are left to be sent again.
    pub fn expired(&mut self, now_ms: u64, is_there: impl Fn(ContainerId, DatanodeId) -> bool) -> Expired {
        let mut expired = Expired::default();
        if self.by_container.is_empty() || now_ms < self.first_end_ms {
            return expired;
        }
        let late: Vec<ContainerId> = self
            .by_container
            .iter()
            .filter(|(_, ops)| ops.iter().any(|op| op.until_ms <= now_ms))
            .map(|(id, _)| *id)
            .collect();
        for container in late {
            for op in self.end(container, |op| op.until_ms <= now_ms) {
                match op.act {
                    Act::Delete if is_there(container, op.node) => expired.again.push((container, op)),
                    _ => expired.over.push((container, op)),
                }
            }
        }
        let ends = self.by_container.values().flatten().map(|op| op.until_ms);
        self.first_end_ms = ends.min().unwrap_or(u64::MAX);
        expired
    }
}

/// What has run out of time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Deletions that are to be sent to the same datanode again.
    pub again: Vec<(ContainerId, Operation)>,
    /// What is forgotten.
    pub over: Vec<(ContainerId, Operation)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_bytes([n; 16])
    }

    fn id(n: u64) -> ContainerId {
        ContainerId::new(n)
    }

    fn add(to: u8, worker: u8, command: i64, until_ms: u64) -> Operation {
        let (node, worker) = (node(to), node(worker));
        Operation { act: Act::Add, node, index: None, worker, weight: 1, command, until_ms }
    }

    fn delete(at: u8, command: i64, until_ms: u64) -> Operation {
        let node = node(at);
        Operation { act: Act::Delete, node, index: None, worker: node, weight: 0, command, until_ms }
    }

    #[test]
    fn an_operation_counts_for_its_worker_until_a_report_shows_it_done() {
        let mut pending = Pending::default();
        pending.begin(id(1), add(3, 1, 10, 100));
        pending.begin(id(1), delete(2, 11, 100));
        assert_eq!(pending.load(node(1)), Load { copies: 1, ..Load::default() });
        assert_eq!(pending.load(node(2)), Load { deletes: 1, ..Load::default() });
        assert_eq!(pending.load(node(3)), Load { arriving: 1, ..Load::default() });
        assert_eq!(pending.counts(), (1, 1));
        assert!(!pending.arrived(id(1), node(2), None), "nothing comes there");
        assert!(!pending.gone(id(1), node(3)), "nothing goes there");
        assert!(pending.arrived(id(1), node(3), None) && pending.gone(id(1), node(2)));
        assert!(pending.is_empty() && pending.copies() == 0 && pending.load.is_empty());
        assert!(pending.by_command.is_empty());
    }

    #[test]
    fn a_replica_of_another_index_is_not_the_one_that_was_to_come() {
        let mut pending = Pending::default();
        let two = ReplicaIndex::new(2);
        pending.begin(id(1), Operation { index: two, ..add(3, 1, 10, 100) });
        assert!(!pending.arrived(id(1), node(3), ReplicaIndex::new(1)));
        assert!(pending.arrived(id(1), node(3), two));
    }

    #[test]
    fn what_runs_out_of_time_is_forgotten_and_a_deletion_goes_to_the_same_node_again() {
        let mut pending = Pending::default();
        pending.begin(id(1), add(3, 1, 10, 100));
        pending.begin(id(1), delete(2, 11, 50));
        pending.begin(id(2), delete(4, 12, 50));
        assert_eq!(pending.expired(49, |_, _| true), Expired::default());
        let expired = pending.expired(50, |container, _| container == id(1));
        assert_eq!(expired.again, [(id(1), delete(2, 11, 50))]);
        assert_eq!(expired.over, [(id(2), delete(4, 12, 50))]);
        assert_eq!(pending.expired(100, |_, _| true).over, [(id(1), add(3, 1, 10, 100))]);
        assert!(pending.is_empty());
    }

    #[test]
    fn a_dead_nodes_copies_do_not_come_and_its_deletions_may_still() {
        let mut pending = Pending::default();
        pending.begin(id(1), add(3, 1, 10, 100));
        pending.begin(id(2), add(1, 4, 11, 100));
        pending.begin(id(3), delete(1, 12, 100));
        pending.begin(id(4), add(5, 4, 13, 100));
        assert_eq!(pending.node_died(node(1)), [id(1), id(2)]);
        assert_eq!(pending.counts(), (1, 1));
    }

    #[test]
    fn a_failed_reconstruction_ends_all_its_replicas() {
        let mut pending = Pending::default();
        pending.begin(id(1), add(3, 3, 10, 100));
        pending.begin(id(1), Operation { weight: 0, ..add(4, 3, 10, 100) });
        pending.begin(id(1), add(5, 1, 11, 100));
        assert_eq!(pending.failed(10), Some((id(1), vec![node(3), node(4)])));
        assert_eq!(pending.failed(10), None);
        assert_eq!(pending.of(id(1)), [add(5, 1, 11, 100)]);
    }
}
