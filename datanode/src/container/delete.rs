//! Deleting a container, in steps that each survive a crash.
//!
//! Steps   the folder moves to the volume's `tmp/deleted-containers`, which is the point of no return; its metadata goes
//!         in one batch; the folder is unlinked. A start that finds a folder there does the last two again.

use super::Container;
use crate::commands::CommandError;
use crate::format::keys;
use crate::metadata::{Batch, Durability, Family};
use crate::store::Store;
use crate::volume::Volume;
use allotrope_io::{Disk, DiskError};
use allotrope_types::{ContainerId, DatanodeResult, ReplicaEvent};
use std::rc::Rc;

/// Deletes the container. Without `force`, one that is open or has blocks stays and the caller is told.
pub async fn delete(store: &Rc<Store>, container: &Rc<Container>, force: bool) -> Result<(), CommandError> {
    let _alone = container.gate.write().await;
    let id = container.id();
    let deleted = container
        .state()
        .after(ReplicaEvent::DeleteAsked { force })
        .map_err(|e| CommandError::new(e.result(), format!("container {id}: {e}")))?;
    if !force && (container.facts().blocks > 0 || has_blocks(container).await?) {
        let why = format!("container {id} has blocks and is not deleted without force");
        return Err(CommandError::new(DatanodeResult::DeleteOnNonEmptyContainer, why));
    }
    let volume = container.volume();
    let away = volume.paths().deleted(id);
    let disk = store.disk();
    let parent = away.parent().expect("a path below tmp has a parent").to_owned();
    disk.create_dir_all(&parent).await?;
    if disk.stat(&away).await?.is_some() {
        disk.remove_dir_all(&away).await?;
    }
    disk.rename(container.paths().dir(), &away).await?;
    // From here on the container is gone, whatever fails next: the next start finishes it.
    let mut file = container.file();
    file.state = deleted;
    container.set_file(file);
    container.take_open();
    store.forget(container);
    disk.sync_dir(&parent).await?;
    disk.sync_dir(container.paths().dir().parent().expect("a container lies in a folder")).await?;
    finish(disk, volume, id).await
}

/// The steps after the folder has moved.
pub async fn finish(disk: &Disk, volume: &Volume, id: ContainerId) -> Result<(), CommandError> {
    let mut batch = Batch::new();
    for family in Family::OF_VOLUME {
        batch.delete_range(*family, keys::prefix(id), keys::prefix_end(id));
    }
    volume.metadata().commit(batch, Durability::Disk).await?;
    match disk.remove_dir_all(volume.paths().deleted(id)).await {
        Err(e) if !DiskError::is_not_found(&e) => Err(e.into()),
        _ => Ok(()),
    }
}

/// Whether the metadata names a block, whatever the counter says: the last check before bytes are lost.
async fn has_blocks(container: &Container) -> Result<bool, CommandError> {
    let (from, to) = (keys::prefix(container.id()), keys::prefix_end(container.id()));
    let found = container.volume().metadata().scan(Family::BlockData, from.to_vec(), to.to_vec(), 1).await?;
    Ok(!found.is_empty())
}
