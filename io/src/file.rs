//! Files: positioned reads and writes with owned buffers.
//!
//! Shape   a [`SharedFile`] is the open file and may cross shards; a [`File`] is it on one shard's disk.
//! Units   offsets and lengths in bytes; a direct file is written in blocks of its `align`.
//! Errors  [`DiskError`], naming the act, the path and the offset.
//! Source  STYLE.md, 'A buffer in flight belongs to the kernel'.

use crate::buffer::{AlignedBuf, PAGE};
use crate::disk::Disk;
use crate::error::{Act, DiskError};
use crate::file_direct::Around;
use crate::flush::Device;
use crate::fs::{Body, Fs};
use crate::inode::{Inode, Inodes};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    /// May be written.
    pub write: bool,
    /// Create it if it is not there.
    pub create: bool,
    /// Fail if it is there (with `create`).
    pub exclusive: bool,
    /// Set its length to 0.
    pub truncate: bool,
    /// Past the page cache (O_DIRECT).
    pub direct: bool,
}

impl OpenHow {
    /// An existing file, to be read.
    pub const fn read() -> OpenHow {
        OpenHow { write: false, create: false, exclusive: false, truncate: false, direct: false }
    }

    /// An existing file, to be read and written.
    pub const fn write() -> OpenHow {
        OpenHow { write: true, ..OpenHow::read() }
    }

    /// To be read and written, created if it is not there.
    pub const fn create() -> OpenHow {
        OpenHow { create: true, ..OpenHow::write() }
    }

    /// A file that must not exist yet.
    pub const fn create_new() -> OpenHow {
        OpenHow { exclusive: true, ..OpenHow::create() }
    }

    /// The same, past the page cache. A file must not be open both ways for writing at once.
    pub const fn direct(self) -> OpenHow {
        OpenHow { direct: true, ..self }
    }

    /// The same, with the length set to 0.
    pub const fn truncated(self) -> OpenHow {
        OpenHow { truncate: true, ..self }
    }
}

/// What is known of an open file.
#[derive(Debug)]
pub(crate) struct FileInner {
    pub(crate) body: Body,
    pub(crate) path: PathBuf,
    pub(crate) how: OpenHow,
    pub(crate) inode: Arc<Inode>,
    pub(crate) device: Arc<Device>,
}

impl FileInner {
    /// Opens it; an error if it is open for writing the other way. May block.
    pub(crate) fn new(fs: &dyn Fs, path: &Path, how: OpenHow, inodes: &Inodes) -> io::Result<FileInner> {
        let (body, id, len) = fs.open(path, how)?;
        let inode = inodes.file(id, len);
        if !inode.enter(how.write, how.direct, len) {
            let why = "the file is open for writing both through the page cache and past it";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        let device = inodes.device(id.0, || fs.flushes_whole(id.0));
        Ok(FileInner { body, path: path.to_owned(), how, inode, device })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.body.fd()
    }
}

impl Drop for FileInner {
    fn drop(&mut self) {
        if self.how.write {
            self.inode.leave(self.how.direct);
        }
    }
}

/// An open file that may cross shards. Put it on a shard's disk with [`Disk::file`] to use it there.
#[derive(Debug, Clone)]
pub struct SharedFile(pub(crate) Arc<FileInner>);

impl SharedFile {
    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// A file on one shard's disk. Cheap to clone. It is closed when the last handle, on any shard, and the last operation on
/// it are gone.
#[derive(Clone)]
pub struct File {
    pub(crate) disk: Disk,
    pub(crate) inner: Arc<FileInner>,
}

impl File {
    /// The handle that may cross to other shards.
    pub fn shared(&self) -> SharedFile {
        SharedFile(self.inner.clone())
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether it is read and written past the page cache.
    pub fn is_direct(&self) -> bool {
        self.inner.how.direct
    }

    /// Writes all of `buf` at `at`. The buffer comes back whether or not the write worked.
    ///
    /// A direct file takes any offset and length: what shares the first and last page is kept, and the last page is padded
    /// with zeros, which [`trim`](Self::trim) cuts off. A buffer whose data lies where the offset has it within a page
    /// ([`BufferPool::try_take_for`](crate::BufferPool::try_take_for)) is not copied; its data may have moved when it comes
    /// back.
    ///
    /// Cancel safety: if dropped, the write goes on, nobody writes its pages before it is done, and the buffer is freed after
    /// it; a direct file's length does not count it.
    pub async fn write_at(&self, buf: AlignedBuf, at: u64) -> (AlignedBuf, Result<(), DiskError>) {
        self.write_around(buf, at, Around::default()).await
    }

    /// Writes `buf`, whose first byte belongs at `at`, without its first `done` bytes.
    pub(crate) async fn write_from(
        &self,
        mut buf: AlignedBuf,
        mut done: usize,
        at: u64,
    ) -> (AlignedBuf, Result<(), DiskError>) {
        while done < buf.len() {
            let memory = buf.start() + done..buf.start() + buf.len();
            let from = at + done as u64;
            let (back, moved) = self.disk.write(&self.inner, buf, memory, from, None).await;
            buf = back;
            match moved {
                Ok(0) => return (buf, Err(self.failed(Act::Write, from, io::ErrorKind::WriteZero))),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (buf, Err(self.failed(Act::Write, from, e))),
            }
        }
        (buf, Ok(()))
    }

    /// Reads up to `len` bytes from `at` into `buf`, whose data they become. Fewer come only at the end of the file. A
    /// direct file takes any offset and length; the data starts where the offset has it within a page.
    ///
    /// Cancel safety: if dropped, the buffer is freed when the read is done.
    pub async fn read_at(
        &self,
        buf: AlignedBuf,
        at: u64,
        len: usize,
    ) -> (AlignedBuf, Result<usize, DiskError>) {
        assert!(len <= buf.room(), "the buffer has room for what is read");
        match self.is_direct() {
            true => self.read_direct(buf, at, len).await,
            false => self.read_from(buf, 0, at, len).await,
        }
    }

    /// Reads `len` bytes from `at`, of which `done` are in `buf` already.
    async fn read_from(
        &self,
        mut buf: AlignedBuf,
        mut done: usize,
        at: u64,
        len: usize,
    ) -> (AlignedBuf, Result<usize, DiskError>) {
        while done < len {
            let memory = buf.start() + done..buf.start() + len;
            let from = at + done as u64;
            let (back, moved) = self.disk.read(&self.inner, buf, memory, from).await;
            buf = back;
            match moved {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (buf, Err(self.failed(Act::Read, from, e))),
            }
        }
        buf.set_len(done);
        (buf, Ok(done))
    }

    /// As [`read_at`](Self::read_at); fewer than `len` bytes are an error of kind `UnexpectedEof`.
    pub async fn read_exact_at(
        &self,
        buf: AlignedBuf,
        at: u64,
        len: usize,
    ) -> (AlignedBuf, Result<(), DiskError>) {
        match self.read_at(buf, at, len).await {
            (buf, Ok(n)) if n < len => {
                let end = at + n as u64;
                (buf, Err(self.failed(Act::Read, end, io::ErrorKind::UnexpectedEof)))
            }
            (buf, read) => (buf, read.map(drop)),
        }
    }

    /// Writes the data of all `bufs`, one after the other, from `at` on, with one operation where the kernel takes it whole.
    /// The buffers come back whether or not the write worked.
    ///
    /// Cancel safety: as [`write_at`](Self::write_at).
    pub async fn write_vectored_at(
        &self,
        bufs: Vec<AlignedBuf>,
        at: u64,
    ) -> (Vec<AlignedBuf>, Result<(), DiskError>) {
        self.inner.inode.sync.changed();
        let whole = !self.is_direct() || is_aligned(&bufs, at);
        let end = at + bufs.iter().map(|buf| buf.len() as u64).sum::<u64>();
        let (bufs, moved) = match whole {
            true => {
                let keep = self.inner.inode.writing.hold(at..end).await;
                self.disk.vectored(&self.inner, bufs, true, at, Some(keep)).await
            }
            false => (bufs, Ok(0)),
        };
        if let Ok(n) = moved
            && n > 0
        {
            self.inner.inode.written(at, &[], at + n as u64);
        }
        self.inner.inode.sync.changed();
        let mut left = match moved {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return (bufs, Err(self.failed(Act::Write, at, e))),
        };
        // What a short write left is written buffer by buffer.
        let mut back = Vec::with_capacity(bufs.len());
        let (mut from, mut failed) = (at, Ok(()));
        for buf in bufs {
            let (len, done) = (buf.len(), left.min(buf.len()));
            left -= done;
            if done < len && failed.is_ok() {
                let (buf, written) = match self.is_direct() {
                    true => self.write_at(buf, from).await,
                    false => self.write_from(buf, done, from).await,
                };
                failed = written;
                back.push(buf);
            } else {
                back.push(buf);
            }
            from += len as u64;
        }
        (back, failed)
    }

    /// Fills the data of all `bufs`, one after the other, from `at` on. Answers how many bytes came: fewer only at the end
    /// of the file; the buffers keep their lengths.
    ///
    /// Cancel safety: as [`read_at`](Self::read_at).
    pub async fn read_vectored_at(
        &self,
        bufs: Vec<AlignedBuf>,
        at: u64,
    ) -> (Vec<AlignedBuf>, Result<usize, DiskError>) {
        let whole = !self.is_direct() || is_aligned(&bufs, at);
        let (bufs, moved) = match whole {
            true => self.disk.vectored(&self.inner, bufs, false, at, None).await,
            false => (bufs, Ok(0)),
        };
        let mut left = match moved {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return (bufs, Err(self.failed(Act::Read, at, e))),
        };
        let mut back = Vec::with_capacity(bufs.len());
        let (mut from, mut total, mut ended) = (at, Ok(0), false);
        for mut buf in bufs {
            let (len, mut done) = (buf.len(), left.min(buf.len()));
            left -= done;
            if done < len && !ended {
                let (again, read) = match self.is_direct() {
                    true => self.read_direct(buf, from, len).await,
                    false => self.read_from(buf, done, from, len).await,
                };
                buf = again;
                buf.set_len(len);
                match read {
                    Ok(n) => done = n,
                    Err(e) => total = Err(e),
                }
                ended = done < len;
            }
            total = total.map(|n| n + done);
            from += len as u64;
            back.push(buf);
        }
        (back, total)
    }

    /// Makes all that was written to the file, on any shard, durable, with its length. One flush serves all that wait for
    /// it. A failed one fails them all and every later call: the file is never flushed into success again. Its directory
    /// entry is another matter: [`Disk::sync_dir`].
    ///
    /// Cancel safety: if dropped, the flush goes on.
    pub async fn sync(&self) -> Result<(), DiskError> {
        let (disk, inner) = (self.disk.clone(), self.inner.clone());
        let flushed = self.disk.flush(&self.inner.inode.sync, move || {
            let (disk, inner) = (disk.clone(), inner.clone());
            async move { inner.device.flush(&disk, &inner).await }
        });
        flushed.await.map_err(|e| {
            self.disk.inodes().file_failed(&self.inner.inode);
            DiskError::new(Act::Sync, self.path(), e)
        })
    }

    /// The file's length, without the padding of a direct file's last page.
    pub async fn len(&self) -> Result<u64, DiskError> {
        match self.inner.inode.padded_len() {
            Some(len) => Ok(len),
            None => self.meta(Act::Stat, |fs, file| fs.len(&file.body)).await,
        }
    }

    /// Whether the file is empty.
    pub async fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len().await? == 0)
    }

    /// Sets the file's length: what lies behind is gone, what is new reads as zeros.
    pub async fn truncate(&self, len: u64) -> Result<(), DiskError> {
        let inode = self.inner.inode.clone();
        let _all = inode.writing.hold(0..u64::MAX).await;
        inode.sync.changed();
        let cut = self.meta(Act::Truncate, move |fs, file| fs.truncate(&file.body, len)).await;
        if cut.is_ok() {
            inode.set_len(len);
        }
        inode.sync.changed();
        cut
    }

    /// Cuts off the padding of a direct file's last page: the file gets its exact length. A file that is closed without it
    /// keeps the padding.
    pub async fn trim(&self) -> Result<(), DiskError> {
        match self.inner.inode.padded_len() {
            Some(len) if !len.is_multiple_of(PAGE as u64) => self.truncate(len).await,
            _ => Ok(()),
        }
    }

    /// Reserves space for bytes `from .. from + len` without changing the file's length.
    pub async fn allocate(&self, from: u64, len: u64) -> Result<(), DiskError> {
        self.meta(Act::Allocate, move |fs, file| fs.allocate(&file.body, from, len)).await
    }

    /// Takes the file's lock for this open file, without waiting. `false` if another holds it, a Java process among
    /// them. The lock ends with the file's last handle. The file is open for writing.
    pub async fn try_lock(&self) -> Result<bool, DiskError> {
        self.meta(Act::Lock, |fs, file| fs.try_lock(&file.body, false)).await
    }

    /// Like [`File::try_lock`], but a lock that others may share; the file may be open for reading only.
    pub async fn try_lock_shared(&self) -> Result<bool, DiskError> {
        self.meta(Act::Lock, |fs, file| fs.try_lock(&file.body, true)).await
    }

    /// The process that holds the file's lock; 0 where the system names none.
    pub async fn lock_holder(&self) -> Result<Option<u32>, DiskError> {
        self.meta(Act::Lock, |fs, file| fs.lock_holder(&file.body)).await
    }

    async fn meta<T: Send + 'static>(
        &self,
        act: Act,
        work: impl FnOnce(&dyn Fs, &FileInner) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let inner = self.inner.clone();
        let done = self.disk.call(move |fs| work(fs, &inner)).await;
        done.map_err(|e| DiskError::new(act, self.path(), e))
    }

    pub(crate) fn failed(&self, act: Act, at: u64, source: impl Into<io::Error>) -> DiskError {
        DiskError::at(act, self.path(), at, source)
    }
}

/// Whether a direct file takes these buffers at `at` as they are.
fn is_aligned(bufs: &[AlignedBuf], at: u64) -> bool {
    let whole = |n: usize| n.is_multiple_of(PAGE);
    at.is_multiple_of(PAGE as u64) && bufs.iter().all(|buf| whole(buf.start()) && whole(buf.len()))
}
