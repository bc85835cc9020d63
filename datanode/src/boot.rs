//! From folders to a datanode that serves: locks, volumes, containers, and the shards' stores.
//!
//! Shape   [`Lobby`] is what exists before the volumes are open; [`Lobby::open`] opens them and lets commands in.
//! Errors  [`BootError`]; a volume that fails is left out as long as one is left.

use crate::commands::CommandError;
use crate::config::Config;
use crate::container::load::{self, Found};
use crate::format::datanode_id::DatanodeIdFile;
use crate::format::layout::VolumePaths;
use crate::identity::{self, IdentityError};
use crate::metadata::{Batch, Durability, Family, MetadataError};
use crate::metrics::Metrics;
use crate::pipeline::{self, Pipelines};
use crate::replication::Courtesy;
use crate::replication::stream::Budget;
use crate::replication::supervisor::Supervisor;
use crate::server::Door;
use crate::store::{Event, Node, ShardMessage, Store};
use crate::volume::open::OpenMetadata;
use crate::volume::{Kept, Volume, VolumeError, check, open};
use allotrope_io::{AskError, Inbox, Mesh, Shard, ShardId, Shards, SharedFile};
use allotrope_proto::container::ContainerCreateInfo;
use allotrope_types::{ContainerId, DatanodeId, ReplicaState};
use futures_util::future::{Either, select};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Messages that may wait at one shard.
const INBOX: usize = 1024;
/// Changes that may wait for the control thread.
const EVENTS_MAX: usize = 65_536;
/// How often the file systems are asked for their space.
const SPACE_EVERY: Duration = Duration::from_secs(60);

/// Draws 16 random bytes: the process's own chance, or a test's seed.
pub type Draw = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// Why the datanode does not open.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// It does not know who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A folder is locked, or no volume is left.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// None of the volumes can be used.
    #[error("none of the {count} volumes can be used; each one's reason is logged above")]
    NoVolume {
        /// How many are configured.
        count: usize,
    },
    /// The list of all containers cannot be read.
    #[error("the list of this datanode's containers cannot be used")]
    Witnessed(#[from] MetadataError),
    /// The ends of pipelines cannot be written.
    #[error("what is kept of this datanode's pipelines cannot be used: {0}")]
    Pipelines(String),
    /// A volume's containers cannot be listed.
    #[error("the containers of {path} cannot be listed: {why}")]
    Load {
        /// The volume's folder.
        path: PathBuf,
        /// What failed.
        why: String,
    },
    /// It is not open yet.
    #[error("the volumes are not open yet: SCM has not told which cluster this is")]
    Closed,
    /// A shard is gone.
    #[error("a shard took no task: {0}")]
    Shard(#[from] AskError),
    /// It was opened before.
    #[error("the datanode is open already, in cluster {0}")]
    Open(String),
}

/// A datanode before its volumes are open.
pub struct Lobby {
    /// Its settings.
    pub config: Config,
    /// The shards it runs on.
    pub shards: Shards,
    /// Its name, ports and operational state.
    pub identity: Mutex<DatanodeIdFile>,
    /// Where connections look for the open datanode.
    pub door: Door,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Why it cannot go on, once it cannot.
    pub fatal: watch::Sender<Option<String>>,
    /// How many SCMs know it now.
    pub scms_registered: AtomicUsize,
    /// The next volume's number.
    indexes: AtomicUsize,
    mesh: Mesh<ShardMessage>,
    inboxes: Mutex<Option<Vec<Inbox<ShardMessage>>>>,
    events: mpsc::Sender<Event>,
    open_metadata: OpenMetadata,
    draw: Draw,
    /// By the folder they lock; held while it is in use.
    locks: Mutex<BTreeMap<PathBuf, SharedFile>>,
    holder: String,
    /// Held by whoever opens the volumes.
    opening: tokio::sync::Mutex<()>,
}

impl Lobby {
    /// Locks the folders and learns who the datanode is. Runs on one shard. The receiver is the control thread's.
    pub async fn enter(
        shard: &Shard,
        shards: Shards,
        config: Config,
        open_metadata: OpenMetadata,
        draw: Draw,
        holder: &str,
    ) -> Result<(Arc<Lobby>, mpsc::Receiver<Event>), BootError> {
        let disk = shard.disk();
        let mut locks = BTreeMap::new();
        let lock = open::lock(disk, &config.metadata_dir.join("in_use.lock"), holder).await?;
        locks.insert(config.metadata_dir.clone(), lock.shared());
        for root in &config.volumes {
            open::check_path(root)?;
            let lock = open::lock(disk, &VolumePaths::lock(root), holder).await?;
            locks.insert(root.clone(), lock.shared());
        }
        let file = identity::load(disk, &config, draw()).await?;
        let chosen = [
            ("io_back", shards.back().to_string()),
            ("ec_kernel", allotrope_ec::KERNEL_NAME.to_owned()),
            ("crc_kernel", allotrope_proto::checksum::crc_kernel()),
        ];
        let metrics = Arc::new(Metrics::new(&chosen));
        let (mesh, inboxes) = Mesh::new(shards.count(), INBOX);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let lobby = Lobby {
            config,
            shards,
            identity: Mutex::new(file),
            door: Arc::new(OnceLock::new()),
            metrics,
            fatal: watch::Sender::new(None),
            scms_registered: AtomicUsize::new(0),
            indexes: AtomicUsize::new(0),
            mesh,
            inboxes: Mutex::new(Some(inboxes)),
            events,
            open_metadata,
            draw,
            locks: Mutex::new(locks),
            holder: holder.to_owned(),
            opening: tokio::sync::Mutex::default(),
        };
        Ok((Arc::new(lobby), receiver))
    }

    /// 16 bytes of chance.
    pub fn random(&self) -> [u8; 16] {
        (self.draw)()
    }

    /// Its name.
    pub fn id(&self) -> DatanodeId {
        self.identity().id
    }

    /// Its name, ports and operational state.
    pub fn identity(&self) -> DatanodeIdFile {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cluster that a volume was formatted for, if one was.
    pub async fn cluster_on_disk(&self, shard: &Shard) -> Result<Option<String>, BootError> {
        for root in &self.config.volumes {
            match open::read_version(shard.disk(), root).await {
                Ok(Some(version)) => return Ok(Some(version.cluster_id)),
                Ok(None) => {}
                Err(e) => tracing::error!(error = %e, "a volume cannot be read"),
            }
        }
        Ok(None)
    }

    /// Opens all volumes for `cluster_id`, formatting those that are new, loads their containers and lets commands in. Who
    /// asks while another opens them waits, and is refused if that went well.
    pub async fn open(self: &Arc<Lobby>, shard: &Shard, cluster_id: &str) -> Result<Arc<Node>, BootError> {
        // Two that format a new volume at once give it two names: one in its VERSION, and one whose metadata is used until the
        // next start.
        let _opens = self.opening.lock().await;
        if let Some(node) = self.door.get() {
            return Err(BootError::Open(node.cluster.clone()));
        }
        identity::check_layout(shard.disk(), &self.config, cluster_id, shard.clock().wall_ms()).await?;
        let volumes = self.open_volumes(shard, cluster_id).await?;
        let mut found = BTreeMap::new();
        let mut usable = Vec::new();
        for volume in volumes {
            match load::load(shard.disk(), &volume).await {
                Ok(containers) => {
                    for one in containers {
                        keep_better(&mut found, one);
                    }
                    usable.push(volume);
                }
                Err(e) => {
                    tracing::error!(volume = %volume.version().volume, error = %e, "a volume is left out")
                }
            }
        }
        if usable.is_empty() {
            return Err(BootError::NoVolume { count: self.config.volumes.len() });
        }
        let path = self.config.metadata_dir.join("witnessed_container.db");
        let open_metadata = self.open_metadata.clone();
        let opening = shard.blocking(move || open_metadata(&path, Family::OF_WITNESSED)).await;
        let witnessed = opening.map_err(|e| VolumeError::Thread {
            path: self.config.metadata_dir.clone(),
            why: e.to_string(),
        })??;
        let seen = witness(&*witnessed, &found).await?;
        tracing::info!(
            volumes = usable.len(),
            containers = found.len(),
            cluster = cluster_id,
            "volumes are open"
        );
        let node = Arc::new(Node {
            id: self.id(),
            config: self.config.clone(),
            cluster: cluster_id.to_owned(),
            volumes: RwLock::new(usable.into()),
            fatal: self.fatal.clone(),
            witnessed,
            events: self.events.clone(),
            metrics: self.metrics.clone(),
            imports: Arc::new(crate::replication::Imports::new(self.config.replication.streams)),
            transfers: Default::default(),
            budget: Budget::new(self.config.replication.bandwidth),
            pipelines: Pipelines::new(self.config.pipelines.memory.as_usize().unwrap_or(usize::MAX)),
            courtesy: Courtesy::new(self.config.replication.busy_bandwidth),
            supervisor: Supervisor::new(&self.config.replication),
            mesh: self.mesh.clone(),
        });
        node.supervisor.set_leaving(&self.identity().operational_state);
        self.start_stores(&node, found, seen)?;
        let taken_up = pipeline::boot::take_up(shard, &node, || self.random()).await;
        taken_up.map_err(BootError::Pipelines)?;
        drop(self.door.set(node.clone()));
        for volume in node.volumes().iter() {
            self.watch(shard, &node, volume);
        }
        let (watched, task) = (node.clone(), shard.clone());
        drop(shard.spawn("space", async move { watch_space(&task, &watched).await }));
        Ok(node)
    }

    /// Has a volume's disk checked now and then.
    fn watch(self: &Arc<Lobby>, shard: &Shard, node: &Arc<Node>, volume: &Arc<Volume>) {
        let watching = check::watch(shard.clone(), self.clone(), node.clone(), volume.clone());
        drop(shard.spawn("disk checks", watching));
    }

    /// Makes `roots` the volumes in use: new ones are locked, opened and their containers taken in; those that are not
    /// named any more are let go, as if they had failed. A new one that cannot be opened is left out.
    pub async fn set_volumes(self: &Arc<Lobby>, shard: &Shard, roots: Vec<PathBuf>) -> Result<(), BootError> {
        let Some(node) = self.door.get() else { return Err(BootError::Closed) };
        if roots.is_empty() {
            return Err(BootError::NoVolume { count: 0 });
        }
        let (stay, go): (Vec<_>, Vec<_>) = node.volumes().iter().cloned().partition(|volume| {
            !volume.is_failed() && roots.iter().any(|root| root == volume.paths().root())
        });
        let new: Vec<_> =
            roots.into_iter().filter(|root| stay.iter().all(|one| one.paths().root() != root)).collect();
        // A volume that was taken out may come again under its old name, repaired: first it goes.
        node.set_volumes(stay.clone());
        for volume in go {
            volume.set_failed("it is not among the configured folders any more");
            node.drop_containers(&volume).await;
            let root = volume.paths().root().to_owned();
            self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&root);
        }
        let mut volumes = stay;
        for root in new {
            match self.add_volume(shard, node, &root).await {
                Ok(volume) => volumes.push(volume),
                Err(e) => {
                    let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(path = %root.display(), error = %e, cause, "a volume is left out");
                }
            }
            node.set_volumes(volumes.clone());
        }
        match volumes.is_empty() {
            true => Err(BootError::NoVolume { count: 0 }),
            false => Ok(()),
        }
    }

    async fn add_volume(
        self: &Arc<Lobby>,
        shard: &Shard,
        node: &Arc<Node>,
        root: &Path,
    ) -> Result<Arc<Volume>, BootError> {
        open::check_path(root)?;
        let lock = open::lock(shard.disk(), &VolumePaths::lock(root), &self.holder).await?.shared();
        // Indexes are never used again: scans and checks of a volume that went may still be under way.
        let index = self.indexes.fetch_add(1, Relaxed);
        let volume = self.open_volume(shard, index, root, &node.cluster).await?;
        let failed = |e: CommandError| BootError::Load { path: root.to_owned(), why: e.why };
        let found = load::load(shard.disk(), &volume).await.map_err(failed)?;
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).insert(root.to_owned(), lock);
        let mut homes: Vec<Vec<Found>> = Vec::new();
        homes.resize_with(node.mesh.shards(), Vec::new);
        let count = found.len();
        let by_id: BTreeMap<ContainerId, Found> = found.into_iter().map(|one| (one.file.id, one)).collect();
        witness(&*node.witnessed, &by_id).await?;
        for (id, one) in by_id {
            homes[node.home_of(id).0].push(one);
        }
        for (n, found) in homes.into_iter().enumerate() {
            node.mesh.ask(ShardId(n), |reply| ShardMessage::Adopt { found, reply }).await?;
        }
        tracing::info!(volume = %volume.version().volume, path = %root.display(), containers = count, "a volume is in use");
        self.watch(shard, node, &volume);
        Ok(volume)
    }

    async fn open_volume(
        &self,
        shard: &Shard,
        index: usize,
        root: &Path,
        cluster_id: &str,
    ) -> Result<Arc<Volume>, VolumeError> {
        let id = self.id();
        let version = match open::read_version(shard.disk(), root).await? {
            Some(version) => version,
            None => {
                let fresh = open::fresh(cluster_id, id, (self.draw)(), shard.clock().wall_ms());
                open::format(shard.disk(), root, &fresh).await?;
                fresh
            }
        };
        let space = shard.disk().space(root).await;
        let space = space.map_err(|source| VolumeError::Disk { path: root.to_owned(), source })?;
        let kept = Kept {
            reserved: self.config.reserved.on(root, space.total),
            soft: self.config.free_min_soft.as_u64(),
            hard: self.config.free_min_hard.as_u64(),
        };
        open::open(shard, index, root, version, (cluster_id, id), kept, &self.open_metadata).await
    }

    async fn open_volumes(&self, shard: &Shard, cluster_id: &str) -> Result<Vec<Arc<Volume>>, BootError> {
        let mut volumes = Vec::new();
        for root in &self.config.volumes {
            let index = self.indexes.fetch_add(1, Relaxed);
            match self.open_volume(shard, index, root, cluster_id).await {
                Ok(volume) => volumes.push(volume),
                Err(e) => {
                    let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(error = %e, cause, "a volume is left out");
                }
            }
        }
        match volumes.is_empty() {
            true => Err(BootError::NoVolume { count: self.config.volumes.len() }),
            false => Ok(volumes),
        }
    }

    fn start_stores(
        &self,
        node: &Arc<Node>,
        found: BTreeMap<ContainerId, Found>,
        seen: BTreeSet<ContainerId>,
    ) -> Result<(), BootError> {
        let inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let mut homes: Vec<(Vec<Found>, BTreeSet<ContainerId>)> = Vec::new();
        homes.resize_with(inboxes.len(), Default::default);
        for (id, one) in found {
            homes[node.home_of(id).0].0.push(one);
        }
        for id in seen {
            homes[node.home_of(id).0].1.insert(id);
        }
        for (n, (inbox, (found, seen))) in inboxes.into_iter().zip(homes).enumerate() {
            let node = node.clone();
            drop(self.shards.run_on(ShardId(n), "store", move |shard| async move {
                Store::new(shard, node, found, seen).serve(inbox).await;
            })?);
        }
        Ok(())
    }
}

/// Of two copies of one container, the sealed one stays, then the one that has come further.
fn keep_better(found: &mut BTreeMap<ContainerId, Found>, one: Found) {
    let id = one.file.id;
    let rank =
        |one: &Found| (one.file.state == ReplicaState::Closed, one.counters.bcsid, one.counters.bytes_used);
    match found.get(&id) {
        Some(other) if rank(other) >= rank(&one) => {
            tracing::error!(container = %id, left_out = %one.paths.dir().display(), "a container lies on two volumes");
        }
        Some(other) => {
            tracing::error!(container = %id, left_out = %other.paths.dir().display(), "a container lies on two volumes");
            found.insert(id, one);
        }
        None => drop(found.insert(id, one)),
    }
}

/// All ids that were ever here; those that were found and not listed are listed now.
async fn witness(
    witnessed: &dyn crate::metadata::Metadata,
    found: &BTreeMap<ContainerId, Found>,
) -> Result<BTreeSet<ContainerId>, MetadataError> {
    const PAGE: usize = 65_536;
    let (mut seen, mut from) = (BTreeSet::new(), Vec::new());
    loop {
        let page = witnessed.scan(Family::Witnessed, from, vec![0xff; 9], PAGE).await?;
        for (key, _) in &page {
            if let Ok(id) = <[u8; 8]>::try_from(&key[..]) {
                seen.insert(ContainerId::new(u64::from_be_bytes(id)));
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.to_vec();
                from.push(0);
            }
            _ => break,
        }
    }
    let mut batch = Batch::new();
    for (id, one) in found {
        if seen.insert(*id) {
            let info = ContainerCreateInfo {
                state: one.file.state.number(),
                replica_index: Some(one.file.replica.map_or(0, |index| i32::from(index.number()))),
            };
            batch.put(Family::Witnessed, id.as_u64().to_be_bytes(), info.encode_to_vec());
        }
    }
    if !batch.changes().is_empty() {
        witnessed.commit(batch, Durability::Disk).await?;
    }
    Ok(seen)
}

/// Asks the file systems for their space now and then.
async fn watch_space(shard: &Shard, node: &Node) {
    loop {
        let sleep = pin!(shard.clock().sleep(SPACE_EVERY));
        if let Either::Right(_) = select(sleep, pin!(shard.stopping())).await {
            return;
        }
        check::look_at_space(shard, node).await;
    }
}
