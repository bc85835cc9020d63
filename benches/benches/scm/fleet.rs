//! Simulated datanodes: what they say, made on the fly from their numbers, over shared connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allotrope_perf::SimulatedDatanode;
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hdds;
use allotrope_proto::heartbeat::{
    self as hb, ContainerReplicaProto, ContainerReportsProto, IncrementalContainerReportProto,
    ScmDatanodeRequest, ScmHeartbeatRequestProto, ScmRegisterRequestProto, container_replica_proto::State,
};
use allotrope_proto::net::Plain;
use allotrope_proto::rpc::catalog::DatanodeHeartbeat;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient as _};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// Copies of each container.
pub(crate) const COPIES: u64 = 3;
/// Datanodes over connections that several of them share.
pub(crate) struct Fleet {
    links: Vec<GrpcClient>,
    nodes: u64,
    containers: u64,
}

/// Datanode `n`, as `allotrope perf` simulates it too.
pub(crate) fn datanode(n: u64) -> SimulatedDatanode {
    SimulatedDatanode { seed: 0, number: n }
}

fn replica(container: u64, n: u64) -> ContainerReplicaProto {
    datanode(n).replica(container as i64, 0, State::Closed)
}

impl Fleet {
    /// `nodes` datanodes over `links` connections to the SCM at `at`, which hold all of `containers`, each three times.
    pub(crate) fn new(at: SocketAddr, links: u64, nodes: u64, containers: u64) -> Arc<Fleet> {
        let link = |n: u64| {
            let id = ClientId::from_bytes(u128::from(n + 1).to_be_bytes());
            GrpcClient::new(at.into(), Plain, id, GrpcClientConfig::default()).unwrap()
        };
        Arc::new(Fleet { links: (0..links.min(nodes)).map(link).collect(), nodes, containers })
    }

    /// The containers of which datanode `n` has a replica: those whose number, and the next two, fall on it.
    fn held(&self, n: u64) -> impl Iterator<Item = u64> + '_ {
        let first = move |copy: u64| (n + self.nodes - copy % self.nodes) % self.nodes;
        (0..COPIES.min(self.nodes))
            .flat_map(move |copy| (first(copy)..self.containers).step_by(self.nodes as usize))
            .map(|number| number + 1)
    }

    async fn call(&self, n: u64, request: ScmDatanodeRequest) -> hb::ScmDatanodeResponse {
        let link = &self.links[(n % self.links.len() as u64) as usize];
        link.call::<DatanodeHeartbeat>(&request, &CallOptions::default()).await.unwrap()
    }

    async fn register(&self, n: u64) {
        let reports = self.held(n).map(|container| replica(container, n)).collect();
        let register = ScmRegisterRequestProto {
            extended_datanode_details: hdds::ExtendedDatanodeDetailsProto {
                datanode_details: datanode(n).details(),
                ..Default::default()
            },
            node_report: datanode(n).disks(),
            container_report: ContainerReportsProto { reports },
            pipeline_reports: Default::default(),
            data_node_layout_version: Some(SimulatedDatanode::LAYOUT),
        };
        let request = ScmDatanodeRequest {
            cmd_type: hb::Type::Register as i32,
            register_request: Some(register),
            ..Default::default()
        };
        let answer = self.call(n, request).await.register_response.unwrap();
        assert_eq!(answer.error_code, 1, "datanode {n} may not register");
    }

    /// Registers all, eight at a time, each with its full report. How long it took.
    pub(crate) async fn register_all(self: &Arc<Fleet>) -> Duration {
        let began = Instant::now();
        let mut lanes = JoinSet::new();
        for lane in 0..8 {
            let fleet = Arc::clone(self);
            lanes.spawn(async move {
                for n in (lane..fleet.nodes).step_by(8) {
                    fleet.register(n).await;
                }
            });
        }
        lanes.join_all().await;
        began.elapsed()
    }

    /// A heartbeat of datanode `n` that tells of one replica.
    async fn beat(&self, n: u64, round: u64) -> Duration {
        let changed = self.held(n).nth((round % 4) as usize).map(|container| replica(container, n));
        let heartbeat = ScmHeartbeatRequestProto {
            datanode_details: datanode(n).details(),
            data_node_layout_version: Some(SimulatedDatanode::LAYOUT),
            node_report: Some(datanode(n).disks()),
            incremental_container_report: vec![IncrementalContainerReportProto {
                report: changed.into_iter().collect(),
            }],
            command_queue_report: Some(Default::default()),
            ..Default::default()
        };
        let request = ScmDatanodeRequest {
            cmd_type: hb::Type::SendHeartbeat as i32,
            send_heartbeat_request: Some(heartbeat),
            ..Default::default()
        };
        let asked = Instant::now();
        self.call(n, request).await;
        asked.elapsed()
    }

    /// Every datanode's heartbeat each second, spread over the second, for `seconds`. How long the answers took, in
    /// microseconds, and how many there were.
    pub(crate) async fn beat_all(self: &Arc<Fleet>, seconds: u64) -> Histogram<u64> {
        let began = tokio::time::Instant::now();
        let mut beating = JoinSet::new();
        for n in 0..self.nodes {
            let fleet = Arc::clone(self);
            beating.spawn(async move {
                let mut took = Vec::new();
                for round in 0..seconds {
                    let due =
                        Duration::from_secs(round) + Duration::from_secs_f64(n as f64 / fleet.nodes as f64);
                    tokio::time::sleep_until(began + due).await;
                    took.push(fleet.beat(n, round).await);
                }
                took
            });
        }
        let mut all = Histogram::new(3).unwrap();
        for took in beating.join_all().await.concat() {
            all.record(took.as_micros() as u64).unwrap();
        }
        all
    }
}
