//! An archive becomes a container: what its target does.
//!
//! Steps   the id is claimed on its home shard, with a volume and room for twice the container's size; the archive is
//!         unpacked as it arrives, into a folder below the volume's `tmp/container-copy`, and every chunk is verified on its way
//!         to the disk; the files are made stable with a descriptor that says RECOVERING; the rows go into the volume's
//!         metadata; one rename puts the container in its place; its descriptor gets its own state; it is published.
//! Law     nothing refers to the container before the rename, and until its own state is written a start removes it. What
//!         fails leaves no file, no row and no claim.
//! Errors  CONTAINER_EXISTS for an id that is here or on its way already; the chunk that does not verify is named.
//! Source  docs/replication.md; wire facts: scm.md 3.4, 3.7.

mod arriving;
mod blocks;
mod claim;
mod clear;
mod publish;
mod rows;
mod unpack;

pub use arriving::{Arriving, Buffered};
pub use claim::{Claim, Entered, Imports};
pub use clear::clear;
pub use publish::Landed;

pub(crate) use arriving::Marks;
pub(super) use claim::claim;
pub(super) use publish::publish;

use super::{Ask, STALL_MAX};
use crate::commands::CommandError;
use crate::format::container_file::ContainerFile;
use crate::store::{Node, ShardMessage};
use allotrope_io::{AskError, Class, Disk, Shard};
use allotrope_types::DatanodeResult::{
    ContainerAlreadyExists, ContainerInternalError, ImportContainerMetadataFailed, InvalidContainerState,
    IoException,
};
use allotrope_types::{ByteCount, ContainerId, ReplicaState};
use arriving::Piece;
use std::path::PathBuf;
use std::sync::Arc;
use unpack::Unpacking;

/// What the name of an import's folder of rows begins with.
const ROWS: &str = "rows-";

/// Takes in the archive that is `arriving`, of a container that uses `size` bytes if that is known. Runs on any shard.
/// When this answers, the container is stable and in its place.
///
/// Cancel safety: none; run it as a task of the shard.
pub async fn receive(
    shard: &Shard,
    node: &Arc<Node>,
    container: ContainerId,
    size: Option<ByteCount>,
    arriving: impl Into<Arriving>,
) -> Result<(), CommandError> {
    let size = size.filter(|size| !size.is_zero()).unwrap_or(node.config.replication.size_unknown);
    let claim = ask(node, container, |reply| Ask::Claim { container, size, reply }).await??;
    let place = Place::new(shard, &claim);
    let done = async {
        place.make().await?;
        let landed = land(shard, &place, claim.clone(), arriving.into()).await?;
        ask(node, container, |reply| Ask::Publish { landed: Box::new(landed), reply }).await?
    }
    .await;
    place.leave(done.is_err()).await;
    if let Err(e) = &done {
        tracing::warn!(%container, volume = %claim.volume().version().volume, error = %e, "a copy was not taken in");
    }
    done
}

/// Asks the container's home.
pub(super) async fn ask<T>(
    node: &Arc<Node>,
    container: ContainerId,
    make: impl FnOnce(allotrope_io::Reply<T>) -> Ask,
) -> Result<T, CommandError> {
    let asked = node.mesh.ask(node.home_of(container), |reply| ShardMessage::Copy(make(reply))).await;
    asked.map_err(|e: AskError| {
        CommandError::new(ContainerInternalError, format!("container {container}'s home shard: {e}"))
    })
}

/// Where an import works.
struct Place {
    disk: Disk,
    claim: Arc<Claim>,
    /// What becomes the container's folder.
    dir: PathBuf,
    /// Row files, and what reading them needs.
    rows: PathBuf,
}

impl Place {
    fn new(shard: &Shard, claim: &Arc<Claim>) -> Place {
        let copies = claim.volume().paths().copies();
        Place {
            disk: shard.disk().for_class(Class::Replication),
            claim: claim.clone(),
            dir: copies.join(claim.container().to_string()),
            rows: copies.join(format!("{ROWS}{}", claim.container())),
        }
    }

    async fn make(&self) -> Result<(), CommandError> {
        let (id, paths) = (self.claim.container(), self.claim.volume().paths());
        for (path, what) in [
            (paths.container(id).dir().to_owned(), "a folder that is no container in use"),
            (paths.deleted(id), "a deletion that has not ended"),
        ] {
            if self.disk.stat(&path).await?.is_some() {
                let why = format!("container {id} cannot be taken in: {} is {what}", path.display());
                return Err(CommandError::new(ContainerAlreadyExists, why));
            }
        }
        self.remove().await?;
        for dir in [self.dir.join("metadata"), self.dir.join("chunks"), self.rows.clone()] {
            self.disk.create_dir_all(&dir).await?;
        }
        Ok(())
    }

    async fn remove(&self) -> Result<(), CommandError> {
        for dir in [&self.dir, &self.rows] {
            match self.disk.remove_dir_all(dir).await {
                Err(e) if !e.is_not_found() => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what is left of the work, and the rows if it failed. What cannot be removed is left to the next start.
    async fn leave(&self, failed: bool) {
        let cleared = async {
            // A folder that has gone to its place keeps its rows: the next start decides on both.
            if failed && self.claim.has_rows() && self.disk.stat(&self.dir).await?.is_some() {
                rows::remove(self.claim.volume(), self.claim.container()).await?;
            }
            self.remove().await
        };
        if let Err(e) = cleared.await {
            tracing::error!(container = %self.claim.container(), error = %e, "a failed copy is left to the next start");
        }
    }
}

/// Unpacks, verifies and makes stable; what is left is the rename.
async fn land(
    shard: &Shard,
    place: &Place,
    claim: Arc<Claim>,
    mut arriving: Arriving,
) -> Result<Landed, CommandError> {
    let mut unpacking = Unpacking::new(shard, place, arriving.ways());
    loop {
        let next = shard.clock().timeout(STALL_MAX, arriving.next()).await;
        let next = next.map_err(|_| {
            CommandError::new(IoException, format!("nothing came of the archive for {STALL_MAX:?}"))
        })?;
        match next {
            Some(Ok(Piece::Bytes(bytes))) => unpacking.take(bytes).await?,
            Some(Ok(Piece::Buffer(buf))) => unpacking.take_buffer(buf).await?,
            Some(Err(e)) => return Err(e),
            None => break,
        }
    }
    let unpacked = unpacking.finish().await?;
    let (mut file, counters, id) = (unpacked.file, unpacked.counters, claim.container());
    let sealed = file.state;
    let paths = claim.volume().paths().container(id);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    file.state = ReplicaState::Recovering;
    (file.chunks_path, file.metadata_path) = (text(paths.chunks()), text(paths.metadata()));
    file.data_scan_ms = None;
    let descriptor = place.dir.join("metadata").join(format!("{id}.container"));
    place.disk.replace(descriptor, file.encode().as_bytes()).await?;
    // The folder of copies, the one it lies in, and the volume's root: the first copy of a volume has made both.
    let copies = claim.volume().paths().copies();
    let above = copies.ancestors().take(3).map(PathBuf::from);
    for dir in
        [place.dir.join("chunks"), place.dir.join("metadata"), place.dir.clone()].into_iter().chain(above)
    {
        place.disk.sync_dir(dir).await?;
    }
    // The folder's name is stable: should this end here, the next start knows whose rows to remove.
    claim.set_rows();
    rows::take_over(&*unpacked.rows, claim.volume(), id, &counters).await?;
    file.state = sealed;
    Ok(Landed { claim, dir: place.dir.clone(), file, counters })
}

/// The descriptor, if it is that of a sealed replica of `container`.
fn descriptor(container: ContainerId, bytes: &[u8]) -> Result<ContainerFile, CommandError> {
    let wrong = |why: String| CommandError::new(ImportContainerMetadataFailed, why);
    let file = ContainerFile::decode(&String::from_utf8_lossy(bytes));
    let file = file.map_err(|e| wrong(format!("the archive of container {container}: {e}")))?;
    if file.id != container {
        return Err(wrong(format!("the archive of container {container} is that of container {}", file.id)));
    }
    if !file.state.is_sealed() {
        let why =
            format!("container {container} is {} at its source; only a sealed one is taken in", file.state);
        return Err(CommandError::new(InvalidContainerState, why));
    }
    Ok(file)
}
