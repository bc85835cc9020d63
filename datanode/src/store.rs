//! What one shard holds of a datanode: the containers whose home it is, and the loop that starts every change to them.
//!
//! Shape   [`Store`] is `!Send` and stays on its shard; [`ShardMessage`] is what may cross to it; [`Node`] is what all
//!         shards of the datanode share.
//! Errors  an inbox that is full answers `Busy` at once.

use crate::block::files::OpenFiles;
use crate::commands::{self, CommandError, Request, Response};
use crate::config::Config;
use crate::container::delete_blocks::{self, Pending, Transaction};
use crate::container::{Container, Counters, delete, load::Found, seal};
use crate::metadata::{Durability, Metadata};
use crate::metrics::Metrics;
use crate::scan::serve::{self as scanning, Scans};
use crate::volume::Volume;
use allotrope_io::{Class, Disk, Inbox, Mesh, Reply, Shard, ShardId};
use allotrope_proto::container::{BlockData, Type};
use allotrope_types::{ContainerId, DatanodeId, DatanodeResult, LocalId, ReplicaIndex, ReplicaState};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// What reads are counted in, in bytes.
const READ_PAGE: usize = 4096;
/// Bytes of the checksum windows at the ends of a read, about.
const WINDOWS: usize = 32 << 10;
/// How long a shard that stops waits for a further command.
const DRAIN: Duration = Duration::from_secs(1);
/// Blocks whose chunk lists a shard keeps in memory for reads.
const BLOCKS_CACHED_MAX: usize = 1024;

/// What all shards of a datanode share.
pub struct Node {
    /// Its name.
    pub id: DatanodeId,
    /// Its settings.
    pub config: Config,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its volumes, those that failed among them. They change when the configuration is read again.
    pub(crate) volumes: RwLock<Arc<[Arc<Volume>]>>,
    /// Why the datanode cannot go on, once it cannot.
    pub fatal: watch::Sender<Option<String>>,
    /// The list of all containers it ever made.
    pub witnessed: Arc<dyn Metadata>,
    /// Where changes are told to the control thread.
    pub events: mpsc::Sender<Event>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// The way to each shard.
    pub mesh: Mesh<ShardMessage>,
}

impl Node {
    /// Its volumes now, those that failed among them.
    pub fn volumes(&self) -> Arc<[Arc<Volume>]> {
        self.volumes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_volumes(&self, volumes: Vec<Arc<Volume>>) {
        *self.volumes.write().unwrap_or_else(PoisonError::into_inner) = volumes.into();
    }

    /// Takes a volume out of use: its containers are not here any more, and SCM is told.
    pub async fn fail_volume(&self, volume: &Arc<Volume>, why: &str) {
        if !volume.set_failed(why) {
            return;
        }
        self.drop_containers(volume).await;
        let volumes = self.volumes();
        let failed = volumes.iter().filter(|one| one.is_failed()).count();
        let tolerated =
            self.config.check.volumes_failed_max.unwrap_or(usize::MAX).min(volumes.len().saturating_sub(1));
        if failed > tolerated {
            let why = format!("{failed} of {} volumes failed, the last one since {why}", volumes.len());
            self.fatal.send_replace(Some(why));
        }
    }

    /// Has every shard let go of the containers of a volume.
    pub(crate) async fn drop_containers(&self, volume: &Arc<Volume>) {
        for n in 0..self.mesh.shards() {
            let asked =
                self.mesh.ask(ShardId(n), |reply| ShardMessage::DropVolume { volume: volume.clone(), reply });
            match asked.await {
                Ok(count) => {
                    tracing::warn!(volume = %volume.version().volume, shard = n, count, "containers are gone with their volume")
                }
                Err(e) => tracing::error!(shard = n, error = %e, "a shard does not let go of a volume"),
            }
        }
        drop(self.events.try_send(Event::FullReport));
    }

    /// The shard that owns `container`.
    pub fn home_of(&self, container: ContainerId) -> ShardId {
        home_of(self.id, container, self.mesh.shards())
    }
}

/// The shard, of `shards`, that owns `container` on `datanode`. Several datanodes of one process spread differently.
pub fn home_of(datanode: DatanodeId, container: ContainerId, shards: usize) -> ShardId {
    let (most, least) = datanode.to_halves();
    // SplitMix64's finalizer: neighbouring ids, as SCM hands them out, go to different shards evenly.
    let mut x = container.as_u64() ^ (most ^ least) as u64;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ShardId(((x ^ (x >> 31)) % shards.max(1) as u64) as usize)
}

/// What SCM is told of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFacts {
    /// The container.
    pub container: ContainerId,
    /// Where the replica is in its life.
    pub state: ReplicaState,
    /// Its place in an erasure code.
    pub replica: Option<ReplicaIndex>,
    /// What it counts.
    pub counters: Counters,
    /// The datanode that made it, as text.
    pub origin_node: String,
}

/// A change that SCM should hear of soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A replica is new, changed or gone.
    Replica(ReplicaFacts),
    /// A container should be closed: it is nearly full, or a read of it failed.
    CloseWanted(ContainerId),
    /// Much has changed at once: all replicas should be told.
    FullReport,
}

/// What may cross to a shard.
pub enum ShardMessage {
    /// A client's command.
    Command(Box<Request>, Reply<Response>),
    /// What SCM is told of every container here.
    Replicas(Reply<Vec<ReplicaFacts>>),
    /// SCM wants a container closed.
    Close {
        /// Which.
        container: ContainerId,
        /// Whether it becomes CLOSED although its pipeline did not agree.
        force: bool,
        /// Whether it worked.
        reply: Reply<Result<(), CommandError>>,
    },
    /// SCM wants blocks deleted. Those transactions that are remembered are answered.
    DeleteBlocks {
        /// Of containers whose home this is.
        transactions: Vec<Transaction>,
        /// Numbers and containers of those that are remembered.
        reply: Reply<Vec<(i64, ContainerId)>>,
    },
    /// A volume is out of use: its containers are not here any more.
    DropVolume {
        /// Which.
        volume: Arc<Volume>,
        /// How many containers were let go.
        reply: Reply<usize>,
    },
    /// A volume has come: its containers are here from now on.
    Adopt {
        /// Those whose home this is.
        found: Vec<Found>,
        /// How many were taken.
        reply: Reply<usize>,
    },
    /// SCM wants a container deleted.
    Delete {
        /// Which.
        container: ContainerId,
        /// Whether it goes although it has blocks.
        force: bool,
        /// Only if it is this replica.
        replica: Option<ReplicaIndex>,
        /// Whether it worked.
        reply: Reply<Result<(), CommandError>>,
    },
}

const _: () = {
    const fn may_cross_cores<T: Send + 'static>() {}
    may_cross_cores::<ShardMessage>();
};

/// One shard's part of a datanode.
pub struct Store {
    shard: Shard,
    node: Arc<Node>,
    containers: RefCell<BTreeMap<ContainerId, Rc<Container>>>,
    witnessed: RefCell<BTreeSet<ContainerId>>,
    /// Held while a container is made: two writers that need the same one make it once.
    pub(crate) creating: Mutex<()>,
    turn: Cell<u64>,
    blocks: RefCell<BlockCache>,
    pub(crate) files: RefCell<OpenFiles>,
    /// Half of the shard's buffers, in pages: what reads may hold, so that readers never keep writers from theirs.
    reading: Arc<Semaphore>,
    reading_max: usize,
    pub(crate) pending: RefCell<Pending>,
    scans: Scans,
}

#[derive(Default)]
struct BlockCache {
    blocks: BTreeMap<(ContainerId, LocalId), Rc<BlockData>>,
    order: VecDeque<(ContainerId, LocalId)>,
}

impl Store {
    /// The part of `node` on `shard`, with the containers that were found and the ids that were ever here.
    pub fn new(
        shard: Shard,
        node: Arc<Node>,
        found: Vec<Found>,
        witnessed: BTreeSet<ContainerId>,
    ) -> Rc<Store> {
        let containers = found.into_iter().map(|one| (one.file.id, Rc::new(one.into_container()))).collect();
        let pages = shard.buffers().bytes_total().max(2 * READ_PAGE) / 2 / READ_PAGE;
        Rc::new(Store {
            reading: Arc::new(Semaphore::new(pages)),
            reading_max: pages,
            shard,
            node,
            containers: RefCell::new(containers),
            witnessed: RefCell::new(witnessed),
            creating: Mutex::new(()),
            turn: Cell::new(0),
            blocks: RefCell::default(),
            files: RefCell::default(),
            pending: RefCell::default(),
            scans: Scans::default(),
        })
    }

    /// Starts what arrives, until all senders are gone, or the shard stops and nothing has come for a while. Each message
    /// runs as a task of its own that ends whether or not the asker still waits.
    pub async fn serve(self: Rc<Store>, mut inbox: Inbox<ShardMessage>) {
        drop(self.shard.spawn("expiry", self.clone().expire()));
        drop(self.shard.spawn_in(Class::Scrub, "deletions", delete_blocks::serve(self.clone())));
        drop(self.shard.spawn_in(Class::Scrub, "scans", scanning::serve(self.clone())));
        loop {
            let next = match self.shard.is_stopping() {
                // Connections are being drained; what they have read is still carried out.
                true => self.shard.clock().timeout(DRAIN, inbox.next()).await.unwrap_or(None),
                false => match select(pin!(inbox.next()), pin!(self.shard.stopping())).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => continue,
                },
            };
            let Some(message) = next else { return };
            let store = self.clone();
            drop(match message {
                ShardMessage::Command(request, reply) => self.shard.spawn("command", async move {
                    reply.send(store.command(*request).await);
                }),
                ShardMessage::Replicas(reply) => self.shard.spawn("report", async move {
                    reply.send(store.replicas());
                }),
                ShardMessage::Close { container, force, reply } => self.shard.spawn("close", async move {
                    reply.send(store.close(container, force).await);
                }),
                ShardMessage::DeleteBlocks { transactions, reply } => {
                    self.shard.spawn("mark deletions", async move {
                        reply.send(delete_blocks::mark(&store, transactions).await);
                    })
                }
                ShardMessage::DropVolume { volume, reply } => self.shard.spawn("drop volume", async move {
                    reply.send(store.drop_volume(&volume));
                }),
                ShardMessage::Adopt { found, reply } => self.shard.spawn("adopt", async move {
                    reply.send(store.adopt(found));
                }),
                ShardMessage::Delete { container, force, replica, reply } => {
                    self.shard.spawn("delete", async move {
                        reply.send(store.delete(container, force, replica).await);
                    })
                }
            });
        }
    }

    /// Removes containers that were being rebuilt and that nobody writes to any more, until the shard stops.
    async fn expire(self: Rc<Store>) {
        let limit = self.node.config.recovering_idle;
        let every = (limit / 4).clamp(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            let sleep = pin!(self.shard.clock().sleep(every));
            if let Either::Right(_) = select(sleep, pin!(self.shard.stopping())).await {
                return;
            }
            let now = self.shard.clock().now();
            let recovering = |one: &&Rc<Container>| one.state() == ReplicaState::Recovering;
            let all: Vec<_> = self.containers.borrow().values().filter(recovering).cloned().collect();
            for container in all.into_iter().filter(|one| one.idle_for(now) >= limit) {
                tracing::warn!(container = %container.id(), idle = ?limit, "a rebuild has stalled; its container is removed");
                if let Err(e) = delete::delete(&self, &container, true).await {
                    tracing::error!(container = %container.id(), error = %e, "a stalled rebuild cannot be removed");
                }
            }
        }
    }

    /// Carries a client's command out, and counts it.
    async fn command(self: &Rc<Store>, request: Request) -> Response {
        let bytes = |bulk: &[allotrope_proto::Rope]| bulk.iter().map(|rope| rope.len()).sum::<usize>();
        let named = ContainerId::try_from(request.message.container_id).ok();
        let (kind, received) = (request.message.cmd_type, bytes(&request.bulk));
        let began = self.shard.clock().now();
        let response = commands::carry_out(self, request).await;
        let took = self.shard.clock().now().since(began);
        let (metrics, result) = (&self.node.metrics, response.message.result);
        metrics.command(kind, result, took, received, bytes(&response.bulk));
        if result == DatanodeResult::IoException.number()
            && let Some(container) = named.and_then(|id| self.find(id))
        {
            container.volume().ask_check();
        }
        let reads = [Type::ReadChunk, Type::ReadBlock, Type::GetSmallFile];
        let mismatch = result == DatanodeResult::ChecksumMismatch.number();
        let damaged = mismatch
            || result == DatanodeResult::IoException.number()
            || result == DatanodeResult::UnableToFindChunk.number();
        if damaged && reads.iter().any(|read| *read as i32 == kind) {
            if mismatch {
                metrics.checksum_mismatch();
            }
            if let Some(container) = named.and_then(|id| self.find(id)) {
                self.suspect(&container);
            }
        }
        response
    }

    /// What all shards share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The shard's disk.
    pub fn disk(&self) -> &Disk {
        self.shard.disk()
    }

    /// What an acknowledged change has behind it.
    pub fn durability(&self) -> Durability {
        self.node.config.durability
    }

    /// The container, if it is here.
    pub fn find(&self, id: ContainerId) -> Option<Rc<Container>> {
        self.containers.borrow().get(&id).cloned()
    }

    /// Refuses to make a container again that was here and is not any more.
    pub fn check_not_missing(&self, id: ContainerId) -> Result<(), CommandError> {
        if self.is_witnessed(id) && self.find(id).is_none() {
            let why = format!("container {id} was on this datanode and is gone; no write brings it back");
            return Err(CommandError::new(DatanodeResult::ContainerMissing, why));
        }
        Ok(())
    }

    /// Whether the container was ever here.
    pub fn is_witnessed(&self, id: ContainerId) -> bool {
        self.witnessed.borrow().contains(&id)
    }

    /// Publishes a container that was made.
    pub fn add(&self, container: Rc<Container>) {
        let id = container.id();
        container.volume().commit(container.room() as i64);
        self.witnessed.borrow_mut().insert(id);
        self.containers.borrow_mut().insert(id, container.clone());
        self.turn.set(self.turn.get() + 1);
        self.changed(&container);
    }

    /// Takes a deleted container off the table and tells SCM.
    pub fn forget(&self, container: &Container) {
        let id = container.id();
        self.containers.borrow_mut().remove(&id);
        self.close_files(id);
        let mut cache = self.blocks.borrow_mut();
        cache.blocks.retain(|(of, _), _| *of != id);
        cache.order.retain(|(of, _)| *of != id);
        drop(cache);
        let volume = container.volume();
        volume.grew(-(container.facts().bytes_used as i64));
        self.tell(Event::Replica(facts_of(container)));
    }

    /// All containers here.
    pub fn all(&self) -> Vec<Rc<Container>> {
        self.containers.borrow().values().cloned().collect()
    }

    pub(crate) fn scans(&self) -> &Scans {
        &self.scans
    }

    /// Lets go of the containers of a volume that is out of use. They stay witnessed: no write brings them back.
    fn drop_volume(&self, volume: &Arc<Volume>) -> usize {
        let gone: Vec<_> = self.all().into_iter().filter(|one| Arc::ptr_eq(one.volume(), volume)).collect();
        for container in &gone {
            let mut file = container.file();
            file.state = ReplicaState::Deleted;
            container.set_file(file);
            container.take_open();
            self.forget(container);
        }
        gone.len()
    }

    /// Takes in the containers of a volume that has come. One that is here already stays as it is.
    fn adopt(&self, found: Vec<Found>) -> usize {
        let mut count = 0;
        for one in found {
            let id = one.file.id;
            if self.find(id).is_some() {
                tracing::error!(container = %id, left_out = %one.paths.dir().display(), "a container lies on two volumes");
                continue;
            }
            let container = Rc::new(one.into_container());
            self.witnessed.borrow_mut().insert(id);
            self.containers.borrow_mut().insert(id, container.clone());
            self.changed(&container);
            count += 1;
        }
        count
    }

    /// Tells SCM that a container changed.
    pub fn changed(&self, container: &Container) {
        if container.state().is_reported() {
            self.tell(Event::Replica(facts_of(container)));
        }
    }

    /// Tells SCM that a container should be closed.
    pub fn wants_close(&self, container: ContainerId) {
        self.tell(Event::CloseWanted(container));
    }

    fn tell(&self, event: Event) {
        if self.node.events.try_send(event).is_err() {
            // The next full report says it all.
            tracing::debug!("the control thread has too many events waiting; one is left to the full report");
        }
    }

    /// How many containers this shard made: spreads them over the volumes.
    pub fn turn(&self) -> u64 {
        self.turn.get().wrapping_add(self.shard.id().0 as u64)
    }

    /// Room for a read of `len` bytes, and the windows at its ends, in what reads may hold.
    pub(crate) async fn room_to_read(&self, len: u64) -> Option<OwnedSemaphorePermit> {
        let len = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(WINDOWS);
        let pages = Store::pages_to_read(len).min(self.reading_max);
        self.reading.clone().acquire_many_owned(u32::try_from(pages).unwrap_or(u32::MAX)).await.ok()
    }

    /// What `len` bytes count in what reads may hold.
    pub(crate) fn pages_to_read(len: usize) -> usize {
        len.div_ceil(READ_PAGE)
    }

    /// A block's chunk list as readers see it, if it is in memory.
    pub fn cached(&self, container: ContainerId, local: LocalId) -> Option<Rc<BlockData>> {
        self.blocks.borrow().blocks.get(&(container, local)).cloned()
    }

    /// Lets go of what is kept of a block for its readers: its chunk list and its open file.
    pub fn uncache(&self, container: ContainerId, local: LocalId) {
        self.close_file(container, local);
        self.uncache_list(container, local);
    }

    /// Lets go of a block's chunk list.
    pub(crate) fn uncache_list(&self, container: ContainerId, local: LocalId) {
        let mut cache = self.blocks.borrow_mut();
        if cache.blocks.remove(&(container, local)).is_some() {
            cache.order.retain(|key| *key != (container, local));
        }
    }

    /// Keeps a block's chunk list in memory.
    pub fn cache(&self, container: ContainerId, local: LocalId, block: Rc<BlockData>) {
        let mut cache = self.blocks.borrow_mut();
        if cache.blocks.insert((container, local), block).is_none() {
            cache.order.push_back((container, local));
            if cache.order.len() > BLOCKS_CACHED_MAX
                && let Some(oldest) = cache.order.pop_front()
            {
                cache.blocks.remove(&oldest);
            }
        }
    }

    fn replicas(&self) -> Vec<ReplicaFacts> {
        let containers = self.containers.borrow();
        containers.values().filter(|one| one.state().is_reported()).map(|one| facts_of(one)).collect()
    }

    async fn close(self: &Rc<Store>, id: ContainerId, force: bool) -> Result<(), CommandError> {
        let container = self.find_or_refuse(id)?;
        seal::close(self, &container, !force).await
    }

    async fn delete(
        self: &Rc<Store>,
        id: ContainerId,
        force: bool,
        replica: Option<ReplicaIndex>,
    ) -> Result<(), CommandError> {
        let container = self.find_or_refuse(id)?;
        if replica.is_some() && container.replica() != replica {
            let why = format!("container {id} here is another replica than the one to be deleted");
            return Err(CommandError::new(DatanodeResult::ContainerNotFound, why));
        }
        delete::delete(self, &container, force).await
    }

    fn find_or_refuse(&self, id: ContainerId) -> Result<Rc<Container>, CommandError> {
        self.find(id).ok_or_else(|| {
            CommandError::new(
                DatanodeResult::ContainerNotFound,
                format!("container {id} is not on this datanode"),
            )
        })
    }
}

fn facts_of(container: &Container) -> ReplicaFacts {
    let file = container.file();
    ReplicaFacts {
        container: file.id,
        state: file.state,
        replica: file.replica,
        counters: container.facts(),
        origin_node: file.origin_node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_spread_evenly_and_stay_where_they_are() {
        let node: DatanodeId = "fc916013-b295-4015-b775-b132a520dc7e".parse().unwrap();
        let mut counts = [0; 7];
        for id in 1..=7000 {
            let home = home_of(node, ContainerId::new(id), 7);
            assert_eq!(home, home_of(node, ContainerId::new(id), 7));
            counts[home.0] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
