//! Deleting blocks by SCM's transactions: remembered at once, carried out in the background.
//!
//! Steps   [`mark`] writes a transaction durably and answers; [`serve`] takes marked transactions at a bounded rate:
//!         block files are unlinked and their folder synced, then one batch removes their metadata, counts, and, with a
//!         transaction's last block, the transaction. A crash in between leaves the transaction, which is carried out
//!         again: a file or a row that is gone already is no error.
//! Law     only blocks that a transaction names, of the container it names, while that container is CLOSED or
//!         QUASI_CLOSED: nothing that a writer may still put is removed.
//! Shape   a remembered transaction is a row that holds the message as SCM sent it; what cannot be read is said and left alone.
//! Units   limits count blocks (`hdds.datanode.block.deleting.limit.per.interval`), all shards together.
//! Source  wire facts: scm.md 2.12, datapath.md 6.3.

use super::Container;
use crate::commands::CommandError;
use crate::control::link::chain;
use crate::format::{keys, tree};
use crate::metadata::{Batch, Family, Metadata, MetadataError};
use crate::store::Store;
use crate::volume::Volume;
use allotrope_io::Class;
use allotrope_proto::container::{BlockData, ContainerChecksumInfo};
use allotrope_proto::edge::heartbeat::DeletedBlocksTransaction;
use allotrope_proto::{decode, heartbeat};
use allotrope_types::{ContainerId, LocalId, ReplicaState};
use bytes::Bytes;
use futures_util::future::{Either, select};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Blocks that are removed in one batch.
const PIECE: usize = 100;
/// Rows that are looked up at once.
const ROWS: usize = 10;
/// Transactions that are read at once.
const PAGE: usize = 256;
/// The longest `.tree` file, in bytes.
const TREE_MAX: usize = 64 << 20;

/// How fast blocks go.
#[derive(Clone, Copy, Debug)]
pub struct DeletionPace {
    /// How often marked transactions are looked for (`hdds.datanode.block.deleting.service.interval`).
    pub every: Duration,
    /// Blocks that go in that time at most, all shards together.
    pub blocks_max: u64,
}

impl Default for DeletionPace {
    fn default() -> DeletionPace {
        DeletionPace { every: Duration::from_secs(60), blocks_max: 20_000 }
    }
}

impl DeletionPace {
    /// The least time that so many blocks take on one of `shards`: a little less than their share, so that a round ends
    /// before the next begins.
    fn time_of(&self, blocks: usize, shards: usize) -> Duration {
        let share = (self.blocks_max / shards.max(1) as u64).max(1);
        self.every.mul_f64(0.9 * blocks as f64 / share as f64)
    }
}

/// Blocks of one container that shall go.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// SCM's number for it.
    pub id: i64,
    /// The container.
    pub container: ContainerId,
    wanted: DeletedBlocksTransaction,
}

impl TryFrom<DeletedBlocksTransaction> for Transaction {
    type Error = String;

    fn try_from(wanted: DeletedBlocksTransaction) -> Result<Transaction, String> {
        let (id, container) = (wanted.tx_id, wanted.container_id);
        match id < 0 {
            true => Err(format!("deletion {id} of container {container}: its number is negative")),
            false => Ok(Transaction { id, container, wanted }),
        }
    }
}

impl Transaction {
    fn blocks(&self) -> &[LocalId] {
        &self.wanted.local_id
    }

    fn row(&self) -> Vec<u8> {
        heartbeat::DeletedBlocksTransaction::from(self.wanted.clone()).encode_to_vec()
    }

    fn of_row(row: Bytes) -> Result<Transaction, String> {
        let read = decode::<heartbeat::DeletedBlocksTransaction>(row);
        let wanted = read.and_then(DeletedBlocksTransaction::try_from).map_err(|e| chain(&e))?;
        Transaction::try_from(wanted)
    }
}

/// Blocks that wait, by container: those of one shard.
#[derive(Debug, Default)]
pub struct Pending {
    loaded: bool,
    blocks: BTreeMap<ContainerId, u64>,
}

impl Pending {
    /// Blocks that wait, of all containers.
    pub fn total(&self) -> u64 {
        self.blocks.values().sum()
    }
}

fn key(container: ContainerId, transaction: i64) -> Vec<u8> {
    keys::named(container, &transaction.to_string())
}

/// Remembers transactions durably, container by container. Those that are remembered, new or from before.
pub async fn mark(store: &Rc<Store>, transactions: Vec<Transaction>) -> Vec<(i64, ContainerId)> {
    load_pending(store).await;
    let mut by_container: BTreeMap<ContainerId, Vec<Transaction>> = BTreeMap::new();
    for one in transactions {
        by_container.entry(one.container).or_default().push(one);
    }
    let mut marked = Vec::new();
    for (id, transactions) in by_container {
        let Some(container) = store.find(id) else {
            tracing::info!(container = %id, "blocks of a container that is not here shall be deleted");
            continue;
        };
        match mark_in(store, &container, &transactions).await {
            Ok(()) => marked.extend(transactions.iter().map(|one| (one.id, id))),
            Err(e) => tracing::warn!(container = %id, error = %e, "deletions are not remembered"),
        }
    }
    marked
}

async fn mark_in(
    store: &Rc<Store>,
    container: &Container,
    transactions: &[Transaction],
) -> Result<(), CommandError> {
    let (id, metadata) = (container.id(), container.volume().metadata());
    let mut fresh = Vec::new();
    for one in transactions {
        if metadata.get(Family::DeleteTransactions, key(id, one.id)).await?.is_none() {
            fresh.push(one);
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let blocks: u64 = fresh.iter().map(|one| one.blocks().len() as u64).sum();
    let newest = fresh.iter().map(|one| one.id.unsigned_abs()).max().unwrap_or(0);
    let mut batch = Batch::new();
    // One without blocks is done already.
    for one in fresh.iter().filter(|one| !one.blocks().is_empty()) {
        batch.put(Family::DeleteTransactions, key(id, one.id), one.row());
    }
    // No await between the new counts and the batch that carries them, so that batches are in the counts' order.
    container.count(|counters| counters.delete_transaction = counters.delete_transaction.max(newest));
    let waiting = add_pending(store, id, blocks as i64);
    put_counts(&mut batch, container, waiting);
    let committed = metadata.commit(batch, store.durability()).await;
    if committed.is_err() {
        add_pending(store, id, -(blocks as i64));
    }
    note_failure(container.volume(), &committed);
    Ok(committed?)
}

fn add_pending(store: &Store, container: ContainerId, blocks: i64) -> u64 {
    let mut pending = store.pending.borrow_mut();
    let waiting = pending.blocks.entry(container).or_default();
    *waiting = waiting.saturating_add_signed(blocks);
    let left = *waiting;
    if left == 0 {
        pending.blocks.remove(&container);
    }
    left
}

fn put_counts(batch: &mut Batch, container: &Container, waiting: u64) {
    let newest = container.facts().delete_transaction;
    for (name, value) in [(keys::DELETE_TRANSACTION, newest), (keys::PENDING_DELETE_BLOCKS, waiting)] {
        let value = keys::counter(i64::try_from(value).unwrap_or(i64::MAX));
        batch.put(Family::Counters, keys::named(container.id(), name), value.to_vec());
    }
}

/// A store that failed takes no more writes: its volume is out of use.
fn note_failure(volume: &Volume, committed: &Result<(), MetadataError>) {
    if let Err(e @ MetadataError::Store { .. }) = committed {
        volume.suspect(e);
    }
}

/// Looks once at what a former process remembered.
async fn load_pending(store: &Rc<Store>) {
    if store.pending.borrow().loaded {
        return;
    }
    let mut found: BTreeMap<ContainerId, u64> = BTreeMap::new();
    for volume in store.node().volumes().iter() {
        if let Err(e) = load_from(store, volume, &mut found).await {
            // A transaction that is not seen now is seen at the next start, or when SCM sends it again.
            tracing::error!(volume = %volume.version().volume, error = %e, "remembered deletions cannot be read");
        }
    }
    let mut pending = store.pending.borrow_mut();
    if !pending.loaded {
        *pending = Pending { loaded: true, blocks: found };
    }
}

async fn load_from(
    store: &Store,
    volume: &Volume,
    found: &mut BTreeMap<ContainerId, u64>,
) -> Result<(), MetadataError> {
    let count = |key: &[u8], row: Transaction| {
        if let Some((id, _)) = keys::split(key).filter(|(id, _)| store.find(*id).is_some()) {
            *found.entry(id).or_default() += row.blocks().len() as u64;
        }
    };
    each_row(&**volume.metadata(), Vec::new(), vec![0xff; 10], count).await
}

/// Visits remembered transactions, those that can be read; the others are said.
async fn each_row(
    metadata: &dyn Metadata,
    mut from: Vec<u8>,
    to: Vec<u8>,
    mut visit: impl FnMut(&[u8], Transaction),
) -> Result<(), MetadataError> {
    loop {
        let page = metadata.scan(Family::DeleteTransactions, from, to.clone(), PAGE).await?;
        for (key, value) in &page {
            match Transaction::of_row(value.clone()) {
                Ok(row) => visit(key, row),
                Err(why) => damaged(key, &why),
            }
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.to_vec();
                from.push(0);
            }
            _ => return Ok(()),
        }
    }
}

fn damaged(key: &[u8], why: &str) {
    let container = keys::split(key).map(|(id, _)| id.as_u64());
    tracing::error!(container, why, "a remembered deletion is damaged and is left alone");
}

/// Counts the blocks that wait in a container that has come with its volume, before anybody else sees it.
pub async fn welcome(store: &Store, container: &Container) {
    let (id, mut blocks) = (container.id(), 0);
    let (from, to) = (keys::prefix(id).to_vec(), keys::prefix_end(id).to_vec());
    let counting =
        each_row(&**container.volume().metadata(), from, to, |_, row| blocks += row.blocks().len());
    if let Err(e) = counting.await {
        tracing::error!(container = %id, error = %e, "remembered deletions cannot be read");
    }
    if blocks > 0 && store.pending.borrow().loaded {
        add_pending(store, id, blocks as i64);
    }
}

/// Whether SCM has asked for the block's deletion. Rows that cannot be read doom nobody.
pub async fn is_doomed(container: &Container, local: LocalId) -> bool {
    let (id, mut doomed) = (container.id(), false);
    let (from, to) = (keys::prefix(id).to_vec(), keys::prefix_end(id).to_vec());
    let visit = |_: &[u8], row: Transaction| doomed |= row.blocks().contains(&local);
    each_row(&**container.volume().metadata(), from, to, visit).await.is_ok() && doomed
}

/// Carries marked transactions out, round after round, until the shard stops.
pub async fn serve(store: Rc<Store>) {
    let (pace, shards) = (store.node().config.deletion, store.node().mesh.shards());
    let clock = store.shard().clock().clone();
    loop {
        let next = clock.now() + pace.every;
        load_pending(&store).await;
        let mut due: Vec<_> = store.pending.borrow().blocks.iter().map(|(id, n)| (*n, *id)).collect();
        due.sort_by(|a, b| b.cmp(a));
        let mut left = (pace.blocks_max / shards.max(1) as u64).max(1);
        for (_, id) in due {
            if left == 0 || store.shard().is_stopping() {
                break;
            }
            let Some(container) = store.find(id) else {
                store.pending.borrow_mut().blocks.remove(&id);
                continue;
            };
            if let Err(e) = carry_out(&store, &container, &mut left, pace, shards).await {
                tracing::warn!(container = %id, error = %e, "deletions are left to the next round");
            }
        }
        let sleep = pin!(clock.sleep_until(next));
        if let Either::Right(_) = select(sleep, pin!(store.shard().stopping())).await {
            return;
        }
    }
}

/// Removes the blocks of one container's transactions, at most `left` of them, and counts `left` down.
async fn carry_out(
    store: &Rc<Store>,
    container: &Rc<Container>,
    left: &mut u64,
    pace: DeletionPace,
    shards: usize,
) -> Result<(), CommandError> {
    let (id, clock) = (container.id(), store.shard().clock().clone());
    let (from, to) = (keys::prefix(id).to_vec(), keys::prefix_end(id).to_vec());
    let rows = container.volume().metadata().scan(Family::DeleteTransactions, from, to, PAGE).await?;
    let mut gone = BTreeSet::new();
    let mut done = Ok(());
    'rows: for (row, value) in rows {
        let transaction = match Transaction::of_row(value) {
            Ok(transaction) if transaction.container == id => transaction,
            other => {
                damaged(&row, &other.err().unwrap_or_else(|| "it names another container".to_owned()));
                continue;
            }
        };
        let mut rest = transaction.blocks();
        loop {
            if *left == 0 || store.shard().is_stopping() {
                break 'rows;
            }
            let began = clock.now();
            let share = usize::try_from(*left).unwrap_or(usize::MAX);
            let (piece, after) = rest.split_at(rest.len().min(PIECE).min(share));
            let last = after.is_empty().then(|| (row.to_vec(), transaction.blocks().len()));
            match remove_piece(store, container, piece, last).await {
                // Blocks that were gone already cost nothing.
                Ok(Some(removed)) => {
                    *left = left.saturating_sub(removed as u64);
                    gone.extend(piece.iter().map(|local| local.to_wire()));
                    clock.sleep_until(began + pace.time_of(removed, shards)).await;
                }
                Ok(None) => break 'rows,
                Err(e) => {
                    done = Err(e);
                    break 'rows;
                }
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !gone.is_empty() {
        mark_tree(store, container, &gone).await?;
        if container.facts().blocks == 0 {
            // SCM may delete an empty container at once.
            store.changed(container);
        }
    }
    done
}

/// Where the data of a block ends, by a row of it.
fn end_of(row: &bytes::Bytes) -> u64 {
    let block = BlockData::decode(row.clone()).unwrap_or_default();
    block.chunks.iter().map(|chunk| chunk.offset.saturating_add(chunk.len)).max().unwrap_or(0)
}

/// Removes some blocks and, if they were its last, the transaction: its row, and how many blocks it had. How many were
/// there; `None` if the container does not take it now.
async fn remove_piece(
    store: &Rc<Store>,
    container: &Container,
    piece: &[LocalId],
    row: Option<(Vec<u8>, usize)>,
) -> Result<Option<usize>, CommandError> {
    // Nobody deletes or changes the container meanwhile.
    let _shared = container.gate.read().await;
    if !matches!(container.state(), ReplicaState::Closed | ReplicaState::QuasiClosed)
        || container.volume().is_suspect()
    {
        return Ok(None);
    }
    let (id, metadata) = (container.id(), container.volume().metadata());
    let (mut there, mut bytes) = (Vec::new(), 0u64);
    // One request at a time: what clients ask for waits behind one of these, not behind a whole piece.
    for some in piece.chunks(ROWS) {
        let keys: Vec<_> = some.iter().map(|local| keys::block(id, *local)).collect();
        let blocks = metadata.get_each(Family::BlockData, keys.clone()).await?;
        let last = metadata.get_each(Family::LastChunk, keys).await?;
        for (local, (block, last)) in some.iter().zip(blocks.into_iter().zip(last)) {
            let rows = [block, last];
            if rows.iter().any(Option::is_some) {
                there.push(*local);
                bytes += rows.iter().flatten().map(end_of).max().unwrap_or(0);
            }
        }
    }
    unlink(store, container, &there).await?;
    let mut batch = Batch::new();
    for local in &there {
        store.uncache(id, *local);
        for family in [Family::BlockData, Family::LastChunk, Family::FinalizedBlocks] {
            batch.delete(family, keys::block(id, *local));
        }
    }
    let (row, carried) = row.map_or((None, 0), |(row, blocks)| (Some(row), blocks as i64));
    let done = row.is_some();
    if let Some(row) = row {
        batch.delete(Family::DeleteTransactions, row);
    }
    let before = container.facts();
    let (blocks, bytes) = ((there.len() as u64).min(before.blocks), bytes.min(before.bytes_used));
    container.count(|counters| {
        counters.blocks -= blocks;
        counters.bytes_used -= bytes;
    });
    let waiting = add_pending(store, id, -carried);
    container.put_counters(&mut batch);
    put_counts(&mut batch, container, waiting);
    let committed = metadata.commit(batch, store.durability()).await;
    note_failure(container.volume(), &committed);
    if committed.is_err() {
        // The rows are still there, and so is the transaction: they are counted until they are gone.
        container.count(|counters| {
            counters.blocks += blocks;
            counters.bytes_used += bytes;
        });
        add_pending(store, id, carried);
    }
    committed?;
    container.volume().grew(-(bytes as i64));
    store.node().metrics.blocks_deleted(blocks, bytes);
    tracing::debug!(container = %id, blocks, bytes, done, "blocks are deleted");
    Ok(Some(there.len()))
}

/// Removes block files, durably: the metadata that names them goes only after.
async fn unlink(store: &Store, container: &Container, blocks: &[LocalId]) -> Result<(), CommandError> {
    if blocks.is_empty() {
        return Ok(());
    }
    let disk = store.disk().for_class(Class::Scrub);
    // One after the other: each is a thread of the kernel, which takes its turn on the cores beside the shards.
    for local in blocks {
        match disk.remove(container.paths().block(*local)).await {
            Err(e) if !e.is_not_found() => return Err(e.into()),
            _ => {}
        }
    }
    Ok(disk.sync_dir(container.paths().chunks()).await?)
}

/// Marks blocks as deleted in the container's tree: their sums stay, so that replicas that are ahead and behind compare.
async fn mark_tree(store: &Store, container: &Container, gone: &BTreeSet<i64>) -> Result<(), CommandError> {
    let _shared = container.gate.read().await;
    if container.state() == ReplicaState::Deleted {
        return Ok(());
    }
    let path = container.paths().tree();
    let bytes = match store.disk().stat(&path).await? {
        Some(entry) if entry.len <= TREE_MAX as u64 => {
            store.disk().read_small(&path, entry.len as usize).await?
        }
        _ => return Ok(()),
    };
    match ContainerChecksumInfo::decode(&bytes[..]) {
        Ok(mut info) => {
            tree::mark_deleted(&mut info, gone);
            Ok(store.disk().replace(&path, &info.encode_to_vec()).await?)
        }
        Err(e) => {
            // The scanner builds it anew.
            tracing::warn!(container = %container.id(), error = %e, "the tree of checksums is damaged");
            Ok(())
        }
    }
}
