//! Blocks from SCM, as OM asks for them.
//!
//! Source  `ScmBlockLocationProtocol.send`: over Hadoop RPC, which Ozone's SCM speaks, or over gRPC, which ours speaks too.

use std::time::Duration;

use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::hdds;
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::ScmBlockSend;
use allotrope_proto::rpc::{CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_block::{
    AllocateBlockResponse, AllocateScmBlockRequestProto, ScmBlockLocationRequest, ScmBlockLocationResponse,
    Status, Type, UserInfo,
};
use allotrope_types::{DatanodeId, DatanodeIdOnWire, ReplicationConfig};

use super::BlockTarget;
use crate::load::{Trouble, TroubleKind};

/// How SCM is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScmTransport {
    /// Hadoop RPC, which every SCM speaks.
    #[default]
    HadoopRpc,
    /// gRPC, which Allotrope's SCM speaks on the same port.
    Grpc,
}

enum Link {
    Hadoop(Failover<HadoopClient<Plain>>),
    Grpc(Failover<GrpcClient>),
}

/// The SCMs of one group, as OM sees them.
pub struct Scm {
    link: Link,
    user: String,
    /// The longest that an answer takes.
    pub(crate) deadline: Duration,
}

impl Scm {
    /// The SCMs whose block service is at `targets`: hosts with ports. Nothing is sent yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// A host that cannot be one.
    pub fn new(
        targets: &[(String, u16)],
        transport: ScmTransport,
        user: &str,
        deadline: Duration,
        seed: u64,
    ) -> std::io::Result<Scm> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut id = || ClientId::from_bytes(chance.u128(..).to_be_bytes());
        let target = |(host, port): &(String, u16)| Target { host: host.clone(), port: *port };
        let link = match transport {
            ScmTransport::HadoopRpc => {
                let config = ClientConfig { user: Some(user.to_owned()), ..ClientConfig::default() };
                let client = |at| HadoopClient::new(target(at), Plain, id(), config.clone());
                Link::Hadoop(Failover::new(targets.iter().map(client).collect()))
            }
            ScmTransport::Grpc => {
                let config = GrpcClientConfig { user: Some(user.to_owned()), ..GrpcClientConfig::default() };
                let client = |at| GrpcClient::new(target(at), Plain, id(), config.clone());
                Link::Grpc(Failover::new(targets.iter().map(client).collect::<Result<_, _>>()?))
            }
        };
        Ok(Scm { link, user: user.to_owned(), deadline })
    }

    /// Allocates `count` blocks of `size` bytes.
    ///
    /// # Errors
    /// What SCM refused, or that none can be reached.
    pub(crate) async fn allocate(
        &self,
        count: u32,
        size: u64,
        replication: ReplicationConfig,
    ) -> Result<Vec<AllocateBlockResponse>, Trouble> {
        let asked = AllocateScmBlockRequestProto {
            size,
            num_blocks: count,
            r#type: replication.kind() as i32,
            factor: replication.factor().map(|factor| factor as i32),
            owner: "perf".to_owned(),
            exclude_list: None,
            ec_replication_config: ec_on_wire(replication),
            client: None,
        };
        let request = ScmBlockLocationRequest {
            cmd_type: Type::AllocateScmBlock as i32,
            trace_id: Some(String::new()),
            user_info: Some(UserInfo { user_name: Some(self.user.clone()), remote_address: None }),
            version: Some(1),
            allocate_scm_block_request: Some(asked),
            ..Default::default()
        };
        let answer = self.ask(&request).await?;
        match Status::try_from(answer.status) {
            Ok(Status::Ok) => {}
            status => {
                let status =
                    status.map_or_else(|_| answer.status.to_string(), |known| known.as_str_name().to_owned());
                let words = answer.message.unwrap_or_default();
                return Err(Trouble::new(TroubleKind::Refused, format!("SCM: {status} {words}")));
            }
        }
        let blocks = answer.allocate_scm_block_response.map(|response| response.blocks).unwrap_or_default();
        match blocks.len() == count as usize {
            true => Ok(blocks),
            false => {
                let text = format!("SCM gives {} blocks instead of {count}", blocks.len());
                Err(Trouble::new(TroubleKind::Broken, text))
            }
        }
    }

    async fn ask(&self, request: &ScmBlockLocationRequest) -> Result<ScmBlockLocationResponse, Trouble> {
        let options = CallOptions { time_max: Some(self.deadline), ..CallOptions::default() };
        Ok(match &self.link {
            Link::Hadoop(scm) => scm.call::<ScmBlockSend>(request, &options).await?,
            Link::Grpc(scm) => scm.call::<ScmBlockSend>(request, &options).await?,
        })
    }

    /// Allocates blocks of one replica each, and says where they are.
    ///
    /// # Errors
    /// As [`Scm::allocate`], and an answer whose pipeline names no datanode.
    pub(crate) async fn targets(
        &self,
        count: u32,
        size: u64,
        replication: ReplicationConfig,
    ) -> Result<Vec<BlockTarget>, Trouble> {
        self.allocate(count, size, replication).await?.iter().map(target).collect()
    }
}

/// The erasure code of a replication, if it has one.
pub(super) fn ec_on_wire(replication: ReplicationConfig) -> Option<hdds::EcReplicationConfig> {
    replication.ec().map(|ec| hdds::EcReplicationConfig {
        data: i32::try_from(ec.data()).unwrap_or(i32::MAX),
        parity: i32::try_from(ec.parity()).unwrap_or(i32::MAX),
        codec: ec.codec().name().to_owned(),
        ec_chunk_size: i32::try_from(ec.cell_len().as_u64()).unwrap_or(i32::MAX),
    })
}

/// The id of a datanode, if it says one that is whole.
pub(crate) fn id_of(node: &hdds::DatanodeDetailsProto) -> Option<DatanodeId> {
    let halves = |uuid: &hdds::Uuid| (uuid.most_sig_bits, uuid.least_sig_bits);
    let on_wire = DatanodeIdOnWire {
        uuid: node.uuid.clone(),
        uuid128: node.uuid128.as_ref().map(halves),
        id: node.id.as_ref().map(|id| halves(&id.uuid)),
    };
    on_wire.read().ok()
}

fn target(block: &AllocateBlockResponse) -> Result<BlockTarget, Trouble> {
    let lacks =
        |what: &str| Trouble::new(TroubleKind::Broken, format!("a block that SCM gives lacks {what}"));
    let id = block.container_block_id.as_ref().ok_or_else(|| lacks("its id"))?;
    let pipeline = block.pipeline.as_ref().ok_or_else(|| lacks("its pipeline"))?;
    let [node] = pipeline.members.as_slice() else {
        return Err(lacks("the one datanode of its one replica"));
    };
    let datanode = id_of(node).ok_or_else(|| lacks("its datanode's id"))?;
    let port = node.ports.iter().find(|port| port.name == "STANDALONE").map_or(9859, |port| port.value);
    Ok(BlockTarget {
        container: id.container_id,
        local: id.local_id,
        datanode: datanode.to_string(),
        address: format!("{}:{port}", node.ip_address),
    })
}
