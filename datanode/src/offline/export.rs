//! A container as one tar file, as Ozone's datanodes send them to each other.
//!
//! Order   `container.yaml`, `ID.tree`, `db/` with an SST file a family, `chunks/` with the block files. Lists of growing blocks
//!         are folded on the way, so that what comes out is Ozone's form whatever the container's state.

use super::place::Place;
use super::{OfflineError, on_shard};
use crate::block::records;
use crate::format::archive::{END_LEN, Entry as Part, FAMILIES, header, padding};
use crate::format::keys;
use crate::format::layout::ContainerPaths;
use crate::metadata::rocks::write_sst;
use crate::metadata::{Entry, Family};
use crate::volume::VolumeError;
use allotrope_io::{AlignedBuf, Disk, DiskError, File, OpenHow};
use allotrope_types::ContainerId;
use bytes::Bytes;
use prost::Message;
use std::path::{Path, PathBuf};

const PIECE: u64 = 1 << 20;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The container.
    pub container: ContainerId,
    /// Its block files.
    pub files: usize,
    /// Bytes of the tar file.
    pub bytes: u64,
}

/// Writes the container that `path` names as a tar file to `to`, which must not exist yet.
pub fn export(path: &Path, to: &Path) -> Result<Exported, OfflineError> {
    let (path, to) = (path.to_owned(), to.to_owned());
    on_shard(move |shard| async move {
        let place = Place::open(&shard, &path).await?;
        place.container.ok_or(OfflineError::NoContainer { path })?;
        let disk = place.disk();
        let scratch = to.with_extension("sst");
        let mut tar = Tar { file: disk.open(&to, OpenHow::create_new()).await?, at: 0 };
        let mut done = None;
        for paths in place.containers().await? {
            done = Some(one(&place, &paths, &scratch, &mut tar).await?);
        }
        tar.end().await?;
        let root = place.paths.root().to_owned();
        place.close().await;
        let (container, files) = done.ok_or(OfflineError::NoContainer { path: root })?;
        Ok(Exported { container, files, bytes: tar.at })
    })
}

async fn one(
    place: &Place,
    paths: &ContainerPaths,
    scratch: &Path,
    tar: &mut Tar,
) -> Result<(ContainerId, usize), OfflineError> {
    let (id, disk) = (paths.id(), place.disk());
    tar.file(Part::Descriptor, disk, &paths.container_file()).await?;
    if disk.stat(paths.tree()).await?.is_some() {
        tar.file(Part::Tree(id), disk, &paths.tree()).await?;
    }
    tar.head(Part::DB, 0).await?;
    for family in FAMILIES {
        let entries = entries(place, id, family).await?;
        if entries.is_empty() {
            tar.head(Part::Rows(family), 0).await?;
            continue;
        }
        sst(place, scratch.to_owned(), entries).await?;
        tar.file(Part::Rows(family), disk, scratch).await?;
        disk.remove(scratch).await?;
    }
    tar.head(Part::CHUNKS, 0).await?;
    let files = place.list(&paths.chunks()).await?;
    let mut count = 0;
    for file in &files {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Nothing else may stand in an archive.
        if let Some(local) = name.strip_suffix(".block").and_then(|id| id.parse().ok()) {
            tar.file(Part::Block(local), disk, &file.path).await?;
            count += 1;
        }
    }
    Ok((id, count))
}

/// A family's entries of the container, in order of their keys.
async fn entries(place: &Place, id: ContainerId, family: Family) -> Result<Vec<Entry>, OfflineError> {
    let (from, to) = (keys::prefix(id).to_vec(), keys::prefix_end(id).to_vec());
    let mut entries = place.metadata().scan(family, from, to, usize::MAX).await?;
    if family == Family::BlockData {
        let mut blocks = records::read_all(place.metadata(), id).await?;
        entries.retain(|(key, _)| keys::record_of(key).is_none());
        for (key, value) in &mut entries {
            let stored = keys::local_id(key).and_then(|local| blocks.remove(&local)).transpose()?;
            if let Some(block) =
                stored.filter(|stored| stored.records.is_any()).and_then(|stored| stored.block)
            {
                *value = Bytes::from(block.encode_to_vec());
            }
        }
    }
    Ok(entries)
}

async fn sst(place: &Place, to: PathBuf, entries: Vec<Entry>) -> Result<(), OfflineError> {
    let written = place.shard.blocking(move || write_sst(&to, &entries)).await;
    let root = || place.paths.root().to_owned();
    Ok(written.map_err(|e| VolumeError::Thread { path: root(), why: e.to_string() })??)
}

/// A tar file that grows.
struct Tar {
    file: File,
    at: u64,
}

impl Tar {
    /// Adds a file's bytes as `part`.
    async fn file(&mut self, part: Part, disk: &Disk, path: &Path) -> Result<(), DiskError> {
        let file = disk.open(path, OpenHow::read()).await?;
        let len = file.len().await?;
        self.head(part, len).await?;
        let (mut at, mut buf) = (0, AlignedBuf::copy_of(&[0; PIECE as usize]));
        while at < len {
            let part = PIECE.min(len - at) as usize;
            let read;
            (buf, read) = file.read_exact_at(buf, at, part).await;
            read?;
            buf = self.add(buf).await?;
            at += part as u64;
        }
        self.pad().await
    }

    async fn head(&mut self, part: Part, len: u64) -> Result<(), DiskError> {
        let head = header(part, len);
        self.add(AlignedBuf::copy_of(&head)).await?;
        Ok(())
    }

    async fn pad(&mut self) -> Result<(), DiskError> {
        let short = padding(self.at);
        if short > 0 {
            self.add(AlignedBuf::copy_of(&vec![0; short as usize])).await?;
        }
        Ok(())
    }

    /// Two empty blocks end a tar file.
    async fn end(&mut self) -> Result<(), DiskError> {
        self.add(AlignedBuf::copy_of(&[0; END_LEN as usize])).await?;
        self.file.sync().await
    }

    async fn add(&mut self, buf: AlignedBuf) -> Result<AlignedBuf, DiskError> {
        let len = buf.len() as u64;
        let (buf, written) = self.file.write_at(buf, self.at).await;
        written?;
        self.at += len;
        Ok(buf)
    }
}
