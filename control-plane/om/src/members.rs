//! Members of the service: one joins, one is taken out, all are listed. By Ozone's protocols between OMs and for
//! administrators.
//!
//! Law     only the leader changes the members; a new one gets its vote when it has caught up.
#![allow(clippy::disallowed_methods, reason = "the pace of asking follows tokio's clock, which tests pause")]

use std::collections::BTreeSet;
use std::time::Duration;

use allotrope_consensus::{Member, MemberId, MembershipError, Role};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::om_admin::{
    DecommissionOmRequest, DecommissionOmResponse, NodeState, OmConfigurationRequest,
    OmConfigurationResponse, OmNodeInfo,
};
use allotrope_proto::om_inter::{BootstrapOmRequest, BootstrapOmResponse, ErrorCode};
use allotrope_proto::rpc::catalog::{OmBootstrap, OmConfiguration, OmDecommission};
use allotrope_proto::rpc::{CallContext, CallOptions, ClientId, Fault, RpcClient as _, Service};

use crate::blocks::Blocks;
use crate::directory::OmAddress;
use crate::server::OmService;
use crate::start::member_id;

impl<B: Blocks> OmService<B> {
    fn user_of(context: &CallContext) -> String {
        context.caller.user.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    async fn admit(&self, id: MemberId, member: Member, votes: bool) -> Result<(), MembershipError> {
        let status = self.replica.status().now();
        if !status.members.contains_key(&id) {
            self.replica.add_learner(id, member).await?;
        }
        if votes && !status.voters.contains(&id) {
            self.replica.promote(BTreeSet::from([id])).await?;
        }
        Ok(())
    }
}

impl<B: Blocks> Service<OmBootstrap> for OmService<B> {
    async fn call(&self, _: CallContext, request: BootstrapOmRequest) -> Result<BootstrapOmResponse, Fault> {
        let refused = |code: ErrorCode, why: String| BootstrapOmResponse {
            success: false,
            error_code: Some(code as i32),
            error_msg: Some(why),
        };
        if self.replica.status().now().role != Role::Leader {
            let why = format!("{} does not lead", self.directory.node_id);
            return Ok(refused(ErrorCode::LeaderUndetermined, why));
        }
        if !self.directory.oms.iter().any(|om| om.node_id == request.node_id) {
            let why = format!(
                "{} does not know OM {}; name it in the settings of all OMs first",
                self.directory.node_id, request.node_id
            );
            return Ok(refused(ErrorCode::RatisBootstrapError, why));
        }
        let address = format!("{}:{}", request.host_address, request.ratis_port);
        let member = Member { name: request.node_id.clone(), address };
        let votes = !request.is_listener.unwrap_or(false);
        match self.admit(member_id(&request.node_id), member, votes).await {
            Ok(()) => {
                tracing::info!(om = request.node_id, votes, "an OM has joined the service");
                Ok(BootstrapOmResponse { success: true, error_code: None, error_msg: None })
            }
            Err(error) => Ok(refused(ErrorCode::RatisBootstrapError, error.to_string())),
        }
    }
}

impl<B: Blocks> Service<OmDecommission> for OmService<B> {
    async fn call(
        &self,
        context: CallContext,
        request: DecommissionOmRequest,
    ) -> Result<DecommissionOmResponse, Fault> {
        let refused = |why: String| DecommissionOmResponse { success: false, error_msg: Some(why) };
        let user = Self::user_of(&context);
        if self.enforces_rights() && !self.is_admin(&user) {
            return Err(Fault::access_denied(format!("user {user} is no administrator")));
        }
        if self.replica.status().now().role != Role::Leader {
            return Err(Fault::not_leader(format!("{} does not lead", self.directory.node_id)));
        }
        match self.replica.remove(member_id(&request.node_id)).await {
            Ok(()) => Ok(DecommissionOmResponse { success: true, error_msg: None }),
            Err(error) => Ok(refused(error.to_string())),
        }
    }
}

impl<B: Blocks> Service<OmConfiguration> for OmService<B> {
    async fn call(
        &self,
        _: CallContext,
        _: OmConfigurationRequest,
    ) -> Result<OmConfigurationResponse, Fault> {
        let status = self.replica.status().now();
        let node = |id: &MemberId, member: &Member| {
            let (host, port) = member.address.rsplit_once(':').unwrap_or((&member.address, "0"));
            let known = self.directory.oms.iter().find(|om| om.node_id == member.name);
            OmNodeInfo {
                node_id: member.name.clone(),
                host_address: host.to_owned(),
                rpc_port: known.map_or(0, |om| u32::from(om.rpc_port)),
                ratis_port: port.parse().unwrap_or(0),
                node_state: Some(NodeState::Active as i32),
                is_listener: Some(!status.voters.contains(id)),
            }
        };
        let nodes: Vec<OmNodeInfo> = status.members.iter().map(|(id, member)| node(id, member)).collect();
        Ok(OmConfigurationResponse {
            success: true,
            error_msg: None,
            nodes_in_memory: nodes.clone(),
            nodes_in_new_conf: nodes,
        })
    }
}

/// Asks the OMs at `others`, one after the other and again, to take this one in, until one does or `patience` is over.
///
/// # Errors
/// Nobody did; each refusal is in the log.
pub async fn ask_to_join(
    me: &OmAddress,
    consensus_port: u16,
    others: &[OmAddress],
    client: u128,
    patience: Duration,
) -> Result<(), String> {
    let request = BootstrapOmRequest {
        node_id: me.node_id.clone(),
        host_address: me.host.clone(),
        ratis_port: u32::from(consensus_port),
        is_listener: Some(false),
    };
    let asking = async {
        loop {
            for other in others {
                let target = Target { host: other.host.clone(), port: other.rpc_port };
                let config = ClientConfig { user: Some("om".to_owned()), ..ClientConfig::default() };
                let asked =
                    HadoopClient::new(target, Plain, ClientId::from_bytes(client.to_be_bytes()), config);
                let why = match asked.call::<OmBootstrap>(&request, &CallOptions::default()).await {
                    Ok(answer) if answer.success => return,
                    Ok(answer) => answer.error_msg().to_owned(),
                    Err(error) => error.to_string(),
                };
                tracing::info!(by = other.node_id, why, "not taken in yet");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(patience, asking)
        .await
        .map_err(|_| format!("no OM took {} in within {patience:?}", me.node_id))
}
