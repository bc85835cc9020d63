//! The way from datanodes to SCM: registrations and heartbeats.
//!
//! Source  `StorageContainerDatanodeProtocol.submitRequest`: over Hadoop RPC, which Ozone's SCM speaks, or over gRPC.

use std::time::Duration;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::heartbeat::{
    ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatRequestProto,
    ScmRegisterRequestProto, Status, Type, scm_registered_response_proto::ErrorCode,
};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::DatanodeHeartbeat;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient as _};
use futures_util::future::try_join_all;

use super::ScmTransport;
use crate::load::{Trouble, TroubleKind};

enum Link {
    Hadoop(HadoopClient<Plain>),
    Grpc(GrpcClient),
}

/// The SCMs of one group, as datanodes see them: each hears everything.
pub struct Reports {
    /// `lanes` connections to each SCM.
    scms: Vec<Vec<Link>>,
    deadline: Duration,
}

impl Reports {
    /// The SCMs whose service for datanodes is at `targets`, over `lanes` connections to each, which all datanodes share. Nothing
    /// is sent yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// A host that cannot be one.
    pub fn new(
        targets: &[(String, u16)],
        transport: ScmTransport,
        lanes: usize,
        deadline: Duration,
        seed: u64,
    ) -> std::io::Result<Reports> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut link = |(host, port): &(String, u16)| {
            let id = ClientId::from_bytes(chance.u128(..).to_be_bytes());
            let target = Target { host: host.clone(), port: *port };
            Ok(match transport {
                ScmTransport::HadoopRpc => {
                    let config = ClientConfig { user: Some("dn".to_owned()), ..ClientConfig::default() };
                    Link::Hadoop(HadoopClient::new(target, Plain, id, config))
                }
                ScmTransport::Grpc => {
                    Link::Grpc(GrpcClient::new(target, Plain, id, GrpcClientConfig::default())?)
                }
            })
        };
        let mut links = |target| (0..lanes.max(1)).map(|_| link(target)).collect::<std::io::Result<_>>();
        Ok(Reports { scms: targets.iter().map(&mut links).collect::<Result<_, _>>()?, deadline })
    }

    /// Registers a datanode with every SCM.
    pub(crate) async fn register(&self, lane: u64, register: ScmRegisterRequestProto) -> Result<(), Trouble> {
        let request = ScmDatanodeRequest {
            cmd_type: Type::Register as i32,
            register_request: Some(register),
            ..Default::default()
        };
        for answer in self.ask(lane, &request).await? {
            let answer = answer.register_response.ok_or_else(|| lacks("a registration"))?;
            if answer.error_code != ErrorCode::Success as i32 {
                let text = format!("SCM does not let datanode {} register", answer.datanode_uuid);
                return Err(Trouble::new(TroubleKind::Refused, text));
            }
        }
        Ok(())
    }

    /// Sends a heartbeat to every SCM; what they command.
    pub(crate) async fn beat(
        &self,
        lane: u64,
        heartbeat: ScmHeartbeatRequestProto,
    ) -> Result<Vec<ScmCommandProto>, Trouble> {
        let request = ScmDatanodeRequest {
            cmd_type: Type::SendHeartbeat as i32,
            send_heartbeat_request: Some(heartbeat),
            ..Default::default()
        };
        let mut commands = Vec::new();
        for answer in self.ask(lane, &request).await? {
            let answer = answer.send_heartbeat_response.ok_or_else(|| lacks("a heartbeat"))?;
            commands.extend(answer.commands);
        }
        Ok(commands)
    }

    async fn ask(
        &self,
        lane: u64,
        request: &ScmDatanodeRequest,
    ) -> Result<Vec<ScmDatanodeResponse>, Trouble> {
        let options = &CallOptions { time_max: Some(self.deadline), ..CallOptions::default() };
        let asked = self.scms.iter().map(|lanes| async move {
            let answer = match &lanes[(lane % lanes.len() as u64) as usize] {
                Link::Hadoop(scm) => scm.call::<DatanodeHeartbeat>(request, options).await?,
                Link::Grpc(scm) => scm.call::<DatanodeHeartbeat>(request, options).await?,
            };
            match Status::try_from(answer.status) {
                Ok(Status::Ok) => Ok(answer),
                _ => {
                    let words = answer.message.unwrap_or_default();
                    Err(Trouble::new(TroubleKind::Refused, format!("SCM: {words}")))
                }
            }
        });
        try_join_all(asked).await
    }
}

fn lacks(what: &str) -> Trouble {
    Trouble::new(TroubleKind::Broken, format!("SCM's answer to {what} is none"))
}
