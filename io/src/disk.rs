//! A shard's disk: opening files and working on directories.
//!
//! Shape   [`Disk`] is the same on every back; paths are absolute or relative to the process' directory.
//! Errors  [`DiskError`], naming the act and the path.
//!
//! Calls that look at names (open, rename, walk) run on the blocking pool and never hold the shard.

use crate::buffer::AlignedBuf;
use crate::class::{Class, Gate};
use crate::clock::Clock;
use crate::engine::{Engine, Moved};
use crate::error::{Act, DiskError};
use crate::file::{File, FileInner, OpenHow, SharedFile};
use crate::fs::{DirEntry, DiskSpace, Fs};
use crate::inode::{Inodes, RangeGuard};
use crate::shard::WeakShard;
use crate::sync::{Joined, SyncState};
use crate::task::ShardCounters;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The disk, as one shard sees it. Cheap to clone.
#[derive(Clone)]
pub struct Disk {
    inner: Rc<Inner>,
    class: Class,
}

struct Inner {
    gate: Rc<Gate>,
    engine: Engine,
    fs: Arc<dyn Fs>,
    inodes: Arc<Inodes>,
    shard: WeakShard,
    clock: Clock,
    counters: Arc<ShardCounters>,
}

impl Disk {
    pub(crate) fn new(
        engine: Engine,
        fs: Arc<dyn Fs>,
        inodes: Arc<Inodes>,
        shard: WeakShard,
        clock: Clock,
        counters: Arc<ShardCounters>,
    ) -> Disk {
        let gate = Gate::new(clock.clone());
        let inner = Inner { gate, engine, fs, inodes, shard, clock, counters };
        Disk { inner: Rc::new(inner), class: Class::Foreground }
    }

    /// The same disk for work of `class`: its reads and writes, and those of the files opened through it, take turns as
    /// that class does. [`Shard::disk`](crate::Shard::disk) is for the foreground.
    pub fn for_class(&self, class: Class) -> Disk {
        Disk { inner: self.inner.clone(), class }
    }

    pub(crate) async fn read(
        &self,
        file: &Arc<FileInner>,
        buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
    ) -> Moved {
        let _passed = self.inner.gate.pass(self.class).await;
        let memory = self.piece(memory);
        self.inner.engine.read(file, buf, memory, at).await
    }

    pub(crate) async fn write(
        &self,
        file: &Arc<FileInner>,
        buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> Moved {
        let _passed = self.inner.gate.pass(self.class).await;
        let memory = self.piece(memory);
        self.inner.engine.write(file, buf, memory, at, keep).await
    }

    /// The part of `memory` that one operation moves now.
    fn piece(&self, memory: Range<usize>) -> Range<usize> {
        memory.start..memory.start + self.inner.gate.piece(self.class, memory.len())
    }

    pub(crate) async fn vectored(
        &self,
        file: &Arc<FileInner>,
        bufs: Vec<AlignedBuf>,
        write: bool,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> (Vec<AlignedBuf>, io::Result<usize>) {
        let _passed = self.inner.gate.pass(self.class).await;
        self.inner.engine.vectored(file, bufs, write, at, keep).await
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn inodes(&self) -> &Inodes {
        &self.inner.inodes
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn counters(&self) -> &ShardCounters {
        &self.inner.counters
    }

    /// Starts work on flushes that the shard owns.
    pub(crate) fn start_flush(&self, work: impl Future<Output = ()> + 'static) {
        // A shard that is ending drops the work, which tells those that wait.
        if let Some(shard) = self.inner.shard.upgrade() {
            shard.spawn_named(Class::Foreground, "flush".into(), work);
        }
    }

    /// Opens or creates a file.
    pub async fn open(&self, path: impl AsRef<Path>, how: OpenHow) -> Result<File, DiskError> {
        let inodes = self.inner.inodes.clone();
        let opened =
            self.meta(Act::Open, path.as_ref(), move |fs, path| FileInner::new(fs, path, how, &inodes));
        Ok(File { disk: self.clone(), inner: Arc::new(opened.await?) })
    }

    /// A file that was opened on another shard, on this one's disk.
    pub fn file(&self, shared: &SharedFile) -> File {
        File { disk: self.clone(), inner: shared.0.clone() }
    }

    /// Makes every one of `files` durable; the first error of all. They are flushed all at once, or by one flush of their
    /// file system where that is measured cheaper, as are files that tasks flush one by one at the same time.
    ///
    /// Cancel safety: if dropped, the flushes go on.
    pub async fn sync_files(&self, files: &[File]) -> Result<(), DiskError> {
        let synced = futures_util::future::join_all(files.iter().map(File::sync)).await;
        synced.into_iter().collect()
    }

    /// Makes the entries of a directory durable: new, renamed and removed names. One flush serves all that wait for it; a
    /// failed one fails them all and every later call.
    ///
    /// Cancel safety: if dropped, the flush goes on.
    pub async fn sync_dir(&self, dir: impl AsRef<Path>) -> Result<(), DiskError> {
        let dir = dir.as_ref();
        let state = self.inner.inodes.dir(dir);
        // Names change without our knowing: every call asks for a flush that starts after it.
        state.changed();
        let (disk, path): (Disk, Arc<Path>) = (self.clone(), dir.into());
        let flushed = self.flush(&state, move || {
            let (disk, path) = (disk.clone(), path.clone());
            async move { disk.call(move |fs| fs.sync_dir(&path)).await }
        });
        flushed.await.map_err(|e| {
            self.inner.inodes.dir_failed(&state);
            DiskError::new(Act::Sync, dir, e)
        })
    }

    /// Makes everything on the file system that `path` lies on durable. It tells of no earlier failure.
    pub async fn sync_filesystem(&self, path: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Sync, path.as_ref(), |fs, path| fs.sync_filesystem(path)).await
    }

    /// Renames a file or directory, over what is there. Durable after [`sync_dir`](Self::sync_dir) of both parents.
    pub async fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), DiskError> {
        let to = to.as_ref().to_owned();
        self.meta(Act::Rename, from.as_ref(), move |fs, from| fs.rename(from, &to)).await
    }

    /// Replaces a small file as a whole and durably: a crash leaves the old bytes or the new. The new bytes are written
    /// to `{path}.tmp` beside it first; a start may remove what it finds under that name.
    pub async fn replace(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), DiskError> {
        let path = path.as_ref();
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = self.open(&temporary, OpenHow::create().truncated()).await?;
        file.write_at(AlignedBuf::copy_of(bytes), 0).await.1?;
        file.sync().await?;
        self.rename(&temporary, path).await?;
        self.sync_dir(parent_of(path)).await
    }

    /// The whole content of a small file, at most `len_max` bytes; a longer one is an error of kind `FileTooLarge`.
    pub async fn read_small(&self, path: impl AsRef<Path>, len_max: usize) -> Result<Vec<u8>, DiskError> {
        let file = self.open(path, OpenHow::read()).await?;
        let (buf, read) = file.read_at(AlignedBuf::heap(len_max + 1), 0, len_max + 1).await;
        if read? > len_max {
            return Err(DiskError::new(Act::Read, file.path(), io::ErrorKind::FileTooLarge));
        }
        Ok(buf.to_vec())
    }

    /// Creates a directory and those above it that are missing.
    pub async fn create_dir_all(&self, dir: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::CreateDir, dir.as_ref(), |fs, dir| fs.create_dir_all(dir)).await
    }

    /// Removes a file.
    pub async fn remove(&self, path: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Remove, path.as_ref(), |fs, path| fs.remove(path)).await
    }

    /// Removes a directory with all it holds. One that is not there is an error.
    pub async fn remove_dir_all(&self, dir: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Remove, dir.as_ref(), |fs, dir| fs.remove_dir_all(dir)).await
    }

    /// What a directory holds, one level deep, sorted by path.
    pub async fn list(&self, dir: impl AsRef<Path>) -> Result<Vec<DirEntry>, DiskError> {
        self.meta(Act::Walk, dir.as_ref(), |fs, dir| fs.list(dir)).await
    }

    /// What lies below a directory at any depth, sorted by path.
    pub async fn walk(&self, dir: impl AsRef<Path>) -> Result<Vec<DirEntry>, DiskError> {
        self.meta(Act::Walk, dir.as_ref(), |fs, dir| {
            let mut found = fs.list(dir)?;
            let mut next = 0;
            while next < found.len() {
                if found[next].is_dir {
                    let below = fs.list(&found[next].path)?;
                    found.extend(below);
                }
                next += 1;
            }
            found.sort();
            Ok(found)
        })
        .await
    }

    /// The facts of one file or directory; `None` if it is not there.
    pub async fn stat(&self, path: impl AsRef<Path>) -> Result<Option<DirEntry>, DiskError> {
        self.meta(Act::Stat, path.as_ref(), |fs, path| fs.stat(path)).await
    }

    /// How much the file system that `path` lies on holds.
    pub async fn space(&self, path: impl AsRef<Path>) -> Result<DiskSpace, DiskError> {
        self.meta(Act::Stat, path.as_ref(), |fs, path| fs.space(path)).await
    }

    /// Runs a blocking call of the file system off the shard.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fs) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let fs = self.inner.fs.clone();
        self.inner.engine.blocking(move || work(&*fs)).await
    }

    /// Waits until everything up to now is flushed; starts `flush` on a task of its own if nobody else does.
    pub(crate) async fn flush<F>(
        &self,
        state: &Arc<SyncState>,
        mut flush: impl FnMut() -> F + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        let answer = match state.join() {
            Joined::Done(flushed) => return Ok(flushed?),
            Joined::Wait(answer) => answer,
            Joined::Lead(mut turn, answer) => {
                let work = async move {
                    loop {
                        turn.begin();
                        let flushed = flush().await;
                        if !turn.end(flushed) {
                            break;
                        }
                    }
                };
                match self.inner.shard.upgrade() {
                    Some(shard) => shard.spawn_named(Class::Foreground, "flush".into(), work),
                    // The shard is ending; this task is one of its last.
                    None => work.await,
                }
                answer
            }
        };
        let flushed =
            answer.await.ok_or_else(|| io::Error::other("the flush went away without an answer"))?;
        Ok(flushed?)
    }

    async fn meta<T: Send + 'static>(
        &self,
        act: Act,
        path: &Path,
        work: impl FnOnce(&dyn Fs, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let owned = path.to_owned();
        let done = self.call(move |fs| work(fs, &owned)).await;
        done.map_err(|e| DiskError::new(act, path, e))
    }
}

/// The directory a path lies in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
