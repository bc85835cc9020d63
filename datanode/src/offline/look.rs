//! What containers a volume has, and what one of them is.

use super::place::Place;
use super::{OfflineError, on_shard};
use crate::block::records;
use crate::container::Counters;
use crate::format::container_file::ContainerFile;
use crate::format::layout::ContainerPaths;
use allotrope_types::ContainerId;
use std::path::{Path, PathBuf};

/// A container in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The container.
    pub container: ContainerId,
    /// Its `.container` file, or what is wrong with it.
    pub file: Result<ContainerFile, String>,
    /// What the metadata counts.
    pub counters: Counters,
}

/// One container.
#[derive(Clone, Debug)]
pub struct Info {
    /// As in the list.
    pub summary: Summary,
    /// Its folder.
    pub folder: PathBuf,
    /// The cluster and the datanode that its volume belongs to, and the volume's own id.
    pub owner: (String, String, String),
    /// Blocks that the metadata has.
    pub blocks: usize,
    /// Blocks whose lists are not folded to Ozone's form yet.
    pub growing: usize,
    /// Block files in its folder, and the bytes in them.
    pub files: (usize, u64),
    /// Whether it has a Merkle tree's file.
    pub has_tree: bool,
}

/// The containers on the volume, or the one that `path` names.
pub fn list(path: &Path) -> Result<Vec<Summary>, OfflineError> {
    let path = path.to_owned();
    on_shard(move |shard| async move {
        let place = Place::open(&shard, &path).await?;
        let mut found = Vec::new();
        for paths in place.containers().await? {
            found.push(summary(&place, &paths).await?);
        }
        place.close().await;
        Ok(found)
    })
}

/// The container that `path` names.
pub fn info(path: &Path) -> Result<Info, OfflineError> {
    let path = path.to_owned();
    on_shard(move |shard| async move {
        let place = Place::open(&shard, &path).await?;
        let id = place.container.ok_or(OfflineError::NoContainer { path })?;
        let mut found = None;
        for paths in place.containers().await? {
            found = Some(of(&place, &paths).await?);
        }
        let root = place.paths.root().to_owned();
        place.close().await;
        found.ok_or(OfflineError::NotThere { path: root, container: id })
    })
}

async fn summary(place: &Place, paths: &ContainerPaths) -> Result<Summary, OfflineError> {
    let file = place.file(paths).await;
    Ok(Summary { container: paths.id(), file, counters: place.counters(paths.id()).await? })
}

async fn of(place: &Place, paths: &ContainerPaths) -> Result<Info, OfflineError> {
    let blocks = records::read_all(place.metadata(), paths.id()).await?;
    let growing = blocks.values().flatten().filter(|stored| stored.records.is_any()).count();
    let files = place.list(&paths.chunks()).await?;
    let version = &place.version;
    Ok(Info {
        summary: summary(place, paths).await?,
        folder: paths.dir().to_owned(),
        owner: (version.cluster_id.clone(), version.datanode.to_string(), version.volume.storage_id()),
        blocks: blocks.len(),
        growing,
        files: (files.len(), files.iter().map(|file| file.len).sum()),
        has_tree: place.disk().stat(paths.tree()).await?.is_some(),
    })
}
