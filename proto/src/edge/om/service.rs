//! Who serves what; preparing and finalizing an upgrade; quota repair; Recon's updates; echo; server defaults.

use allotrope_types::SecretKeyId;
use bytes::Bytes;

use crate::edge::admin::UpgradeStatus;
use crate::edge::field::enums;
use crate::edge::hdds::NodeType;
use crate::om as wire;

pub use crate::om::prepare_status_response::PrepareStatus;
pub use crate::om::service_port::Type as ServicePortKind;

enums!(PrepareStatus, ServicePortKind);

alone! {
    wire;
    FinalizeUpgradeResponse.status is UpgradeStatus,
    FinalizeUpgradeProgressResponse.status is UpgradeStatus,
    PrepareRequest.args is PrepareArgs,
    EchoRpcResponse.payload is Option<Bytes>,
    GetQuotaRepairStatusResponse.status is Option<String>,
    RefetchSecretKeyResponse.id is Option<SecretKeyId>,
}
empty! {
    wire;
    ServiceListRequest,
    CancelPrepareRequest,
    CancelPrepareResponse,
    QuotaRepairResponse,
    GetQuotaRepairStatusRequest,
    StartQuotaRepairResponse,
    RefetchSecretKeyRequest,
}
message! {
    /// Servers of the cluster, and the certificates that vouch for them.
    ServiceList = wire => ServiceListResponse {
        service_info: Vec<ServiceInfo>,
        ca_certificate: Option<String>,
        ca_certs: Vec<String>,
    }
}
message! {
    /// A server: where it is, what it can do.
    ServiceInfo = wire => ServiceInfo {
        node_type: NodeType,
        hostname: String,
        service_ports: Vec<ServicePort>,
        om_role: Option<OmRole>,
        om_version: Option<i32>,
        server_defaults: Option<ServerDefaults>,
    }
}
message! {
    /// A port and what it serves.
    ServicePort = wire => ServicePort {
        r#type: ServicePortKind,
        ;
        port: u16 = (value),
    }
}
message! {
    /// An OM's name and its part in the ring: LEADER, FOLLOWER, LISTENER.
    OmRole = wire => OmRoleInfo {
        node_id: String,
        server_role: String,
    }
}
message! {
    /// What a file system client asks of its server.
    ServerDefaults = wire => FsServerDefaultsProto {
        key_provider_uri: Option<String>,
    }
}
message! {
    /// Asks for what was written after a sequence number.
    DbUpdates = wire => DbUpdatesRequest {
        sequence_number: u64,
        limit_count: Option<u64>,
    }
}
message! {
    /// RocksDB's write batches as they are.
    UpdatesOfDb = wire => DbUpdatesResponse {
        sequence_number: u64,
        data: Vec<Bytes>,
        latest_sequence_number: Option<u64>,
        db_update_success: Option<bool>,
    }
}
message! {
    /// How long to wait for the log to be applied, and how often to look, in seconds.
    PrepareArgs = wire => PrepareRequestArgs {
        txn_apply_wait_timeout_seconds: Option<u64>,
        txn_apply_check_interval_seconds: Option<u64>,
    }
}
message! {
    /// The log index up to which OM is prepared.
    PreparedAt = wire => PrepareResponse, PrepareStatusRequest {
        txn_id: u64,
    }
}
message! {
    /// How far the preparation is.
    PrepareState = wire => PrepareStatusResponse {
        status: PrepareStatus,
        current_txn_index: Option<u64>,
    }
}
message! {
    /// Bytes to send back, or how many KiB.
    Echo = wire => EchoRpcRequest {
        payload_req: Option<Bytes>,
        payload_size_resp: Option<i32>,
        read_only: Option<bool>,
    }
}
message! {
    /// What was counted wrong.
    QuotaRepair = wire => QuotaRepairRequest {
        bucket_count: Vec<BucketQuotaCount>,
        support_volume_old_quota: bool,
    }
}
message! {
    /// What was counted wrong of one bucket.
    BucketQuotaCount = wire => BucketQuotaCount {
        vol_name: String,
        bucket_name: String,
        diff_used_bytes: i64,
        diff_used_namespace: i64,
        support_old_quota: bool,
        diff_snapshot_used_bytes: Option<i64>,
        diff_snapshot_used_namespace: Option<i64>,
    }
}
message! {
    /// Which buckets to count again; none names all.
    StartQuotaRepair = wire => StartQuotaRepairRequest {
        buckets: Vec<String>,
    }
}
