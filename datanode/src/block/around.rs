//! What shares the first and the last page of a chunk: bytes of the block that go to the disk again with it.
//!
//! Promise  bytes that come from the disk are verified before they go back. Where they do not verify the chunk is refused, and
//!          the disk is left as it is: one bit that a read got wrong must not become what is stored.
//! Errors   CHECKSUM_MISMATCH, as for a read; UNABLE_TO_FIND_CHUNK where the file ends too early. Either has the container
//!          scanned, as a failed read has.
//!
//! Bytes that no stored checksum covers, because they were never put or have none, cannot be verified here. They no longer
//! count as written by this process, so that a PutBlock that names them reads and verifies them first.

use super::ranges::Ranges;
use super::{Tail, checksums, read};
use crate::commands::CommandError;
use crate::container::Container;
use crate::store::Store;
use allotrope_io::{AlignedBuf, Around, File, PAGE};
use allotrope_proto::container::ChunkInfo;
use std::ops::Range;

const P: u64 = PAGE as u64;

/// What a write of `data` into `file`, past the page cache, has to know of its first and last page and memory does not hold.
pub(super) async fn around(
    store: &Store,
    container: &Container,
    file: &File,
    tail: &mut Tail,
    data: Range<u64>,
) -> Result<Around, CommandError> {
    let (first, last) = (data.start - data.start % P, data.end - data.end % P);
    let mut around = Around::default();
    if first < data.start && !file.holds_page(first) {
        around.before = verified(store, container, file, tail, first..data.start).await?;
    }
    let behind = data.end..data.end.next_multiple_of(P).min(tail.end);
    if !behind.is_empty() && !file.holds_page(last) {
        around.after = verified(store, container, file, tail, behind).await?;
    }
    Ok(around)
}

/// The block's bytes in `wanted`, a part of a page, as far as they were put and checksummed.
async fn verified(
    store: &Store,
    container: &Container,
    file: &File,
    tail: &mut Tail,
    wanted: Range<u64>,
) -> Result<Vec<u8>, CommandError> {
    let mut bytes = vec![0; (wanted.end - wanted.start) as usize];
    let place = |part: &Range<u64>, from: u64| (part.start - from) as usize..(part.end - from) as usize;
    let mut unknown = Ranges::default();
    unknown.insert(wanted.start, wanted.end);
    let block = tail.stored.as_ref().and_then(|stored| stored.whole());
    for chunk in block.iter().flat_map(|block| &block.chunks) {
        let end = chunk.offset.saturating_add(chunk.len);
        let shared = wanted.start.max(chunk.offset)..wanted.end.min(end);
        if shared.is_empty() {
            continue;
        }
        let Some((at, windows)) = windows(store, container, file, chunk, &shared).await? else { continue };
        bytes[place(&shared, wanted.start)].copy_from_slice(&windows[place(&shared, at)]);
        unknown.remove(shared.start, shared.end);
    }
    for part in unknown.iter() {
        bytes[place(&part, wanted.start)].copy_from_slice(&from_disk(file, &part).await?);
        tail.written.remove(part.start, part.end);
    }
    Ok(bytes)
}

/// The checksum windows of `chunk` that `shared` lies in, verified, and where in the block they start. `None` if the chunk
/// has no checksums.
async fn windows(
    store: &Store,
    container: &Container,
    file: &File,
    chunk: &ChunkInfo,
    shared: &Range<u64>,
) -> Result<Option<(u64, AlignedBuf)>, CommandError> {
    let sums = checksums::of_chunk(chunk)?;
    let window = checksums::window(&sums);
    if window == 0 {
        return Ok(None);
    }
    let first = (shared.start - chunk.offset) / window * window;
    let last = (shared.end - chunk.offset).div_ceil(window).saturating_mul(window).min(chunk.len);
    let at = chunk.offset + first;
    let read = from_disk(file, &(at..chunk.offset + last)).await;
    let verified = read.and_then(|bytes| match sums.verify_part(first, &bytes) {
        Ok(()) => Ok(bytes),
        Err(e) => {
            store.node().metrics.checksum_mismatch();
            Err(read::mismatch(store, container, file, chunk, at, &e))
        }
    });
    // These bytes were put: what a reader would be refused is looked at as if one had been.
    let bytes = verified.inspect_err(|_| store.suspect(container))?;
    Ok(Some((at, bytes)))
}

/// Outside the pool: the writer holds a buffer of it already, and two that each wait for another would wait for ever.
async fn from_disk(file: &File, wanted: &Range<u64>) -> Result<AlignedBuf, CommandError> {
    let len = (wanted.end - wanted.start) as usize;
    let (buf, done) = file.read_exact_at(AlignedBuf::heap(len + PAGE), wanted.start, len).await;
    done.map_err(|e| read::failed(file, wanted.end, e))?;
    Ok(buf)
}
