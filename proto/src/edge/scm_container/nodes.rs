//! Datanodes: found, measured, taken out of service and back into it.

use allotrope_types::{ByteCount, ContainerId, DatanodeId};

use crate::edge::hdds::{DatanodeDetails, Node, NodeOperationalState, NodeState, QueryScope};
use crate::scm_container as wire;

alone! {
    wire;
    NodeQueryResponseProto.datanodes is Vec<Node>,
    SingleNodeQueryRequestProto.uuid is DatanodeId,
    SingleNodeQueryResponseProto.datanode is Option<Node>,
    DatanodeUsageInfoResponseProto.info is Vec<DatanodeUsage>,
    DecommissionNodesResponseProto.failed_hosts is Vec<RefusedHost>,
    RecommissionNodesResponseProto.failed_hosts is Vec<RefusedHost>,
    StartMaintenanceNodesResponseProto.failed_hosts is Vec<RefusedHost>,
    GetContainersOnDecomNodeRequestProto.datanode_details is DatanodeDetails,
    GetContainersOnDecomNodeResponseProto.containers_on_decom_node is Vec<ContainersInTheWay>,
}
message! {
    /// Asks for datanodes in a state; what is absent does not matter.
    QueryNodes = wire => NodeQueryRequestProto {
        state: Option<NodeState>,
        scope: QueryScope,
        pool_name: Option<String>,
        trace_id: Option<String>,
        op_state: Option<NodeOperationalState>,
    }
}
message! {
    /// Asks how full datanodes are: one by its address or id, or the fullest, or the emptiest.
    AskUsage = wire => DatanodeUsageInfoRequestProto {
        ipaddress: Option<String>,
        uuid: Option<String>,
        most_used: Option<bool>,
        count: Option<u32>,
    }
}
message! {
    /// How full a datanode is.
    DatanodeUsage = crate::hdds => DatanodeUsageInfoProto {
        capacity: Option<ByteCount>,
        used: Option<ByteCount>,
        remaining: Option<ByteCount>,
        node: Option<DatanodeDetails>,
        container_count: Option<i64>,
        committed: Option<ByteCount>,
        free_space_to_spare: Option<ByteCount>,
        pipeline_count: Option<i64>,
        reserved: Option<ByteCount>,
        fs_capacity: Option<ByteCount>,
        fs_available: Option<ByteCount>,
    }
}
message! {
    /// Datanodes to take out of service for good, once their replicas are elsewhere.
    DecommissionNodes = wire => DecommissionNodesRequestProto {
        hosts: Vec<String>,
        force: Option<bool>,
    }
}
message! {
    /// Datanodes to take back into service.
    RecommissionNodes = wire => RecommissionNodesRequestProto {
        hosts: Vec<String>,
    }
}
message! {
    /// Datanodes to take out of service for a while; 0 hours for no end.
    StartMaintenance = wire => StartMaintenanceNodesRequestProto {
        hosts: Vec<String>,
        end_in_hours: Option<i64>,
        force: Option<bool>,
    }
}
message! {
    /// A datanode for which that was not possible, and why.
    RefusedHost = wire => DatanodeAdminErrorResponseProto {
        host: String,
        error: String,
    }
}
message! {
    /// Containers that keep a datanode from being decommissioned, by the reason.
    ContainersInTheWay = wire => ContainersOnDecomNodeProto {
        name: String,
        id: Vec<ContainerId>,
    }
}
