//! A rebuild of lost replicas on simulated datanodes, cut off, broken or starved at a moment the seed chooses.
//!
//! Law     whatever happens, a replica that is CLOSED afterwards, or CLOSING, which SCM has closed, has the bytes of the lost
//!         one, no source has lost anything, no room stays reserved, and the rebuild that is asked for again in peace makes
//!         all that is missing.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode rebuild_seeds`; a longer
//! search takes `ALLOTROPE_SEEDS=FROM..TO` in place of each test's own.

use crate::ask::{self, *};
use crate::faults::seeds;
use crate::replication::rebuild::{CONTAINER, coded, put_cells, replica_id};
use crate::world::{CLUSTER, config, send};
use allotrope_datanode::boot::{Draw, Lobby};
use allotrope_datanode::commands::{CommandError, Request, Response};
use allotrope_datanode::metadata::{Metadata, memory::MemoryMetadata};
use allotrope_datanode::replication::rebuild::{self, Rebuild, Replica};
use allotrope_datanode::replication::{Peer, server as copies};
use allotrope_datanode::server;
use allotrope_datanode::store::Node;
use allotrope_datanode::volume::open::OpenMetadata;
use allotrope_ec::Layout;
use allotrope_io::{Act, ShardId, Sim, SimConfig, SimDisk, SimFault, SimRng, TaskHandle};
use allotrope_proto::container::{ChunkInfo, container_data_proto::State};
use allotrope_types::{ByteCount, ContainerId, DatanodeResult, EcConfig, ReplicaIndex};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The replicas of rs-3-2, and two datanodes that have none.
const NODES: usize = 7;
/// Those that are lost: by index, and the datanode that takes the new one.
const LOST: [(usize, usize); 2] = [(1, 5), (5, 6)];
/// Longest time that a rebuild may take, whatever happens: an answer is waited for that long, again and again.
const PATIENCE: Duration = Duration::from_secs(3600);

type Stores = Arc<Mutex<BTreeMap<PathBuf, MemoryMetadata>>>;

/// Datanodes on one disk, each with a folder of its own.
struct Group {
    seed: u64,
    rng: SimRng,
    disk: SimDisk,
    stores: Stores,
    layout: Layout,
    /// The chunks of every replica, by block.
    blocks: BTreeMap<i64, Vec<Vec<(ChunkInfo, Bytes)>>>,
    up: Option<Up>,
}

/// Where a datanode serves clients, and where others.
#[derive(Clone, Copy)]
struct Served {
    clients: SocketAddr,
    copies: SocketAddr,
}

struct Up {
    sim: Sim,
    nodes: Vec<(Arc<Node>, Served)>,
}

impl Group {
    /// A closed container of a few groups, all its replicas there.
    fn seeded(seed: u64) -> Group {
        let layout = Layout::new("rs-3-2-64k".parse().unwrap());
        let (rng, disk) = (SimRng::seeded(seed), SimDisk::new(4 << 30));
        let (stores, blocks) = (Stores::default(), BTreeMap::new());
        let mut group = Group { seed, rng, disk, stores, layout, blocks, up: None };
        group.boot();
        for local in 1..=3 {
            let len = 1 + group.rng.below(500_000) as usize;
            group.write(local, bytes(seed * 10 + local as u64, len));
        }
        for node in 0..5 {
            group.expect(node, close_container(&group.name(node), CONTAINER));
        }
        group
    }

    /// Starts all datanodes on what they left.
    fn boot(&mut self) {
        let sim = Sim::with_disk(SimConfig::seeded(self.rng.below(u64::MAX), 1), self.disk.clone());
        let mut nodes = Vec::new();
        for n in 0..NODES {
            let stores = self.stores.clone();
            let open: OpenMetadata = Arc::new(move |path, _| {
                let store = stores.lock().unwrap().entry(path.to_owned()).or_default().clone();
                Ok(Arc::new(store) as Arc<dyn Metadata>)
            });
            let chance = self.rng.clone();
            let draw: Draw = Arc::new(move || {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&chance.below(u64::MAX).to_be_bytes());
                bytes[8..].copy_from_slice(&chance.below(u64::MAX).to_be_bytes());
                bytes
            });
            let mut config = config();
            config.volumes = vec![format!("/n{n}/disk1").into()];
            config.metadata_dir = format!("/n{n}/meta").into();
            config.recovering_idle = Duration::from_secs(1200);
            let (shards, pool) = (sim.shards(), sim.shards());
            let opened = sim.run(async move {
                let opening =
                    shards.run_on(ShardId(0), "boot", move |shard| async move {
                        let (lobby, _) =
                            Lobby::enter(&shard, pool, config, open, draw, "test").await.unwrap();
                        let node = lobby.open(&shard, CLUSTER).await.unwrap();
                        let listen = || shard.listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
                        let (clients, others) = (listen(), listen());
                        let served = Served { clients: clients.local_addr(), copies: others.local_addr() };
                        let (task, door) = (shard.clone(), lobby.door.clone());
                        drop(shard.spawn("accept", async move {
                            server::serve(task, clients, door, 4 << 20).await
                        }));
                        let (task, door) = (shard.clone(), lobby.door.clone());
                        drop(shard.spawn("copies", async move { copies::serve(task, others, door).await }));
                        (node, served)
                    });
                opening.unwrap().await.unwrap()
            });
            nodes.push(opened);
        }
        self.up = Some(Up { sim, nodes });
    }

    fn up(&self) -> &Up {
        self.up.as_ref().expect("the datanodes run")
    }

    /// All lose power at once.
    fn crash(&mut self) {
        if let Some(up) = self.up.take() {
            up.sim.kill();
        }
        self.disk.crash(self.rng.below(u64::MAX));
        for store in self.stores.lock().unwrap().values() {
            store.crash(self.rng.below(store.unsynced() as u64 + 1) as usize);
        }
    }

    fn name(&self, node: usize) -> String {
        self.up().nodes[node].0.id.to_string()
    }

    fn ask(&self, node: usize, request: Request) -> Response {
        self.up().sim.run(send(self.up().nodes[node].0.clone(), request))
    }

    fn expect(&self, node: usize, request: Request) -> Response {
        let response = self.ask(node, request);
        assert_eq!(ask::result(&response), DatanodeResult::Success, "seed {}: {response:?}", self.seed);
        response
    }

    fn write(&mut self, local: i64, group: Bytes) {
        let cells = coded(self.layout, local, &group);
        for (cell, chunks) in cells.iter().enumerate() {
            let (name, block) = (self.name(cell), replica_id(local, cell + 1));
            for (one, bytes) in chunks {
                self.expect(cell, write_chunk(&name, block, one.clone(), bytes.clone()));
            }
            let chunks = chunks.iter().map(|(one, _)| one.clone()).collect();
            self.expect(cell, put_cells(&name, block, chunks, group.len()));
        }
        self.blocks.insert(local, cells);
    }

    fn state(&self, node: usize) -> Option<State> {
        let answer = self.ask(node, read_container(&self.name(node), CONTAINER));
        match ask::result(&answer) {
            DatanodeResult::ContainerNotFound => None,
            _ => Some(answer.message.read_container.unwrap().container_data.unwrap().state()),
        }
    }

    fn replica(&self, index: usize, node: usize) -> Replica {
        let (held, served) = &self.up().nodes[node];
        let peer = Peer { id: held.id, address: served.clients };
        // By our own calls, over gRPC, and over gRPC since nobody greets back, by seed.
        let calls = [Some(served.copies), None, Some(served.clients)][self.seed as usize % 3];
        Replica { index: ReplicaIndex::from_wire(index as i32).unwrap().unwrap(), peer, calls }
    }

    /// Begins a rebuild of these on the first of them, from all that are not lost.
    fn begin(&self, lost: &[(usize, usize)]) -> TaskHandle<Result<(), CommandError>> {
        let config: EcConfig = "rs-3-2-64k".parse().unwrap();
        let rebuild = Rebuild {
            container: ContainerId::new(CONTAINER as u64),
            config,
            sources: [2, 3, 4].map(|index| self.replica(index, index - 1)).into(),
            targets: lost.iter().map(|(index, node)| self.replica(*index, *node)).collect(),
        };
        let node = self.up().nodes[lost[0].1].0.clone();
        let started = self.up().sim.shards().run_on(ShardId(0), "rebuild", move |shard| async move {
            rebuild::run(&shard, &node, rebuild).await
        });
        started.unwrap()
    }

    /// How the rebuild ended, if it did within `time`.
    fn within(
        &self,
        task: TaskHandle<Result<(), CommandError>>,
        time: Duration,
    ) -> Option<Result<(), CommandError>> {
        let clock = self.up().sim.clock();
        self.up().sim.run(async move {
            let end = clock.sleep(time);
            match futures_util::future::select(std::pin::pin!(task), std::pin::pin!(end)).await {
                futures_util::future::Either::Left((done, _)) => Some(done.unwrap()),
                futures_util::future::Either::Right(_) => None,
            }
        })
    }

    /// Every block of a replica, against what was written.
    fn check(&self, index: usize, node: usize) {
        for (local, cells) in &self.blocks {
            let (name, block) = (self.name(node), replica_id(*local, index));
            let listed = self.expect(node, get_block(&name, block)).message.get_block.unwrap().block_data;
            let wanted = &cells[index - 1];
            let lists = (listed.chunks.len(), wanted.len());
            assert_eq!(lists.0, lists.1, "seed {}: replica {index}, block {local}", self.seed);
            for (one, bytes) in wanted {
                let read = ask::data(&self.expect(node, read_chunk(&name, block, one.offset, one.len)));
                assert!(read == *bytes, "seed {}: replica {index}, block {local}", self.seed);
            }
        }
    }

    /// The law: what is closed is whole, the sources are, and what is missing can be made.
    fn holds(&self) -> usize {
        for source in [2, 3, 4] {
            self.check(source, source - 1);
        }
        let mut missing = Vec::new();
        for (index, node) in LOST {
            // Its closing was begun, so all is on it: SCM, whose container is closed, has it done.
            if self.state(node) == Some(State::Closing) {
                self.expect(node, close_container(&self.name(node), CONTAINER));
            }
            match self.state(node) {
                Some(State::Closed) => self.check(index, node),
                _ => missing.push((index, node)),
            }
        }
        let made = LOST.len() - missing.len();
        // What was begun expires, or was removed.
        self.up().sim.run_for(Duration::from_secs(3600));
        for (index, node) in &missing {
            let seed = self.seed;
            assert_eq!(self.state(*node), None, "seed {seed}: of replica {index} something is left");
        }
        for (node, (held, _)) in self.up().nodes.iter().enumerate() {
            let committed = held.volumes()[0].space().committed;
            assert_eq!(committed, 0, "seed {}: room stays reserved on datanode {node}", self.seed);
        }
        if !missing.is_empty() {
            let done = self.within(self.begin(&missing), PATIENCE);
            assert!(matches!(done, Some(Ok(()))), "seed {}: {done:?}", self.seed);
        }
        LOST.iter().for_each(|(index, node)| self.check(*index, *node));
        made
    }
}

/// Whether seeds were asked for, which are not held against what the test's own come to.
fn asked() -> bool {
    ["ALLOTROPE_SEED", "ALLOTROPE_SEEDS"].iter().any(|name| std::env::var(name).is_ok())
}

/// Some time up to a few times that of a rebuild, short ones as often as long ones.
fn a_while(rng: &SimRng) -> Duration {
    Duration::from_micros(rng.below(1 << (9 + rng.below(7))))
}

#[test]
fn a_rebuild_is_whole_or_not_there_wherever_the_power_fails() {
    let mut cut = 0;
    for seed in seeds(60) {
        let mut group = Group::seeded(seed);
        let life = a_while(&group.rng);
        let ended = group.within(group.begin(&LOST), life);
        group.crash();
        group.boot();
        if let Some(done) = ended {
            assert!(done.is_ok(), "seed {seed}: {done:?}");
            for (index, node) in LOST {
                assert_eq!(group.state(node), Some(State::Closed), "seed {seed}: replica {index} is gone");
            }
        }
        cut += usize::from(group.holds() < LOST.len());
    }
    assert!(cut > 5 || asked(), "only {cut} rebuilds were cut");
}

#[test]
fn a_disk_that_fails_or_is_full_under_a_rebuild_leaves_nothing_half_made() {
    let mut failed = 0;
    for seed in seeds(90) {
        let mut group = Group::seeded(seed + 1000);
        const ACTS: [Act; 7] =
            [Act::Open, Act::Read, Act::Write, Act::Write, Act::Sync, Act::Rename, Act::CreateDir];
        let act = ACTS[group.rng.below(ACTS.len() as u64) as usize];
        let fault = match group.rng.below(4) {
            0 | 1 => SimFault::Error,
            2 => SimFault::NoSpace,
            _ => SimFault::Delay(Duration::from_secs(30)),
        };
        // A source, or a target.
        let node = [1, 2, 3, 5, 6, 6][group.rng.below(6) as usize];
        let after = group.rng.below(1 << group.rng.below(5));
        group.disk.fault(act, format!("/n{node}/disk1"), after, fault);
        let done = group.within(group.begin(&LOST), PATIENCE);
        group.disk.clear_faults();
        let done = done.unwrap_or_else(|| panic!("seed {seed}: it never ends"));
        failed += usize::from(done.is_err());
        if done.is_ok() {
            assert_eq!(group.holds(), LOST.len(), "seed {seed}");
            continue;
        }
        // A flush that failed makes its volume suspect; after a restart it is judged anew.
        group.crash();
        group.boot();
        group.holds();
    }
    assert!(failed > 10 || asked(), "only {failed} rebuilds met their fault");
}

#[test]
fn a_datanode_that_is_cut_off_from_a_rebuild_costs_no_byte() {
    let mut failed = 0;
    for seed in seeds(60) {
        let group = Group::seeded(seed + 2000);
        let life = a_while(&group.rng);
        let node = [1, 2, 3, 6][group.rng.below(4) as usize];
        let (served, network) = (group.up().nodes[node].1, group.up().sim.network());
        let addresses = [served.clients, served.copies];
        let task = group.begin(&LOST);
        let clock = group.up().sim.clock();
        group.up().sim.run(async move { clock.sleep(life).await });
        let stalls = group.rng.chance(1, 2);
        match stalls {
            true => addresses.iter().for_each(|address| network.stall(*address)),
            false => addresses.iter().for_each(|address| network.reset(*address)),
        }
        let done = group.within(task, PATIENCE);
        if stalls {
            addresses.iter().for_each(|address| network.release(*address));
        }
        let done = done.unwrap_or_else(|| panic!("seed {seed}: it never ends"));
        failed += usize::from(done.is_err());
        let made = group.holds();
        assert!(done.is_err() || made == LOST.len(), "seed {seed}: {made} are made");
    }
    assert!(failed > 5 || asked(), "only {failed} rebuilds were cut off");
}

#[test]
fn a_rebuild_goes_at_full_speed_until_clients_use_one_of_its_datanodes() {
    let took = |client: bool| {
        let group = Group::seeded(3000);
        let (node, clock) = (group.up().nodes[2].0.clone(), group.up().sim.clock());
        node.courtesy.set(ByteCount::new(20_000));
        let request = read_chunk(&group.name(2), replica_id(1, 3), 0, 1);
        if client {
            let reading = group.up().sim.shards().run_on(ShardId(0), "client", move |shard| async move {
                loop {
                    send(node.clone(), request.clone()).await;
                    shard.clock().sleep(Duration::from_millis(10)).await;
                }
            });
            drop::<TaskHandle<()>>(reading.unwrap());
        }
        let began = clock.now();
        let done = group.within(group.begin(&LOST), PATIENCE);
        assert!(matches!(done, Some(Ok(()))), "{done:?}");
        let took = clock.now().since(began);
        LOST.iter().for_each(|(index, node)| group.check(*index, *node));
        took
    };
    let (alone, beside) = (took(false), took(true));
    assert!(beside > Duration::from_secs(3), "the limit is not kept: {beside:?}");
    assert!(alone < beside / 10, "nobody is there, and it took {alone:?} of {beside:?}");
}
