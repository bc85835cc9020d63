//! Datanodes to SCM: version, registration, heartbeats; reports one way, commands the other.
//!
//! A datanode reads SCM's answer through [`apart`], where one malformed command costs none of the others.

pub mod apart;

use allotrope_types::{
    Bcsid, ByteCount, ContainerId, DatanodeId, EcConfig, LocalId, PipelineId, ReplicaIndex, ReplicaState,
    ReplicationConfig, Term,
};

use super::field::{At, Field, enums};
use super::hdds::{self, DatanodeDetails, ExtendedDatanodeDetails, NodeOperationalState, StorageTypeProto};
use super::message::Empty;
use crate::WireError;
use crate::heartbeat as wire;

pub use crate::heartbeat::close_pipeline_info::Reason as ClosePipelineReason;
pub use crate::heartbeat::command_status::Status as CommandOutcome;
pub use crate::heartbeat::container_action::{Action as ContainerWish, Reason as ContainerWishReason};
pub use crate::heartbeat::pipeline_action::Action as PipelineWish;
pub use crate::heartbeat::scm_command_proto::Type as CommandKind;
pub use crate::heartbeat::scm_registered_response_proto::ErrorCode as Registered;
pub use crate::heartbeat::{ReplicationCommandPriority, Status, Type};

enums!(
    Type,
    Status,
    ReplicationCommandPriority,
    CommandKind,
    CommandOutcome,
    Registered,
    ContainerWish,
    ContainerWishReason,
    ClosePipelineReason,
    PipelineWish,
);

empty!(wire; ScmVersionRequestProto, ReregisterCommandProto,);

envelope! {
    /// A call of a datanode.
    DatanodeRequest = wire => ScmDatanodeRequest
    /// What a datanode asks.
    DatanodeCall by cmd_type: Type {
        trace_id: Option<String>,
        ;
        GetVersion => get_version_request: Empty,
        Register => register_request: ScmRegisterRequest,
        SendHeartbeat => send_heartbeat_request: ScmHeartbeatRequest,
    }
}

envelope! {
    opt
    /// SCM's answer.
    DatanodeResponse = wire => ScmDatanodeResponse
    /// What SCM says.
    DatanodeAnswer by cmd_type: Type {
        trace_id: Option<String>,
        success: Option<bool>,
        message: Option<String>,
        status: Status,
        ;
        GetVersion => get_version_response: ScmVersionResponse,
        Register => register_response: ScmRegisteredResponse,
        SendHeartbeat => send_heartbeat_response: ScmHeartbeatResponse,
    }
}

envelope! {
    /// A command of SCM to a datanode.
    ScmCommand = wire => ScmCommandProto
    /// What is to be done.
    ScmOrder by command_type: CommandKind {
        /// The term of the leader that gave it; one of an older term is not carried out.
        term: Option<Term>,
        encoded_token: Option<String>,
        deadline_ms_since_epoch: Option<i64>,
        ;
        ReregisterCommand => reregister_command_proto: Empty,
        DeleteBlocksCommand => delete_blocks_command_proto: DeleteBlocksCommand,
        CloseContainerCommand => close_container_command_proto: CloseContainerCommand,
        DeleteContainerCommand => delete_container_command_proto: DeleteContainerCommand,
        ReplicateContainerCommand => replicate_container_command_proto: ReplicateContainerCommand,
        CreatePipelineCommand => create_pipeline_command_proto: CreatePipelineCommand,
        ClosePipelineCommand => close_pipeline_command_proto: ClosePipelineCommand,
        SetNodeOperationalStateCommand => set_node_operational_state_command_proto: SetNodeOperationalStateCommand,
        FinalizeNewLayoutVersionCommand => finalize_new_layout_version_command_proto: FinalizeNewLayoutVersionCommand,
        RefreshVolumeUsageInfo => refresh_volume_usage_command_proto: RefreshVolumeUsageCommand,
        ReconstructEcContainersCommand => reconstruct_ec_containers_command_proto: ReconstructEcContainersCommand,
        ReconcileContainerCommand => reconcile_container_command_proto: ReconcileContainerCommand,
    }
}
through_try_from!(ScmCommand, wire::ScmCommandProto);

impl ScmOrder {
    /// The number SCM gave it; `None` where its kind has none.
    pub fn cmd_id(&self) -> Option<i64> {
        match self {
            ScmOrder::ReregisterCommand(_) | ScmOrder::ReconcileContainerCommand(_) => None,
            ScmOrder::DeleteBlocksCommand(order) => Some(order.cmd_id),
            ScmOrder::CloseContainerCommand(order) => Some(order.cmd_id),
            ScmOrder::DeleteContainerCommand(order) => Some(order.cmd_id),
            ScmOrder::ReplicateContainerCommand(order) => Some(order.cmd_id),
            ScmOrder::CreatePipelineCommand(order) => Some(order.cmd_id),
            ScmOrder::ClosePipelineCommand(order) => Some(order.cmd_id),
            ScmOrder::SetNodeOperationalStateCommand(order) => Some(order.cmd_id),
            ScmOrder::FinalizeNewLayoutVersionCommand(order) => Some(order.cmd_id),
            ScmOrder::RefreshVolumeUsageInfo(order) => Some(order.cmd_id),
            ScmOrder::ReconstructEcContainersCommand(order) => Some(order.cmd_id),
        }
    }
}

message! {
    /// The version of the files on a datanode, and the newest its software could have.
    LayoutVersion = wire => LayoutVersionProto {
        metadata_layout_version: u32,
        software_layout_version: u32,
    }
}
message! {
    /// `keys` holds `scmUuid` and `clusterID`.
    ScmVersionResponse = wire => ScmVersionResponseProto {
        software_version: u32,
        keys: Vec<hdds::KeyValue>,
    }
}
message! {
    /// A datanode presents itself.
    ScmRegisterRequest = wire => ScmRegisterRequestProto {
        extended_datanode_details: ExtendedDatanodeDetails,
        node_report: NodeReport,
        container_report: ContainerReports,
        pipeline_reports: PipelineReports,
        data_node_layout_version: Option<LayoutVersion>,
    }
}
message! {
    /// What SCM made of it; addresses are as SCM sees them.
    ScmRegisteredResponse = wire => ScmRegisteredResponseProto {
        error_code: Registered,
        datanode_uuid: DatanodeId,
        cluster_id: String,
        address_list: Option<ScmNodeAddressList>,
        hostname: Option<String>,
        ip_address: Option<String>,
        network_name: Option<String>,
        network_location: Option<String>,
    }
}
message! {
    /// What a datanode has to report, each part when it is due.
    ScmHeartbeatRequest = wire => ScmHeartbeatRequestProto {
        datanode_details: DatanodeDetails,
        node_report: Option<NodeReport>,
        container_report: Option<ContainerReports>,
        incremental_container_report: Vec<IncrementalContainerReport>,
        command_status_reports: Vec<CommandStatusReports>,
        container_actions: Option<ContainerActions>,
        pipeline_actions: Option<PipelineActions>,
        pipeline_reports: Option<PipelineReports>,
        data_node_layout_version: Option<LayoutVersion>,
        command_queue_report: Option<CommandQueueReport>,
    }
}
message! {
    /// How many commands of a kind wait; the two lists run in step.
    CommandQueueReport = wire => CommandQueueReportProto {
        command: Vec<CommandKind>,
        count: Vec<u32>,
    }
}
message! {
    /// What SCM wants done.
    ScmHeartbeatResponse = wire => ScmHeartbeatResponseProto {
        datanode_uuid: DatanodeId,
        commands: Vec<ScmCommand>,
        term: Option<Term>,
    }
}
message! {
    /// Addresses of SCMs; nobody sends it.
    ScmNodeAddressList = wire => ScmNodeAddressList {
        address_list: Vec<String>,
    }
}
message! {
    /// The disks of a datanode.
    NodeReport = wire => NodeReportProto {
        storage_report: Vec<StorageReport>,
        metadata_storage_report: Vec<MetadataStorageReport>,
        db_storage_report: Vec<StorageReport>,
    }
}
message! {
    /// One data volume.
    StorageReport = wire => StorageReportProto {
        storage_uuid: String,
        storage_location: String,
        capacity: Option<ByteCount>,
        scm_used: Option<ByteCount>,
        remaining: Option<ByteCount>,
        storage_type: Option<StorageTypeProto>,
        failed: Option<bool>,
        committed: Option<ByteCount>,
        free_space_to_spare: Option<ByteCount>,
        reserved: Option<ByteCount>,
        fs_capacity: Option<ByteCount>,
        fs_available: Option<ByteCount>,
    }
}
message! {
    /// One disk that holds Ratis or database files.
    MetadataStorageReport = wire => MetadataStorageReportProto {
        storage_location: String,
        storage_type: Option<StorageTypeProto>,
        capacity: Option<ByteCount>,
        scm_used: Option<ByteCount>,
        remaining: Option<ByteCount>,
        failed: Option<bool>,
    }
}
message! {
    /// All replicas of a datanode.
    ContainerReports = wire => ContainerReportsProto {
        reports: Vec<ContainerReplica>,
    }
}
message! {
    /// Replicas that changed.
    IncrementalContainerReport = wire => IncrementalContainerReportProto {
        report: Vec<ContainerReplica>,
    }
}
/// Which part of an erasure-coded container a replica is. Datanodes say it of every replica, 0 for none, which absence means
/// too; commands of SCM leave it out instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedIndex(pub Option<ReplicaIndex>);

impl Field<(Option<i32>,)> for ReportedIndex {
    fn read(wire: (Option<i32>,), at: At) -> Result<Self, WireError> {
        Option::<ReplicaIndex>::read(wire, at).map(ReportedIndex)
    }

    fn write(self) -> (Option<i32>,) {
        (Some(self.0.map_or(0, |index| i32::from(index.number()))),)
    }
}

message! {
    /// One replica.
    ContainerReplica = wire => ContainerReplicaProto {
        container_id: ContainerId,
        state: ReplicaState,
        size: Option<ByteCount>,
        used: Option<ByteCount>,
        key_count: Option<i64>,
        read_count: Option<i64>,
        write_count: Option<i64>,
        read_bytes: Option<i64>,
        write_bytes: Option<i64>,
        finalhash: Option<String>,
        delete_transaction_id: Option<i64>,
        block_commit_sequence_id: Option<Bcsid>,
        origin_node_id: Option<String>,
        is_empty: Option<bool>,
        data_checksum: Option<i64>,
        ;
        replica: ReportedIndex = (replica_index),
    }
}
message! {
    /// How commands went.
    CommandStatusReports = wire => CommandStatusReportsProto {
        cmd_status: Vec<CommandStatus>,
    }
}
message! {
    /// How one command went.
    CommandStatus = wire => CommandStatus {
        cmd_id: i64,
        status: CommandOutcome,
        r#type: CommandKind,
        msg: Option<String>,
        block_deletion_ack: Option<ContainerBlocksDeletionAck>,
    }
}
message! {
    /// What a datanode wants SCM to do with containers.
    ContainerActions = wire => ContainerActionsProto {
        container_actions: Vec<ContainerAction>,
    }
}
message! {
    /// What a datanode wants SCM to do with one container.
    ContainerAction = wire => ContainerAction {
        container_id: ContainerId,
        action: ContainerWish,
        reason: Option<ContainerWishReason>,
    }
}
message! {
    /// One pipeline as a member sees it.
    PipelineReport = wire => PipelineReport {
        is_leader: bool,
        bytes_written: Option<ByteCount>,
        ;
        pipeline: PipelineId = (pipeline_id),
    }
}
message! {
    /// The pipelines a datanode is in.
    PipelineReports = wire => PipelineReportsProto {
        pipeline_report: Vec<PipelineReport>,
    }
}
message! {
    /// What a datanode wants SCM to do with pipelines.
    PipelineActions = wire => PipelineActionsProto {
        pipeline_actions: Vec<PipelineAction>,
    }
}
message! {
    /// Which pipeline shall be closed, and why.
    ClosePipelineInfo = wire => ClosePipelineInfo {
        reason: Option<ClosePipelineReason>,
        detailed_reason: Option<String>,
        ;
        pipeline: PipelineId = (pipeline_id),
    }
}
message! {
    /// What a datanode wants SCM to do with one pipeline.
    PipelineAction = wire => PipelineAction {
        action: PipelineWish,
        close_pipeline: Option<ClosePipelineInfo>,
    }
}
message! {
    /// Delete blocks, in transactions.
    DeleteBlocksCommand = wire => DeleteBlocksCommandProto {
        deleted_blocks_transactions: Vec<DeletedBlocksTransaction>,
        cmd_id: i64,
    }
}
message! {
    /// Blocks of one container to delete. The sizes help SCM to count what comes free.
    DeletedBlocksTransaction = wire => DeletedBlocksTransaction {
        tx_id: i64,
        container_id: ContainerId,
        local_id: Vec<LocalId>,
        count: Option<i32>,
        total_block_size: Option<ByteCount>,
        total_block_replicated_size: Option<ByteCount>,
        total_size_per_replica: Option<ByteCount>,
    }
}
message! {
    /// Which transactions a datanode has carried out.
    ContainerBlocksDeletionAck = wire => ContainerBlocksDeletionAckProto {
        results: Vec<DeleteBlockTransactionResult>,
        dn_id: DatanodeId,
    }
}
message! {
    /// Whether one transaction was carried out.
    DeleteBlockTransactionResult = wire::container_blocks_deletion_ack_proto =>
        DeleteBlockTransactionResult
    {
        tx_id: i64,
        container_id: ContainerId,
        success: bool,
    }
}
message! {
    /// Seal a replica; by force, even without its pipeline.
    CloseContainerCommand = wire => CloseContainerCommandProto {
        container_id: ContainerId,
        cmd_id: i64,
        force: Option<bool>,
        ;
        pipeline: PipelineId = (pipeline_id),
    }
}
message! {
    /// Remove a replica.
    DeleteContainerCommand = wire => DeleteContainerCommandProto {
        container_id: ContainerId,
        cmd_id: i64,
        force: bool,
        ;
        replica: Option<ReplicaIndex> = (replica_index),
    }
}
message! {
    /// Copy a container: push it to `target`, or pull it from one of `sources`.
    ReplicateContainerCommand = wire => ReplicateContainerCommandProto {
        container_id: ContainerId,
        sources: Vec<DatanodeDetails>,
        cmd_id: i64,
        target: Option<DatanodeDetails>,
        priority: Option<ReplicationCommandPriority>,
        ;
        replica: Option<ReplicaIndex> = (replica_index),
    }
}
message! {
    /// Rebuild replicas of an erasure-coded container.
    ReconstructEcContainersCommand = wire => ReconstructEcContainersCommandProto {
        container_id: ContainerId,
        sources: Vec<DatanodeDetailsAndReplicaIndex>,
        targets: Vec<DatanodeDetails>,
        ec_replication_config: EcConfig,
        cmd_id: i64,
        ;
        missing: Vec<ReplicaIndex> = (missing_container_indexes),
    }
}
message! {
    /// A datanode and the replica it holds.
    DatanodeDetailsAndReplicaIndex = wire => DatanodeDetailsAndReplicaIndexProto {
        datanode_details: DatanodeDetails,
        ;
        replica: Option<ReplicaIndex> = (replica_index),
    }
}
message! {
    /// Make a Raft group of these datanodes.
    CreatePipelineCommand = wire => CreatePipelineCommandProto {
        datanode: Vec<DatanodeDetails>,
        cmd_id: i64,
        priority: Vec<i32>,
        ;
        replication: ReplicationConfig = (r#type, factor),
        pipeline: PipelineId = (pipeline_id),
    }
}
message! {
    /// Leave a Raft group.
    ClosePipelineCommand = wire => ClosePipelineCommandProto {
        cmd_id: i64,
        ;
        pipeline: PipelineId = (pipeline_id),
    }
}
message! {
    /// Measure the volumes now.
    RefreshVolumeUsageCommand = wire => RefreshVolumeUsageCommandProto {
        cmd_id: i64,
    }
}
message! {
    /// Remember whether this datanode is in service.
    SetNodeOperationalStateCommand = wire => SetNodeOperationalStateCommandProto {
        cmd_id: i64,
        node_operational_state: NodeOperationalState,
        state_expiry_epoch_seconds: i64,
    }
}
message! {
    /// Write files of the newest version from now on.
    FinalizeNewLayoutVersionCommand = wire => FinalizeNewLayoutVersionCommandProto {
        finalize_new_layout_version: bool,
        data_node_layout_version: LayoutVersion,
        cmd_id: i64,
    }
}
message! {
    /// Compare a replica with those of its peers, and mend it.
    ReconcileContainerCommand = wire => ReconcileContainerCommandProto {
        container_id: ContainerId,
        peers: Vec<DatanodeDetails>,
    }
}
