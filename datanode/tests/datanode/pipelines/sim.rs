//! Three datanodes of one simulation: one network, one disk with a folder for each, and a pipeline they are in.

use crate::ask::{self, *};
use allotrope_datanode::boot::{BootError, Draw, Lobby};
use allotrope_datanode::commands::{Request, Response};
use allotrope_datanode::config::Config;
use allotrope_datanode::metadata::Metadata;
use allotrope_datanode::metadata::memory::MemoryMetadata;
use allotrope_datanode::pipeline::group::Answer;
use allotrope_datanode::pipeline::{self, Ask, Call, home_of};
use allotrope_datanode::store::{Event, Node, ReplicaFacts, ShardMessage};
use allotrope_datanode::volume::open::OpenMetadata;
use allotrope_io::{Clock, Shard, ShardId, Sim, SimConfig, SimDisk, SimRng};
use allotrope_proto::container::ContainerCommandResponseProto;
use allotrope_proto::edge::heartbeat::CreatePipelineCommand;
use allotrope_proto::edge::ratis::RaftClientId;
use allotrope_proto::hdds::{
    DatanodeDetailsProto, PipelineId as WireId, Port, ReplicationFactor, ReplicationType, Uuid,
};
use allotrope_proto::heartbeat::CreatePipelineCommandProto;
use allotrope_types::{ByteCount, DatanodeResult, PipelineId};
use bytes::Bytes;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) const PIPELINE: PipelineId = PipelineId::from_bytes([7; 16]);

/// One datanode.
pub(super) struct Member {
    pub(super) node: Arc<Node>,
    pub(super) lobby: Arc<Lobby>,
    events: Mutex<mpsc::Receiver<Event>>,
}

/// The machine, and the datanodes that run on it.
pub(super) struct Trio {
    pub(super) seed: u64,
    pub(super) rng: SimRng,
    pub(super) disk: SimDisk,
    pub(super) config: Config,
    stores: Arc<Mutex<BTreeMap<PathBuf, MemoryMetadata>>>,
    sim: Option<Sim>,
    pub(super) members: Vec<Arc<Member>>,
}

/// Where a datanode's pipelines are served.
pub(super) fn address(member: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, member as u8 + 1], 9858))
}

/// A datanode's volume and its metadata folder: each is a mount of its own, which a crash does not undo.
fn folders(member: usize) -> [PathBuf; 2] {
    [format!("/disk{member}").into(), format!("/meta{member}").into()]
}

impl Trio {
    pub(super) fn seeded(seed: u64) -> Trio {
        let mut config = Config::new(Vec::new(), PathBuf::new(), Vec::new());
        config.container_size = ByteCount::mib(256);
        (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(1), ByteCount::mib(1));
        config.pipelines.member_deadline = Duration::from_secs(4);
        config.scan.enabled = false;
        Trio {
            seed,
            rng: SimRng::seeded(seed),
            disk: SimDisk::new(8 << 30),
            config,
            stores: Arc::default(),
            sim: None,
            members: Vec::new(),
        }
    }

    /// Starts all datanodes on what the last start left.
    pub(super) fn boot(&mut self) {
        let shards = 1 + self.rng.below(3) as usize;
        let sim = Sim::with_disk(SimConfig::seeded(self.rng.below(u64::MAX), shards), self.disk.clone());
        self.members = (0..3).map(|n| Arc::new(self.boot_one(&sim, n))).collect();
        self.sim = Some(sim);
    }

    fn boot_one(&self, sim: &Sim, member: usize) -> Member {
        let stores = self.stores.clone();
        let open: OpenMetadata = Arc::new(move |path, _| {
            let store = stores.lock().unwrap().entry(path.to_owned()).or_default().clone();
            Ok(Arc::new(store) as Arc<dyn Metadata>)
        });
        let chance = self.rng.clone();
        let draw: Draw = Arc::new(move || {
            let halves = [chance.below(u64::MAX), chance.below(u64::MAX)];
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&halves[0].to_be_bytes());
            bytes[8..].copy_from_slice(&halves[1].to_be_bytes());
            bytes
        });
        let mut config = self.config.clone();
        let [disk, meta] = folders(member);
        (config.volumes, config.metadata_dir) = (vec![disk], meta);
        let shards = sim.shards();
        let opened = sim.run(async move {
            let pool = shards.clone();
            let opening = shards.run_on(ShardId(0), "boot", move |shard| async move {
                let (lobby, events) = Lobby::enter(&shard, pool, config, open, draw, "test").await?;
                let listener = shard.listen(address(member)).unwrap();
                let (task, door) = (shard.clone(), lobby.door.clone());
                drop(shard.spawn("accept", async move { pipeline::edge::serve(task, listener, door).await }));
                let node = lobby.open(&shard, crate::world::CLUSTER).await?;
                Ok::<_, BootError>((lobby, node, events))
            });
            opening.unwrap().await.unwrap()
        });
        let (lobby, node, events) = opened.unwrap();
        Member { node, lobby, events: Mutex::new(events) }
    }

    pub(super) fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    /// Runs something on the first shard to its end.
    pub(super) fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        work: impl FnOnce(Shard) -> F + Send + 'static,
    ) -> T {
        let shards = self.sim().shards();
        self.sim().run(async move { shards.run_on(ShardId(0), "test", work).unwrap().await.unwrap() })
    }

    /// What SCM says to make a pipeline that `leader` leads.
    pub(super) fn command(&self, id: PipelineId, leader: usize) -> CreatePipelineCommand {
        let details = |(n, member): (usize, &Arc<Member>)| DatanodeDetailsProto {
            uuid: Some(member.node.id.to_string()),
            ip_address: address(n).ip().to_string(),
            ports: vec![Port { name: "RATIS".into(), value: 9858 }],
            ..Default::default()
        };
        let (most_sig_bits, least_sig_bits) = id.to_halves();
        let command = CreatePipelineCommandProto {
            pipeline_id: WireId { id: None, uuid128: Some(Uuid { most_sig_bits, least_sig_bits }) },
            r#type: ReplicationType::Ratis.into(),
            factor: ReplicationFactor::Three.into(),
            datanode: self.members.iter().enumerate().map(details).collect(),
            cmd_id: 1,
            priority: (0..3).map(|n| i32::from(n == leader)).collect(),
        };
        command.try_into().unwrap()
    }

    /// Makes a pipeline on these members, in this order.
    pub(super) fn create_on(&self, id: PipelineId, leader: usize, order: &[usize]) {
        let command = self.command(id, leader);
        for member in order {
            let (member, command) = (self.members[*member].clone(), command.clone());
            self.run(move |_| async move {
                pipeline::boot::create(&member.lobby, &member.node, &command).await.unwrap();
            });
        }
    }

    /// Makes a pipeline and waits until all members have met.
    pub(super) fn create(&self, id: PipelineId, leader: usize) {
        self.create_on(id, leader, &[0, 1, 2]);
        let entry = self.members[leader].node.pipelines.get(id).unwrap();
        for _ in 0..100 {
            if entry.is_ready() {
                return;
            }
            self.sim().run_for(Duration::from_millis(50));
        }
        panic!("seed {}: the members do not meet", self.seed);
    }

    pub(super) fn is_open(&self, member: usize, id: PipelineId) -> bool {
        self.members[member].node.pipelines.get(id).is_some_and(|entry| entry.is_open())
    }

    /// The machine loses power.
    pub(super) fn crash(&mut self) {
        self.members.clear();
        if let Some(sim) = self.sim.take() {
            sim.kill();
        }
        self.disk.clear_faults();
        self.disk.crash(self.rng.below(u64::MAX));
        for store in self.stores.lock().unwrap().values() {
            store.crash(self.rng.below(store.unsynced() as u64 + 1) as usize);
        }
    }

    /// Lets a commit of one member fail, after some more good ones, and all that follow.
    pub(super) fn break_metadata(&self, member: usize, after: u64) {
        for (path, store) in self.stores.lock().unwrap().iter() {
            if folders(member).iter().any(|folder| path.starts_with(folder)) {
                store.fail_after(after);
            }
        }
    }

    /// What SCM would be told of a member's containers.
    pub(super) fn replicas(&self, member: usize) -> Vec<ReplicaFacts> {
        let node = self.members[member].node.clone();
        let mut all = self.sim().run(async move {
            let mut all = Vec::new();
            for n in 0..node.mesh.shards() {
                all.extend(node.mesh.ask(ShardId(n), ShardMessage::Replicas).await.unwrap());
            }
            all
        });
        all.sort_by_key(|one| one.container);
        all
    }

    /// What a member answers a reader.
    pub(super) fn ask(&self, member: usize, request: Request) -> Response {
        let node = self.members[member].node.clone();
        self.sim().run(crate::world::send(node, request))
    }

    /// A whole block as a member has it.
    pub(super) fn read(&self, member: usize, container: i64, local: i64, len: usize) -> Vec<u8> {
        let name = self.members[member].node.id.to_string();
        let response = self.ask(member, read_chunk(&name, id(container, local), 0, len as u64));
        let seed = self.seed;
        assert_eq!(
            ask::result(&response),
            DatanodeResult::Success,
            "seed {seed}: block {local} of container {container} on member {member}: {:?}",
            response.message.message
        );
        ask::data(&response)
    }

    pub(super) fn events(&self, member: usize) -> Vec<Event> {
        let mut events = self.members[member].events.lock().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }
}

impl Member {
    /// What a pipeline answers a command, as its leader would to a client on this shard.
    pub(super) async fn submit(&self, pipeline: PipelineId, call: Option<Call>, request: Request) -> Answer {
        let home = home_of(self.node.id, pipeline, self.node.mesh.shards());
        let ask = |reply| {
            let (replied, room, request) = (Vec::new(), None, Box::new(request));
            ShardMessage::Pipeline(Ask::Submit { pipeline, call, replied, request, room, reply })
        };
        self.node.mesh.ask(home, ask).await.unwrap()
    }
}

/// One writer: blocks of some chunks, each put once or as it grows, and what was acknowledged of them.
pub(super) struct Writer {
    pub(super) client: u8,
    pub(super) containers: i64,
    pub(super) blocks: u64,
}

/// A block that a writer has, with as many bytes as were acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    pub(super) container: i64,
    pub(super) local: i64,
    pub(super) bytes: Bytes,
}

impl Writer {
    /// Writes until done, or until the pipeline ends.
    pub(super) async fn write(self, leader: Arc<Member>, clock: Clock, rng: SimRng) -> Vec<Acknowledged> {
        let (node, mut acknowledged, mut calls) = (leader.node.id.to_string(), Vec::new(), 0);
        let mut call = || {
            calls += 1;
            Some(Call { client: RaftClientId([self.client; 16]), id: calls })
        };
        for n in 0..self.blocks {
            let local = i64::from(self.client) * 1000 + n as i64;
            let container = 1 + rng.below(self.containers as u64) as i64;
            let whole = bytes(local as u64, 1 + rng.below(100_000) as usize);
            let (mut chunks, mut at, mut under_way) = (Vec::new(), 0, Vec::new());
            while at < whole.len() {
                let len = (1 + rng.below(40_000) as usize).min(whole.len() - at);
                let part = whole.slice(at..at + len);
                let one = chunk(local, at as u64, &part);
                let write = write_chunk(&node, id(container, local), one.clone(), part);
                under_way.push(leader.submit(PIPELINE, call(), write));
                chunks.push(one);
                at += len;
                let ends = at == whole.len();
                if !ends && rng.chance(2, 3) {
                    continue;
                }
                let put = put_block(&node, id(container, local), chunks.clone(), ends);
                under_way.push(leader.submit(PIPELINE, call(), put));
                // All are under way at once, in this order.
                let answers = join_all(std::mem::take(&mut under_way)).await;
                if !done(&answers) {
                    return acknowledged;
                }
                acknowledged.retain(|one: &Acknowledged| one.local != local);
                let bytes = whole.slice(..at);
                acknowledged.push(Acknowledged { container, local, bytes });
            }
            clock.sleep(Duration::from_micros(rng.below(2000))).await;
        }
        acknowledged
    }
}

/// Whether all were carried out and went well.
fn done(answers: &[Answer]) -> bool {
    answers.iter().all(|answer| match answer {
        Answer::Done { response, .. } => {
            let response: ContainerCommandResponseProto = allotrope_proto::decode(response.clone()).unwrap();
            response.result == DatanodeResult::Success.number()
        }
        _ => false,
    })
}
