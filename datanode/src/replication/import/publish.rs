//! The last steps of an import, on the container's home shard.

use super::Claim;
use crate::commands::CommandError;
use crate::container::{Container, Counters, delete};
use crate::format::container_file::ContainerFile;
use crate::metadata::{Batch, Durability, Family};
use crate::store::Store;
use allotrope_io::Disk;
use allotrope_proto::container::ContainerCreateInfo;
use allotrope_types::DatanodeResult::{ContainerExists, IoException};
use prost::Message;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// A container that is verified and stable, but for its place.
pub struct Landed {
    pub(super) claim: Arc<Claim>,
    /// Its folder; the descriptor in it says RECOVERING.
    pub(super) dir: PathBuf,
    /// What its descriptor shall say.
    pub(super) file: ContainerFile,
    pub(super) counters: Counters,
}

/// Puts the container in its place and tells SCM.
pub(in crate::replication) async fn publish(store: &Rc<Store>, landed: Landed) -> Result<(), CommandError> {
    let Landed { claim, dir, file, counters } = landed;
    let id = claim.container();
    let _making = store.creating.lock().await;
    if store.find(id).is_some() {
        // A volume was added meanwhile that has it.
        let why = format!("container {id} is on this datanode already");
        return Err(CommandError::new(ContainerExists, why));
    }
    let (disk, volume) = (store.disk(), claim.volume());
    let paths = volume.paths().container(id);
    let parent = paths.dir().parent().expect("a container lies in a folder").to_owned();
    let made = disk.stat(&parent).await?.is_none();
    disk.create_dir_all(&parent).await?;
    if made {
        disk.sync_dir(volume.paths().current()).await?;
    }
    disk.rename(&dir, paths.dir()).await?;
    let settled = async {
        disk.sync_dir(&parent).await?;
        disk.sync_dir(volume.paths().copies()).await?;
        witness(store, &file).await?;
        // From here on a start keeps it.
        Ok::<_, CommandError>(disk.replace(paths.container_file(), file.encode().as_bytes()).await?)
    };
    if let Err(e) = settled.await {
        undo(disk, &claim, paths.dir()).await;
        return Err(e);
    }
    if volume.is_failed() {
        // It was taken out meanwhile, and with it all that lies on it.
        let why = format!("container {id} came to a volume that is out of use by now");
        return Err(CommandError::new(IoException, why));
    }
    let container = Rc::new(Container::new(volume.clone(), paths, file, counters));
    store.take_in(container.clone());
    // What the disk made of the bytes is read once more: they were verified before they were written.
    store.scan_arrival(&container);
    tracing::info!(container = %id, bytes = counters.bytes_used, blocks = counters.blocks, "a copy was taken in");
    Ok(())
}

async fn witness(store: &Rc<Store>, file: &ContainerFile) -> Result<(), CommandError> {
    let seen = ContainerCreateInfo {
        state: file.state.number(),
        replica_index: Some(file.replica.map_or(0, |index| i32::from(index.number()))),
    };
    let mut batch = Batch::new();
    batch.put(Family::Witnessed, file.id.as_u64().to_be_bytes(), seen.encode_to_vec());
    Ok(store.node().witnessed.commit(batch, Durability::Disk).await?)
}

/// Takes the container out of its place again, as a deletion does.
async fn undo(disk: &Disk, claim: &Claim, dir: &std::path::Path) {
    let (id, volume) = (claim.container(), claim.volume());
    let away = volume.paths().deleted(id);
    let undone = async {
        disk.create_dir_all(away.parent().unwrap_or(&away)).await?;
        disk.rename(dir, &away).await?;
        delete::finish(disk, volume, id).await
    };
    if let Err(e) = undone.await {
        tracing::error!(container = %id, error = %e, "a copy that was not finished is left to the next start");
    }
}
