//! The OMs under measurement, on threads of their own, with blocks from memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allotrope_consensus::{RocksShared, SystemClock};
use allotrope_om::blocks::Blocks;
use allotrope_om::refusal::Refusal;
use allotrope_om::requests::BlockWish;
use allotrope_om::settings::Settings;
use allotrope_om::{Config, OmAddress, OmMember, Running, ScmAddress, ScmTransport, World, start_with};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hdds::{
    BlockId, ContainerBlockId, DatanodeDetailsProto, GetScmInfoResponseProto, Pipeline, PipelineId,
};
use allotrope_proto::net::Plain;
use allotrope_proto::om::{InfoVolumeRequest, KeyLocation, OmRequest, Type};
use allotrope_proto::ops::Operators;
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_block::KeyBlocks;
use tokio::runtime::{Builder, Runtime};

/// It follows the leader, as clients do: a group that has just been founded may elect twice, and a busy machine more often.
pub(crate) type Client = Arc<Failover<GrpcClient>>;

/// One container on one datanode, known without a network.
#[derive(Default)]
struct InMemory(AtomicI64);

fn pipeline() -> Pipeline {
    let node = DatanodeDetailsProto {
        uuid: Some("5d639e5c-ce06-40ca-8859-c07b8e8c56c1".into()),
        ip_address: "127.0.0.1".into(),
        host_name: "localhost".into(),
        ..DatanodeDetailsProto::default()
    };
    Pipeline { members: vec![node], state: Some(2), factor: Some(1), ..Pipeline::default() }
}

impl Blocks for InMemory {
    fn allocate(
        &self,
        wish: &BlockWish,
        _: &str,
    ) -> impl Future<Output = Result<Vec<KeyLocation>, Refusal>> + Send {
        let given = (0..wish.count)
            .map(|_| {
                let local_id = self.0.fetch_add(1, Ordering::Relaxed);
                let id = ContainerBlockId { container_id: 7, local_id };
                KeyLocation {
                    block_id: BlockId { container_block_id: id, block_commit_sequence_id: Some(0) },
                    offset: 0,
                    length: wish.size,
                    create_version: Some(0),
                    pipeline: Some(Pipeline { id: PipelineId::default(), ..pipeline() }),
                    ..KeyLocation::default()
                }
            })
            .collect();
        std::future::ready(Ok(given))
    }

    fn locate(
        &self,
        containers: &[i64],
    ) -> impl Future<Output = Result<BTreeMap<i64, Pipeline>, Refusal>> + Send {
        std::future::ready(Ok(containers.iter().map(|id| (*id, pipeline())).collect()))
    }

    fn delete(&self, keys: Vec<KeyBlocks>) -> impl Future<Output = Result<Vec<bool>, Refusal>> + Send {
        std::future::ready(Ok(vec![true; keys.len()]))
    }

    fn safe_mode(&self, _: bool) -> impl Future<Output = Result<bool, Refusal>> + Send {
        std::future::ready(Ok(false))
    }

    fn info(&self) -> impl Future<Output = Result<GetScmInfoResponseProto, Refusal>> + Send {
        let cluster_id = "CID-bench".to_owned();
        std::future::ready(Ok(GetScmInfoResponseProto { cluster_id, ..GetScmInfoResponseProto::default() }))
    }
}

/// Running OMs.
pub(crate) struct Oms {
    runtime: Runtime,
    running: Vec<Running>,
    configs: Vec<Config>,
    dir: tempfile::TempDir,
}

impl Oms {
    /// `members` of one service, in new folders beside the build's.
    pub(crate) fn start(members: u64) -> Oms {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("om").enable_all().build();
        let runtime = runtime.expect("a runtime starts");
        // Not in /tmp, which may be memory: the log has to reach a disk.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let configs = configs(members, dir.path().to_owned());
        let mut oms = Oms { runtime, running: Vec::new(), configs, dir };
        oms.run();
        oms
    }

    fn run(&mut self) {
        let drawn = AtomicU64::new(1);
        let world = World {
            rocks: RocksShared::new(256 << 20, 64 << 20).expect("RocksDB's memory"),
            clock: Arc::new(SystemClock),
            random: Arc::new(move || u128::from(drawn.fetch_add(0x9e37_79b9, Ordering::Relaxed)) << 32),
        };
        for config in &self.configs {
            let starting = start_with(config.clone(), world.clone(), InMemory::default());
            self.running.push(self.runtime.block_on(starting).expect("an OM starts"));
        }
    }

    /// A client of whoever leads, once it answers: one that has just been elected may not yet.
    pub(crate) async fn client(&self) -> Client {
        let one = |om: &Running| {
            let id = ClientId::from_bytes([7; 16]);
            GrpcClient::new(om.grpc.into(), Plain, id, GrpcClientConfig::default()).expect("an address")
        };
        let client = Arc::new(Failover::new(self.running.iter().map(one).collect()));
        let asked = OmRequest {
            cmd_type: Type::InfoVolume as i32,
            info_volume_request: Some(Box::new(InfoVolumeRequest { volume_name: "s3v".into() })),
            client_id: "client-bench".into(),
            ..OmRequest::default()
        };
        let answered = async {
            while client.call::<OmSubmit>(&asked, &CallOptions::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), answered).await.expect("somebody leads");
        client
    }

    /// Ends all and starts them again on their files. How long until one leads.
    pub(crate) fn restart(&mut self, clients: &Runtime) -> Duration {
        self.stop();
        let began = Instant::now();
        self.run();
        clients.block_on(self.client());
        began.elapsed()
    }

    pub(crate) fn disk_len(&self) -> u64 {
        crate::machine::disk_len(self.dir.path())
    }

    fn stop(&mut self) {
        for om in self.running.drain(..) {
            self.runtime.block_on(om.shutdown(Duration::from_secs(10)));
        }
    }

    pub(crate) fn end(mut self) {
        self.stop();
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

fn configs(members: u64, dir: PathBuf) -> Vec<Config> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    // Ports that were free a moment ago: members have to know each other's before they start.
    let held: Vec<_> =
        (0..members).map(|_| std::net::TcpListener::bind(anywhere).expect("a free port")).collect();
    let ports: Vec<SocketAddr> =
        held.iter().map(|listener| listener.local_addr().expect("it is bound")).collect();
    drop(held);
    let all: Vec<OmMember> = (1..)
        .zip(&ports)
        .map(|(number, consensus): (u32, _)| {
            let address = OmAddress { node_id: format!("om{number}"), host: "127.0.0.1".into(), rpc_port: 0 };
            OmMember { address, consensus: consensus.to_string() }
        })
        .collect();
    all.iter()
        .zip(&ports)
        .map(|(member, consensus)| Config {
            dir: dir.join(&member.address.node_id),
            node_id: member.address.node_id.clone(),
            host: "127.0.0.1".into(),
            rpc: anywhere,
            grpc: anywhere,
            operators: Operators::default(),
            consensus: *consensus,
            members: if members > 1 { all.clone() } else { Vec::new() },
            joins: false,
            scms: vec![ScmAddress { host: "127.0.0.1".into(), block_port: 0, container_port: 0 }],
            scm_transport: ScmTransport::default(),
            scm_wait_max: Duration::from_secs(5),
            settings: Settings::default(),
            deletion: allotrope_om::deletion::DeletionPace::default(),
            expiry: allotrope_om::expiry::Expiry::default(),
            trash_kept: None,
        })
        .collect()
}
