//! The calls of Ozone's protocols, by their names on both wires.
//!
//! Source  the protocol table of the wire facts (om.md 1.11) and `proto/protos/`; calls for which Ozone has no gRPC
//!         service have ours, under `allotrope.v1`. A test compares the paths with the `.proto` files.

use super::Rpc;
use crate::edge::heartbeat::apart;
use crate::{
    admin, disk_balancer, heartbeat, om, om_admin, om_inter, reconfigure, scm_block, scm_container,
    scm_security, secret_key,
};

macro_rules! rpcs {
    ($($(#[$about:meta])* $name:ident: $request:ty => $response:ty, $protocol:literal $method:literal $path:expr;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug)]
            pub enum $name {}

            impl Rpc for $name {
                type Request = $request;
                type Response = $response;
                const PROTOCOL: &'static str = $protocol;
                const METHOD: &'static str = $method;
                const GRPC_PATH: Option<&'static str> = $path;
            }
        )*

        /// Every call's gRPC path with the names of its messages; for the test against the `.proto` files.
        #[cfg(test)]
        pub(crate) fn grpc_paths() -> Vec<(&'static str, &'static str, &'static str)> {
            use crate::Checked;
            let all: &[(Option<&'static str>, &'static str, &'static str)] =
                &[$((<$name as Rpc>::GRPC_PATH, <$request>::RULES.name, <$response>::RULES.name)),*];
            all.iter().filter_map(|&(path, request, response)| Some((path?, request, response))).collect()
        }
    };
}

rpcs! {
    /// Everything a client asks of the OM.
    OmSubmit: om::OmRequest => om::OmResponse,
        "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol" "submitRequest"
        Some("/hadoop.ozone.OzoneManagerService/submitRequest");
    /// The versions of a bucket's objects; the markers of the request are a key and a version.
    OmListVersions: om::ListMultipartUploadsRequest => om::ListKeysResponse,
        "allotrope.v1.OmVersionService" "List"
        Some("/allotrope.v1.OmVersionService/List");
    /// The secret of an access id, for a gateway.
    OmS3Secret: om::GetS3SecretRequest => om::GetS3SecretResponse,
        "allotrope.v1.OmS3SecretService" "Get"
        Some("/allotrope.v1.OmS3SecretService/Get");
    /// The OM's members.
    OmConfiguration: om_admin::OmConfigurationRequest => om_admin::OmConfigurationResponse,
        "org.apache.hadoop.ozone.om.protocol.OMAdminProtocol" "getOMConfiguration" None;
    /// Takes an OM out of the group.
    OmDecommission: om_admin::DecommissionOmRequest => om_admin::DecommissionOmResponse,
        "org.apache.hadoop.ozone.om.protocol.OMAdminProtocol" "decommission" None;
    /// Compacts one table of the OM.
    OmCompact: om_admin::CompactRequest => om_admin::CompactResponse,
        "org.apache.hadoop.ozone.om.protocol.OMAdminProtocol" "compactDB" None;
    /// Defragments the OM's snapshots.
    OmSnapshotDefrag: om_admin::TriggerSnapshotDefragRequest => om_admin::TriggerSnapshotDefragResponse,
        "org.apache.hadoop.ozone.om.protocol.OMAdminProtocol" "triggerSnapshotDefrag" None;
    /// A new OM joins.
    OmBootstrap: om_inter::BootstrapOmRequest => om_inter::BootstrapOmResponse,
        "org.apache.hadoop.ozone.om.protocol.OMInterServiceProtocol" "bootstrap" None;
    /// The OM asks the SCM for blocks, and to delete blocks.
    ScmBlockSend: scm_block::ScmBlockLocationRequest => scm_block::ScmBlockLocationResponse,
        "org.apache.hadoop.hdds.scm.protocol.ScmBlockLocationProtocol" "send"
        Some("/allotrope.v1.ScmBlockService/Submit");
    /// Administrators, the OM and Recon ask the SCM.
    ScmContainerSubmit: scm_container::ScmContainerLocationRequest => scm_container::ScmContainerLocationResponse,
        "org.apache.hadoop.hdds.scm.protocol.StorageContainerLocationProtocol" "submitRequest"
        Some("/allotrope.v1.ScmContainerService/Submit");
    /// A datanode registers and reports.
    DatanodeHeartbeat: heartbeat::ScmDatanodeRequest => heartbeat::ScmDatanodeResponse,
        "org.apache.hadoop.ozone.protocol.StorageContainerDatanodeProtocol" "submitRequest"
        Some("/allotrope.v1.DatanodeHeartbeatService/Submit");
    /// The same call as a datanode makes it: it reads the commands of the answer one by one.
    DatanodeHeartbeatApart: heartbeat::ScmDatanodeRequest => apart::ScmDatanodeResponseApart,
        "org.apache.hadoop.ozone.protocol.StorageContainerDatanodeProtocol" "submitRequest"
        Some("/allotrope.v1.DatanodeHeartbeatService/Submit");
    /// The same messages from a datanode to Recon.
    ReconHeartbeat: heartbeat::ScmDatanodeRequest => heartbeat::ScmDatanodeResponse,
        "org.apache.hadoop.ozone.protocol.ReconDatanodeProtocol" "submitRequest"
        Some("/allotrope.v1.ReconHeartbeatService/Submit");
    /// Certificates.
    ScmSecuritySubmit: scm_security::ScmSecurityRequest => scm_security::ScmSecurityResponse,
        "org.apache.hadoop.hdds.protocol.SCMSecurityProtocol" "submitRequest"
        Some("/allotrope.v1.ScmSecurityService/Submit");
    /// Symmetric keys, asked for by an OM.
    SecretKeyForOm: secret_key::ScmSecretKeyRequest => secret_key::ScmSecretKeyResponse,
        "org.apache.hadoop.hdds.protocol.SecretKeyProtocolOm" "submitRequest"
        Some("/allotrope.v1.SecretKeyService/SubmitOm");
    /// Symmetric keys, asked for by a datanode.
    SecretKeyForDatanode: secret_key::ScmSecretKeyRequest => secret_key::ScmSecretKeyResponse,
        "org.apache.hadoop.hdds.protocol.SecretKeyProtocolDatanode" "submitRequest"
        Some("/allotrope.v1.SecretKeyService/SubmitDatanode");
    /// Symmetric keys, asked for by an SCM.
    SecretKeyForScm: secret_key::ScmSecretKeyRequest => secret_key::ScmSecretKeyResponse,
        "org.apache.hadoop.hdds.protocol.SecretKeyProtocolScm" "submitRequest"
        Some("/allotrope.v1.SecretKeyService/SubmitScm");
    /// The name of a server whose settings may change while it runs.
    ReconfigureServerName: reconfigure::GetServerNameRequestProto => reconfigure::GetServerNameResponseProto,
        "org.apache.hadoop.hdds.protocol.ReconfigureProtocol" "getServerName" None;
    /// Begins to change settings.
    ReconfigureStart: reconfigure::StartReconfigureRequestProto => reconfigure::StartReconfigureResponseProto,
        "org.apache.hadoop.hdds.protocol.ReconfigureProtocol" "startReconfigure" None;
    /// How far the change of settings has come.
    ReconfigureStatus: reconfigure::GetReconfigureStatusRequestProto => reconfigure::GetReconfigureStatusResponseProto,
        "org.apache.hadoop.hdds.protocol.ReconfigureProtocol" "getReconfigureStatus" None;
    /// Which settings may change.
    ReconfigureList: reconfigure::ListReconfigurePropertiesRequestProto => reconfigure::ListReconfigurePropertiesResponseProto,
        "org.apache.hadoop.hdds.protocol.ReconfigureProtocol" "listReconfigureProperties" None;
    /// What a datanode's disk balancer does.
    DiskBalancerInfo: disk_balancer::GetDiskBalancerInfoRequestProto => disk_balancer::GetDiskBalancerInfoResponseProto,
        "org.apache.hadoop.hdds.protocol.DiskBalancerProtocol" "getDiskBalancerInfo" None;
    /// Starts a datanode's disk balancer.
    DiskBalancerStart: disk_balancer::StartDiskBalancerRequestProto => disk_balancer::StartDiskBalancerResponseProto,
        "org.apache.hadoop.hdds.protocol.DiskBalancerProtocol" "startDiskBalancer" None;
    /// Stops a datanode's disk balancer.
    DiskBalancerStop: disk_balancer::StopDiskBalancerRequestProto => disk_balancer::StopDiskBalancerResponseProto,
        "org.apache.hadoop.hdds.protocol.DiskBalancerProtocol" "stopDiskBalancer" None;
    /// Changes a datanode's disk balancer.
    DiskBalancerUpdate: disk_balancer::UpdateDiskBalancerConfigurationRequestProto => disk_balancer::UpdateDiskBalancerConfigurationResponseProto,
        "org.apache.hadoop.hdds.protocol.DiskBalancerProtocol" "updateDiskBalancerConfiguration" None;
    /// Backs up the state of a role of ours.
    AdminCheckpoint: admin::CheckpointRequest => admin::CheckpointResponse,
        "allotrope.v1.AdminService" "checkpoint"
        Some("/allotrope.v1.AdminService/Checkpoint");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_path_is_declared_in_the_proto_files_with_the_same_messages() {
        let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("protos");
        let files = [
            "allotrope/v1/admin.proto",
            "allotrope/v1/om.proto",
            "allotrope/v1/scm.proto",
            "allotrope/v1/recon.proto",
            "om/service.proto",
            "om/request.proto",
        ];
        let set = protox::compile(files, [&protos]).unwrap();
        let mut declared = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let name = |full: &str| full.rsplit('.').next().unwrap().to_owned();
                    assert!(!method.client_streaming() && !method.server_streaming(), "{path}");
                    declared.insert((path, name(method.input_type()), name(method.output_type())));
                }
            }
        }
        let ours: BTreeSet<_> = super::grpc_paths()
            .into_iter()
            .map(|(path, request, response)| (path.to_owned(), request.to_owned(), response.to_owned()))
            .collect();
        let declared: BTreeSet<_> = declared
            .into_iter()
            .filter(|(path, ..)| {
                path.starts_with("/allotrope.v1.") || path.starts_with("/hadoop.ozone.OzoneManagerService/")
            })
            .collect();
        assert_eq!(ours, declared);
    }
}
