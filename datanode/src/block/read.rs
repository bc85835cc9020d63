//! Reading a block's bytes: whole checksum windows from the disk, verified before they leave.
//!
//! Units   offsets and lengths count bytes of the block.
//! Errors  CHECKSUM_MISMATCH where the disk's bytes are not those that were put, UNABLE_TO_FIND_CHUNK where no chunk or
//!         no file is.

use super::checksums;
use super::files::Way;
use crate::commands::CommandError;
use crate::container::Container;
use crate::metadata::Durability;
use crate::store::Store;
use allotrope_io::{AlignedBuf, Class, DiskError, File, PAGE};
use allotrope_proto::Rope;
use allotrope_proto::checksum::ChecksumError;
use allotrope_proto::container::{BlockData, ChunkInfo};
use allotrope_types::DatanodeResult::{ChecksumMismatch, IoException, UnableToFindChunk};
use allotrope_types::LocalId;
use bytes::Bytes;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are read into one buffer, about; a piece ends where a window does.
const PIECE: u64 = 1 << 20;
/// Longest wait for a buffer.
const BUFFER_WAIT: Duration = Duration::from_secs(20);

/// The bytes from `offset` for `len` of a block whose chunks are `block`'s. The disk is read when it is the class's turn.
pub async fn read(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
    block: &BlockData,
    (offset, len): (u64, u64),
    class: Class,
) -> Result<Rope, CommandError> {
    let mut rope = Rope::new();
    if len == 0 {
        return Ok(rope);
    }
    let end = offset.checked_add(len).ok_or_else(|| {
        let why = format!("block {local} of container {} has no chunk at {offset}", container.id());
        CommandError::new(UnableToFindChunk, why)
    })?;
    // All of it at once: two readers that each wait for the rest of theirs would wait for each other.
    let room = store.shard().clock().timeout(BUFFER_WAIT, store.room_to_read(len)).await;
    let Ok(Some(mut room)) = room else {
        let why = format!("readers hold all the buffers they may; none came free in {BUFFER_WAIT:?}");
        return Err(CommandError::new(IoException, why));
    };
    let mut at = offset;
    while at < end {
        let chunk = block.chunks.iter().find(|chunk| chunk.offset <= at && at < chunk.offset + chunk.len);
        let chunk = chunk.ok_or_else(|| {
            let why = format!("block {local} of container {} has no chunk at {at}", container.id());
            CommandError::new(UnableToFindChunk, why)
        })?;
        let to = end.min(chunk.offset + chunk.len);
        match read_chunk(store, container, local, chunk, (at, to), (class, &mut room)).await {
            Ok(part) => rope.append(part),
            Err(e) => {
                // What is under the name may be another file by now, or none.
                store.close_file(container.id(), local);
                return Err(e);
            }
        }
        at = to;
    }
    Ok(rope)
}

/// The bytes from the first to the second place of the block, all of them in `chunk`. Each piece takes its part of `room`
/// with it.
async fn read_chunk(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
    chunk: &ChunkInfo,
    (from, to): (u64, u64),
    (class, room): (Class, &mut OwnedSemaphorePermit),
) -> Result<Rope, CommandError> {
    let sums = checksums::of_chunk(chunk)?;
    let window = if store.node().config.verify_reads { checksums::window(&sums) } else { 0 };
    let (mut at, last) = match window {
        0 => (from - chunk.offset, to - chunk.offset),
        _ => {
            let first = (from - chunk.offset) / window * window;
            (first, (to - chunk.offset).div_ceil(window).saturating_mul(window).min(chunk.len))
        }
    };
    let piece = PIECE.checked_div(window).map_or(PIECE, |windows| windows.max(1) * window);
    let mut rope = Rope::new();
    while at < last {
        let len = piece.min(last - at) as usize;
        let file_at = chunk.offset + at;
        let file = store.block_file(container, local, way(store, container, local, file_at, len)).await?;
        let file = &store.disk().for_class(class).file(&file.shared());
        let buf = read_piece(store, file, file_at, len).await?;
        if window != 0
            && let Err(e) = sums.verify_part(at, &buf)
        {
            return Err(mismatch(store, container, file, chunk, file_at, &e));
        }
        let cut_from = from.saturating_sub(file_at).min(len as u64) as usize;
        let cut_to = (to.saturating_sub(file_at)).min(len as u64) as usize;
        let _room = room.split(Store::pages_to_read(len).min(room.num_permits()));
        rope.push(Bytes::from_owner(Sending { buf, _room }).slice(cut_from..cut_to));
        at += len as u64;
    }
    Ok(rope)
}

/// Whether a piece is read through the page cache. Where writes are left to it, it holds what is newest.
fn way(store: &Store, container: &Container, local: LocalId, at: u64, len: usize) -> Way {
    match store.durability() {
        Durability::Disk => store.heat.borrow_mut().way(container.id(), local, at, len as u64),
        Durability::PageCache => Way::Cached,
    }
}

async fn read_piece(store: &Rc<Store>, file: &File, at: u64, len: usize) -> Result<AlignedBuf, CommandError> {
    // Past the page cache whole pages are read.
    let head = if file.is_direct() { (at % PAGE as u64) as usize } else { 0 };
    let buf = store.take_buffer(head + len, BUFFER_WAIT).await?;
    let (buf, read) = file.read_exact_at(buf, at, len).await;
    read.map_err(|e| failed(file, at + len as u64, e))?;
    Ok(buf)
}

/// Why bytes up to `end` could not be read.
pub(super) fn failed(file: &File, end: u64, e: DiskError) -> CommandError {
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            let why = format!("{} ends before byte {end}", file.path().display());
            CommandError::new(UnableToFindChunk, why)
        }
        _ => e.into(),
    }
}

/// Tells of bytes at `at` of a block that are not those that were put.
pub(super) fn mismatch(
    store: &Store,
    container: &Container,
    file: &File,
    chunk: &ChunkInfo,
    at: u64,
    e: &ChecksumError,
) -> CommandError {
    if let Some(left_out) = store.damage_said.may(store.shard().clock().now()) {
        tracing::error!(container = %container.id(), replica = ?container.replica(), chunk = %chunk.chunk_name,
            path = %file.path().display(), at, error = %e, left_out, "bytes on the disk are not those that were written");
    }
    let why = format!("chunk {} of container {}: {e}", chunk.chunk_name, container.id());
    CommandError::new(ChecksumMismatch, why)
}

/// Bytes on their way to a client.
struct Sending {
    buf: AlignedBuf,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.buf
    }
}

/// Shows that the bytes of `chunk` are in the block's file, by reading and verifying them.
pub async fn prove(
    store: &Rc<Store>,
    container: &Container,
    file: &File,
    chunk: &ChunkInfo,
) -> Result<(), CommandError> {
    let sums = checksums::of_chunk(chunk)?;
    let window = checksums::window(&sums);
    if window == 0 {
        let why = format!(
            "chunk {} was not written since this datanode started, and without checksums nothing shows that it is there",
            chunk.chunk_name
        );
        return Err(CommandError::new(UnableToFindChunk, why));
    }
    let piece = (PIECE / window).max(1) * window;
    let mut at = 0;
    while at < chunk.len {
        let len = piece.min(chunk.len - at) as usize;
        let bytes = read_piece(store, file, chunk.offset + at, len).await?;
        sums.verify_part(at, &bytes)
            .map_err(|e| mismatch(store, container, file, chunk, chunk.offset + at, &e))?;
        at += len as u64;
    }
    Ok(())
}

impl Store {
    /// A buffer with room for `len` bytes; outside the pool if no buffer of the pool is that long.
    pub(crate) async fn take_buffer(
        &self,
        len: usize,
        wait: Duration,
    ) -> Result<allotrope_io::AlignedBuf, CommandError> {
        let busy = |why: String| CommandError::new(IoException, why);
        match self.shard().clock().timeout(wait, self.shard().buffers().take(len)).await {
            Ok(Ok(buf)) => Ok(buf),
            Ok(Err(e)) => Err(busy(e.to_string())),
            Err(_) => Err(busy(format!("no buffer of {len} bytes came free in {wait:?}"))),
        }
    }
}
