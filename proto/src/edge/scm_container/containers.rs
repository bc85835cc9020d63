//! Containers: allocated, found, listed, counted, closed; their replicas and tokens; deletions that are under way.

use allotrope_types::{
    ByteCount, ContainerId, ContainerState, EcConfig, LocalId, ReplicaIndex, ReplicationConfig,
    ReplicationFactor, ReplicationType,
};

use crate::edge::field::enums;
use crate::edge::hdds::{ContainerInfo, ContainerWithPipeline, DatanodeDetails, Token};
use crate::scm_container as wire;

pub use crate::scm_container::container_response_proto::Error as AllocationOutcome;
pub use crate::scm_container::scm_close_container_response_proto::Status as CloseOutcome;

enums!(AllocationOutcome, CloseOutcome);

alone! {
    wire;
    GetContainerResponseProto.container_info is ContainerInfo,
    GetContainerWithPipelineResponseProto.container_with_pipeline is ContainerWithPipeline,
    GetContainerWithPipelineBatchResponseProto.container_with_pipelines is Vec<ContainerWithPipeline>,
    GetExistContainerWithPipelinesInBatchResponseProto.container_with_pipelines is Vec<ContainerWithPipeline>,
    GetContainerReplicasResponseProto.container_replica is Vec<ReplicaOnDatanode>,
    ScmListContainerIDsResponseProto.container_i_ds is Vec<ContainerId>,
    SuppressContainerResponseProto.failed_container_i_ds is Vec<ContainerId>,
    ReconcileContainerRequestProto.container_id is ContainerId,
    GetContainerTokenRequestProto.container_id is ContainerId,
    GetContainerTokenResponseProto.token is Token,
    GetFailedDeletedBlocksTxnResponseProto.deleted_blocks_transactions is Vec<DeletionInfo>,
    GetDeletedBlocksTxnSummaryResponseProto.summary is Option<DeletionSummary>,
    GetContainerCountRequestProto.state is Option<ContainerState>,
}
empty! {
    wire;
    ScmDeleteContainerResponseProto,
    ReconcileContainerResponseProto,
    GetDeletedBlocksTxnSummaryRequestProto,
}
message! {
    /// Asks for a new container.
    AllocateContainer = wire => ContainerRequestProto {
        owner: String,
        trace_id: Option<String>,
        ;
        replication: ReplicationConfig = (replication_type, replication_factor, ec_replication_config),
    }
}
message! {
    /// The new container, and how it went.
    AllocatedContainer = wire => ContainerResponseProto {
        error_code: AllocationOutcome,
        container_with_pipeline: ContainerWithPipeline,
        error_message: Option<String>,
    }
}
message! {
    /// One container.
    NamedContainer = wire =>
        GetContainerRequestProto,
        GetContainerWithPipelineRequestProto,
        GetContainerReplicasRequestProto,
        ScmDeleteContainerRequestProto,
        ScmCloseContainerRequestProto
    {
        container_id: ContainerId,
        trace_id: Option<String>,
    }
}
message! {
    /// Several containers.
    NamedContainers = wire =>
        GetContainerWithPipelineBatchRequestProto,
        GetExistContainerWithPipelinesInBatchRequestProto
    {
        trace_id: Option<String>,
        ;
        containers: Vec<ContainerId> = (container_i_ds),
    }
}
message! {
    /// Asks for containers by id, after `start_container_id`. What is absent does not matter.
    ListContainers = wire => ScmListContainerRequestProto {
        count: u32,
        start_container_id: Option<ContainerId>,
        trace_id: Option<String>,
        state: Option<ContainerState>,
        factor: Option<ReplicationFactor>,
        r#type: Option<ReplicationType>,
        ec_replication_config: Option<EcConfig>,
        suppressed: Option<bool>,
    }
}
message! {
    /// Containers, and how many there are in all.
    ListedContainers = wire => ScmListContainerResponseProto {
        containers: Vec<ContainerInfo>,
        container_count: Option<i64>,
    }
}
message! {
    /// Asks for ids of containers in one state.
    ListContainerIds = wire => ScmListContainerIDsRequestProto {
        count: u32,
        start_container_id: Option<ContainerId>,
        state: Option<ContainerState>,
        trace_id: Option<String>,
    }
}
message! {
    /// Whether it had to be closed.
    ClosedContainer = wire => ScmCloseContainerResponseProto {
        status: Option<CloseOutcome>,
    }
}
message! {
    /// Containers to leave out of reports, or to take back into them.
    SuppressContainers = wire => SuppressContainerRequestProto {
        suppress: Option<bool>,
        ;
        containers: Vec<ContainerId> = (container_i_ds),
    }
}
message! {
    /// How many containers there are.
    ContainerCount = wire => GetContainerCountResponseProto {
        container_count: i64,
    }
}
message! {
    /// A replica as SCM knows it. Its state is a name: a newer datanode may have a state that we do not know.
    ReplicaOnDatanode = crate::hdds => ScmContainerReplicaProto {
        container_id: ContainerId,
        state: String,
        datanode_details: DatanodeDetails,
        place_of_birth: String,
        sequence_id: i64,
        key_count: i64,
        bytes_used: ByteCount,
        data_checksum: Option<i64>,
        ;
        replica: Option<ReplicaIndex> = (replica_index),
    }
}
message! {
    /// Asks for deletions that were given up.
    FailedDeletions = wire => GetFailedDeletedBlocksTxnRequestProto {
        trace_id: Option<String>,
        count: i32,
        start_tx_id: Option<i64>,
    }
}
message! {
    /// A deletion of one container's blocks, and how often it was sent.
    DeletionInfo = crate::hdds => DeletedBlocksTransactionInfo {
        tx_id: Option<i64>,
        container_id: Option<ContainerId>,
        local_id: Vec<LocalId>,
        count: Option<i32>,
    }
}
message! {
    /// What is still to be deleted, in all.
    DeletionSummary = crate::hdds => DeletedBlocksTransactionSummary {
        total_transaction_count: Option<u64>,
        total_block_count: Option<u64>,
        total_block_size: Option<ByteCount>,
        total_block_replicated_size: Option<ByteCount>,
    }
}
message! {
    /// Deletions to begin anew; none names all.
    RetryDeletions = wire => ResetDeletedBlockRetryCountRequestProto {
        trace_id: Option<String>,
        transaction_id: Vec<i64>,
    }
}
message! {
    /// How many begin anew.
    RetriedDeletions = wire => ResetDeletedBlockRetryCountResponseProto {
        reset_count: i32,
    }
}
