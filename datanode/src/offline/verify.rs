//! Whether containers are whole: every block's file is there, as long as its chunks say, and has the bytes that were put.

use super::place::Place;
use super::{OfflineError, on_shard};
use crate::block::{checksums, records};
use crate::container::load::container_id;
use crate::format::layout::ContainerPaths;
use crate::format::tree;
use allotrope_io::{OpenHow, Shard};
use allotrope_proto::container::{BlockData, ChunkInfo, ContainerChecksumInfo};
use allotrope_types::{ContainerId, LocalId, ReplicaIndex, ReplicaState};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;

/// Bytes that are read at once, about; a piece ends where a checksum window does.
const PIECE: u64 = 1 << 20;
const TREE_MAX: usize = 1 << 30;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The container; `None` for what concerns the volume.
    pub container: Option<ContainerId>,
    /// The replica's place in its erasure code, if it has one.
    pub replica: Option<ReplicaIndex>,
    /// The block; `None` for what concerns the whole container.
    pub block: Option<LocalId>,
    /// Whether bytes are lost or wrong here; otherwise it is only worth knowing.
    pub is_damage: bool,
    /// What it is.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Containers that were looked at, and how many of them are damaged.
    pub containers: (u64, u64),
    /// Blocks likewise.
    pub blocks: (u64, u64),
    /// Bytes that were read and verified.
    pub bytes: u64,
}

/// Reads and verifies every block of the container that `path` names, or of all on its volume. `see` is told each
/// [`Finding`] as it is made.
pub fn verify(path: &Path, see: impl FnMut(Finding) + Send + 'static) -> Result<Verified, OfflineError> {
    look(path, false, see)
}

/// As [`verify`], for a whole volume and what else is on it.
pub fn check(path: &Path, see: impl FnMut(Finding) + Send + 'static) -> Result<Verified, OfflineError> {
    look(path, true, see)
}

fn look(
    path: &Path,
    volume: bool,
    mut see: impl FnMut(Finding) + Send + 'static,
) -> Result<Verified, OfflineError> {
    let path = path.to_owned();
    on_shard(move |shard| async move {
        let mut place = Place::open(&shard, &path).await?;
        if volume {
            place.container = None;
            around(&place, &mut see).await?;
        }
        let mut done = Verified::default();
        for paths in place.containers().await? {
            container(&place, &paths, &mut done, &mut see).await?;
        }
        place.close().await;
        Ok(done)
    })
}

/// What lies on the volume besides containers.
async fn around(place: &Place, see: &mut impl FnMut(Finding)) -> Result<(), OfflineError> {
    let mut note = |container, what: String| {
        see(Finding { container, replica: None, block: None, is_damage: false, what });
    };
    for entry in place.list(&place.paths.tmp().join("deleted-containers")).await? {
        note(container_id(&entry.path), "a deletion is half done; the next start finishes it".into());
    }
    for folder in place.list(&place.paths.current()).await? {
        for entry in if folder.is_dir { place.list(&folder.path).await? } else { Vec::new() } {
            match container_id(&entry.path) {
                Some(id) if entry.path == place.paths.container(id).dir() => {}
                _ => note(None, format!("{} is no container and is not used", entry.path.display())),
            }
        }
    }
    Ok(())
}

async fn container(
    place: &Place,
    paths: &ContainerPaths,
    done: &mut Verified,
    see: &mut impl FnMut(Finding),
) -> Result<(), OfflineError> {
    let id = paths.id();
    let file = place.file(paths).await;
    let replica = file.as_ref().ok().and_then(|file| file.replica);
    let damaged = Cell::new(false);
    let mut tell = |block: Option<LocalId>, is_damage: bool, what: String| {
        damaged.set(damaged.get() || is_damage);
        see(Finding { container: Some(id), replica, block, is_damage, what });
    };
    let closed = match &file {
        Ok(file) => matches!(file.state, ReplicaState::Closed | ReplicaState::QuasiClosed),
        Err(why) => {
            tell(None, true, why.clone());
            false
        }
    };
    let mut whole = Vec::new();
    let blocks = records::read_all(place.metadata(), id).await?;
    let names: BTreeSet<LocalId> = blocks.keys().copied().collect();
    for (local, stored) in blocks {
        done.blocks.0 += 1;
        let wrong = match stored.map(|stored| stored.whole()) {
            Ok(Some(block)) => {
                let wrong = block_file(&place.shard, &paths.block(local), &block, &mut done.bytes).await;
                whole.push((*block).clone());
                wrong
            }
            Ok(None) => Vec::new(),
            Err(e) => vec![e.to_string()],
        };
        done.blocks.1 += u64::from(!wrong.is_empty());
        wrong.into_iter().for_each(|what| tell(Some(local), true, what));
    }
    for entry in place.list(&paths.chunks()).await? {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let local = name.strip_suffix(".block").and_then(|id| id.parse::<LocalId>().ok());
        if closed && local.is_none_or(|local| !names.contains(&local)) {
            tell(None, false, format!("{name} in its chunks belongs to no block"));
        }
    }
    let counted = place.counters(id).await?;
    if counted.blocks != names.len() as u64 {
        tell(None, false, format!("it counts {} blocks and has {}", counted.blocks, names.len()));
    }
    if closed && !damaged.get() {
        let (is_damage, what) = match tree_of(place, paths, whole).await {
            Ok(None) => (false, None),
            Ok(Some(note)) => (false, Some(note)),
            Err(damage) => (true, Some(damage)),
        };
        what.into_iter().for_each(|what| tell(None, is_damage, what));
    }
    done.containers.0 += 1;
    done.containers.1 += u64::from(damaged.get());
    Ok(())
}

/// Holds the Merkle tree's file against the blocks: `Ok` with a word where there is nothing to compare.
async fn tree_of(
    place: &Place,
    paths: &ContainerPaths,
    blocks: Vec<BlockData>,
) -> Result<Option<String>, String> {
    let bytes = match place.disk().read_small(paths.tree(), TREE_MAX).await {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Ok(Some("it has no .tree file yet".into())),
        Err(e) => return Err(format!("its .tree file cannot be read: {}", e.source)),
    };
    let stored: ContainerChecksumInfo =
        allotrope_proto::decode(bytes.into()).map_err(|e| format!("its .tree file is damaged: {e}"))?;
    let gone = stored.container_merkle_tree.iter().flat_map(|tree| &tree.block_merkle_tree);
    let gone: Vec<_> = gone.filter(|block| block.deleted == Some(true)).cloned().collect();
    let root = |info: &ContainerChecksumInfo| info.container_merkle_tree.as_ref()?.data_checksum;
    let ours = tree::build(paths.id(), blocks, gone);
    match root(&stored) == root(&ours) {
        true => Ok(None),
        false => Err(format!(
            "its .tree file has the root {:08x}, its blocks have {:08x}",
            root(&stored).unwrap_or_default(),
            root(&ours).unwrap_or_default()
        )),
    }
}

/// What is wrong with a block's file.
async fn block_file(shard: &Shard, path: &Path, block: &BlockData, bytes: &mut u64) -> Vec<String> {
    let end = |chunk: &ChunkInfo| chunk.offset.saturating_add(chunk.len);
    let needs = block.chunks.iter().map(end).max().unwrap_or(0);
    let file = match shard.disk().open(path, OpenHow::read()).await {
        Ok(file) => file,
        Err(e) if e.is_not_found() && needs == 0 => return Vec::new(),
        Err(e) if e.is_not_found() => return vec!["its file is not there".into()],
        Err(e) => return vec![format!("its file cannot be opened: {}", e.source)],
    };
    let has = match file.len().await {
        Ok(has) => has,
        Err(e) => return vec![format!("its file cannot be read: {}", e.source)],
    };
    let mut wrong = Vec::new();
    if has < needs {
        wrong.push(format!("its file has {has} bytes of {needs}"));
    }
    for chunk in block.chunks.iter().filter(|chunk| end(chunk) <= has) {
        match chunk_bytes(shard, &file, chunk).await {
            Ok(verified) => *bytes += verified,
            Err(why) => wrong.push(format!("chunk {} at {}: {why}", chunk.chunk_name, chunk.offset)),
        }
    }
    wrong
}

/// Verifies a chunk that lies within its file; how many bytes have checksums.
async fn chunk_bytes(shard: &Shard, file: &allotrope_io::File, chunk: &ChunkInfo) -> Result<u64, String> {
    let sums = checksums::of_chunk(chunk).map_err(|e| e.why)?;
    let window = checksums::window(&sums);
    if window == 0 {
        return Ok(0);
    }
    let piece = (PIECE / window).max(1) * window;
    let mut at = 0;
    while at < chunk.len {
        let len = piece.min(chunk.len - at) as usize;
        let buf = shard.buffers().take(len).await.map_err(|e| e.to_string())?;
        let (buf, read) = file.read_exact_at(buf, chunk.offset + at, len).await;
        read.map_err(|e| format!("its bytes cannot be read: {}", e.source))?;
        sums.verify_part(at, &buf).map_err(|e| e.to_string())?;
        at += len as u64;
    }
    Ok(chunk.len)
}
