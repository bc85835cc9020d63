//! Commands on their way to datanodes: a queue a node, handed out with its next heartbeat.
//!
//! Law     a command that was queued for the same thing less than the resend time ago is not queued again; a queue holds
//!         as many commands as a datanode takes, and what does not fit is asked for again by the next sweep.
//! Source  wire facts: scm.md 1.7.

use std::collections::{BTreeMap, VecDeque};

use allotrope_proto::hdds;
use allotrope_proto::heartbeat::{
    self as hb, CloseContainerCommandProto, DeleteBlocksCommandProto, DeleteContainerCommandProto,
    ReregisterCommandProto, ScmCommandProto, SetNodeOperationalStateCommandProto, scm_command_proto::Type,
};
use allotrope_types::{ContainerId, DatanodeId, EcConfig, PipelineId, ReplicaIndex};

use crate::node::OperationalState;
use crate::wire;

/// After how long the command to take part in a pipeline goes out again, at the latest: it is carried out at once or was lost,
/// and all members wait for the last one.
const CREATE_RESEND_MS: u64 = 10_000;

/// What a command is about; two of the same key at once would be one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandKey {
    /// Close a replica.
    Close(ContainerId, bool),
    /// Delete a replica.
    Delete(ContainerId, bool),
    /// Register again.
    Reregister,
    /// Take an operational state.
    Operational,
    /// Forget a Raft group.
    ClosePipeline(PipelineId),
    /// Take part in a Raft group.
    CreatePipeline(PipelineId),
}

/// A copy: either `target` or `sources` is given, to the node that sends or to the one that fetches.
#[derive(Clone, Debug, PartialEq)]
pub struct Replicate {
    /// Of what.
    pub container: ContainerId,
    /// Which part of an EC group it is.
    pub index: Option<ReplicaIndex>,
    /// Who takes it, where the holder sends it.
    pub target: Option<hdds::DatanodeDetailsProto>,
    /// Who has it, where the target fetches it.
    pub sources: Vec<hdds::DatanodeDetailsProto>,
}

/// A reconstruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconstruct {
    /// Of what.
    pub container: ContainerId,
    /// Its scheme.
    pub config: EcConfig,
    /// Who has which replica.
    pub sources: Vec<(hdds::DatanodeDetailsProto, ReplicaIndex)>,
    /// Who shall have which.
    pub targets: Vec<(hdds::DatanodeDetailsProto, ReplicaIndex)>,
}

/// Commands one node may have waiting here; a datanode's own queue takes as many.
const WAITING_MAX: usize = 5_000;

/// The queues.
#[derive(Debug)]
pub struct Commands {
    waiting: BTreeMap<DatanodeId, VecDeque<ScmCommandProto>>,
    queued_ms: BTreeMap<(DatanodeId, CommandKey), u64>,
    resend_ms: u64,
    next_id: i64,
}

impl Commands {
    /// Empty queues. Ids go up from the start's time, so that no other start of SCM gives the same ones.
    pub fn new(resend_ms: u64, unix_ms: u64) -> Commands {
        let next_id = i64::try_from(unix_ms).unwrap_or(0).saturating_mul(1 << 16).max(1);
        Commands { waiting: BTreeMap::new(), queued_ms: BTreeMap::new(), resend_ms, next_id }
    }

    fn id(&mut self) -> i64 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        id
    }

    /// Queues what `make` makes of a fresh id, unless the same was queued lately. True if it was queued.
    fn queue(
        &mut self,
        node: DatanodeId,
        key: CommandKey,
        now_ms: u64,
        make: impl FnOnce(i64) -> ScmCommandProto,
    ) -> bool {
        let resend_ms = match key {
            CommandKey::CreatePipeline(_) => self.resend_ms.min(CREATE_RESEND_MS),
            _ => self.resend_ms,
        };
        let lately = |at: &u64| now_ms.saturating_sub(*at) < resend_ms;
        if self.queued_ms.get(&(node, key)).is_some_and(lately) {
            return false;
        }
        let id = self.id();
        let waiting = self.waiting.entry(node).or_default();
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back(make(id));
        self.queued_ms.insert((node, key), now_ms);
        true
    }

    /// Tells `node` to close its replica of `container`.
    pub fn close_container(
        &mut self,
        node: DatanodeId,
        container: ContainerId,
        pipeline: PipelineId,
        force: bool,
        now_ms: u64,
    ) -> bool {
        // A Java datanode takes the command's number for the container's.
        let cmd_id = container.to_wire();
        self.queue(node, CommandKey::Close(container, force), now_ms, |_| ScmCommandProto {
            command_type: Type::CloseContainerCommand as i32,
            close_container_command_proto: Some(CloseContainerCommandProto {
                container_id: container.to_wire(),
                pipeline_id: wire::pipeline_id(pipeline),
                cmd_id,
                force: Some(force),
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to delete its replica of `container`.
    pub fn delete_container(
        &mut self,
        node: DatanodeId,
        container: ContainerId,
        index: Option<ReplicaIndex>,
        force: bool,
        now_ms: u64,
    ) -> bool {
        self.queue(node, CommandKey::Delete(container, force), now_ms, |cmd_id| ScmCommandProto {
            command_type: Type::DeleteContainerCommand as i32,
            delete_container_command_proto: Some(DeleteContainerCommandProto {
                container_id: container.to_wire(),
                cmd_id,
                force,
                replica_index: index.map(|index| i32::from(index.number())),
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to take an operational state.
    pub fn set_operational(
        &mut self,
        node: DatanodeId,
        state: OperationalState,
        until_s: i64,
        now_ms: u64,
    ) -> bool {
        self.queue(node, CommandKey::Operational, now_ms, |cmd_id| ScmCommandProto {
            command_type: Type::SetNodeOperationalStateCommand as i32,
            set_node_operational_state_command_proto: Some(SetNodeOperationalStateCommandProto {
                cmd_id,
                node_operational_state: state as i32,
                state_expiry_epoch_seconds: until_s,
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to take part in a pipeline, which `message` describes.
    pub fn create_pipeline(
        &mut self,
        node: DatanodeId,
        pipeline: PipelineId,
        message: &hdds::Pipeline,
        leader: Option<DatanodeId>,
        now_ms: u64,
    ) -> bool {
        let leads = |details: &hdds::DatanodeDetailsProto| {
            wire::datanode_id(details).is_ok_and(|id| Some(id) == leader)
        };
        self.queue(node, CommandKey::CreatePipeline(pipeline), now_ms, |cmd_id| ScmCommandProto {
            command_type: Type::CreatePipelineCommand as i32,
            create_pipeline_command_proto: Some(hb::CreatePipelineCommandProto {
                pipeline_id: wire::pipeline_id(pipeline),
                r#type: message.r#type.unwrap_or(hdds::ReplicationType::Ratis as i32),
                factor: message.factor.unwrap_or(hdds::ReplicationFactor::One as i32),
                datanode: message.members.clone(),
                cmd_id,
                priority: message.members.iter().map(|member| i32::from(leads(member))).collect(),
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to forget a Raft group that SCM does not know.
    pub fn close_pipeline(&mut self, node: DatanodeId, pipeline: PipelineId, now_ms: u64) -> bool {
        self.queue(node, CommandKey::ClosePipeline(pipeline), now_ms, |cmd_id| ScmCommandProto {
            command_type: Type::ClosePipelineCommand as i32,
            close_pipeline_command_proto: Some(hb::ClosePipelineCommandProto {
                pipeline_id: wire::pipeline_id(pipeline),
                cmd_id,
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to delete blocks. Who sends it knows when it was sent before.
    pub fn delete_blocks(
        &mut self,
        node: DatanodeId,
        transactions: Vec<hb::DeletedBlocksTransaction>,
    ) -> bool {
        let cmd_id = self.id();
        let waiting = self.waiting.entry(node).or_default();
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back(ScmCommandProto {
            command_type: Type::DeleteBlocksCommand as i32,
            delete_blocks_command_proto: Some(DeleteBlocksCommandProto {
                deleted_blocks_transactions: transactions,
                cmd_id,
            }),
            ..Default::default()
        });
        true
    }

    /// Tells `node` to send its replica of `container` to `target`, or to fetch it from `sources`; what it is not, is `None` or
    /// empty. The replication manager knows what is under way. Returns the command's id.
    pub fn replicate(&mut self, node: DatanodeId, copy: Replicate, deadline_unix_ms: u64) -> Option<i64> {
        self.order(node, deadline_unix_ms, |cmd_id| ScmCommandProto {
            command_type: Type::ReplicateContainerCommand as i32,
            replicate_container_command_proto: Some(hb::ReplicateContainerCommandProto {
                container_id: copy.container.to_wire(),
                sources: copy.sources,
                cmd_id,
                replica_index: copy.index.map(|index| i32::from(index.number())),
                target: copy.target,
                priority: Some(hb::ReplicationCommandPriority::Normal as i32),
            }),
            ..Default::default()
        })
    }

    /// Tells `node`, the first of the targets, to rebuild replicas of an EC container. Returns the command's id.
    pub fn reconstruct(
        &mut self,
        node: DatanodeId,
        rebuild: Reconstruct,
        deadline_unix_ms: u64,
    ) -> Option<i64> {
        let source = |(details, index): (hdds::DatanodeDetailsProto, ReplicaIndex)| {
            hb::DatanodeDetailsAndReplicaIndexProto {
                datanode_details: details,
                replica_index: i32::from(index.number()),
            }
        };
        let (targets, missing): (Vec<_>, Vec<u8>) =
            rebuild.targets.into_iter().map(|(details, index)| (details, index.number())).unzip();
        self.order(node, deadline_unix_ms, |cmd_id| ScmCommandProto {
            command_type: Type::ReconstructEcContainersCommand as i32,
            reconstruct_ec_containers_command_proto: Some(hb::ReconstructEcContainersCommandProto {
                container_id: rebuild.container.to_wire(),
                sources: rebuild.sources.into_iter().map(source).collect(),
                targets,
                missing_container_indexes: missing.into(),
                ec_replication_config: wire::ec_config(rebuild.config),
                cmd_id,
            }),
            ..Default::default()
        })
    }

    /// Tells `node` to delete its replica, whatever is in it. The replication manager knows what is under way. Returns the
    /// command's id.
    pub fn remove_replica(
        &mut self,
        node: DatanodeId,
        container: ContainerId,
        index: Option<ReplicaIndex>,
        deadline_unix_ms: u64,
    ) -> Option<i64> {
        self.order(node, deadline_unix_ms, |cmd_id| ScmCommandProto {
            command_type: Type::DeleteContainerCommand as i32,
            delete_container_command_proto: Some(DeleteContainerCommandProto {
                container_id: container.to_wire(),
                cmd_id,
                force: true,
                replica_index: index.map(|index| i32::from(index.number())),
            }),
            ..Default::default()
        })
    }

    /// Queues a command that is not begun after `deadline_unix_ms`; `None` if the queue is full.
    fn order(
        &mut self,
        node: DatanodeId,
        deadline_unix_ms: u64,
        make: impl FnOnce(i64) -> ScmCommandProto,
    ) -> Option<i64> {
        let id = self.id();
        let waiting = self.waiting.entry(node).or_default();
        if waiting.len() >= WAITING_MAX {
            return None;
        }
        let mut command = make(id);
        command.deadline_ms_since_epoch = i64::try_from(deadline_unix_ms).ok();
        waiting.push_back(command);
        Some(id)
    }

    /// How many commands of a type wait for `node`.
    pub fn waiting(&self, node: DatanodeId, kind: Type) -> usize {
        let all = self.waiting.get(&node).into_iter().flatten();
        all.filter(|command| command.command_type == kind as i32).count()
    }

    /// Hands out what waits for `node`.
    pub fn take(&mut self, node: DatanodeId) -> Vec<ScmCommandProto> {
        self.waiting.remove(&node).map(Vec::from).unwrap_or_default()
    }

    /// Forgets what waits for a node that is dead.
    pub fn drop_node(&mut self, node: DatanodeId) {
        self.waiting.remove(&node);
        self.queued_ms.retain(|(of, _), _| *of != node);
    }

    /// Forgets all: leadership has changed.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.queued_ms.clear();
    }

    /// Forgets when commands were queued that may be sent again anyway.
    pub fn prune(&mut self, now_ms: u64) {
        let resend_ms = self.resend_ms;
        self.queued_ms.retain(|_, at| now_ms.saturating_sub(*at) < resend_ms);
    }
}

/// The command that makes a node that SCM does not know register.
pub fn reregister() -> ScmCommandProto {
    ScmCommandProto {
        command_type: Type::ReregisterCommand as i32,
        reregister_command_proto: Some(ReregisterCommandProto {}),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_goes_out_once_until_it_may_be_lost() {
        let mut commands = Commands::new(60_000, 1_700_000_000_000);
        let (node, id) = (DatanodeId::from_bytes([1; 16]), ContainerId::new(4));
        let pipeline = PipelineId::from_bytes([2; 16]);
        assert!(commands.close_container(node, id, pipeline, true, 0));
        assert!(!commands.close_container(node, id, pipeline, true, 59_999));
        assert_eq!(commands.waiting(node, Type::CloseContainerCommand), 1);
        let first = commands.take(node);
        assert!(commands.take(node).is_empty());
        assert!(!commands.close_container(node, id, pipeline, true, 59_999), "it is on its way");
        assert!(commands.close_container(node, id, pipeline, true, 60_000));
        let second = commands.take(node);
        let cmd_id = |c: &[ScmCommandProto]| c[0].close_container_command_proto.as_ref().unwrap().cmd_id;
        assert_eq!(
            (cmd_id(&first), cmd_id(&second)),
            (4, 4),
            "a Java datanode reads it as the container's id"
        );
    }

    #[test]
    fn a_queue_has_a_bound_and_a_dead_nodes_goes() {
        let mut commands = Commands::new(1, 0);
        let (node, pipeline) = (DatanodeId::from_bytes([1; 16]), PipelineId::from_bytes([2; 16]));
        for id in 0..WAITING_MAX as u64 {
            assert!(commands.close_container(node, ContainerId::new(id), pipeline, true, 0));
        }
        assert!(!commands.close_container(node, ContainerId::new(u64::MAX >> 1), pipeline, true, 0));
        commands.drop_node(node);
        assert!(commands.take(node).is_empty());
    }
}
