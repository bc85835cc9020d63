//! What one simulated datanode holds and has to do: facts and orders in, reports out. No clock, no socket.
//!
//! Shape   SCM's commands are obeyed: a replica is closed or deleted at once; a copy or a rebuild takes a place of so many at once
//!         and a time, and what it made is its target's from then on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use allotrope_proto::hdds::{DatanodeDetailsProto, PipelineId};
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::heartbeat::{
    CommandStatus, ContainerReplicaProto, PipelineReport, ScmCommandProto, command_status,
    scm_command_proto::Type,
};
use allotrope_types::DatanodeId;
use tokio::time::Instant;

use crate::wire::{SimulatedDatanode, id_of};

/// How fast copies and rebuilds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyPace {
    /// So many at once a datanode; the others wait.
    pub streams: usize,
    /// How long each takes.
    pub time: Duration,
}

/// A replica that a datanode holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) index: u32,
    pub(super) state: State,
}

/// A replica that a copy or a rebuild made, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) at: DatanodeId,
    pub(super) container: i64,
    pub(super) index: u32,
}

#[derive(Debug)]
struct Order {
    due: Instant,
    id: i64,
    kind: Type,
    makes: Vec<Made>,
}

/// One simulated datanode.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) who: SimulatedDatanode,
    /// It says nothing, as one that has lost its power.
    pub(super) is_silent: bool,
    /// It has to say everything before its next heartbeat.
    pub(super) must_register: bool,
    replicas: BTreeMap<i64, Held>,
    /// Replicas of which the next heartbeat tells.
    changed: BTreeSet<i64>,
    deleted: BTreeMap<i64, Held>,
    pipelines: Vec<(PipelineId, bool)>,
    orders: VecDeque<Order>,
    /// When each place for a copy is free again.
    places: Vec<Instant>,
    ended: Vec<CommandStatus>,
}

impl Node {
    pub(super) fn new(who: SimulatedDatanode, pace: CopyPace, now: Instant) -> Node {
        Node {
            who,
            is_silent: false,
            must_register: true,
            replicas: BTreeMap::new(),
            changed: BTreeSet::new(),
            deleted: BTreeMap::new(),
            pipelines: Vec::new(),
            orders: VecDeque::new(),
            places: vec![now; pace.streams.max(1)],
            ended: Vec::new(),
        }
    }

    pub(super) fn held(&self) -> impl Iterator<Item = (i64, Held)> + '_ {
        self.replicas.iter().map(|(container, held)| (*container, *held))
    }

    /// It holds a replica from now on, and its next heartbeat says so.
    pub(super) fn hold(&mut self, container: i64, held: Held) {
        self.deleted.remove(&container);
        self.replicas.insert(container, held);
        self.changed.insert(container);
    }

    /// Its replica takes no more writes, and its next heartbeat says so.
    pub(super) fn close(&mut self, container: i64) {
        if let Some(held) = self.replicas.get_mut(&container) {
            held.state = State::Closed;
            self.changed.insert(container);
        }
    }

    /// The power is gone: what was under way is lost, what lies on disk is not.
    pub(super) fn lose_power(&mut self) {
        self.is_silent = true;
        self.orders.clear();
        self.ended.clear();
        self.changed.clear();
        self.deleted.clear();
    }

    /// The power is back.
    pub(super) fn come_back(&mut self, now: Instant) {
        self.is_silent = false;
        self.must_register = true;
        self.places.fill(now);
    }

    /// All its replicas, for a full report.
    pub(super) fn full_report(&mut self) -> Vec<ContainerReplicaProto> {
        self.changed.clear();
        self.deleted.clear();
        let who = self.who;
        self.held().map(|(container, held)| who.replica(container, held.index, held.state)).collect()
    }

    /// The replicas that changed since they were last reported.
    pub(super) fn changes(&mut self) -> Vec<ContainerReplicaProto> {
        let who = self.who;
        let mut report: Vec<_> = std::mem::take(&mut self.deleted)
            .into_iter()
            .map(|(container, held)| who.replica(container, held.index, State::Deleted))
            .collect();
        for container in std::mem::take(&mut self.changed) {
            if let Some(held) = self.replicas.get(&container) {
                report.push(who.replica(container, held.index, held.state));
            }
        }
        report
    }

    /// What became of commands since it last said so.
    pub(super) fn statuses(&mut self) -> Vec<CommandStatus> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn pipelines(&self) -> Vec<PipelineReport> {
        let report = |(id, leads): &(PipelineId, bool)| PipelineReport {
            pipeline_id: id.clone(),
            is_leader: *leads,
            bytes_written: None,
        };
        self.pipelines.iter().map(report).collect()
    }

    /// Takes a command of SCM's.
    pub(super) fn obey(&mut self, command: ScmCommandProto, pace: CopyPace, now: Instant) {
        let kind = command.command_type();
        match kind {
            Type::ReregisterCommand => self.must_register = true,
            Type::CloseContainerCommand => {
                if let Some(close) = command.close_container_command_proto {
                    self.close(close.container_id);
                }
            }
            Type::DeleteContainerCommand => {
                let deleted = command.delete_container_command_proto.map(|delete| delete.container_id);
                if let Some(container) = deleted
                    && let Some(held) = self.replicas.remove(&container)
                {
                    self.changed.remove(&container);
                    self.deleted.insert(container, held);
                }
            }
            Type::CreatePipelineCommand => {
                if let Some(create) = command.create_pipeline_command_proto {
                    let leads = create.datanode.first().and_then(id_of) == Some(self.who.id());
                    self.pipelines.retain(|(id, _)| *id != create.pipeline_id);
                    self.pipelines.push((create.pipeline_id, leads));
                }
            }
            Type::ClosePipelineCommand => {
                if let Some(close) = command.close_pipeline_command_proto {
                    self.pipelines.retain(|(id, _)| *id != close.pipeline_id);
                }
            }
            Type::ReplicateContainerCommand => {
                if let Some(copy) = command.replicate_container_command_proto {
                    let (id, container) = (copy.cmd_id, copy.container_id);
                    // Pushed to its target, or pulled by whoever is told.
                    let at = copy.target.as_ref().map_or(Some(self.who.id()), id_of);
                    let own = self.replicas.get(&container).map_or(0, |held| held.index);
                    let index = copy.replica_index.and_then(|index| u32::try_from(index).ok()).unwrap_or(own);
                    let makes = at.map(|at| Made { at, container, index });
                    self.order(id, kind, makes.into_iter().collect(), pace, now);
                }
            }
            Type::ReconstructEcContainersCommand => {
                if let Some(rebuild) = command.reconstruct_ec_containers_command_proto {
                    let container = rebuild.container_id;
                    let targets = rebuild.targets.iter().zip(&rebuild.missing_container_indexes);
                    let made = |(at, index): (&DatanodeDetailsProto, &u8)| {
                        id_of(at).map(|at| Made { at, container, index: (*index).into() })
                    };
                    self.order(rebuild.cmd_id, kind, targets.filter_map(made).collect(), pace, now);
                }
            }
            // What is left asks for nothing that a datanode without bytes could do.
            _ => {}
        }
    }

    fn order(&mut self, id: i64, kind: Type, makes: Vec<Made>, pace: CopyPace, now: Instant) {
        let place = self.places.iter_mut().min().expect("there is at least one place");
        let due = now.max(*place) + pace.time;
        *place = due;
        self.orders.push_back(Order { due, id, kind, makes });
    }

    /// Orders that have ended by `now`: what they made. Places are filled in order and each takes the same time, so they end in
    /// order.
    pub(super) fn take_ended(&mut self, now: Instant) -> Vec<Made> {
        let mut made = Vec::new();
        while self.orders.front().is_some_and(|order| order.due <= now) {
            let Some(order) = self.orders.pop_front() else { break };
            made.extend(order.makes);
            self.ended.push(CommandStatus {
                cmd_id: order.id,
                status: command_status::Status::Executed as i32,
                r#type: order.kind as i32,
                msg: None,
                block_deletion_ack: None,
            });
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::heartbeat::{
        CloseContainerCommandProto, DeleteContainerCommandProto, ReplicateContainerCommandProto,
    };

    const PACE: CopyPace = CopyPace { streams: 2, time: Duration::from_secs(1) };

    fn who(number: u64) -> SimulatedDatanode {
        SimulatedDatanode { seed: 7, number }
    }

    fn copy(cmd_id: i64, to: u64) -> ScmCommandProto {
        let copy = ReplicateContainerCommandProto {
            container_id: 5,
            target: Some(who(to).details()),
            cmd_id,
            ..Default::default()
        };
        ScmCommandProto {
            command_type: Type::ReplicateContainerCommand as i32,
            replicate_container_command_proto: Some(copy),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn no_more_copies_run_at_once_than_there_are_places_and_each_makes_its_replica() {
        let now = Instant::now();
        let mut node = Node::new(who(0), PACE, now);
        node.hold(5, Held { index: 3, state: State::Closed });
        for order in 1..=5 {
            node.obey(copy(order, order as u64), PACE, now);
        }
        let after = |node: &mut Node, ms: u64| node.take_ended(now + Duration::from_millis(ms)).len();
        assert_eq!([999, 1000, 2000, 2999, 3000].map(|ms| after(&mut node, ms)), [0, 2, 2, 0, 1]);
        assert_eq!(node.statuses().iter().map(|status| status.cmd_id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        node.obey(copy(6, 9), PACE, now);
        let made = node.take_ended(now + Duration::from_secs(60));
        assert_eq!(made, [Made { at: who(9).id(), container: 5, index: 3 }]);
    }

    #[tokio::test]
    async fn a_change_is_reported_once_and_a_full_report_has_what_is_held() {
        let mut node = Node::new(who(0), PACE, Instant::now());
        node.hold(5, Held { index: 0, state: State::Open });
        node.hold(6, Held { index: 0, state: State::Open });
        assert_eq!(node.changes().len(), 2);
        assert!(node.changes().is_empty());
        let close = CloseContainerCommandProto { container_id: 5, ..Default::default() };
        let close = ScmCommandProto {
            command_type: Type::CloseContainerCommand as i32,
            close_container_command_proto: Some(close),
            ..Default::default()
        };
        let delete = DeleteContainerCommandProto { container_id: 6, cmd_id: 1, ..Default::default() };
        let delete = ScmCommandProto {
            command_type: Type::DeleteContainerCommand as i32,
            delete_container_command_proto: Some(delete),
            ..Default::default()
        };
        for command in [close, delete] {
            node.obey(command, PACE, Instant::now());
        }
        let said: Vec<_> =
            node.changes().iter().map(|report| (report.container_id, report.state())).collect();
        assert_eq!(said, [(6, State::Deleted), (5, State::Closed)]);
        assert_eq!(node.full_report().len(), 1);
    }
}
