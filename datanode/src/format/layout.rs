//! Where each file of a volume lies, as paths below the volume's root.
//!
//! Source  docs/formats/datanode-volume.md.

use allotrope_types::{ContainerId, LocalId};
use std::path::{Path, PathBuf};

/// The folders of one volume that belongs to one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePaths {
    root: PathBuf,
    cluster: PathBuf,
    metadata: PathBuf,
}

impl VolumePaths {
    /// The paths of the volume at `root` with the ids its `VERSION` holds.
    pub fn new(root: &Path, cluster_id: &str, storage_id: &str) -> VolumePaths {
        let cluster = root.join("hdds").join(cluster_id);
        let metadata = cluster.join(storage_id).join("container.db");
        VolumePaths { root: root.to_owned(), cluster, metadata }
    }

    /// `VERSION` of the volume at `root`; there before anything else is.
    pub fn version(root: &Path) -> PathBuf {
        root.join("hdds").join("VERSION")
    }

    /// The lock a process holds while it uses the volume at `root`.
    pub fn lock(root: &Path) -> PathBuf {
        root.join("hdds").join("in_use.lock")
    }

    /// The volume's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where containers lie.
    pub fn current(&self) -> PathBuf {
        self.cluster.join("current")
    }

    /// The volume's RocksDB.
    pub fn metadata_db(&self) -> &Path {
        &self.metadata
    }

    /// Where half-made and half-deleted things lie; a start empties it.
    pub fn tmp(&self) -> PathBuf {
        self.cluster.join("tmp")
    }

    /// Where containers lie that are on their way between datanodes; a start empties it. Below the root, as Ozone has it.
    pub fn copies(&self) -> PathBuf {
        self.root.join("tmp").join("container-copy")
    }

    /// Where a container goes before it is unlinked.
    pub fn deleted(&self, container: ContainerId) -> PathBuf {
        self.tmp().join("deleted-containers").join(container.to_string())
    }

    /// The folder of `container`.
    pub fn container(&self, container: ContainerId) -> ContainerPaths {
        let folder = (container.as_u64() >> 9) & 0xff;
        let dir = self.current().join(format!("containerDir{folder}")).join(container.to_string());
        ContainerPaths { dir, id: container }
    }
}

/// The files of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPaths {
    dir: PathBuf,
    id: ContainerId,
}

impl ContainerPaths {
    /// The container.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// The container's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its folder for metadata.
    pub fn metadata(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// Its folder for block files.
    pub fn chunks(&self) -> PathBuf {
        self.dir.join("chunks")
    }

    /// Its descriptor.
    pub fn container_file(&self) -> PathBuf {
        self.metadata().join(format!("{}.container", self.id))
    }

    /// Its Merkle tree.
    pub fn tree(&self) -> PathBuf {
        self.metadata().join(format!("{}.tree", self.id))
    }

    /// The file of `block`.
    pub fn block(&self, block: LocalId) -> PathBuf {
        self.chunks().join(format!("{block}.block"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_spread_over_256_folders_by_their_id() {
        let paths = VolumePaths::new(Path::new("/data"), "CID-x", "DS-y");
        let at = |id| paths.container(ContainerId::new(id)).dir().to_owned();
        assert_eq!(at(1), Path::new("/data/hdds/CID-x/current/containerDir0/1"));
        assert_eq!(at(512), Path::new("/data/hdds/CID-x/current/containerDir1/512"));
        assert_eq!(at(256 * 512 + 3), Path::new("/data/hdds/CID-x/current/containerDir0/131075"));
        let one = paths.container(ContainerId::new(1));
        assert_eq!(one.container_file(), at(1).join("metadata/1.container"));
        assert_eq!(one.block(LocalId::new(9)), at(1).join("chunks/9.block"));
        assert_eq!(paths.metadata_db(), Path::new("/data/hdds/CID-x/DS-y/container.db"));
    }
}
