//! A sealed container as an archive: what its source does.
//!
//! Steps   the container's gate is shared, so that nothing changes it meanwhile; its rows are written into files below
//!         the volume's `tmp/container-copy`; the archive's parts are listed, and with them its length is known; then
//!         the parts are read, one piece after the other, as fast as they are taken.
//! Errors  only CLOSED, QUASI_CLOSED and UNHEALTHY replicas are exported. An error in the middle ends the feed.

use super::{Copies, Feed, PIECE, feed};
use crate::block::records;
use crate::commands::CommandError;
use crate::container::Container;
use crate::format::archive::{BLOCK, END_LEN, Entry, FAMILIES, header, padding};
use crate::format::keys;
use crate::metadata::{Entry as Row, Family};
use crate::store::Store;
use allotrope_io::{AlignedBuf, Class, Disk, DiskError, OpenHow};
use allotrope_types::DatanodeResult::{ContainerNotFound, InvalidContainerState};
use allotrope_types::{ContainerId, LocalId};
use bytes::Bytes;
use futures_util::future::try_join;
use prost::Message;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::sync::mpsc;

/// Rows that are read at once.
const PAGE: usize = 256;

/// Part of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Headers and padding.
    Bytes(Bytes),
    /// All of a file, of this length.
    File(PathBuf, u64),
}

/// The parts of the archive of these entries, each with its file and its length, in this order.
pub fn parts(entries: impl IntoIterator<Item = (Entry, Option<PathBuf>, u64)>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut between = Vec::new();
    for (entry, path, len) in entries {
        between.extend_from_slice(&header(entry, len));
        if let Some(path) = path.filter(|_| len > 0) {
            parts.push(Part::Bytes(std::mem::take(&mut between).into()));
            parts.push(Part::File(path, len));
            between.resize(padding(len) as usize, 0);
        }
    }
    between.resize(between.len() + END_LEN as usize, 0);
    parts.push(Part::Bytes(between.into()));
    parts
}

/// Bytes of a part.
pub fn len_of(part: &Part) -> u64 {
    match part {
        Part::Bytes(bytes) => bytes.len() as u64,
        Part::File(_, len) => *len,
    }
}

/// Bytes of an archive.
pub fn len(parts: &[Part]) -> u64 {
    let len = parts.iter().map(len_of).sum();
    debug_assert_eq!(len % BLOCK, 0, "an archive is made of whole blocks");
    len
}

/// An archive that is being made.
#[derive(Debug)]
pub struct Export {
    /// Bytes that the container uses.
    pub used: u64,
    /// The archive.
    pub feed: Feed,
}

/// Begins to export a container; the rest goes on in a task of the shard until the feed is taken or dropped.
pub fn start(store: &Rc<Store>, id: ContainerId) -> Result<Export, CommandError> {
    let container = sealed(store, id)?;
    let (to, feed) = feed();
    let (used, store) = (container.facts().bytes_used, store.clone());
    let shard = store.shard().clone();
    drop(shard.spawn_in(Class::Replication, "export", async move {
        if let Err(e) = run(&store, &container, &to).await {
            tracing::warn!(container = %id, error = %e, "a container is not exported");
            drop(to.send(Err(e)).await);
        }
    }));
    Ok(Export { used, feed })
}

/// The container, if it is here and sealed.
pub(super) fn sealed(store: &Store, id: ContainerId) -> Result<Rc<Container>, CommandError> {
    let container = store.find(id).ok_or_else(|| {
        CommandError::new(ContainerNotFound, format!("container {id} is not on this datanode"))
    })?;
    check(&container)?;
    Ok(container)
}

fn check(container: &Container) -> Result<(), CommandError> {
    match container.state() {
        state if state.is_sealed() => Ok(()),
        state => {
            let why = format!("container {} is {state}; only a sealed one is copied", container.id());
            Err(CommandError::new(InvalidContainerState, why))
        }
    }
}

type To = mpsc::Sender<Result<Bytes, CommandError>>;

async fn run(store: &Rc<Store>, container: &Rc<Container>, to: &To) -> Result<(), CommandError> {
    hold(store, container, async |disk, parts| read(disk, parts, to).await).await
}

/// Does `work` with the parts of a container's archive, which stay as they are meanwhile.
pub(super) async fn hold<T, E: From<CommandError>>(
    store: &Rc<Store>,
    container: &Rc<Container>,
    work: impl AsyncFnOnce(&Disk, &[Part]) -> Result<T, E>,
) -> Result<T, E> {
    let _unchanged = container.gate.read().await;
    // It may have changed, or gone, while the gate was waited for.
    check(container)?;
    let disk = store.disk().for_class(Class::Replication);
    let rows = rows_dir(&store.copies, container);
    let done = match plan(store, &disk, container, &rows).await {
        Ok(parts) => work(&disk, &parts).await,
        Err(e) => Err(e.into()),
    };
    match disk.remove_dir_all(&rows).await {
        Err(e) if !e.is_not_found() => {
            tracing::warn!(path = %rows.display(), error = %e, "rows that were exported are left to the next start");
        }
        _ => {}
    }
    done
}

fn rows_dir(copies: &Copies, container: &Container) -> PathBuf {
    let name = format!("export-{}-{}", container.id(), copies.next_export());
    container.volume().paths().copies().join(name)
}

/// Writes the container's rows to files in `rows` and lists what the archive consists of.
async fn plan(
    store: &Rc<Store>,
    disk: &Disk,
    container: &Rc<Container>,
    rows: &Path,
) -> Result<Vec<Part>, CommandError> {
    disk.create_dir_all(rows).await?;
    let (paths, id) = (container.paths(), container.id());
    let file = |path: PathBuf| async {
        let len = disk.stat(&path).await?.map_or(0, |file| file.len);
        Ok::<_, DiskError>((Some(path), len))
    };
    let mut entries = Vec::new();
    let (path, len) = file(paths.container_file()).await?;
    entries.push((Entry::Descriptor, path, len));
    if disk.stat(paths.tree()).await?.is_some() {
        let (path, len) = file(paths.tree()).await?;
        entries.push((Entry::Tree(id), path, len));
    }
    entries.push((Entry::DB, None, 0));
    for family in FAMILIES {
        let path = rows.join(family.name());
        let (path, len) = match write_rows(store, container, family, &path).await? {
            true => file(path).await?,
            false => (None, 0),
        };
        entries.push((Entry::Rows(family), path, len));
    }
    entries.push((Entry::CHUNKS, None, 0));
    let mut blocks = Vec::new();
    for entry in disk.list(paths.chunks()).await? {
        let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(local) = name.strip_suffix(".block").and_then(|id| id.parse::<LocalId>().ok()) {
            blocks.push((Entry::Block(local), Some(entry.path), entry.len));
        }
    }
    blocks.sort();
    Ok(parts(entries.into_iter().chain(blocks)))
}

/// Writes the rows of one family to `to`; whether there are any.
async fn write_rows(
    store: &Rc<Store>,
    container: &Rc<Container>,
    family: Family,
    to: &Path,
) -> Result<bool, CommandError> {
    let metadata = container.volume().metadata();
    let (from, end) = (keys::prefix(container.id()).to_vec(), keys::prefix_end(container.id()).to_vec());
    let mut page = metadata.scan(family, from, end.clone(), PAGE).await?;
    if page.is_empty() {
        return Ok(false);
    }
    let (give, take) = mpsc::channel(1);
    let writing = metadata.row_files().write(store.shard(), to.to_owned(), take);
    let reading = async move {
        loop {
            let full = page.len() == PAGE;
            let from = page.last().map(|(key, _)| [key, &[0][..]].concat()).unwrap_or_default();
            // A writer that has ended has a reason of its own.
            if give.send(whole(container, family, page).await?).await.is_err() || !full {
                return Ok::<_, CommandError>(());
            }
            page = metadata.scan(family, from, end.clone(), PAGE).await?;
        }
    };
    try_join(async { Ok(writing.await?) }, reading).await?;
    Ok(true)
}

/// The rows in Ozone's form: lists of blocks that were growing when their container fell ill become one value each.
async fn whole(container: &Container, family: Family, mut page: Vec<Row>) -> Result<Vec<Row>, CommandError> {
    if family != Family::BlockData || container.is_folded() {
        return Ok(page);
    }
    page.retain(|(key, _)| keys::record_of(key).is_none());
    for (key, value) in &mut page {
        let Some(local) = keys::local_id(key) else { continue };
        let stored = records::read(&**container.volume().metadata(), container.id(), local, false).await?;
        if let Some(block) = stored.block.filter(|_| stored.records.is_any()) {
            *value = block.encode_to_vec().into();
        }
    }
    Ok(page)
}

/// Reads the parts, piece after piece. Nobody taking them is no error.
async fn read(disk: &Disk, parts: &[Part], to: &To) -> Result<(), CommandError> {
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                if to.send(Ok(bytes.clone())).await.is_err() {
                    return Ok(());
                }
            }
            Part::File(path, len) => {
                let file = disk.open(path, OpenHow::read()).await?;
                let mut at = 0;
                while at < *len {
                    let piece = (*len - at).min(PIECE as u64) as usize;
                    // Outside the shard's pool: copies never keep clients from its buffers.
                    let (buf, read) = file.read_exact_at(AlignedBuf::heap(piece), at, piece).await;
                    read?;
                    if to.send(Ok(buf.freeze())).await.is_err() {
                        return Ok(());
                    }
                    at += piece as u64;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::archive::{Event, Unpack};

    #[test]
    fn the_parts_of_an_archive_add_up_and_are_read_back() {
        let file = |name: &str| Some(PathBuf::from(name));
        let parts = parts([
            (Entry::Descriptor, file("/c"), 700),
            (Entry::DB, None, 0),
            (Entry::Rows(Family::BlockData), None, 0),
            (Entry::CHUNKS, None, 0),
            (Entry::Block(LocalId::new(1)), file("/1"), 512),
            (Entry::Block(LocalId::new(2)), file("/2"), 0),
        ]);
        assert_eq!(len(&parts), 512 + 1024 + 3 * 512 + 512 + 512 + 512 + 1024);
        let mut unpack = Unpack::new();
        for part in &parts {
            unpack.push(match part {
                Part::Bytes(bytes) => bytes.clone(),
                Part::File(_, len) => vec![1; *len as usize].into(),
            });
        }
        let mut names = Vec::new();
        while let Some(event) = unpack.next_event().unwrap() {
            if let Event::Entry(entry, len) = event {
                names.push((entry.name(), len));
            }
        }
        unpack.finish().unwrap();
        let names: Vec<_> = names.iter().map(|(name, len)| (name.as_str(), *len)).collect();
        assert_eq!(
            names,
            [
                ("container.yaml", 700),
                ("db/", 0),
                ("db/block_data.data", 0),
                ("chunks/", 0),
                ("chunks/1.block", 512),
                ("chunks/2.block", 0)
            ]
        );
    }
}
