//! A path's volume, opened for reading under its lock.
//!
//! A volume that a datanode uses is refused with its holder's name: the lock is shared, on a file open for reading only, so
//! that not even the lock changes a byte. Where there is no lock file (Ozone makes none on a volume) RocksDB's own lock tells.

use super::OfflineError;
use crate::container::Counters;
use crate::container::load::{container_id, list_or_nothing};
use crate::format::container_file::ContainerFile;
use crate::format::keys;
use crate::format::layout::{ContainerPaths, VolumePaths};
use crate::format::volume_version::VolumeVersion;
use crate::metadata::rocks::RocksMetadata;
use crate::metadata::{Family, Metadata};
use crate::volume::VolumeError;
use crate::volume::open::read_version;
use allotrope_io::{Disk, DiskError, File, OpenHow, Shard};
use allotrope_types::ContainerId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Longest lock or `.container` file that is read, in bytes.
const SMALL_MAX: usize = 1 << 20;

/// Looks of this process so far, so that each has a folder of its own for RocksDB's log.
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// A volume that is being looked at.
pub(super) struct Place {
    pub(super) shard: Shard,
    pub(super) paths: VolumePaths,
    pub(super) version: VolumeVersion,
    /// Which container the path names, if it names one.
    pub(super) container: Option<ContainerId>,
    metadata: Option<Arc<dyn Metadata>>,
    /// Where RocksDB writes its own log meanwhile.
    logs: PathBuf,
    _lock: Option<File>,
}

impl Place {
    /// Finds the volume that `path` is on and opens it.
    pub(super) async fn open(shard: &Shard, path: &Path) -> Result<Place, OfflineError> {
        let (root, version, container) = find(shard.disk(), path).await?;
        let paths = VolumePaths::new(&root, &version.cluster_id, &version.volume.storage_id());
        let lock = lock(shard.disk(), &root, &paths).await?;
        let looks = LOOKS.fetch_add(1, Relaxed);
        let logs = std::env::temp_dir().join(format!("allotrope-offline-{}-{looks}", std::process::id()));
        let (at, log_dir) = (paths.metadata_db().to_owned(), logs.clone());
        let opened = shard.blocking(move || RocksMetadata::open_read_only(&at, &log_dir)).await;
        let opened = opened.map_err(|e| VolumeError::Thread { path: root.clone(), why: e.to_string() })?;
        let metadata = opened.map_err(|source| VolumeError::Metadata { path: root, source })?;
        let metadata: Option<Arc<dyn Metadata>> = Some(Arc::new(metadata));
        Ok(Place { shard: shard.clone(), paths, version, container, metadata, logs, _lock: lock })
    }

    pub(super) fn disk(&self) -> &Disk {
        self.shard.disk()
    }

    pub(super) fn metadata(&self) -> &dyn Metadata {
        self.metadata.as_deref().expect("the metadata is open until the place is closed")
    }

    /// Closes the metadata and removes the log that RocksDB wrote elsewhere.
    pub(super) async fn close(mut self) {
        drop(self.metadata.take());
        if let Err(e) = self.disk().remove_dir_all(&self.logs).await
            && !e.is_not_found()
        {
            tracing::debug!(path = %self.logs.display(), error = %e, "a temporary folder stays behind");
        }
    }

    /// The container that the path names, or all that lie on the volume, in order.
    pub(super) async fn containers(&self) -> Result<Vec<ContainerPaths>, OfflineError> {
        if let Some(id) = self.container {
            let paths = self.paths.container(id);
            return match self.disk().stat(paths.dir()).await? {
                Some(_) => Ok(vec![paths]),
                None => Err(OfflineError::NotThere { path: self.paths.root().to_owned(), container: id }),
            };
        }
        let ids = containers_on(self.disk(), &self.paths).await?;
        Ok(ids.into_iter().map(|id| self.paths.container(id)).collect())
    }

    /// What is in a folder; nothing if it is not there.
    pub(super) async fn list(&self, dir: &Path) -> Result<Vec<allotrope_io::DirEntry>, DiskError> {
        list_or_nothing(self.disk(), dir).await
    }

    /// A container's `.container` file, or what is wrong with it.
    pub(super) async fn file(&self, paths: &ContainerPaths) -> Result<ContainerFile, String> {
        let path = paths.container_file();
        let bytes = self.disk().read_small(&path, SMALL_MAX).await;
        let bytes = bytes.map_err(|e| format!("its .container file cannot be read: {}", e.source))?;
        let file = ContainerFile::decode(&String::from_utf8_lossy(&bytes)).map_err(|e| e.to_string())?;
        match file.id == paths.id() {
            true => Ok(file),
            false => Err(format!("its .container file is that of container {}", file.id)),
        }
    }

    /// A container's counters.
    pub(super) async fn counters(&self, container: ContainerId) -> Result<Counters, OfflineError> {
        let (from, to) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
        let mut counters = Counters::default();
        for (key, value) in self.metadata().scan(Family::Counters, from, to, 1024).await? {
            if let (Some((_, name)), Some(value)) = (keys::split(&key), keys::read_counter(&value)) {
                counters.take(name, value);
            }
        }
        Ok(counters)
    }
}

/// The containers that lie on a volume, in order.
pub(super) async fn containers_on(disk: &Disk, paths: &VolumePaths) -> Result<Vec<ContainerId>, DiskError> {
    let mut ids = Vec::new();
    for folder in list_or_nothing(disk, &paths.current()).await? {
        for entry in if folder.is_dir { disk.list(&folder.path).await? } else { Vec::new() } {
            if let Some(id) = container_id(&entry.path).filter(|id| entry.path == paths.container(*id).dir())
            {
                ids.push(id);
            }
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The volume's root, its `VERSION`, and the container that the path names.
pub(super) async fn find(
    disk: &Disk,
    path: &Path,
) -> Result<(PathBuf, VolumeVersion, Option<ContainerId>), OfflineError> {
    let nowhere = || OfflineError::NoVolume { path: path.to_owned() };
    let whole = std::path::absolute(path).map_err(|_| nowhere())?;
    for root in whole.ancestors() {
        if let Some(version) = read_version(disk, root).await? {
            let below = whole.strip_prefix(root).unwrap_or(Path::new(""));
            return Ok((root.to_owned(), version, container_of(below)));
        }
    }
    Err(nowhere())
}

/// The id behind `containerDirN` in a path.
fn container_of(path: &Path) -> Option<ContainerId> {
    let mut parts = path.iter().map(|part| part.to_str().unwrap_or_default());
    parts.find(|part| part.starts_with("containerDir"))?;
    parts.next()?.parse().ok()
}

async fn lock(disk: &Disk, root: &Path, paths: &VolumePaths) -> Result<Option<File>, OfflineError> {
    let lock = match disk.open(VolumePaths::lock(root), OpenHow::read()).await {
        Ok(file) if file.try_lock_shared().await? => Some(file),
        Ok(file) => {
            let text = disk.read_small(VolumePaths::lock(root), SMALL_MAX).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            let holder = if text.is_empty() { process(file.lock_holder().await?.unwrap_or(0)) } else { text };
            return Err(VolumeError::InUse { path: root.to_owned(), holder }.into());
        }
        Err(e) if e.is_not_found() => None,
        Err(e) => return Err(e.into()),
    };
    match disk.open(paths.metadata_db().join("LOCK"), OpenHow::read()).await {
        Ok(file) => match file.lock_holder().await? {
            Some(pid) => Err(VolumeError::InUse { path: root.to_owned(), holder: process(pid) }.into()),
            None => Ok(lock),
        },
        Err(e) if e.is_not_found() => Ok(lock),
        Err(e) => Err(e.into()),
    }
}

fn process(pid: u32) -> String {
    if pid == 0 { "another process".to_owned() } else { format!("process {pid}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_by_the_folder_behind_its_container_dir() {
        let of = |text: &str| container_of(Path::new(text)).map(ContainerId::as_u64);
        assert_eq!(of("hdds/CID-x/current/containerDir0/12"), Some(12));
        assert_eq!(of("hdds/CID-x/current/containerDir3/1700/chunks/4.block"), Some(1700));
        for none in ["", "hdds", "hdds/CID-x/current/containerDir0", "hdds/CID-x/current/containerDir0/x"] {
            assert_eq!(of(none), None);
        }
    }
}
