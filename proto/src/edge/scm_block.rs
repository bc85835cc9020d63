//! OM to SCM: blocks are allocated and deleted, datanodes sorted by distance.

use allotrope_types::{BlockId, ByteCount, ReplicationConfig, ScmStatus};

use super::field::{codes, enums};
use super::hdds::{AddScm, AddedScm, DatanodeDetails, ExcludeList, GetScmInfo, Pipeline, ScmInfo};
use super::topology::InnerNode;
use crate::scm_block as wire;
use crate::scm_block::Type;

pub use crate::scm_block::delete_scm_block_result::Result as BlockDeletion;

enums!(Type, BlockDeletion);
codes!(ScmStatus);

envelope! {
    /// A call of OM.
    BlockRequest = wire => ScmBlockLocationRequest
    /// What OM asks.
    BlockCall by cmd_type: Type {
        trace_id: Option<String>,
        user_info: Option<UserInfo>,
        /// What the client can do: 3 knows bucket layouts.
        version: Option<u32>,
        ;
        AllocateScmBlock => allocate_scm_block_request: AllocateScmBlockRequest,
        DeleteScmKeyBlocks => delete_scm_key_blocks_request: DeleteScmKeyBlocksRequest,
        GetScmInfo => get_scm_info_request: GetScmInfo,
        SortDatanodes => sort_datanodes_request: SortDatanodesRequest,
        AddScm => add_scm_request_proto: AddScm,
        GetClusterTree => get_cluster_tree_request: GetClusterTreeRequest,
    }
}

envelope! {
    opt
    /// SCM's answer.
    BlockResponse = wire => ScmBlockLocationResponse
    /// What SCM says.
    BlockAnswer by cmd_type: Type {
        trace_id: Option<String>,
        success: Option<bool>,
        message: Option<String>,
        status: ScmStatus,
        leader_om_node_id: Option<String>,
        leader_scm_node_id: Option<String>,
        ;
        AllocateScmBlock => allocate_scm_block_response: AllocateScmBlockResponse,
        DeleteScmKeyBlocks => delete_scm_key_blocks_response: DeleteScmKeyBlocksResponse,
        GetScmInfo => get_scm_info_response: ScmInfo,
        SortDatanodes => sort_datanodes_response: SortDatanodesResponse,
        AddScm => add_scm_response: AddedScm,
        GetClusterTree => get_cluster_tree_response: GetClusterTreeResponse,
    }
}

message! {
    /// Who asks.
    UserInfo = wire => UserInfo {
        user_name: Option<String>,
        remote_address: Option<String>,
    }
}
message! {
    /// Asks for blocks.
    AllocateScmBlockRequest = wire => AllocateScmBlockRequestProto {
        size: ByteCount,
        num_blocks: u32,
        owner: String,
        exclude_list: Option<ExcludeList>,
        client: Option<String>,
        ;
        replication: ReplicationConfig = (r#type, factor, ec_replication_config),
    }
}
message! {
    /// Asks that the blocks of keys be deleted.
    DeleteScmKeyBlocksRequest = wire => DeleteScmKeyBlocksRequestProto {
        key_blocks: Vec<KeyBlocks>,
    }
}
message! {
    /// The blocks of one key; the lists of sizes, where they are there, run in step with `blocks`.
    KeyBlocks = wire => KeyBlocks {
        key: String,
        blocks: Vec<BlockId>,
        size: Vec<ByteCount>,
        replicated_size: Vec<ByteCount>,
        size_per_replica: Vec<ByteCount>,
    }
}
message! {
    /// What became of it, key by key.
    DeleteScmKeyBlocksResponse = wire => DeleteScmKeyBlocksResponseProto {
        results: Vec<DeleteKeyBlocksResult>,
    }
}
message! {
    /// What became of one key's blocks.
    DeleteKeyBlocksResult = wire => DeleteKeyBlocksResultProto {
        object_key: String,
        block_results: Vec<DeleteScmBlockResult>,
    }
}
message! {
    /// What became of one block.
    DeleteScmBlockResult = wire => DeleteScmBlockResult {
        result: BlockDeletion,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// A block, and where to write it.
    AllocateBlockResponse = wire => AllocateBlockResponse {
        pipeline: Option<Pipeline>,
        ;
        block: Option<BlockId> = (container_block_id),
    }
}
message! {
    /// Blocks, perhaps fewer than were asked for.
    AllocateScmBlockResponse = wire => AllocateScmBlockResponseProto {
        blocks: Vec<AllocateBlockResponse>,
    }
}
message! {
    /// Asks which of these datanodes are near the client.
    SortDatanodesRequest = wire => SortDatanodesRequestProto {
        client: String,
        node_network_name: Vec<String>,
    }
}
message! {
    /// Datanodes, the nearest first.
    SortDatanodesResponse = wire => SortDatanodesResponseProto {
        node: Vec<DatanodeDetails>,
    }
}
message! {
    /// Asks for the topology.
    GetClusterTreeRequest = wire => GetClusterTreeRequestProto {}
}
message! {
    /// The topology.
    GetClusterTreeResponse = wire => GetClusterTreeResponseProto {
        cluster_tree: InnerNode,
    }
}
