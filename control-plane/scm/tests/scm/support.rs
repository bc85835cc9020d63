//! The vocabulary of these tests: a real SCM on loopback ports, datanodes that speak its protocol over sockets.
#![allow(clippy::disallowed_methods, reason = "these tests wait on the real clock for a real server")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allotrope_consensus::RocksShared;
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hadoop_rpc::{ClientConfig, HadoopClient};
use allotrope_proto::hdds::{self, DatanodeDetailsProto, Port};
use allotrope_proto::heartbeat::{
    self as hb, ContainerReplicaProto, ContainerReportsProto, LayoutVersionProto, NodeReportProto,
    ScmCommandProto, ScmDatanodeRequest, ScmHeartbeatRequestProto, ScmHeartbeatResponseProto,
    ScmRegisterRequestProto, ScmRegisteredResponseProto, StorageReportProto,
};
use allotrope_proto::net::Plain;
use allotrope_proto::rpc::catalog::{DatanodeHeartbeat, ScmBlockSend, ScmContainerSubmit};
use allotrope_proto::rpc::{CallError, CallOptions, ClientId, Rpc, RpcClient};
use allotrope_proto::scm_block::{
    self, AllocateBlockResponse, ScmBlockLocationRequest, ScmBlockLocationResponse,
};
use allotrope_proto::scm_container::{self, ScmContainerLocationRequest, ScmContainerLocationResponse};
use allotrope_scm::clock::{Clock, SystemClock};
use allotrope_scm::{Config, Identity, Running};
use allotrope_types::{ByteCount, DatanodeId, ReplicationConfig};

pub(crate) const CLUSTER: &str = "CID-3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7";

/// Settings for a laptop's disk and a test's patience.
pub(crate) fn config(dir: &Path) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    Config {
        datanode_address: any,
        block_address: any,
        client_address: any,
        container_size: ByteCount::mib(64),
        block_size: ByteCount::mib(16),
        close_wait: Duration::ZERO,
        command_resend: Duration::from_millis(300),
        safe_mode_datanodes_min: 1,
        sweep_interval: Duration::from_millis(50),
        deletion_interval: Duration::from_millis(50),
        deletion_resend: Duration::from_secs(30),
        seed: 7,
        ..Config::new(dir)
    }
}

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) nodes: Vec<Datanode>,
    datanode: Wires,
    block: Wires,
    location: Wires,
}

/// Both ways to one port. Calls take turns: whatever is asked twice is asked over Hadoop RPC and over gRPC.
struct Wires {
    hadoop: HadoopClient<Plain>,
    grpc: GrpcClient,
    calls: AtomicU64,
}

impl Wires {
    fn to(address: std::net::SocketAddr, n: u8) -> Wires {
        let hadoop = ClientConfig { user: Some("tester".into()), ..ClientConfig::default() };
        let grpc = GrpcClientConfig { user: Some("tester".into()), ..GrpcClientConfig::default() };
        let id = ClientId::from_bytes([n; 16]);
        Wires {
            hadoop: HadoopClient::new(address.into(), Plain, id, hadoop),
            grpc: GrpcClient::new(address.into(), Plain, id, grpc).unwrap(),
            calls: AtomicU64::new(0),
        }
    }

    async fn call<R: Rpc>(&self, request: &R::Request) -> Result<R::Response, CallError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => self.hadoop.call::<R>(request, &CallOptions::default()).await,
            _ => self.grpc.call::<R>(request, &CallOptions::default()).await,
        }
    }
}

pub(crate) fn init(dir: &Path) {
    init_as(dir, "scm-1");
}

pub(crate) fn init_as(dir: &Path, scm_id: &str) {
    let wanted = Identity {
        cluster_id: CLUSTER.into(),
        scm_id: scm_id.into(),
        created_ms: 1,
        raft_group: CLUSTER.into(),
        joins: false,
    };
    allotrope_scm::init(dir, &wanted, 10).unwrap();
}

impl World {
    /// An SCM on the tables in `config.dir`, once it leads.
    pub(crate) async fn start(config: Config) -> World {
        let world = World::start_member(config).await;
        world.until("SCM leads", async || world.running.leads()).await;
        world
    }

    /// The same without waiting: one of several.
    pub(crate) async fn start_member(config: Config) -> World {
        World::start_by(config, Arc::new(SystemClock::new())).await
    }

    /// The same by another clock than the machine's.
    pub(crate) async fn start_by(config: Config, clock: Arc<dyn Clock>) -> World {
        let rocks = RocksShared::new(8 << 20, 8 << 20).unwrap();
        // Loops of one that was shut down may hold the tables a moment longer.
        let began = std::time::Instant::now();
        let running = loop {
            match allotrope_scm::start(config.clone(), rocks.clone(), clock.clone()).await {
                Ok(running) => break running,
                Err(why) => assert!(began.elapsed() < Duration::from_secs(20), "SCM does not start: {why}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        World {
            datanode: Wires::to(running.datanode_address, 1),
            block: Wires::to(running.block_address, 2),
            location: Wires::to(running.client_address, 3),
            nodes: Vec::new(),
            running,
        }
    }

    /// The same with `nodes` registered datanodes.
    pub(crate) async fn with_nodes(config: Config, nodes: u8) -> World {
        let mut world = World::start(config).await;
        for n in 0..nodes {
            world.join(Datanode::new(n)).await;
        }
        world
    }

    pub(crate) async fn stop(self) {
        self.running.shutdown(Duration::from_secs(10)).await;
    }

    /// Waits until `holds`, for ten seconds at most.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..1000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come to pass that {what}");
    }

    pub(crate) async fn join(&mut self, node: Datanode) {
        let answer = self.register(&node).await;
        assert_eq!(answer.error_code, 1, "{answer:?}");
        self.nodes.push(node);
    }

    pub(crate) async fn register(&self, node: &Datanode) -> ScmRegisteredResponseProto {
        let request = ScmDatanodeRequest {
            cmd_type: hb::Type::Register as i32,
            register_request: Some(ScmRegisterRequestProto {
                extended_datanode_details: hdds::ExtendedDatanodeDetailsProto {
                    datanode_details: node.details(),
                    revision: node.hosts.map(str::to_owned),
                    ..Default::default()
                },
                node_report: node.node_report(),
                container_report: ContainerReportsProto { reports: node.replicas.clone() },
                pipeline_reports: Default::default(),
                data_node_layout_version: Some(node.layout),
            }),
            ..Default::default()
        };
        self.datanode_call(request).await.unwrap().register_response.unwrap()
    }

    pub(crate) async fn datanode_call(
        &self,
        request: ScmDatanodeRequest,
    ) -> Result<hb::ScmDatanodeResponse, CallError> {
        self.datanode.call::<DatanodeHeartbeat>(&request).await
    }

    /// A heartbeat with what `fill` puts into it.
    pub(crate) async fn heartbeat(
        &self,
        n: usize,
        fill: impl FnOnce(&mut ScmHeartbeatRequestProto),
    ) -> ScmHeartbeatResponseProto {
        let node = &self.nodes[n];
        let mut heartbeat = ScmHeartbeatRequestProto {
            datanode_details: node.details(),
            data_node_layout_version: Some(node.layout),
            command_queue_report: Some(Default::default()),
            ..Default::default()
        };
        fill(&mut heartbeat);
        let request = ScmDatanodeRequest {
            cmd_type: hb::Type::SendHeartbeat as i32,
            send_heartbeat_request: Some(heartbeat),
            ..Default::default()
        };
        self.datanode_call(request).await.unwrap().send_heartbeat_response.unwrap()
    }

    /// Node `n` says that one of its replicas has changed.
    pub(crate) async fn report(&self, n: usize, replica: ContainerReplicaProto) -> ScmHeartbeatResponseProto {
        let report = hb::IncrementalContainerReportProto { report: vec![replica] };
        self.heartbeat(n, |heartbeat| heartbeat.incremental_container_report = vec![report]).await
    }

    /// The first command of that kind which node `n` gets.
    pub(crate) async fn command(&self, n: usize, kind: hb::scm_command_proto::Type) -> ScmCommandProto {
        for _ in 0..1000 {
            let answer = self.heartbeat(n, |_| {}).await;
            if let Some(command) = answer.commands.into_iter().find(|c| c.command_type == kind as i32) {
                return command;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("node {n} never got the command {kind:?}");
    }

    pub(crate) async fn block_call(
        &self,
        request: ScmBlockLocationRequest,
    ) -> Result<ScmBlockLocationResponse, CallError> {
        self.block.call::<ScmBlockSend>(&request).await
    }

    pub(crate) async fn allocate_answer(
        &self,
        config: &str,
        count: u32,
        exclude: hdds::ExcludeListProto,
    ) -> ScmBlockLocationResponse {
        let config: ReplicationConfig = config.parse().unwrap();
        let ec = config.ec().map(|ec| hdds::EcReplicationConfig {
            data: i32::try_from(ec.data()).unwrap(),
            parity: i32::try_from(ec.parity()).unwrap(),
            codec: ec.codec().name().into(),
            ec_chunk_size: i32::try_from(ec.cell_len().as_u64()).unwrap(),
        });
        let request = ScmBlockLocationRequest {
            cmd_type: scm_block::Type::AllocateScmBlock as i32,
            allocate_scm_block_request: Some(scm_block::AllocateScmBlockRequestProto {
                size: 16 << 20,
                num_blocks: count,
                r#type: config.kind() as i32,
                factor: config.factor().map(|factor| factor as i32),
                owner: "om-1".into(),
                exclude_list: Some(exclude),
                ec_replication_config: ec,
                client: None,
            }),
            ..Default::default()
        };
        self.block_call(request).await.unwrap()
    }

    pub(crate) async fn allocate(&self, config: &str, count: u32) -> Vec<AllocateBlockResponse> {
        let answer = self.allocate_answer(config, count, Default::default()).await;
        assert_eq!(answer.success, Some(true), "{:?}", answer.message);
        answer.allocate_scm_block_response.unwrap().blocks
    }

    pub(crate) async fn location_call(
        &self,
        kind: scm_container::Type,
        fill: impl FnOnce(&mut ScmContainerLocationRequest),
    ) -> Result<ScmContainerLocationResponse, CallError> {
        let mut request = ScmContainerLocationRequest { cmd_type: kind as i32, ..Default::default() };
        fill(&mut request);
        self.location.call::<ScmContainerSubmit>(&request).await
    }

    pub(crate) async fn container(&self, container_id: i64) -> hdds::ContainerInfoProto {
        let asked = scm_container::GetContainerRequestProto { container_id, trace_id: None };
        let answer = self
            .location_call(scm_container::Type::GetContainer, |r| r.get_container_request = Some(asked))
            .await;
        answer.unwrap().get_container_response.unwrap().container_info
    }

    /// Waits until SCM says that the container is in `state`.
    pub(crate) async fn until_container(&self, id: i64, state: hdds::LifeCycleState) {
        let what = format!("container {id} is {state:?}");
        self.until(&what, async || self.container(id).await.state == state as i32).await;
    }
}

/// A datanode as SCM sees one.
pub(crate) struct Datanode {
    pub(crate) id: DatanodeId,
    pub(crate) n: u8,
    pub(crate) layout: LayoutVersionProto,
    pub(crate) replicas: Vec<ContainerReplicaProto>,
    pub(crate) remaining: u64,
    /// What it calls itself, if it hosts Ratis pipelines.
    pub(crate) hosts: Option<&'static str>,
}

impl Datanode {
    pub(crate) fn new(n: u8) -> Datanode {
        let layout = LayoutVersionProto { metadata_layout_version: 10, software_layout_version: 10 };
        let id = DatanodeId::from_random_bytes([n + 1; 16]);
        Datanode { id, n, layout, replicas: Vec::new(), remaining: 100 << 30, hosts: None }
    }

    pub(crate) fn details(&self) -> DatanodeDetailsProto {
        let (most_sig_bits, least_sig_bits) = self.id.to_halves();
        let uuid = hdds::Uuid { most_sig_bits, least_sig_bits };
        let port = |name: &str, value| Port { name: name.into(), value };
        DatanodeDetailsProto {
            uuid: Some(self.id.to_string()),
            uuid128: Some(uuid),
            id: Some(hdds::DatanodeIdProto { uuid }),
            ip_address: "10.0.0.1".into(),
            host_name: format!("dn-{}", self.n),
            ports: [("STANDALONE", 9000 + u32::from(self.n)), ("REPLICATION", 9100)]
                .into_iter()
                .chain(self.hosts.map(|_| ("RATIS", 9200)))
                .map(|(name, value)| port(name, value))
                .collect(),
            ..Default::default()
        }
    }

    pub(crate) fn node_report(&self) -> NodeReportProto {
        let storage = StorageReportProto {
            storage_uuid: format!("DS-{}", self.n),
            storage_location: format!("/data/{}", self.n),
            capacity: Some(200 << 30),
            scm_used: Some(0),
            remaining: Some(self.remaining),
            ..Default::default()
        };
        NodeReportProto { storage_report: vec![storage], ..Default::default() }
    }
}

/// A replica as a datanode reports it.
pub(crate) fn replica(
    container_id: i64,
    state: hb::container_replica_proto::State,
    index: i32,
) -> ContainerReplicaProto {
    ContainerReplicaProto {
        container_id,
        state: state as i32,
        used: Some(1000),
        key_count: Some(1),
        replica_index: Some(index),
        block_commit_sequence_id: Some(0),
        ..Default::default()
    }
}

pub(crate) fn container_of(block: &AllocateBlockResponse) -> i64 {
    block.container_block_id.as_ref().unwrap().container_id
}

pub(crate) fn members(block: &AllocateBlockResponse) -> Vec<String> {
    let pipeline = block.pipeline.as_ref().unwrap();
    pipeline.members.iter().map(|member| member.uuid.clone().unwrap()).collect()
}
