//! When containers are scanned, and what follows from what a scan saw.

use super::{Damage, Finding, data, metadata};
use crate::commands::CommandError;
use crate::container::{Container, seal};
use crate::format::{keys, tree};
use crate::metadata::{Batch, Durability, Family};
use crate::store::Store;
use allotrope_io::Moment;
use allotrope_proto::container::ContainerChecksumInfo;
use allotrope_types::{ContainerId, LocalId, ReplicaEvent, ReplicaState};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often it is looked for containers that are due.
const LOOK: Duration = Duration::from_secs(60);
/// Containers that may wait for a scan on demand, on one shard.
const WANTED_MAX: usize = 10_000;
/// Containers that one volume's data scan takes at once.
const AT_ONCE: usize = 64;

/// What a shard's scanners remember.
#[derive(Debug, Default)]
pub struct Scans {
    wanted: RefCell<BTreeSet<ContainerId>>,
    /// Those that have just come, which are scanned when no read waits for the scan of another.
    came: RefCell<BTreeSet<ContainerId>>,
    last: RefCell<BTreeMap<ContainerId, Moment>>,
    rung: Notify,
}

/// Whose budget a scan uses, and how it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every container's metadata, now and then.
    Metadata,
    /// Every sealed container's data, now and then.
    Data,
    /// One container, since a read of it, or of what a write shares a page with, failed, or since it has just come.
    OnDemand,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Metadata, Kind::Data, Kind::OnDemand];

    /// Its name, as figures have it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Metadata => "metadata",
            Kind::Data => "data",
            Kind::OnDemand => "on_demand",
        }
    }
}

impl Store {
    /// Has a container scanned soon: bytes of it that were put could not be read as they were. One that is not sealed yet is first asked to be closed.
    pub fn suspect(&self, container: &Container) {
        let (scans, config) = (self.scans(), &self.node().config.scan);
        let id = container.id();
        let lately = |at: &Moment| self.shard().clock().now().since(*at) < config.gap_min;
        if !config.enabled || scans.last.borrow().get(&id).is_some_and(lately) {
            return;
        }
        let mut wanted = scans.wanted.borrow_mut();
        if wanted.len() < WANTED_MAX && wanted.insert(id) {
            if !container.state().is_sealed() {
                self.wants_close(id);
            }
            scans.rung.notify_one();
        }
    }

    /// Has a container scanned that has just come, after those that reads failed of.
    pub fn scan_arrival(&self, container: &Container) {
        let scans = self.scans();
        let mut came = scans.came.borrow_mut();
        if self.node().config.scan.enabled && came.len() < WANTED_MAX && came.insert(container.id()) {
            scans.rung.notify_one();
        }
    }
}

/// Scans until the shard stops: metadata, data and on demand beside each other.
pub async fn serve(store: Rc<Store>) {
    if !store.node().config.scan.enabled {
        return;
    }
    let all = async { futures_util::join!(all_metadata(&store), all_data(&store), on_demand(&store)) };
    let (all, stopping) = (pin!(all), pin!(store.shard().stopping()));
    let _: Either<_, _> = select(all, stopping).await;
}

async fn all_metadata(store: &Rc<Store>) {
    let (every, clock) = (store.node().config.scan.metadata_every, store.shard().clock());
    loop {
        let next = clock.now() + every;
        for container in store.all() {
            scan(store, &container, Kind::Metadata).await;
        }
        clock.sleep_until(next).await;
    }
}

async fn all_data(store: &Rc<Store>) {
    let (every, clock) = (store.node().config.scan.data_every, store.shard().clock());
    let look = LOOK.min(every / 4).max(Duration::from_millis(10));
    let mut busy = BTreeSet::new();
    let mut running = FuturesUnordered::new();
    loop {
        for (volume, due) in due(store, every, &busy) {
            busy.insert(volume);
            running.push(async move {
                for container in due {
                    scan(store, &container, Kind::Data).await;
                }
                volume
            });
        }
        let tick = pin!(clock.sleep(look));
        match running.is_empty() {
            true => tick.await,
            false => {
                if let Either::Left((Some(volume), _)) = select(running.next(), tick).await {
                    busy.remove(&volume);
                }
            }
        }
    }
}

type Due = BTreeMap<usize, Vec<Rc<Container>>>;

/// The containers whose data is due, those that were scanned longest ago first, by volumes that are not busy.
fn due(store: &Store, every: Duration, busy: &BTreeSet<usize>) -> Due {
    let now = i64::try_from(store.shard().clock().wall_ms()).unwrap_or(i64::MAX);
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let (clock, gap) = (store.shard().clock().now(), store.node().config.scan.gap_min);
    let mut tried = store.scans().last.borrow_mut();
    tried.retain(|id, _| store.find(*id).is_some());
    let mut due: BTreeMap<usize, Vec<(i64, Rc<Container>)>> = BTreeMap::new();
    for container in store.all() {
        // One whose scan came to nothing, or that cannot keep the time of it, is not scanned over and over.
        if tried.get(&container.id()).is_some_and(|at| clock.since(*at) < gap) {
            continue;
        }
        let volume = container.volume();
        if !container.state().is_sealed() || volume.is_failed() || busy.contains(&volume.index) {
            continue;
        }
        // A stamp of the future is that of a clock that jumped.
        let last = container.file().data_scan_ms.filter(|at| *at <= now).unwrap_or(0);
        if now - last >= every {
            due.entry(volume.index).or_default().push((last, container));
        }
    }
    let oldest = |mut all: Vec<(i64, Rc<Container>)>| {
        all.sort_by_key(|(last, container)| (*last, container.id()));
        all.into_iter().take(AT_ONCE).map(|(_, container)| container).collect()
    };
    due.into_iter().map(|(volume, all)| (volume, oldest(all))).collect()
}

async fn on_demand(store: &Rc<Store>) {
    let scans = store.scans();
    loop {
        let ready = {
            let (wanted, came) = (scans.wanted.borrow(), scans.came.borrow());
            let mut found = wanted.iter().chain(&*came).filter_map(|id| Some((*id, store.find(*id)?)));
            found.find(|(_, container)| container.state().is_sealed())
        };
        match ready {
            Some((id, container)) => {
                scans.wanted.borrow_mut().remove(&id);
                scans.came.borrow_mut().remove(&id);
                scan(store, &container, Kind::OnDemand).await;
            }
            None => {
                for all in [&scans.wanted, &scans.came] {
                    all.borrow_mut().retain(|id| store.find(*id).is_some());
                }
                select(pin!(scans.rung.notified()), pin!(store.shard().clock().sleep(LOOK))).await;
            }
        }
    }
}

/// Scans one container, and carries out what follows.
pub async fn scan(store: &Rc<Store>, container: &Rc<Container>, kind: Kind) {
    if container.volume().is_failed() || container.state() == ReplicaState::Deleted {
        return;
    }
    if kind != Kind::Metadata {
        store.scans().last.borrow_mut().insert(container.id(), store.shard().clock().now());
    }
    let mut seen = look(store, container).await;
    if !seen.findings.is_empty() {
        // Looked at twice before it condemns.
        seen = look(store, container).await;
    }
    let mut findings = std::mem::take(&mut seen.findings);
    let (mut bytes, mut whole) = (0, false);
    let reads = kind != Kind::Metadata && container.state().is_sealed();
    if reads {
        let budget = container.volume().budget(kind == Kind::OnDemand, &store.node().config.scan);
        let data = data::read(store, container, &seen.blocks, budget).await;
        (bytes, whole) = (data.bytes, data.whole);
        findings.extend(data.findings);
        let condemned = findings.iter().any(|one| one.damage.condemns());
        if whole
            && !condemned
            && let Err(e) = renew(store, container, &mut findings).await
        {
            tracing::warn!(container = %container.id(), error = %e, "a scan's outcome is not kept");
        }
    }
    store.node().metrics.scanned(kind, bytes, &findings);
    for finding in &findings {
        tracing::error!(container = %container.id(), replica = ?container.replica(), %finding, "a scan found damage");
    }
    if findings.iter().any(|one| one.damage.condemns()) {
        condemn(store, container, &findings, whole).await;
    }
}

async fn look(store: &Rc<Store>, container: &Container) -> metadata::Metadata {
    let _shared = container.gate.read().await;
    match container.state() {
        // It is being made or is gone.
        ReplicaState::Deleted | ReplicaState::Recovering => metadata::Metadata::default(),
        _ => metadata::look(store, container).await,
    }
}

/// Makes the replica UNHEALTHY, durably where its folder still is, and has SCM told. `read`: all its data was read, which is
/// written down, so that others come before it the next time.
async fn condemn(store: &Rc<Store>, container: &Rc<Container>, findings: &[Finding], read: bool) {
    container.volume().ask_check();
    let _alone = container.gate.write().await;
    let state = container.state();
    let Ok(unhealthy) = state.after(ReplicaEvent::Damaged) else { return };
    if state == unhealthy && !read {
        return;
    }
    let now = stamp(store);
    let rewriting = seal::rewrite(store, container, |file| {
        file.state = unhealthy;
        if read {
            file.data_scan_ms = now;
        }
    });
    let kept = rewriting.await;
    if state == unhealthy {
        return;
    }
    if let Err(e) = kept {
        tracing::error!(container = %container.id(), error = %e, "that it is damaged is remembered in memory only");
        let mut file = container.file();
        file.state = unhealthy;
        container.set_file(file);
    }
    tracing::error!(container = %container.id(), was = %state, findings = findings.len(), "a replica is UNHEALTHY");
    store.changed(container);
}

/// After a container was found whole: its tree is made to say so, and the time is written down.
async fn renew(
    store: &Rc<Store>,
    container: &Rc<Container>,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandError> {
    let _alone = container.gate.write().await;
    match container.state() {
        ReplicaState::Closed | ReplicaState::QuasiClosed => {}
        ReplicaState::Unhealthy => {
            let now = stamp(store);
            return seal::rewrite(store, container, |file| file.data_scan_ms = now).await;
        }
        _ => return Ok(()),
    }
    // Blocks may have been deleted since the scan began: what counts is what is there now.
    let metadata::Metadata { blocks, tree: found, .. } = metadata::look(store, container).await;
    // Blocks of the old tree that are gone keep their sums, as deleted ones.
    let old = found.clone().and_then(|info| info.container_merkle_tree).unwrap_or_default().block_merkle_tree;
    let mut gone = old;
    gone.retain(|one| {
        let local = one.block_id.and_then(|id| LocalId::try_from(id).ok());
        local.is_some_and(|local| !blocks.contains_key(&local))
    });
    let wanted = tree::build(container.id(), blocks.into_values(), gone);
    if found.as_ref() != Some(&wanted) {
        if found.is_some() {
            let why = "its sums are not those of the blocks".to_owned();
            findings.push(Finding { damage: Damage::CorruptTree, block: None, why });
        }
        keep_tree(store, container, &wanted).await?;
        store.changed(container);
    }
    let now = stamp(store);
    seal::rewrite(store, container, |file| file.data_scan_ms = now).await
}

/// The time as a descriptor keeps it.
fn stamp(store: &Store) -> Option<i64> {
    i64::try_from(store.shard().clock().wall_ms()).ok()
}

async fn keep_tree(
    store: &Rc<Store>,
    container: &Container,
    tree: &ContainerChecksumInfo,
) -> Result<(), CommandError> {
    let root = tree.container_merkle_tree.as_ref().and_then(|tree| tree.data_checksum).unwrap_or_default();
    store.disk().replace(container.paths().tree(), &tree.encode_to_vec()).await?;
    container.count(|counters| counters.data_checksum = u32::try_from(root).ok());
    let mut batch = Batch::new();
    let key = keys::named(container.id(), keys::DATA_CHECKSUM);
    batch.put(Family::Counters, key, keys::counter(root).to_vec());
    Ok(container.volume().metadata().commit(batch, Durability::Disk).await?)
}
