//! What this OM tells clients about the service: who serves where.

use allotrope_consensus::Status;
use allotrope_proto::hdds::NodeType;
use allotrope_proto::om::service_port::Type as PortType;
use allotrope_proto::om::{FsServerDefaultsProto, OmRoleInfo, ServiceInfo, ServiceListResponse, ServicePort};

/// What this OM understands, as Ozone numbers it: 12 is what a 2.2 OM says, that is up to creating a key only if it is absent. The
/// features below it that are missing here answer NOT_SUPPORTED_OPERATION.
const OM_VERSION: i32 = 12;

/// One OM of the service, as clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmAddress {
    /// Its node id, such as `om1`.
    pub node_id: String,
    /// The host name clients reach it by.
    pub host: String,
    /// Its Hadoop RPC port.
    pub rpc_port: u16,
}

/// Names and ports of the OMs and their SCMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// This OM's node id.
    pub node_id: String,
    /// All OMs, this one among them.
    pub oms: Vec<OmAddress>,
    /// The host name and the port for administrators of each SCM.
    pub scms: Vec<(String, u16)>,
}

impl Directory {
    /// The node id of who leads by `status`; empty where nobody is known to.
    pub(crate) fn leader(status: &Status) -> String {
        let leader = status.leader.and_then(|id| status.members.get(&id));
        leader.map(|member| member.name.clone()).unwrap_or_default()
    }

    pub(crate) fn service_list(&self, status: &Status) -> ServiceListResponse {
        let rpc = |port: u16| ServicePort { r#type: PortType::Rpc as i32, value: u32::from(port) };
        // One that is alone leads, or is about to.
        let leader = match self.oms.as_slice() {
            [only] => only.node_id.clone(),
            _ => Directory::leader(status),
        };
        let om = |om: &OmAddress| {
            let server_role = if om.node_id == leader { "LEADER" } else { "FOLLOWER" };
            let defaults = FsServerDefaultsProto { key_provider_uri: Some(String::new()) };
            ServiceInfo {
                node_type: NodeType::Om as i32,
                hostname: om.host.clone(),
                service_ports: vec![rpc(om.rpc_port)],
                om_role: Some(OmRoleInfo {
                    node_id: om.node_id.clone(),
                    server_role: server_role.to_owned(),
                }),
                om_version: Some(OM_VERSION),
                server_defaults: (om.node_id == self.node_id).then_some(defaults),
            }
        };
        let scm = |(host, port): &(String, u16)| ServiceInfo {
            node_type: NodeType::Scm as i32,
            hostname: host.clone(),
            service_ports: vec![rpc(*port)],
            ..ServiceInfo::default()
        };
        let service_info = self.oms.iter().map(om).chain(self.scms.iter().map(scm)).collect();
        ServiceListResponse { service_info, ca_certificate: None, ca_certs: Vec::new() }
    }
}
