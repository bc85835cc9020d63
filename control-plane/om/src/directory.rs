//! What this OM tells clients about the service: who serves where.

use allotrope_proto::hdds::NodeType;
use allotrope_proto::om::service_port::Type as PortType;
use allotrope_proto::om::{
    FsServerDefaultsProto, OmRequest, OmResponse, OmRoleInfo, ServiceInfo, ServiceListResponse, ServicePort,
    Type,
};
use allotrope_types::OmStatus;

use crate::refusal::Refusal;

/// What this OM understands, as Ozone numbers it: 12 is what a 2.2 OM says, that is up to creating a key only if it is absent. The
/// features below it that are missing here answer NOT_SUPPORTED_OPERATION.
const OM_VERSION: i32 = 12;

/// Names and ports of this OM and its SCM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// This OM's node id, such as `om1`.
    pub node_id: String,
    /// The host name clients reach this OM by.
    pub host: String,
    /// The Hadoop RPC port that is served.
    pub rpc_port: u16,
    /// The host name of SCM.
    pub scm_host: String,
    /// SCM's port for administrators.
    pub scm_port: u16,
}

impl Directory {
    /// Answers the requests that are about the server, not the namespace.
    pub(crate) fn answer(&self, request: OmRequest) -> Result<OmResponse, Refusal> {
        match Type::try_from(request.cmd_type) {
            Ok(Type::ServiceList) => {
                Ok(OmResponse { service_list_response: Some(self.service_list()), ..OmResponse::default() })
            }
            _ => Err(Refusal::new(OmStatus::NotSupportedOperation, "not a question about the server")),
        }
    }

    fn service_list(&self) -> ServiceListResponse {
        let rpc = |port: u16| ServicePort { r#type: PortType::Rpc as i32, value: u32::from(port) };
        let om = ServiceInfo {
            node_type: NodeType::Om as i32,
            hostname: self.host.clone(),
            service_ports: vec![rpc(self.rpc_port)],
            om_role: Some(OmRoleInfo { node_id: self.node_id.clone(), server_role: "LEADER".to_owned() }),
            om_version: Some(OM_VERSION),
            server_defaults: Some(FsServerDefaultsProto { key_provider_uri: Some(String::new()) }),
        };
        let scm = ServiceInfo {
            node_type: NodeType::Scm as i32,
            hostname: self.scm_host.clone(),
            service_ports: vec![rpc(self.scm_port)],
            ..ServiceInfo::default()
        };
        ServiceListResponse { service_info: vec![om, scm], ca_certificate: None, ca_certs: Vec::new() }
    }
}
