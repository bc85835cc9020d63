//! What a start does with copies that a stop or a crash cut off.

use super::ROWS;
use crate::commands::CommandError;
use crate::container::load::{container_id, list_or_nothing};
use crate::volume::Volume;
use allotrope_io::Disk;
use allotrope_types::ContainerId;
use std::path::Path;

/// The container of an import whose rows this folder held. It outlives the container's own folder, which a power cut may take
/// while it is being renamed.
fn rows_of(path: &Path) -> Option<ContainerId> {
    container_id(Path::new(path.file_name()?.to_str()?.strip_prefix(ROWS)?))
}

/// Removes all that lies in a volume's `tmp/container-copy`, ours or a Java datanode's, and the rows of imports that did not
/// come to their rename.
pub async fn clear(disk: &Disk, volume: &Volume) -> Result<(), CommandError> {
    for entry in list_or_nothing(disk, &volume.paths().copies()).await? {
        tracing::info!(path = %entry.path.display(), "a copy that was cut off is removed");
        if !entry.is_dir {
            disk.remove(&entry.path).await?;
            continue;
        }
        // A container's folder here was not renamed, or not durably: what may stand under its place is no container yet.
        let mut unfinished = container_id(&entry.path);
        if let Some(id) = rows_of(&entry.path)
            && disk.stat(volume.paths().container(id).dir()).await?.is_none()
        {
            unfinished = Some(id);
        }
        if let Some(id) = unfinished {
            super::rows::remove(volume, id).await?;
        }
        disk.remove_dir_all(&entry.path).await?;
    }
    Ok(())
}
