//! Unpacking an archive as it arrives: each byte goes into its file once, verified on the way.
//!
//! Shape   Ozone's writer puts the descriptor and the rows in front of the blocks, so a block's chunk list is known when its
//!         bytes come. Where it is not, the block is verified afterwards, by reading.
//! Errors  as the import's. The files of a replica that is UNHEALTHY are taken as they are: it is copied because nothing
//!         better is left.

use super::arriving::Marks;
use super::blocks::Chunks;
use super::{Place, descriptor, rows};
use crate::block::records;
use crate::commands::CommandError;
use crate::container::Counters;
use crate::format::archive::{ArchiveError, Entry, Event, FAMILIES, Unpack};
use crate::format::container_file::ContainerFile;
use crate::format::keys;
use crate::metadata::{Family, Metadata};
use crate::replication::PIECE;
use crate::replication::stream::buffers::Buffers;
use allotrope_io::{AlignedBuf, Class, DiskError, File, OpenHow, PAGE, Shard, TaskHandle};
use allotrope_types::DatanodeResult::{
    ChecksumMismatch, DiskOutOfSpace, ImportContainerMetadataFailed, IoException,
};
use allotrope_types::{LocalId, ReplicaState};
use bytes::{Buf, Bytes};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest descriptor.
const DESCRIPTOR_MAX: u64 = 1 << 20;
/// Files that are made stable at once.
const SYNC_AT_ONCE: usize = 32;
/// Blocks that are looked at at once.
const BLOCKS: usize = 256;
/// Headers, padding and rows of a container that holds little else.
const ROOM_SPARE: u64 = 64 << 20;
/// Writes of a file that are under way at once.
const WRITES: usize = 4;
/// From this length on a block's file is written past the page cache: its bytes are on the disk as they come, and the end
/// waits for little.
const DIRECT_MIN: u64 = 256 << 10;

/// What an archive turned out to be.
pub(super) struct Unpacked {
    pub(super) file: ContainerFile,
    pub(super) counters: Counters,
    pub(super) rows: Arc<dyn Metadata>,
}

/// An archive that is being unpacked.
pub(super) struct Unpacking<'a> {
    shard: &'a Shard,
    place: &'a Place,
    unpack: Unpack,
    /// Bytes of all entries so far.
    bytes: u64,
    file: Option<ContainerFile>,
    row_files: Vec<(Family, PathBuf)>,
    rows: Option<Arc<dyn Metadata>>,
    entry: Current,
    /// Files that are written and not stable yet.
    unsynced: Vec<File>,
    /// Blocks' files: how long, and whether verified.
    blocks: BTreeMap<LocalId, (u64, bool)>,
    /// Where free buffers are and go.
    buffers: Buffers,
    marks: Marks,
}

/// The entry that is arriving.
enum Current {
    Nothing,
    Descriptor(Vec<u8>),
    File(Box<Writing>),
}

struct Writing {
    shard: Shard,
    file: File,
    /// What is gathered for the next write.
    buf: AlignedBuf,
    /// Where `buf` begins in the file.
    at: u64,
    /// Bytes that are still to come when `buf` is written.
    left: u64,
    /// Bytes `buf` is filled to before it is written.
    piece: usize,
    /// What its bytes are held against.
    chunks: Option<Chunks>,
    block: Option<LocalId>,
    stays: bool,
    buffers: Buffers,
    /// Writes that are under way, the oldest first.
    writes: VecDeque<TaskHandle<Result<(), DiskError>>>,
}

impl From<ArchiveError> for CommandError {
    fn from(e: ArchiveError) -> CommandError {
        CommandError::new(ImportContainerMetadataFailed, e.to_string())
    }
}

impl<'a> Unpacking<'a> {
    pub(super) fn new(
        shard: &'a Shard,
        place: &'a Place,
        (buffers, marks): (Buffers, Marks),
    ) -> Unpacking<'a> {
        Unpacking {
            buffers,
            marks,
            shard,
            place,
            unpack: Unpack::new(),
            bytes: 0,
            file: None,
            row_files: Vec::new(),
            rows: None,
            entry: Current::Nothing,
            unsynced: Vec::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// Takes some bytes of the archive.
    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), CommandError> {
        self.unpack.push(bytes);
        while let Some(event) = self.unpack.next_event()? {
            match event {
                Event::Entry(entry, len) => self.begin(entry, len).await?,
                Event::Bytes(bytes) => self.add(bytes).await?,
                Event::EntryEnd => self.end().await?,
                Event::End => {}
            }
        }
        Ok(())
    }

    /// Takes some bytes of the archive, by themselves in a buffer: if they are the next piece of a file they go to the disk as they
    /// lie there.
    pub(super) async fn take_buffer(&mut self, buf: AlignedBuf) -> Result<(), CommandError> {
        let len = buf.len() as u64;
        match &mut self.entry {
            Current::File(writing)
                if self.unpack.next_of_file().is_some_and(|left| left >= len) && writing.wants(&buf) =>
            {
                self.unpack.pass(len);
                self.buffers.give(std::mem::replace(&mut writing.buf, buf));
                writing.write().await?;
                // The file may end with it.
                self.take(Bytes::new()).await
            }
            _ => self.take(self.buffers.lend(buf)).await,
        }
    }

    async fn begin(&mut self, entry: Entry, len: u64) -> Result<(), CommandError> {
        let container = self.place.claim.container();
        self.bytes = self.bytes.saturating_add(len);
        if self.bytes > self.place.claim.room().saturating_add(ROOM_SPARE) {
            let why = format!("the archive of container {container} is larger than what was kept for it");
            return Err(CommandError::new(DiskOutOfSpace, why));
        }
        let wrong = |why: String| Err(CommandError::new(ImportContainerMetadataFailed, why));
        self.entry = match entry {
            Entry::Folder(_) => Current::Nothing,
            Entry::Descriptor if len > DESCRIPTOR_MAX => {
                return wrong(format!("the descriptor of container {container} has {len} bytes"));
            }
            Entry::Descriptor => Current::Descriptor(Vec::new()),
            Entry::Tree(id) if id != container => {
                return wrong(format!("the archive of container {container} has the tree of container {id}"));
            }
            Entry::Tree(id) => {
                let path = self.place.dir.join("metadata").join(format!("{id}.tree"));
                Current::File(self.open(path, len, true).await?)
            }
            Entry::Rows(_) if self.rows.is_some() => {
                return wrong(format!("the archive of container {container} has rows behind its blocks"));
            }
            Entry::Rows(_) if len == 0 => Current::Nothing,
            Entry::Rows(family) => {
                let path = self.place.rows.join(format!("{}.data", family.name()));
                self.row_files.push((family, path.clone()));
                Current::File(self.open(path, len, false).await?)
            }
            Entry::Block(local) => self.begin_block(local, len).await?,
        };
        Ok(())
    }

    async fn begin_block(&mut self, local: LocalId, len: u64) -> Result<Current, CommandError> {
        let path = self.place.dir.join("chunks").join(format!("{local}.block"));
        let mut writing = match len >= DIRECT_MIN {
            true => match self.create(&path, OpenHow::create_new().direct(), len, true).await {
                // Not every file system can.
                Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
                    self.create(&path, OpenHow::create(), len, true).await?
                }
                created => created?,
            },
            false => self.open(path, len, true).await?,
        };
        writing.block = Some(local);
        let strict = self.file.as_ref().map(|file| file.state != ReplicaState::Unhealthy);
        // Rows that have not come yet may still come.
        if strict == Some(true) && (self.rows.is_some() || !self.row_files.is_empty()) {
            let rows = self.rows().await?;
            if let Some(block) = chunks(&*rows, self.place, local).await? {
                writing.chunks = Some(block);
                writing.piece = writing.next_piece()?;
                writing.buf = self.buffers.take(writing.piece);
            }
        }
        self.blocks.insert(local, (len, writing.chunks.is_some()));
        self.marks.set(self.unpack.at());
        Ok(Current::File(writing))
    }

    async fn open(&self, path: PathBuf, len: u64, stays: bool) -> Result<Box<Writing>, CommandError> {
        Ok(self.create(&path, OpenHow::create_new(), len, stays).await?)
    }

    async fn create(
        &self,
        path: &Path,
        how: OpenHow,
        len: u64,
        stays: bool,
    ) -> Result<Box<Writing>, DiskError> {
        let file = self.place.disk.open(path, how).await?;
        let piece = (PIECE as u64).min(len).max(1) as usize;
        let (shard, buffers, writes) = (self.shard.clone(), self.buffers.clone(), VecDeque::new());
        let (buf, at, left, chunks, block) = (buffers.take(piece), 0, len, None, None);
        Ok(Box::new(Writing { shard, file, buf, at, left, piece, chunks, block, stays, buffers, writes }))
    }

    /// The rows, once all have come.
    async fn rows(&mut self) -> Result<Arc<dyn Metadata>, CommandError> {
        if let Some(rows) = &self.rows {
            return Ok(rows.clone());
        }
        let claim = &self.place.claim;
        let has: Vec<Family> = self.row_files.iter().map(|(family, _)| *family).collect();
        let file = |family: Family| {
            self.row_files.iter().find(|(of, _)| *of == family).map(|(_, path)| path.clone())
        };
        let files = FAMILIES.into_iter().map(|family| (family, file(family))).collect();
        let form = claim.volume().metadata().row_files();
        let rows = form.open(self.shard, files, self.place.rows.join("scratch")).await?;
        rows::check(&*rows, claim.container(), &has).await?;
        self.rows = Some(rows.clone());
        Ok(rows)
    }

    async fn add(&mut self, mut bytes: Bytes) -> Result<(), CommandError> {
        match &mut self.entry {
            Current::Nothing => {}
            Current::Descriptor(text) => text.extend_from_slice(&bytes),
            Current::File(writing) => {
                while !bytes.is_empty() {
                    let len = bytes.len().min(writing.piece - writing.buf.len());
                    writing.buf.extend_from_slice(&bytes[..len]);
                    bytes.advance(len);
                    if writing.buf.len() == writing.piece {
                        writing.write().await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), CommandError> {
        match std::mem::replace(&mut self.entry, Current::Nothing) {
            Current::Nothing => {}
            Current::Descriptor(text) => self.file = Some(descriptor(self.place.claim.container(), &text)?),
            Current::File(mut writing) => {
                if !writing.buf.is_empty() {
                    writing.write().await?;
                }
                writing.settle(0).await?;
                if let (Some(chunks), Some(local)) = (&writing.chunks, writing.block)
                    && writing.at < chunks.end
                {
                    return Err(short(local, writing.at, chunks.end));
                }
                // The last page's padding is no part of the file.
                if writing.file.is_direct() {
                    writing.file.trim().await?;
                }
                let Writing { file, buf, stays, .. } = *writing;
                self.buffers.give(buf);
                if stays {
                    self.unsynced.push(file);
                }
                if self.unsynced.len() >= SYNC_AT_ONCE {
                    self.sync().await?;
                }
            }
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), CommandError> {
        let synced = self.place.disk.sync_files(&std::mem::take(&mut self.unsynced)).await;
        Ok(synced.inspect_err(|e| self.place.claim.volume().suspect(e))?)
    }

    /// All bytes have come: verifies what was not verified yet and counts.
    pub(super) async fn finish(mut self) -> Result<Unpacked, CommandError> {
        self.unpack.finish()?;
        let container = self.place.claim.container();
        let file = self.file.take().ok_or_else(|| {
            let why = format!("the archive of container {container} has no descriptor");
            CommandError::new(ImportContainerMetadataFailed, why)
        })?;
        self.sync().await?;
        let rows = self.rows().await?;
        let mut counters = rows::counters(&*rows, container).await?;
        (counters.blocks, counters.bytes_used) = (0, 0);
        let strict = file.state != ReplicaState::Unhealthy;
        let (mut from, to) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
        loop {
            let page = rows.scan(Family::BlockData, from, to.clone(), BLOCKS).await?;
            let full = page.len() == BLOCKS;
            from = page.last().map(|(key, _)| [key, &[0][..]].concat()).unwrap_or_default();
            for (key, _) in page {
                let Some(local) = keys::local_id(&key) else { continue };
                counters.blocks += 1;
                match chunks(&*rows, self.place, local).await {
                    Ok(Some(chunks)) => {
                        counters.bytes_used += chunks.end;
                        if strict {
                            self.prove(local, &chunks).await?;
                        }
                    }
                    Ok(None) => {}
                    Err(e) if strict => return Err(e),
                    Err(_) => {}
                }
            }
            if !full {
                return Ok(Unpacked { file, counters, rows });
            }
        }
    }

    /// Shows that a block's file is here with the bytes that its list names.
    async fn prove(&self, local: LocalId, chunks: &Chunks) -> Result<(), CommandError> {
        let (len, verified) = self.blocks.get(&local).copied().unwrap_or((0, false));
        if len < chunks.end {
            return Err(short(local, len, chunks.end));
        }
        if verified || chunks.end == 0 {
            return Ok(());
        }
        let path = self.place.dir.join("chunks").join(format!("{local}.block"));
        let file = self.place.disk.open(path, OpenHow::read()).await?;
        let mut at = 0;
        while at < chunks.end {
            let piece = chunks.piece_at(at)?;
            let len = piece.len.min(chunks.end - at) as usize;
            let (buf, read) = file.read_exact_at(AlignedBuf::heap(len), at, len).await;
            read?;
            chunks.verify(piece, at, &buf)?;
            at += len as u64;
        }
        Ok(())
    }
}

impl Writing {
    /// Whether `buf` can be written as it is.
    fn wants(&self, buf: &AlignedBuf) -> bool {
        self.buf.is_empty() && self.piece == buf.len() && self.at.is_multiple_of(PAGE as u64)
    }

    /// Verifies what the buffer has, and has it written while more comes.
    async fn write(&mut self) -> Result<(), CommandError> {
        if let Some(chunks) = &self.chunks {
            chunks.verify(chunks.piece_at(self.at)?, self.at, &self.buf)?;
        }
        let (at, len) = (self.at, self.buf.len() as u64);
        self.at += len;
        self.left = self.left.saturating_sub(len);
        self.piece = self.next_piece()?;
        // The next one lies in its buffer as it will in the file.
        let head = (self.at % PAGE as u64) as usize;
        let mut next = self.buffers.take(head + self.piece);
        next.clear_at(head);
        let (buf, file, home) =
            (std::mem::replace(&mut self.buf, next), self.file.clone(), self.buffers.clone());
        // One that shares a page with the one before takes its bytes from memory once that one is written.
        let alone = !at.is_multiple_of(PAGE as u64);
        self.settle(if alone { 0 } else { WRITES - 1 }).await?;
        self.writes.push_back(self.shard.spawn_in(Class::Replication, "copy's write", async move {
            let (buf, written) = file.write_at(buf, at).await;
            home.give(buf);
            written
        }));
        Ok(())
    }

    /// Waits until no more than `left` writes are under way.
    async fn settle(&mut self, left: usize) -> Result<(), CommandError> {
        while self.writes.len() > left {
            if let Some(oldest) = self.writes.pop_front() {
                let written = oldest.await.map_err(|e| {
                    CommandError::new(IoException, format!("{}: {e}", self.file.path().display()))
                })?;
                written?;
            }
        }
        Ok(())
    }

    /// How much is gathered next.
    fn next_piece(&self) -> Result<usize, CommandError> {
        let piece = match &self.chunks {
            Some(chunks) => chunks.piece_at(self.at)?.len,
            None => PIECE as u64,
        };
        Ok(piece.min(self.left).max(1) as usize)
    }
}

/// The chunks of a block, as its rows name them.
async fn chunks(rows: &dyn Metadata, place: &Place, local: LocalId) -> Result<Option<Chunks>, CommandError> {
    let stored = records::read(rows, place.claim.container(), local, true).await?;
    stored.whole().map(|block| Chunks::of((*block).clone())).transpose()
}

fn short(local: LocalId, has: u64, needs: u64) -> CommandError {
    CommandError::new(ChecksumMismatch, format!("block {local} came with {has} of its {needs} bytes"))
}
