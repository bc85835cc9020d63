//! Closing a container: the life cycle's events carried out on disk.
//!
//! Steps   no write is under way (the gate); CLOSING is written; every block's list becomes one value; every block file
//!         gets the length its metadata says, and files no block names go; the Merkle tree is written; CLOSED is written. A crash between two steps leaves
//!         CLOSING, and closing again starts over. Writes that were on their way may come until the folding begins; if a step
//!         fails, nothing tells whether CLOSED is on disk, so none comes after it either.

use super::Container;
use crate::block::put::Stored;
use crate::block::records::{self, RecordError};
use crate::commands::CommandError;
use crate::format::container_file::ContainerFile;
use crate::format::{keys, tree};
use crate::metadata::{Batch, Durability, Family};
use crate::store::Store;
use allotrope_io::OpenHow;
use allotrope_proto::container::BlockData;
use allotrope_types::{LocalId, ReplicaEvent, ReplicaState};
use prost::Message;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Bytes of folded lists that are committed at once, about.
const FOLD_BYTES: usize = 1 << 20;

/// Takes the container to CLOSED, or to QUASI_CLOSED if `quasi`. One that is already there is left as it is.
pub async fn close(store: &Rc<Store>, container: &Rc<Container>, quasi: bool) -> Result<(), CommandError> {
    let _alone = container.gate.write().await;
    let state = container.state();
    let goal = if quasi { ReplicaEvent::QuasiSealed } else { ReplicaEvent::Sealed };
    if state == ReplicaState::Closed || (quasi && state == ReplicaState::QuasiClosed) {
        return Ok(());
    }
    let refused = |e: allotrope_types::RefusedReplicaEvent| {
        CommandError::new(e.result(), format!("container {}: {e}", container.id()))
    };
    let closing = match state {
        // A quasi-closed replica becomes closed as it is.
        ReplicaState::QuasiClosed => state,
        _ => state.after(ReplicaEvent::CloseAsked).map_err(refused)?,
    };
    let closed = closing.after(goal).map_err(refused)?;
    if closing != state {
        rewrite(store, container, |file| file.state = closing).await?;
    }
    container.begin_sealing();
    container.take_open();
    store.close_files(container.id());
    fold_blocks(container).await?;
    let blocks = all_blocks(container).await?;
    trim_files(store, container, &blocks).await?;
    write_tree(store, container, blocks.into_values()).await?;
    rewrite(store, container, |file| file.state = closed).await?;
    store.changed(container);
    Ok(())
}

/// Writes CLOSING, so that no new writes come; those that were under way have landed.
pub async fn begin(store: &Rc<Store>, container: &Rc<Container>) -> Result<(), CommandError> {
    let _alone = container.gate.write().await;
    let state = container.state();
    let closing = state
        .after(ReplicaEvent::CloseAsked)
        .map_err(|e| CommandError::new(e.result(), format!("container {}: {e}", container.id())))?;
    if closing != state {
        rewrite(store, container, |file| file.state = closing).await?;
        store.changed(container);
    }
    Ok(())
}

/// Replaces the `.container` file durably, then publishes it.
pub async fn rewrite(
    store: &Rc<Store>,
    container: &Container,
    change: impl FnOnce(&mut ContainerFile),
) -> Result<(), CommandError> {
    let mut file = container.file();
    change(&mut file);
    store.disk().replace(container.paths().container_file(), file.encode().as_bytes()).await?;
    container.set_file(file);
    Ok(())
}

/// All blocks of a container, as readers see them.
pub async fn all_blocks(container: &Container) -> Result<BTreeMap<LocalId, BlockData>, CommandError> {
    let found = records::read_all(&**container.volume().metadata(), container.id()).await?;
    let whole = |(local, stored): (LocalId, Result<Stored, RecordError>)| {
        let whole = stored.map(|stored| stored.whole()).transpose()?;
        Some(whole.map(|whole| (local, Rc::unwrap_or_clone(whole))).map_err(CommandError::from))
    };
    found.into_iter().filter_map(whole).collect()
}

/// Writes every block's list as one value, as Ozone has it. Nobody writes to the container meanwhile.
async fn fold_blocks(container: &Container) -> Result<(), CommandError> {
    let metadata = container.volume().metadata();
    let mut batch = Batch::new();
    for (local, stored) in records::read_all(&**metadata, container.id()).await? {
        let stored = stored?;
        if stored.records.is_any() {
            records::fold(&mut batch, container.id(), local, &stored);
        }
        if batch.len_bytes() >= FOLD_BYTES {
            // The tree's batch, which is synced, comes after these.
            metadata.commit(std::mem::take(&mut batch), Durability::PageCache).await?;
        }
    }
    metadata.commit(batch, Durability::PageCache).await?;
    Ok(())
}

/// What an undecodable value in the metadata is answered with.
pub(crate) fn undecodable(container: &Container, local: LocalId, e: &prost::DecodeError) -> CommandError {
    CommandError::new(
        allotrope_types::DatanodeResult::UnableToReadMetadataDb,
        format!("block {local} of container {} has damaged metadata: {e}", container.id()),
    )
}

/// Gives every block file the length its block has, and removes files that no block names.
async fn trim_files(
    store: &Rc<Store>,
    container: &Container,
    blocks: &BTreeMap<LocalId, BlockData>,
) -> Result<(), CommandError> {
    let disk = store.disk();
    let mut removed = false;
    for entry in disk.list(container.paths().chunks()).await? {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(local) = name.strip_suffix(".block").and_then(|id| id.parse::<LocalId>().ok()) else {
            continue;
        };
        match blocks.get(&local) {
            Some(block) => {
                let end = block.chunks.iter().map(|chunk| chunk.offset + chunk.len).max().unwrap_or(0);
                if entry.len > end {
                    let file = disk.open(&entry.path, OpenHow::write()).await?;
                    file.truncate(end).await?;
                    file.sync().await?;
                }
            }
            None => {
                disk.remove(&entry.path).await?;
                removed = true;
            }
        }
    }
    if removed {
        disk.sync_dir(container.paths().chunks()).await?;
    }
    Ok(())
}

async fn write_tree(
    store: &Rc<Store>,
    container: &Container,
    blocks: impl Iterator<Item = BlockData>,
) -> Result<(), CommandError> {
    let tree = tree::build(container.id(), blocks, []);
    let root = tree.container_merkle_tree.as_ref().and_then(|tree| tree.data_checksum).unwrap_or_default();
    store.disk().replace(container.paths().tree(), &tree.encode_to_vec()).await?;
    container.count(|counters| counters.data_checksum = u32::try_from(root).ok());
    let mut batch = Batch::new();
    let key = keys::named(container.id(), keys::DATA_CHECKSUM);
    batch.put(Family::Counters, key, keys::counter(root).to_vec());
    container.volume().metadata().commit(batch, Durability::Disk).await?;
    Ok(())
}
