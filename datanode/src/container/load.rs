//! Finding a volume's containers at start, and finishing or removing what a crash left half done.
//!
//! Errors  a damaged container is logged and left as it is, and costs no other; an unreadable volume is an error.

use super::{Container, Counters, delete};
use crate::commands::CommandError;
use crate::format::container_file::ContainerFile;
use crate::format::keys;
use crate::format::layout::ContainerPaths;
use crate::metadata::Family;
use crate::replication::import;
use crate::volume::Volume;
use allotrope_io::{Disk, DiskError};
use allotrope_types::{ContainerId, ReplicaState};
use futures_util::stream::{self, StreamExt};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Containers that are read at once.
const AT_ONCE: usize = 64;
/// Counters that are read from the metadata at once.
const PAGE: usize = 16_384;
/// Longest `.container` file, in bytes.
const FILE_MAX: usize = 1 << 20;

/// A container that was found; becomes a [`Container`] on its home shard.
pub struct Found {
    /// The volume it lies on.
    pub volume: Arc<Volume>,
    /// Where its files lie.
    pub paths: ContainerPaths,
    /// Its `.container` file.
    pub file: ContainerFile,
    /// Its counters.
    pub counters: Counters,
    /// Bytes of the volume that are kept for it to grow by.
    kept: u64,
}

impl Found {
    /// The container, on its home shard.
    pub fn into_container(self) -> Container {
        Container::new(self.volume, self.paths, self.file, self.counters).with_room(self.kept)
    }

    /// Keeps room on its volume for all that it may still grow by, if it is OPEN.
    fn keep_room(&mut self) {
        if self.file.state == ReplicaState::Open {
            let room = self.file.size_max.as_u64().saturating_sub(self.counters.bytes_used);
            self.kept = room.min(i64::MAX as u64);
            self.volume.commit(self.kept as i64);
        }
    }
}

/// All containers of a volume, after half-done deletions were finished and half-made containers removed.
pub async fn load(disk: &Disk, volume: &Arc<Volume>) -> Result<Vec<Found>, CommandError> {
    finish_deletions(disk, volume).await?;
    import::clear(disk, volume).await?;
    let counters = all_counters(volume).await?;
    let mut ids = Vec::new();
    for folder in list_or_nothing(disk, &volume.paths().current()).await? {
        if !folder.is_dir {
            continue;
        }
        for entry in disk.list(&folder.path).await? {
            if let Some(id) = container_id(&entry.path).filter(|_| entry.is_dir) {
                let paths = volume.paths().container(id);
                if paths.dir() == entry.path {
                    ids.push(id);
                } else {
                    tracing::warn!(path = %entry.path.display(), "a container lies in the wrong folder and is left alone");
                }
            }
        }
    }
    let found: Vec<_> = stream::iter(ids)
        .map(|id| load_one(disk, volume, id, counters.get(&id).copied().unwrap_or_default()))
        .buffer_unordered(AT_ONCE)
        .filter_map(|one| async move { one })
        .collect()
        .await;
    let mut found = remove_unfinished(disk, volume, found).await;
    for one in &mut found {
        volume.found(one.counters.bytes_used);
        one.keep_room();
    }
    Ok(found)
}

/// Removes replicas that were being copied or rebuilt when the process ended: they are no replica yet, SCM was never told of
/// them, and what they were made of is elsewhere. The rest, in order.
async fn remove_unfinished(disk: &Disk, volume: &Volume, found: Vec<Found>) -> Vec<Found> {
    let (unfinished, mut found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|one| one.file.state == ReplicaState::Recovering);
    for one in unfinished {
        let (id, away) = (one.file.id, volume.paths().deleted(one.file.id));
        tracing::info!(container = %id, "a replica that was not finished is removed");
        let removed = async {
            disk.create_dir_all(away.parent().unwrap_or(&away)).await?;
            disk.rename(one.paths.dir(), &away).await?;
            delete::finish(disk, volume, id).await
        };
        if let Err(e) = removed.await {
            tracing::error!(container = %id, error = %e, "it is left out, and to the next start");
        }
    }
    found.sort_by_key(|one| one.file.id);
    found
}

async fn load_one(disk: &Disk, volume: &Arc<Volume>, id: ContainerId, counters: Counters) -> Option<Found> {
    let paths = volume.paths().container(id);
    let text = match disk.read_small(paths.container_file(), FILE_MAX).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if DiskError::is_not_found(&e) => {
            remove_half_made(disk, &paths, id).await;
            return None;
        }
        Err(e) => {
            tracing::error!(container = %id, error = %e, why = %e.source, "a container cannot be read and is left out");
            return None;
        }
    };
    let file = match ContainerFile::decode(&text) {
        Ok(file) if file.id == id => file,
        Ok(file) => {
            tracing::error!(container = %id, names = %file.id, "a .container file names another container; it is left out");
            return None;
        }
        Err(e) => {
            tracing::error!(container = %id, error = %e, "a damaged container is left out");
            return None;
        }
    };
    Some(Found { volume: volume.clone(), paths, file, counters, kept: 0 })
}

/// A folder without a `.container` file is a creation that a crash cut short, unless it holds blocks.
async fn remove_half_made(disk: &Disk, paths: &ContainerPaths, id: ContainerId) {
    let chunks = match list_or_nothing(disk, &paths.chunks()).await {
        Ok(chunks) => chunks,
        Err(e) => {
            tracing::error!(container = %id, error = %e, "a container's folder cannot be read");
            return;
        }
    };
    if !chunks.is_empty() {
        tracing::error!(container = %id, files = chunks.len(), "a container with data has lost its .container file; it is left alone");
        return;
    }
    match disk.remove_dir_all(paths.dir()).await {
        Ok(()) => tracing::info!(container = %id, "a half-made container was removed"),
        Err(e) => tracing::error!(container = %id, error = %e, "a half-made container cannot be removed"),
    }
}

async fn finish_deletions(disk: &Disk, volume: &Volume) -> Result<(), CommandError> {
    for entry in list_or_nothing(disk, &volume.paths().tmp().join("deleted-containers")).await? {
        if let Some(id) = container_id(&entry.path) {
            tracing::info!(container = %id, "a deletion is finished");
            delete::finish(disk, volume, id).await?;
        }
    }
    Ok(())
}

/// What is in a folder; nothing if it is not there.
pub(crate) async fn list_or_nothing(
    disk: &Disk,
    dir: &Path,
) -> Result<Vec<allotrope_io::DirEntry>, DiskError> {
    match disk.list(dir).await {
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        listed => listed,
    }
}

/// The container whose folder this would be by its name.
pub(crate) fn container_id(path: &Path) -> Option<ContainerId> {
    path.file_name()?.to_str()?.parse().ok()
}

async fn all_counters(volume: &Volume) -> Result<BTreeMap<ContainerId, Counters>, CommandError> {
    let mut all: BTreeMap<ContainerId, Counters> = BTreeMap::new();
    let mut from = Vec::new();
    loop {
        let page = volume.metadata().scan(Family::Counters, from, vec![0xff; 10], PAGE).await?;
        for (key, value) in &page {
            let (Some((id, name)), Some(value)) = (keys::split(key), keys::read_counter(value)) else {
                continue;
            };
            all.entry(id).or_default().take(name, value);
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.to_vec();
                from.push(0);
            }
            _ => return Ok(all),
        }
    }
}
