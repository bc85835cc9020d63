//! The metadata scan: a container's folders, its descriptor, its tree, its records. Cheap: no block is read.

use super::{Damage, Finding};
use crate::block::checksums;
use crate::container::{Container, seal};
use crate::format::container_file::ContainerFile;
use crate::store::Store;
use allotrope_io::{Class, Disk};
use allotrope_proto::container::{BlockData, ContainerChecksumInfo};
use allotrope_types::LocalId;
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// The longest descriptor, in bytes.
const FILE_MAX: usize = 1 << 20;
/// The longest tree, in bytes.
const TREE_MAX: u64 = 64 << 20;

/// What a scan of a container's metadata saw.
#[derive(Debug, Default)]
pub struct Metadata {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The container's blocks, if they can be read.
    pub blocks: BTreeMap<LocalId, BlockData>,
    /// The tree as it lies there, if it can be read.
    pub tree: Option<ContainerChecksumInfo>,
}

/// Looks at a container's metadata. The caller holds its gate, so that nothing changes meanwhile.
pub async fn look(store: &Rc<Store>, container: &Container) -> Metadata {
    let disk = store.disk().for_class(Class::Scrub);
    let mut seen = Metadata::default();
    let mut found = |damage, why: String| seen.findings.push(Finding { damage, block: None, why });
    let paths = container.paths();
    for (dir, damage) in [
        (paths.dir().to_owned(), Damage::MissingContainerDir),
        (paths.metadata(), Damage::MissingMetadataDir),
        (paths.chunks(), Damage::MissingChunksDir),
    ] {
        match disk.stat(&dir).await {
            Ok(Some(entry)) if entry.is_dir => {}
            Ok(_) => found(damage, format!("{} is not there", dir.display())),
            // The disk's trouble, not the container's.
            Err(e) => return unreadable(container, seen, &e),
        }
    }
    match descriptor(&disk, &paths.container_file()).await {
        Ok(file) if file.id == container.id() => {}
        Ok(file) => found(Damage::CorruptContainerFile, format!("it names container {}", file.id)),
        Err((damage, why)) => found(damage, why),
    }
    match seal::all_blocks(container).await {
        Ok(blocks) => {
            for (local, block) in &blocks {
                if let Some(e) = block.chunks.iter().find_map(|chunk| checksums::of_chunk(chunk).err()) {
                    let (damage, block) = (Damage::InaccessibleDb, Some(*local));
                    seen.findings.push(Finding { damage, block, why: e.why });
                }
            }
            seen.blocks = blocks;
        }
        Err(e) => seen.findings.push(Finding { damage: Damage::InaccessibleDb, block: None, why: e.why }),
    }
    match tree(&disk, &paths.tree()).await {
        Ok(tree) => seen.tree = tree,
        Err(why) => seen.findings.push(Finding { damage: Damage::CorruptTree, block: None, why }),
    }
    seen
}

fn unreadable(container: &Container, seen: Metadata, e: &allotrope_io::DiskError) -> Metadata {
    tracing::warn!(container = %container.id(), error = %e, "a container cannot be looked at; its disk is checked");
    container.volume().ask_check();
    seen
}

async fn descriptor(disk: &Disk, path: &Path) -> Result<ContainerFile, (Damage, String)> {
    let bytes = match disk.read_small(path, FILE_MAX).await {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Err((Damage::MissingContainerFile, e.to_string())),
        Err(e) => return Err((Damage::CorruptContainerFile, format!("{e}: {}", e.source))),
    };
    let text = std::str::from_utf8(&bytes).map_err(|e| (Damage::CorruptContainerFile, e.to_string()))?;
    ContainerFile::decode(text).map_err(|e| (Damage::CorruptContainerFile, e.to_string()))
}

/// The tree, if there is one. Its sums are held against the blocks' by the data scan.
async fn tree(disk: &Disk, path: &Path) -> Result<Option<ContainerChecksumInfo>, String> {
    let len = match disk.stat(path).await {
        Ok(Some(entry)) => entry.len,
        Ok(None) => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    if len > TREE_MAX {
        return Err(format!("it has {len} bytes"));
    }
    let bytes = disk.read_small(path, len as usize).await.map_err(|e| e.to_string())?;
    ContainerChecksumInfo::decode(&bytes[..]).map(Some).map_err(|e| e.to_string())
}
