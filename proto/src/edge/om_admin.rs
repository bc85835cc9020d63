//! Administrators to OM: the ring's members, decommissioning, compaction.
//!
//! Each call is a method of its own, so there is no envelope.

use super::field::enums;
use crate::om_admin as wire;

pub use crate::om_admin::NodeState as OmNodeState;

enums!(OmNodeState);

empty! {
    wire;
    OmConfigurationRequest,
}
message! {
    /// The ring's members, as the server has them in memory and in its configuration.
    OmConfiguration = wire => OmConfigurationResponse {
        success: bool,
        error_msg: Option<String>,
        nodes_in_memory: Vec<OmNode>,
        nodes_in_new_conf: Vec<OmNode>,
    }
}
message! {
    /// One member.
    OmNode = wire => OmNodeInfo {
        node_id: String,
        host_address: String,
        node_state: Option<OmNodeState>,
        is_listener: Option<bool>,
        ;
        rpc: u16 = (rpc_port),
        ratis: u16 = (ratis_port),
    }
}
message! {
    /// Takes a member out of the ring.
    DecommissionOm = wire => DecommissionOmRequest {
        node_id: String,
        node_address: String,
    }
}
message! {
    /// Whether it went well, and if not, why.
    Done = wire => DecommissionOmResponse, CompactResponse {
        success: bool,
        error_msg: Option<String>,
    }
}
message! {
    /// Compacts one table; the level is RocksDB's number for how it treats the last one.
    Compact = wire => CompactRequest {
        column_family: String,
        bottommost_level_compaction: Option<i32>,
    }
}
message! {
    /// Rewrites snapshots without what they share.
    DefragSnapshots = wire => TriggerSnapshotDefragRequest {
        no_wait: bool,
    }
}
message! {
    /// Whether it went well, and whether there was anything to do.
    DefraggedSnapshots = wire => TriggerSnapshotDefragResponse {
        success: bool,
        error_msg: Option<String>,
        result: Option<bool>,
    }
}
