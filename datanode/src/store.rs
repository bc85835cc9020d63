//! What one shard holds of a datanode: the containers whose home it is, and the loop that starts every change to them.
//!
//! Shape   [`Store`] is `!Send` and stays on its shard; [`ShardMessage`] is what may cross to it; [`Node`] is what all
//!         shards of the datanode share.
//! Errors  an inbox that is full answers `Busy` at once.

use crate::block::Heat;
use crate::block::files::OpenFiles;
use crate::block::lists::{Lease, Lists};
use crate::commands::{self, CommandError, Request, Response};
use crate::container::delete_blocks::{self, Pending, Transaction};
use crate::container::{Container, Counters, delete, load::Found, seal};
use crate::metadata::Durability;
pub use crate::node::{Node, home_of};
use crate::scan::serve::{self as scanning, Scans};
use crate::seldom::Seldom;
use crate::volume::Volume;
use allotrope_io::{Class, Disk, Inbox, Reply, Shard};
use allotrope_proto::container::{BlockData, Type};
use allotrope_proto::edge::heartbeat::CommandStatus;
use allotrope_types::{ContainerId, DatanodeResult, LocalId, ReplicaIndex, ReplicaState};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// What reads are counted in, in bytes.
const READ_PAGE: usize = 4096;
/// Bytes of the checksum windows at the ends of a read, about.
const WINDOWS: usize = 32 << 10;
/// How long a shard that stops waits for a further command.
const DRAIN: Duration = Duration::from_secs(1);

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
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A replica is new, changed or gone.
    Replica(ReplicaFacts),
    /// A container should be closed: it is nearly full, or a read of it failed.
    CloseWanted(ContainerId),
    /// Much has changed at once: all replicas should be told.
    FullReport,
    /// A pipeline has become ready or has ended.
    Pipelines,
    /// A command of SCM's that took its time has ended.
    CommandEnded(CommandStatus),
}

/// An answer, and how long it may be given to others who ask the same.
pub struct Leased {
    pub(crate) response: Response,
    /// None: not at all.
    pub(crate) lease: Option<Lease>,
}

impl From<Response> for Leased {
    fn from(response: Response) -> Leased {
        Leased { response, lease: None }
    }
}

/// What may cross to a shard.
pub enum ShardMessage {
    /// A client's command.
    Command(Box<Request>, Reply<Response>),
    /// A client's read whose answer the asking shard would keep.
    Read(Box<Request>, Reply<Leased>),
    /// A command of a reconstruction: it is carried out behind those of clients.
    Repair(Box<Request>, Reply<Response>),
    /// What SCM is told of every container here.
    Replicas(Reply<Vec<ReplicaFacts>>),
    /// A container is on its way from here or to here.
    Copy(crate::replication::Ask),
    /// Something about a pipeline whose home the shard is.
    Pipeline(crate::pipeline::Ask),
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
    /// What is remembered of copies.
    pub(crate) copies: crate::replication::Copies,
    /// The pipelines whose home this is.
    pub(crate) pipelines: crate::pipeline::home::Homes,
    turn: Cell<u64>,
    lists: RefCell<Lists>,
    pub(crate) files: RefCell<OpenFiles>,
    pub(crate) heat: RefCell<Heat>,
    pub(crate) damage_said: Seldom,
    /// Half of the shard's buffers, in pages: what reads may hold, so that readers never keep writers from theirs.
    reading: Arc<Semaphore>,
    reading_max: usize,
    pub(crate) pending: RefCell<Pending>,
    scans: Scans,
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
            copies: Default::default(),
            pipelines: Default::default(),
            turn: Cell::new(0),
            lists: RefCell::default(),
            files: RefCell::default(),
            heat: RefCell::default(),
            pending: RefCell::default(),
            scans: Scans::default(),
            damage_said: Seldom::default(),
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
                // Begun here, before the next message is looked at: their order is kept.
                ShardMessage::Pipeline(ask) => {
                    crate::pipeline::home::answer(&store, ask);
                    continue;
                }
                ShardMessage::Command(request, reply) => self.shard.spawn("command", async move {
                    let _served = store.node.courtesy.serve(store.shard.clock());
                    reply.send(store.command(*request, Class::Foreground).await);
                }),
                ShardMessage::Read(request, reply) => self.shard.spawn("command", async move {
                    let _served = store.node.courtesy.serve(store.shard.clock());
                    // Taken first: a change that comes between is one that the answer may not have seen.
                    let lease =
                        commands::block_read(&request.message).and_then(|(of, local)| store.lease(of, local));
                    let response = store.command(*request, Class::Foreground).await;
                    reply.send(Leased { response, lease });
                }),
                ShardMessage::Repair(request, reply) => {
                    self.shard.spawn_in(Class::Replication, "repair", async move {
                        reply.send(store.command(*request, Class::Replication).await);
                    })
                }
                ShardMessage::Replicas(reply) => self.shard.spawn("report", async move {
                    reply.send(store.replicas());
                }),
                ShardMessage::Copy(ask) => crate::replication::answer(store, ask),
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
                    reply.send(store.adopt(found).await);
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

    /// Carries a command out in its class, and counts it.
    async fn command(self: &Rc<Store>, request: Request, class: Class) -> Response {
        let bytes = |bulk: &[allotrope_proto::Rope]| bulk.iter().map(|rope| rope.len()).sum::<usize>();
        let named = ContainerId::try_from(request.message.container_id).ok();
        let kind = request.message.cmd_type;
        // What comes apart from a PutBlock is its list.
        let received = if kind == i32::from(Type::PutBlock) { 0 } else { bytes(&request.bulk) };
        let began = self.shard.clock().now();
        let response = commands::carry_out(self, request, class).await;
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
        container.keep_room();
        self.witnessed.borrow_mut().insert(id);
        self.containers.borrow_mut().insert(id, container.clone());
        self.turn.set(self.turn.get() + 1);
        self.changed(&container);
    }

    /// Publishes a container that came from another datanode, and tells SCM.
    pub(crate) fn take_in(&self, container: Rc<Container>) {
        let id = container.id();
        container.volume().grew(container.facts().bytes_used as i64);
        self.witnessed.borrow_mut().insert(id);
        self.containers.borrow_mut().insert(id, container.clone());
        self.changed(&container);
    }

    /// Takes a deleted container off the table and tells SCM.
    pub fn forget(&self, container: &Container) {
        let id = container.id();
        self.containers.borrow_mut().remove(&id);
        self.close_files(id);
        self.lists.borrow_mut().forget(id);
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
    async fn adopt(&self, found: Vec<Found>) -> usize {
        let mut count = 0;
        for one in found {
            let id = one.file.id;
            if self.find(id).is_some() {
                tracing::error!(container = %id, left_out = %one.paths.dir().display(), "a container lies on two volumes");
                one.into_container().give_room_back();
                continue;
            }
            let container = Rc::new(one.into_container());
            delete_blocks::welcome(self, &container).await;
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
        self.lists.borrow().get(container, local)
    }

    /// The word that a block stays as readers see it now, if its chunk list is in memory.
    pub(crate) fn lease(&self, container: ContainerId, local: LocalId) -> Option<Lease> {
        self.lists.borrow().lease(container, local)
    }

    /// Lets go of what is kept of a block for its readers: its chunk list and its open file.
    pub fn uncache(&self, container: ContainerId, local: LocalId) {
        self.close_file(container, local);
        self.uncache_list(container, local);
    }

    /// Lets go of a block's chunk list.
    pub(crate) fn uncache_list(&self, container: ContainerId, local: LocalId) {
        self.lists.borrow_mut().let_go(container, local);
    }

    /// Keeps a block's chunk list in memory.
    pub fn cache(&self, container: ContainerId, local: LocalId, block: Rc<BlockData>) {
        self.lists.borrow_mut().keep(container, local, block);
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
