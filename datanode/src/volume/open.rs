//! Opening volumes: the lock, `VERSION`, the metadata.
//!
//! Shape   [`lock`] first, so that two processes never look at one folder; a volume without `VERSION` is formatted once
//!         the cluster is known.

use super::{Kept, Volume, VolumeError};
use crate::format::container_file;
use crate::format::layout::VolumePaths;
use crate::format::volume_version::VolumeVersion;
use crate::metadata::{Family, Metadata, MetadataError};
use allotrope_io::{Disk, DiskError, File, OpenHow, Shard};
use allotrope_types::{DatanodeId, VolumeId};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens a volume's metadata: RocksDB, or its twin under test. It may block.
pub type OpenMetadata =
    Arc<dyn Fn(&Path, &[Family]) -> Result<Arc<dyn Metadata>, MetadataError> + Send + Sync>;

/// Longest `VERSION` or lock file that is read, in bytes.
const SMALL: usize = 64 << 10;

/// Takes a folder for this process until the file it returns is closed. `holder` is what others are told.
pub async fn lock(disk: &Disk, path: &Path, holder: &str) -> Result<File, VolumeError> {
    let failed = |source| VolumeError::Disk { path: path.to_owned(), source };
    make_folder(disk, path.parent().unwrap_or(path)).await.map_err(failed)?;
    let file = disk.open(path, OpenHow::create()).await.map_err(failed)?;
    if !file.try_lock().await.map_err(failed)? {
        let text = disk.read_small(path, SMALL).await.unwrap_or_default();
        let holder = String::from_utf8_lossy(&text).trim().to_owned();
        let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
        return Err(VolumeError::InUse { path: path.to_owned(), holder });
    }
    file.truncate(0).await.map_err(failed)?;
    file.write_at(allotrope_io::AlignedBuf::copy_of(holder.as_bytes()), 0).await.1.map_err(failed)?;
    Ok(file)
}

/// Makes a folder with those above it that are missing. All of their names are durable then: nothing below outlives a power cut
/// that takes one of them.
///
/// Each is durable before the next is made in it, so of those that are there only the deepest may have been left by a process
/// that was killed before it could say so; its name is made durable as well.
async fn make_folder(disk: &Disk, dir: &Path) -> Result<(), DiskError> {
    let mut missing = Vec::new();
    for folder in dir.ancestors() {
        if disk.stat(folder).await?.is_none() {
            missing.push(folder);
            continue;
        }
        match sync_parent(disk, folder).await {
            Err(e) if is_not_ours(e.kind()) => {}
            synced => synced?,
        }
        break;
    }
    for folder in missing.into_iter().rev() {
        disk.create_dir_all(folder).await?;
        sync_parent(disk, folder).await?;
    }
    Ok(())
}

async fn sync_parent(disk: &Disk, folder: &Path) -> Result<(), DiskError> {
    match folder.parent() {
        Some(parent) => disk.sync_dir(parent).await,
        None => Ok(()),
    }
}

/// Whether a folder that cannot be flushed for this reason is one that no process of ours has made anything in.
fn is_not_ours(why: ErrorKind) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(why, PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported)
}

/// The `VERSION` of the volume at `root`, if it has one.
pub async fn read_version(disk: &Disk, root: &Path) -> Result<Option<VolumeVersion>, VolumeError> {
    match disk.read_small(VolumePaths::version(root), SMALL).await {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let version = VolumeVersion::decode(&text);
            version.map(Some).map_err(|source| VolumeError::Version { path: root.to_owned(), source })
        }
        Err(e) if DiskError::is_not_found(&e) => Ok(None),
        Err(source) => Err(VolumeError::Disk { path: root.to_owned(), source }),
    }
}

/// Refuses a path that a container file cannot hold as Ozone would write it.
pub fn check_path(root: &Path) -> Result<(), VolumeError> {
    match root.to_str() {
        Some(text) if container_file::plain(text) && root.is_absolute() => Ok(()),
        _ => Err(VolumeError::Path { path: root.to_owned() }),
    }
}

/// Formats the volume at `root` durably: `VERSION` is written last, so a crash before it leaves an unformatted volume.
pub async fn format(disk: &Disk, root: &Path, version: &VolumeVersion) -> Result<(), VolumeError> {
    let failed = |source| VolumeError::Disk { path: root.to_owned(), source };
    let paths = VolumePaths::new(root, &version.cluster_id, &version.volume.storage_id());
    let folders = [paths.current(), paths.tmp(), paths.metadata_db().to_owned()];
    for folder in &folders {
        disk.create_dir_all(folder).await.map_err(failed)?;
    }
    // Each new name, from the deepest folder up to the root's own parent.
    for dir in dirs_between(&folders, root) {
        disk.sync_dir(&dir).await.map_err(failed)?;
    }
    disk.replace(VolumePaths::version(root), version.encode().as_bytes()).await.map_err(failed)
}

fn dirs_between(folders: &[PathBuf], root: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| folder.ancestors().skip(1).take_while(|dir| dir.starts_with(root)))
        .map(Path::to_owned)
        .chain(root.parent().map(Path::to_owned))
        .collect();
    dirs.sort();
    dirs.dedup();
    dirs.reverse();
    dirs
}

/// A fresh `VERSION` for this datanode.
pub fn fresh(cluster_id: &str, datanode: DatanodeId, random: [u8; 16], now_ms: u64) -> VolumeVersion {
    VolumeVersion {
        volume: VolumeId::from_random_bytes(random),
        cluster_id: cluster_id.to_owned(),
        datanode,
        created_ms: now_ms,
    }
}

/// Opens a formatted volume that belongs to this cluster and datanode.
pub async fn open(
    shard: &Shard,
    index: usize,
    root: &Path,
    version: VolumeVersion,
    owner: (&str, DatanodeId),
    kept: Kept,
    open_metadata: &OpenMetadata,
) -> Result<Arc<Volume>, VolumeError> {
    let foreign = |key, found: &dyn ToString, expected: &dyn ToString| VolumeError::Foreign {
        path: root.to_owned(),
        key,
        found: found.to_string(),
        expected: expected.to_string(),
    };
    if version.cluster_id != owner.0 {
        return Err(foreign("clusterID", &version.cluster_id, &owner.0));
    }
    if version.datanode != owner.1 {
        return Err(foreign("datanodeUuid", &version.datanode, &owner.1));
    }
    let failed = |source| VolumeError::Disk { path: root.to_owned(), source };
    let paths = VolumePaths::new(root, &version.cluster_id, &version.volume.storage_id());
    let disk = shard.disk();
    for folder in [paths.current(), paths.tmp(), paths.metadata_db().to_owned()] {
        disk.create_dir_all(&folder).await.map_err(failed)?;
    }
    let (db, open_metadata) = (paths.metadata_db().to_owned(), open_metadata.clone());
    let opened = shard.blocking(move || open_metadata(&db, Family::OF_VOLUME)).await;
    let metadata = opened
        .map_err(|e| VolumeError::Thread { path: root.to_owned(), why: e.to_string() })?
        .map_err(|source| VolumeError::Metadata { path: root.to_owned(), source })?;
    let volume = Volume::new(index, paths, version, metadata, kept);
    volume.set_fs(disk.space(root).await.map_err(failed)?);
    Ok(Arc::new(volume))
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::{Act, ShardId, Sim, SimConfig, SimDisk, SimFault};

    const ROOT: &str = "/data/site/disk1";

    fn on<T: Send + 'static>(
        seed: u64,
        disk: &SimDisk,
        work: impl AsyncFnOnce(&Disk) -> T + Send + 'static,
    ) -> T {
        let sim = Sim::with_disk(SimConfig::seeded(seed, 1), disk.clone());
        let working =
            sim.shards().run_on(ShardId(0), "work", move |shard| async move { work(shard.disk()).await });
        let done = sim.run(async move { working.unwrap().await.unwrap() });
        sim.kill();
        done
    }

    async fn make(disk: &Disk) -> Result<(), VolumeError> {
        let root = Path::new(ROOT);
        let held = lock(disk, &VolumePaths::lock(root), "test").await?;
        let version = fresh("CID-1", DatanodeId::from_random_bytes([7; 16]), [9; 16], 0);
        format(disk, root, &version).await?;
        drop(held);
        Ok(())
    }

    fn is_there_after_a_power_cut(seed: u64, disk: &SimDisk) -> bool {
        disk.crash(seed);
        let reading = async |disk: &Disk| read_version(disk, Path::new(ROOT)).await.unwrap();
        on(seed, disk, reading).is_some()
    }

    #[test]
    fn a_new_volume_outlives_a_power_cut_with_the_folders_above_it() {
        for seed in 0..20 {
            let disk = SimDisk::new(1 << 30);
            on(seed, &disk, make).unwrap();
            assert!(is_there_after_a_power_cut(seed, &disk), "seed {seed}: the volume is gone");
        }
    }

    #[test]
    fn it_does_so_as_well_where_a_process_that_was_killed_has_made_some_of_them() {
        let mut killed = 0;
        for seed in 0..160 {
            let disk = SimDisk::new(1 << 30);
            // It ends where a name is to be made durable.
            disk.fault(Act::Sync, "/", seed / 20, SimFault::Error);
            killed += usize::from(on(seed, &disk, make).is_err());
            disk.clear_faults();
            on(seed, &disk, make).unwrap();
            assert!(is_there_after_a_power_cut(seed, &disk), "seed {seed}: the volume is gone");
        }
        assert!(killed > 80, "only {killed} were killed");
    }
}
