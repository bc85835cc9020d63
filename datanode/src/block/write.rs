//! Writing a block: chunks into its file, and the chunk list into the metadata once the bytes are stable.
//!
//! Order   data, then the file's directory entry, then the metadata batch. A flush that failed is never tried again: the
//!         volume is out of use.
//!
//! The caller holds the container's gate.

use super::around::around;
use super::files::Way;
use super::listing::Listing;
use super::put::{Decision, LastChunk, Put, Stored, decide, is_incremental, length_of_first};
use super::records::{self, Records};
use super::{OpenBlock, Tail, checksums, read};
use crate::commands::CommandError;
use crate::container::Container;
use crate::format::keys;
use crate::metadata::{Batch, Durability, Family, MetadataError};
use crate::store::Store;
use allotrope_io::{AlignedBuf, Around, Class, DiskError, File, OpenHow, PAGE};
use allotrope_proto::Rope;
use allotrope_proto::container::{BlockData, ChunkInfo, PutBlockRequestProto};
use allotrope_types::DatanodeResult::{
    ChecksumMismatch, ChunkFileInconsistency, InvalidWriteSize, MalformedRequest,
};
use allotrope_types::LocalId;
use prost::Message;
use std::rc::Rc;
use std::time::Duration;

/// The longest piece that is copied, checksummed and written at once, in bytes.
const PIECE: usize = 4 << 20;
/// The shortest chunk that goes past the page cache although nothing has to be stable, in bytes.
const DIRECT_MIN: u64 = 64 << 10;
/// Longest wait for a buffer: a client whose write fails leaves this datanode, so load alone should not fail one.
const BUFFER_WAIT: Duration = Duration::from_secs(20);
/// SCM is asked to close a container that is this full, in tenths.
const CLOSE_AT_TENTHS: u64 = 9;

/// Writes one chunk's bytes into the block's file. They are stable, and part of the block, once they are put. The disk is
/// written when it is the class's turn.
///
/// Cancel safety: the command runs as a task of its shard, so the client's going away does not stop it.
pub async fn write_chunk(
    store: &Rc<Store>,
    container: &Rc<Container>,
    local: LocalId,
    chunk: &ChunkInfo,
    data: Rope,
    class: Class,
) -> Result<(), CommandError> {
    if data.len() as u64 != chunk.len {
        let why = format!(
            "chunk {} is said to have {} bytes and came with {}",
            chunk.chunk_name,
            chunk.len,
            data.len()
        );
        return Err(CommandError::new(InvalidWriteSize, why));
    }
    let end = chunk.offset.checked_add(chunk.len).filter(|end| i64::try_from(*end).is_ok());
    let end = end.ok_or_else(|| {
        CommandError::new(MalformedRequest, format!("chunk {} ends beyond any block", chunk.chunk_name))
    })?;
    if data.is_empty() {
        return Ok(());
    }
    let sums = checksums::of_chunk(chunk)?;
    let wrong =
        |e| CommandError::new(ChecksumMismatch, format!("chunk {} as received: {e}", chunk.chunk_name));
    // The data lies where its offset has it within a page, so that nothing is copied on the way to the disk. One pass where
    // the chunk fits a buffer; a longer one is verified first, so that nothing unverified is written.
    let mut first = None;
    if data.len() <= piece_at(chunk.offset) {
        let mut buf = placed_buffer(store, chunk.offset, data.len()).await?;
        sums.copy_and_verify(&data, &mut buf).map_err(wrong)?;
        first = Some(buf);
    } else {
        sums.verify_rope(&data).map_err(wrong)?;
    }
    let open = container.open_block(local);
    let mut tail = open.tail.lock().await;
    load(container, &open, &mut tail).await?;
    if chunk.offset > tail.end {
        let why = format!(
            "chunk {} starts at {}, block {local} of container {} ends at {}",
            chunk.chunk_name,
            chunk.offset,
            container.id(),
            tail.end
        );
        return Err(CommandError::new(ChunkFileInconsistency, why));
    }
    let file = open_file(store, container, local, &mut tail, chunk.len).await?;
    let file = store.disk().for_class(class).file(&file.shared());
    let around = around(store, container, &file, &mut tail, chunk.offset..end).await?;
    tail.dirty = true;
    if let Err(e) = write_pieces(store, &file, chunk.offset, first, data, around).await {
        // An overwrite may have been cut short: what is there has to be shown again before it is put.
        tail.written = Default::default();
        return Err(e);
    }
    // From here to the end there is no await.
    container.renew();
    let grown = end.saturating_sub(tail.end);
    tail.end = tail.end.max(end);
    tail.written.insert(chunk.offset, end);
    container.grew(grown);
    let (used, max) = (container.facts().bytes_used, container.file().size_max.as_u64());
    if grown > 0 && used >= max / 10 * CLOSE_AT_TENTHS && used - grown < max / 10 * CLOSE_AT_TENTHS {
        store.wants_close(container.id());
    }
    Ok(())
}

/// Writes `data` at `at`, where `first` holds all of it if it fits a buffer.
async fn write_pieces(
    store: &Store,
    file: &File,
    mut at: u64,
    mut first: Option<AlignedBuf>,
    mut data: Rope,
    mut around: Around,
) -> Result<(), CommandError> {
    while !data.is_empty() {
        let len = data.len().min(piece_at(at));
        let piece = data.split_to(len).expect("a piece is no longer than what is left");
        let buf = match first.take() {
            Some(buf) => buf,
            None => {
                let mut buf = placed_buffer(store, at, len).await?;
                piece.copy_to(&mut buf);
                buf
            }
        };
        // Its frames are of no more use.
        drop(piece);
        // Pieces meet where pages do: only the first and the last share one with others.
        let beside = Around {
            before: std::mem::take(&mut around.before),
            after: if data.is_empty() { std::mem::take(&mut around.after) } else { Vec::new() },
        };
        file.write_around(buf, at, beside).await.1?;
        at += len as u64;
    }
    Ok(())
}

/// The longest piece that is written at `at`: it ends where a page does.
fn piece_at(at: u64) -> usize {
    PIECE - (at % PAGE as u64) as usize
}

/// A buffer for `len` bytes that belong at `at`.
async fn placed_buffer(store: &Store, at: u64, len: usize) -> Result<AlignedBuf, CommandError> {
    let head = (at % PAGE as u64) as usize;
    let mut buf = store.take_buffer(head + len, BUFFER_WAIT).await?;
    buf.clear_at(head);
    buf.set_len(len);
    Ok(buf)
}

/// Makes a chunk list the block's, durably. The length it answers is the sum of the listed chunks. `listed` is the list as it
/// was encoded, if the request comes without it.
pub async fn put_block(
    store: &Rc<Store>,
    container: &Rc<Container>,
    local: LocalId,
    mut request: PutBlockRequestProto,
    listed: Vec<Rope>,
) -> Result<i64, CommandError> {
    let bcsid = request.block_data.block_id.block_commit_sequence_id();
    let ends = request.eof.unwrap_or(true);
    let open = container.open_block(local);
    let mut tail = open.tail.lock().await;
    load(container, &open, &mut tail).await?;
    let incremental = is_incremental(&request.block_data);
    let mut same = 0;
    if !listed.is_empty() {
        (same, request.block_data.chunks) = match incremental {
            true => Listing::default().open(&listed)?,
            false => tail.listing.open(&listed)?,
        };
    }
    let stored = tail.stored.get_or_insert_default();
    let added = request.block_data.chunks.iter().map(|chunk| chunk.len as i64).fold(0, i64::wrapping_add);
    let length = added.wrapping_add(length_of_first(same, stored) as i64);
    let mut put = match decide(request, same, stored, container.facts().bcsid)? {
        Decision::AlreadyThere => return Ok(length),
        Decision::Apply(put) => *put,
    };
    if let Some(list) = &mut put.list {
        // What stays in memory must not keep the frames it came in.
        list.added.chunks.iter_mut().for_each(checksums::detach);
    }
    for chunk in &put.unproven {
        if tail.written.covers(chunk.offset, chunk.offset + chunk.len) {
            continue;
        }
        let file = store.block_file(container, local, Way::Cached).await?;
        read::prove(store, container, &file, chunk).await?;
        // Written before this process started, perhaps never flushed.
        open_file(store, container, local, &mut tail, chunk.len).await?;
        tail.dirty = true;
        tail.end = tail.end.max(chunk.offset + chunk.len);
        tail.written.insert(chunk.offset, chunk.offset + chunk.len);
    }
    if store.durability() == Durability::Disk {
        flush(store, container, &mut tail).await?;
    }
    let stored = tail.stored.get_or_insert_default();
    let records = commit(store, container, local, stored, &put, bcsid).await?;
    // From here to the end there is no await. Without the cache's hand on it the list grows in place.
    container.renew();
    store.uncache_list(container.id(), local);
    let kept = put.list.as_ref().map(|list| list.kept);
    stored.apply(put, records);
    let whole = stored.whole();
    if let Some(kept) = kept {
        tail.listing.stored(kept, if incremental { &[] } else { &listed });
    }
    if let Some(whole) = whole {
        store.cache(container.id(), local, whole);
    }
    // Put, whether the disk was told to keep it or not.
    tail.dirty = false;
    drop(tail);
    if ends {
        container.close_block(&open);
    }
    Ok(length)
}

/// Reads what the metadata holds of the block, once.
async fn load(container: &Container, open: &OpenBlock, tail: &mut Tail) -> Result<(), CommandError> {
    if tail.stored.is_some() {
        return Ok(());
    }
    let stored = stored(container, open.local).await?;
    tail.end = tail.end.max(stored.end());
    tail.stored = Some(stored);
    Ok(())
}

/// What the metadata holds of a block.
pub async fn stored(container: &Container, local: LocalId) -> Result<Stored, CommandError> {
    let (metadata, folded) = (container.volume().metadata(), container.is_folded());
    Ok(records::read(&**metadata, container.id(), local, folded).await?)
}

/// The block as readers see it: from memory, or from the metadata.
pub async fn committed(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
) -> Result<Option<Rc<BlockData>>, CommandError> {
    if let Some(block) = store.cached(container.id(), local) {
        return Ok(Some(block));
    }
    let Some(block) = stored(container, local).await?.whole() else { return Ok(None) };
    // A put that ended meanwhile has cached something newer, a deletion has taken the container away.
    let same = store.find(container.id()).is_some_and(|found| std::ptr::eq(&raw const *found, container));
    if same && store.cached(container.id(), local).is_none() && container.state().is_sealed() {
        store.cache(container.id(), local, block.clone());
    }
    Ok(Some(block))
}

/// The block's file, open for writing. `len` is that of the chunk that is written first.
async fn open_file(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
    tail: &mut Tail,
    len: u64,
) -> Result<File, CommandError> {
    if let Some(file) = &tail.file {
        return Ok(file.clone());
    }
    let path = container.paths().block(local);
    // Bytes that shall be stable go past the page cache, where the file system can; so do those of long chunks, for which it is
    // the cheaper way whatever an answer promises.
    let direct = store.durability() == Durability::Disk || len >= DIRECT_MIN;
    let opened = match direct {
        true => match store.disk().open(&path, OpenHow::create().direct()).await {
            // Where another has it open through the page cache, or the file system cannot.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
                store.disk().open(&path, OpenHow::create()).await
            }
            opened => opened,
        },
        false => store.disk().open(&path, OpenHow::create()).await,
    };
    let file = opened?;
    tail.file = Some(file.clone());
    // New, or made by a process that may not have synced its folder.
    tail.entry_unsynced = true;
    Ok(file)
}

/// Makes the block's bytes and its directory entry stable.
async fn flush(store: &Rc<Store>, container: &Container, tail: &mut Tail) -> Result<(), CommandError> {
    let failed = |e: DiskError| {
        container.volume().suspect(&e);
        CommandError::from(e)
    };
    if tail.dirty
        && let Some(file) = tail.file.clone()
    {
        file.sync().await.map_err(failed)?;
        tail.dirty = false;
    }
    if tail.entry_unsynced {
        store.disk().sync_dir(container.paths().chunks()).await.map_err(failed)?;
        tail.entry_unsynced = false;
    }
    Ok(())
}

async fn commit(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
    stored: &Stored,
    put: &Put,
    bcsid: u64,
) -> Result<Records, CommandError> {
    let key = keys::block(container.id(), local);
    let mut batch = Batch::new();
    let records = match &put.list {
        Some(change) => records::add(&mut batch, container.id(), local, stored, change),
        None => stored.records.clone(),
    };
    match &put.last {
        LastChunk::Keep => {}
        LastChunk::Set(last) => drop(batch.put(Family::LastChunk, key, last.encode_to_vec())),
        LastChunk::Remove => drop(batch.delete(Family::LastChunk, key)),
    }
    // No await between the new counters and the batch that carries them, so that batches are in the counters' order.
    container.count(|counters| counters.blocks += u64::from(put.is_new));
    container.put_counters(&mut batch);
    if bcsid > container.facts().bcsid {
        let value = keys::counter(i64::try_from(bcsid).unwrap_or(i64::MAX));
        batch.put(Family::Counters, keys::named(container.id(), keys::BCSID), value.to_vec());
    }
    let committing = container.volume().metadata().commit(batch, store.durability());
    if let Err(e) = committing.await {
        container.count(|counters| counters.blocks -= u64::from(put.is_new));
        if matches!(e, MetadataError::Store { .. }) {
            container.volume().suspect(&e);
        }
        return Err(e.into());
    }
    container.count(|counters| counters.bcsid = counters.bcsid.max(bcsid));
    Ok(records)
}
