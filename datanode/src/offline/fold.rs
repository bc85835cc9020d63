//! `drain-format`: folding a volume to Ozone's exact form, so that a Java datanode can take it over.
//!
//! What differs on a volume of ours are growing blocks of open containers: their lists lie in records, and their files
//! may be longer than the list. Both are put right; a volume that is in Ozone's form already is left as it is.

use super::{OfflineError, on_shard, place};
use crate::block::records;
use crate::format::layout::VolumePaths;
use crate::metadata::rocks::{RocksMetadata, RocksShared};
use crate::metadata::{Batch, Durability, Family, Metadata};
use crate::volume::VolumeError;
use crate::volume::open::lock;
use allotrope_io::{Disk, OpenHow};
use allotrope_types::{ContainerId, LocalId};
use std::path::Path;

/// Bytes of folded lists that are committed at once, about.
const BATCH_BYTES: usize = 1 << 20;

/// What was folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Containers that were looked at.
    pub containers: u64,
    /// Blocks whose lists became one value.
    pub blocks: u64,
    /// Files that were cut to the length of their lists.
    pub files: u64,
}

/// Folds the volume that `path` is on. `holder` is what others are told who want it meanwhile.
pub fn fold(path: &Path, holder: &str) -> Result<Folded, OfflineError> {
    let (path, holder) = (path.to_owned(), holder.to_owned());
    on_shard(move |shard| async move {
        let disk = shard.disk();
        let (root, version, _) = place::find(disk, &path).await?;
        let paths = VolumePaths::new(&root, &version.cluster_id, &version.volume.storage_id());
        let lock = lock(disk, &VolumePaths::lock(&root), &holder).await?;
        let at = paths.metadata_db().to_owned();
        let opened = shard.blocking(move || {
            RocksMetadata::open(&at, Family::OF_VOLUME, &RocksShared::new(32 << 20, 32 << 20)?)
        });
        let opened = opened.await.map_err(|e| VolumeError::Thread { path: root, why: e.to_string() })?;
        let metadata = opened?;
        let mut done = Folded::default();
        for id in place::containers_on(disk, &paths).await? {
            container(disk, &paths, &metadata, id, &mut done).await?;
        }
        metadata.sync().await?;
        drop((metadata, lock));
        Ok(done)
    })
}

async fn container(
    disk: &Disk,
    paths: &VolumePaths,
    metadata: &dyn Metadata,
    id: ContainerId,
    done: &mut Folded,
) -> Result<(), OfflineError> {
    done.containers += 1;
    let mut batch = Batch::new();
    for (local, stored) in records::read_all(metadata, id).await? {
        let stored = stored?;
        if stored.records.is_any() {
            records::fold(&mut batch, id, local, &stored);
            done.blocks += 1;
        }
        if batch.len_bytes() >= BATCH_BYTES {
            metadata.commit(std::mem::take(&mut batch), Durability::PageCache).await?;
        }
        done.files += u64::from(trim(disk, paths, id, local, stored.end()).await?);
    }
    Ok(metadata.commit(batch, Durability::Disk).await?)
}

/// Cuts a block's file to `end`; whether it was longer.
async fn trim(
    disk: &Disk,
    paths: &VolumePaths,
    id: ContainerId,
    local: LocalId,
    end: u64,
) -> Result<bool, OfflineError> {
    let path = paths.container(id).block(local);
    let longer = disk.stat(&path).await?.is_some_and(|file| file.len > end);
    if longer {
        let file = disk.open(&path, OpenHow::write()).await?;
        file.truncate(end).await?;
        file.sync().await?;
    }
    Ok(longer)
}
