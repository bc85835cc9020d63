//! A datanode on one simulated thread: its shards, its disk, its metadata, and the crashes they meet.

use crate::ask;
use allotrope_datanode::boot::{BootError, Draw, Lobby};
use allotrope_datanode::commands::{Request, Response};
use allotrope_datanode::config::Config;
use allotrope_datanode::format::container_file::ContainerFile;
use allotrope_datanode::metadata::memory::MemoryMetadata;
use allotrope_datanode::metadata::{Batch, Durability, Family, Metadata};
use allotrope_datanode::store::{Event, Node, ReplicaFacts, ShardMessage};
use allotrope_datanode::volume::open::OpenMetadata;
use allotrope_io::{OpenHow, Shard, ShardId, Sim, SimConfig, SimDisk, SimRng};
use allotrope_proto::bulk::{SplitLimits, split_request, weave};
use allotrope_proto::container::DatanodeBlockId;
use allotrope_types::{ByteCount, ContainerId, DatanodeResult};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

pub(crate) const CLUSTER: &str = "CID-6d2f1b8e-3f0e-4f6e-8d2b-5f0f5f0f5f0f";

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: SimRng,
    pub(crate) disk: SimDisk,
    /// What the next start is told.
    pub(crate) config: Config,
    stores: Arc<Mutex<BTreeMap<PathBuf, MemoryMetadata>>>,
    shards: usize,
    /// How many ask for the volumes to be opened at once, as several SCMs do that answer together.
    pub(crate) openers: usize,
    up: Option<Up>,
}

struct Up {
    sim: Sim,
    node: Arc<Node>,
    lobby: Arc<Lobby>,
    events: RefCell<Option<mpsc::Receiver<Event>>>,
}

pub(crate) fn config() -> Config {
    let mut config = Config::new(vec!["/disk1".into()], "/meta".into(), Vec::new());
    config.container_size = ByteCount::mib(256);
    (config.free_min_soft, config.free_min_hard) = (ByteCount::mib(1), ByteCount::mib(1));
    config
}

impl World {
    pub(crate) fn seeded(seed: u64) -> World {
        World {
            seed,
            rng: SimRng::seeded(seed),
            disk: SimDisk::new(4 << 30),
            config: config(),
            stores: Arc::default(),
            shards: 1 + (seed % 3) as usize,
            openers: 1,
            up: None,
        }
    }

    /// Starts the datanode on what the last one left.
    pub(crate) fn boot(&mut self) {
        self.try_boot().unwrap_or_else(|e| panic!("seed {}: {e}", self.seed));
    }

    pub(crate) fn try_boot(&mut self) -> Result<(), BootError> {
        let seed = self.rng.below(u64::MAX);
        let sim = Sim::with_disk(SimConfig::seeded(seed, self.shards), self.disk.clone());
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
        let (shards, config, openers) = (sim.shards(), self.config.clone(), self.openers);
        let opened = sim.run(async move {
            let pool = shards.clone();
            let opening = shards.run_on(ShardId(0), "boot", move |shard| async move {
                let (lobby, events) = Lobby::enter(&shard, pool, config, open, draw, "test").await?;
                let opening = (0..openers).map(|_| lobby.open(&shard, CLUSTER));
                let (opened, refused): (Vec<_>, Vec<_>) =
                    futures_util::future::join_all(opening).await.into_iter().partition(Result::is_ok);
                assert!(opened.len() <= 1, "the volumes are opened once");
                let node = opened.into_iter().chain(refused).next().expect("one asked")?;
                Ok::<_, BootError>((lobby, node, events))
            });
            opening.unwrap().await.unwrap()
        });
        let (lobby, node, events) = opened?;
        self.up = Some(Up { sim, node, lobby, events: RefCell::new(Some(events)) });
        Ok(())
    }

    fn up(&self) -> &Up {
        self.up.as_ref().expect("the datanode runs")
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.up().sim
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        self.up().node.clone()
    }

    pub(crate) fn name(&self) -> String {
        self.up().node.id.to_string()
    }

    /// Lets a commit fail, after some more good ones, and all that follow it until the crash.
    pub(crate) fn break_metadata(&self, after: u64) {
        let stores = self.stores.lock().unwrap();
        if let Some(store) = stores.values().nth(self.rng.below(stores.len() as u64) as usize) {
            store.fail_after(after);
        }
    }

    /// Bytes of keys and values that were written into all metadata so far.
    pub(crate) fn metadata_bytes(&self) -> u64 {
        self.stores.lock().unwrap().values().map(MemoryMetadata::bytes_committed).sum()
    }

    pub(crate) fn lobby(&self) -> Arc<Lobby> {
        self.up().lobby.clone()
    }

    /// What SCM would be told of every container.
    pub(crate) fn replicas(&self) -> Vec<ReplicaFacts> {
        let node = self.node();
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

    fn events(&self) -> Vec<Event> {
        let mut events = self.up().events.borrow_mut();
        std::iter::from_fn(|| events.as_mut()?.try_recv().ok()).collect()
    }

    /// Where changes are told; `told` says nothing from then on.
    pub(crate) fn take_events(&self) -> mpsc::Receiver<Event> {
        self.up().events.borrow_mut().take().expect("they were not taken before")
    }

    /// The replicas SCM was told of since this was asked last.
    pub(crate) fn told(&self) -> Vec<ReplicaFacts> {
        let facts = |event| match event {
            Event::Replica(facts) => Some(facts),
            _ => None,
        };
        self.events().into_iter().filter_map(facts).collect()
    }

    /// The containers SCM was asked to close since this was asked last.
    pub(crate) fn close_wanted(&self) -> Vec<ContainerId> {
        let wanted = |event| match event {
            Event::CloseWanted(container) => Some(container),
            _ => None,
        };
        self.events().into_iter().filter_map(wanted).collect()
    }

    /// Does something on the first shard.
    pub(crate) fn on_shard<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        work: impl FnOnce(Shard) -> F + Send + 'static,
    ) -> T {
        let shards = self.sim().shards();
        self.sim().run(async move { shards.run_on(ShardId(0), "test", work).unwrap().await.unwrap() })
    }

    /// Removes a file past the datanode.
    pub(crate) fn remove(&self, path: &Path) {
        let path = path.to_owned();
        self.on_shard(move |shard| async move { shard.disk().remove(path).await.unwrap() });
    }

    /// Cuts a file short past the datanode.
    pub(crate) fn truncate(&self, path: &Path, len: u64) {
        let path = path.to_owned();
        self.on_shard(move |shard| async move {
            let file = shard.disk().open(path, OpenHow::write()).await.unwrap();
            file.truncate(len).await.unwrap();
        });
    }

    /// All keys and values of one family of the volume's metadata.
    pub(crate) fn metadata(&self, family: Family) -> Vec<(bytes::Bytes, bytes::Bytes)> {
        let metadata = self.node().volumes()[0].metadata().clone();
        let scan = metadata.scan(family, vec![0], vec![0xff], usize::MAX);
        self.sim().run(async move { scan.await.unwrap() })
    }

    /// What a client is answered.
    pub(crate) fn ask(&self, request: Request) -> Response {
        let node = self.node();
        self.sim().run(send(node, request))
    }

    /// What a client is answered, where all must be well.
    pub(crate) fn expect(&self, request: Request) -> Response {
        let response = self.ask(request);
        assert_eq!(
            ask::result(&response),
            DatanodeResult::Success,
            "seed {}: {:?}",
            self.seed,
            response.message.message
        );
        response
    }

    pub(crate) fn refused(&self, request: Request) -> DatanodeResult {
        ask::result(&self.ask(request))
    }

    /// Writes and puts a block of one chunk.
    pub(crate) fn put(&self, container: i64, local: i64, data: &bytes::Bytes) {
        let (node, id, chunk) = (self.name(), ask::id(container, local), ask::chunk(local, 0, data));
        self.expect(ask::write_chunk(&node, id, chunk.clone(), data.clone()));
        self.expect(ask::put_block(&node, id, vec![chunk], true));
    }

    pub(crate) fn read(&self, container: i64, local: i64, offset: u64, len: u64) -> Vec<u8> {
        ask::data(&self.expect(ask::read_chunk(&self.name(), ask::id(container, local), offset, len)))
    }

    /// Bytes of a block that names its replica.
    pub(crate) fn read_ec(&self, block: DatanodeBlockId, offset: u64, len: u64) -> Vec<u8> {
        ask::data(&self.expect(ask::read_chunk(&self.name(), block, offset, len)))
    }

    /// Writes an entry of the volume's metadata past the datanode.
    pub(crate) fn set_metadata(&self, family: Family, key: &[u8], value: bytes::Bytes) {
        let mut batch = Batch::new();
        batch.put(family, key, value);
        let commit = self.node().volumes()[0].metadata().commit(batch, Durability::Disk);
        self.sim().run(async move { commit.await.unwrap() });
    }

    /// Does something with the disk past the datanode.
    pub(crate) fn on_disk<F: Future<Output = ()> + 'static>(
        &self,
        act: impl FnOnce(allotrope_io::Disk) -> F + Send + 'static,
    ) {
        let acting = self.sim().shards().run_on(ShardId(0), "test", |shard| act(shard.disk().clone()));
        self.sim().run(async move { acting.unwrap().await.unwrap() });
    }

    /// Changes a container's file past the datanode.
    pub(crate) fn rewrite_container_file(&self, container: i64, change: impl FnOnce(&mut ContainerFile)) {
        let id = ContainerId::new(container as u64);
        let paths =
            self.node().volumes().iter().map(|volume| volume.paths().container(id)).collect::<Vec<_>>();
        let path =
            paths.iter().map(|paths| paths.container_file()).find(|path| self.disk.contents(path).is_some());
        let path = path.unwrap();
        let text = String::from_utf8(self.disk.contents(&path).unwrap()).unwrap();
        let mut file = ContainerFile::decode(&text).unwrap();
        change(&mut file);
        self.on_disk(move |disk| async move { disk.replace(path, file.encode().as_bytes()).await.unwrap() });
    }

    /// The machine loses power: what was not stable is lost in part or whole, as the seed decides.
    pub(crate) fn crash(&mut self) {
        if let Some(up) = self.up.take() {
            up.sim.kill();
        }
        self.disk.crash(self.rng.below(u64::MAX));
        for store in self.stores.lock().unwrap().values() {
            store.crash(self.rng.below(store.unsynced() as u64 + 1) as usize);
        }
    }

    /// The process dies and the machine lives: nothing that was written is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(up) = self.up.take() {
            up.sim.kill();
        }
    }
}

pub(crate) async fn send(node: Arc<Node>, request: Request) -> Response {
    // As a connection reads it; what none would take is a case of its own.
    let request = split_request(weave(request.clone()), SplitLimits::default()).unwrap_or(request);
    let container = ContainerId::try_from(request.message.container_id).unwrap_or(ContainerId::new(0));
    let home = node.home_of(container);
    node.mesh
        .ask(home, |reply| ShardMessage::Command(Box::new(request), reply))
        .await
        .expect("the home shard answers")
}
