//! The data scan: every chunk of a sealed container is read and held against its checksums.

use super::{Budget, Damage, Finding};
use crate::block::{checksums, write};
use crate::container::{Container, delete_blocks};
use crate::store::Store;
use allotrope_io::{Class, File, OpenHow};
use allotrope_proto::container::{BlockData, ChunkInfo};
use allotrope_types::{LocalId, ReplicaState};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Bytes that are read into one buffer, about.
const PIECE: u64 = 1 << 20;
/// Longest wait for a buffer: the scan can wait longer than any client.
const BUFFER_WAIT: Duration = Duration::from_secs(300);
/// Findings after which nothing more is looked for: the container is damaged.
const FINDINGS_MAX: usize = 16;

/// How a scan of a container's data ended.
#[derive(Debug, Default)]
pub struct Data {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Whether all blocks were looked at; false if the container went or changed, or the disk did not serve.
    pub whole: bool,
}

/// Why a chunk was not shown to be whole.
enum Trouble {
    Damaged(Damage, String),
    /// Nothing is known: no buffer, or the disk's trouble.
    Unknown(String),
}

/// Reads all `blocks` within `budget`.
pub async fn read(
    store: &Rc<Store>,
    container: &Rc<Container>,
    blocks: &BTreeMap<LocalId, BlockData>,
    budget: &Budget,
) -> Data {
    let mut data = Data::default();
    for (local, block) in blocks {
        if container.state() == ReplicaState::Deleted
            || container.volume().is_failed()
            || store.shard().is_stopping()
        {
            return data;
        }
        // A read that went wrong once is tried again before it condemns.
        let mut seen = read_block(store, container, *local, block, budget, &mut data.bytes).await;
        if seen.is_err() {
            seen = read_block(store, container, *local, block, budget, &mut data.bytes).await;
        }
        match seen {
            Ok(()) => {}
            Err(Trouble::Unknown(why)) => {
                tracing::warn!(container = %container.id(), block = %local, why, "a scan is broken off");
                container.volume().ask_check();
                return data;
            }
            Err(Trouble::Damaged(damage, why)) => {
                if is_lost(container, *local, block).await {
                    data.findings.push(Finding { damage, block: Some(*local), why });
                }
                if data.findings.len() >= FINDINGS_MAX {
                    break;
                }
            }
        }
    }
    data.whole = true;
    data
}

/// Whether the metadata still has the block as the scan found it, and SCM has not asked for its deletion: of a block that
/// goes, the file goes first, and a crash may come between.
async fn is_lost(container: &Container, local: LocalId, block: &BlockData) -> bool {
    // Whoever is removing blocks ends first.
    let _alone = container.gate.write().await;
    if container.state() == ReplicaState::Deleted || delete_blocks::is_doomed(container, local).await {
        return false;
    }
    match write::stored(container, local).await {
        Ok(stored) => stored.whole().is_some_and(|now| now.chunks == block.chunks),
        Err(_) => true,
    }
}

async fn read_block(
    store: &Rc<Store>,
    container: &Container,
    local: LocalId,
    block: &BlockData,
    budget: &Budget,
    count: &mut u64,
) -> Result<(), Trouble> {
    if block.chunks.iter().all(|chunk| chunk.len == 0) {
        return Ok(());
    }
    let path = container.paths().block(local);
    let disk = store.disk().for_class(Class::Scrub);
    // Past the page cache: the disk is to be read, not what memory remembers of it.
    let opened = match disk.open(&path, OpenHow::read().direct()).await {
        Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => disk.open(&path, OpenHow::read()).await,
        opened => opened,
    };
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.is_not_found() => {
            return Err(Trouble::Damaged(
                Damage::MissingDataFile,
                format!("{} is not there", path.display()),
            ));
        }
        Err(e) => return Err(Trouble::Unknown(format!("{e}: {}", e.source))),
    };
    for chunk in &block.chunks {
        read_chunk(store, &file, chunk, budget, count).await?;
    }
    Ok(())
}

async fn read_chunk(
    store: &Rc<Store>,
    file: &File,
    chunk: &ChunkInfo,
    budget: &Budget,
    count: &mut u64,
) -> Result<(), Trouble> {
    let sums = checksums::of_chunk(chunk).map_err(|e| Trouble::Damaged(Damage::InaccessibleDb, e.why))?;
    let window = checksums::window(&sums);
    let piece = PIECE.checked_div(window).map_or(PIECE, |windows| windows.max(1) * window);
    let mut at = 0;
    while at < chunk.len {
        let len = piece.min(chunk.len - at);
        budget.wait(len, store.shard().clock()).await;
        let buf = store.take_buffer(len as usize, BUFFER_WAIT).await.map_err(|e| Trouble::Unknown(e.why))?;
        let (buf, read) = file.read_exact_at(buf, chunk.offset + at, len as usize).await;
        match read {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                let why = format!("chunk {} ends behind the file's end", chunk.chunk_name);
                return Err(Trouble::Damaged(Damage::InconsistentChunkLength, why));
            }
            // A sector that cannot be read is damage like any other; whether the disk as a whole serves is checked apart.
            Err(e) => return Err(Trouble::Damaged(Damage::CorruptChunk, format!("{e}: {}", e.source))),
        }
        *count += len;
        if window != 0
            && let Err(e) = sums.verify_part(at, &buf)
        {
            let why = format!("chunk {} at {}: {e}", chunk.chunk_name, chunk.offset + at);
            return Err(Trouble::Damaged(Damage::CorruptChunk, why));
        }
        at += len;
    }
    Ok(())
}
