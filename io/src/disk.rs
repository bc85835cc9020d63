//! A shard's disk: opening files and working on directories.
//!
//! Shape   [`Disk`] is the same on every back; paths are absolute or relative to the process' directory.
//! Errors  [`DiskError`], naming the act and the path.
//!
//! Calls that look at names (open, rename, walk) run on the blocking pool and never hold the shard.

use crate::blocking::BlockingPool;
use crate::buffer::AlignedBuf;
use crate::engine::{Engine, blocking};
use crate::error::{Act, DiskError};
use crate::file::{File, FileInner, OpenHow, SharedFile};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// One entry that a walk found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The whole path.
    pub path: PathBuf,
    /// Whether it is a directory. Links are never followed.
    pub is_dir: bool,
    /// Length in bytes, for files.
    pub len: u64,
}

/// How much a file system holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free for this process.
    pub available: u64,
    /// Inodes in all; 0 where the file system makes them as it needs.
    pub inodes_total: u64,
    /// Inodes free.
    pub inodes_free: u64,
}

/// The disk, as one shard sees it. Cheap to clone.
#[derive(Clone)]
pub struct Disk(Rc<Inner>);

struct Inner {
    engine: Engine,
    blocking: BlockingPool,
}

impl Disk {
    pub(crate) fn new(engine: Engine, blocking: BlockingPool) -> Disk {
        Disk(Rc::new(Inner { engine, blocking }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn blocking(&self) -> &BlockingPool {
        &self.0.blocking
    }

    /// Opens or creates a file.
    pub async fn open(&self, path: impl AsRef<Path>, how: OpenHow) -> Result<File, DiskError> {
        let inner = self.meta(Act::Open, path.as_ref(), move |path| {
            let mut flags = OFlags::CLOEXEC;
            flags |= if how.write { OFlags::RDWR } else { OFlags::RDONLY };
            flags.set(OFlags::CREATE, how.create);
            flags.set(OFlags::EXCL, how.exclusive);
            flags.set(OFlags::TRUNC, how.truncate);
            flags.set(OFlags::DIRECT, how.direct);
            let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?;
            Ok(FileInner { fd, path: path.to_owned(), how })
        });
        Ok(File { disk: self.clone(), inner: Arc::new(inner.await?) })
    }

    /// A file that was opened on another shard, on this one's disk.
    pub fn file(&self, shared: &SharedFile) -> File {
        File { disk: self.clone(), inner: shared.0.clone() }
    }

    /// Makes the entries of a directory durable: new, renamed and removed names.
    pub async fn sync_dir(&self, dir: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Sync, dir.as_ref(), |dir| {
            let fd = rustix::fs::open(dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(rustix::fs::fsync(fd)?)
        })
        .await
    }

    /// Makes everything on the file system that `path` lies on durable.
    pub async fn sync_filesystem(&self, path: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Sync, path.as_ref(), |path| {
            let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            Ok(rustix::fs::syncfs(fd)?)
        })
        .await
    }

    /// Renames a file or directory, over what is there. Durable after [`sync_dir`](Self::sync_dir) of both parents.
    pub async fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), DiskError> {
        let to = to.as_ref().to_owned();
        self.meta(Act::Rename, from.as_ref(), move |from| Ok(rustix::fs::rename(from, to)?)).await
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
        self.meta(Act::CreateDir, dir.as_ref(), |dir| std::fs::create_dir_all(dir)).await
    }

    /// Removes a file.
    pub async fn remove(&self, path: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Remove, path.as_ref(), |path| Ok(rustix::fs::unlink(path)?)).await
    }

    /// Removes a directory with all it holds. One that is not there is an error.
    pub async fn remove_dir_all(&self, dir: impl AsRef<Path>) -> Result<(), DiskError> {
        self.meta(Act::Remove, dir.as_ref(), |dir| std::fs::remove_dir_all(dir)).await
    }

    /// What a directory holds, one level deep, sorted by path.
    pub async fn list(&self, dir: impl AsRef<Path>) -> Result<Vec<DirEntry>, DiskError> {
        self.meta(Act::Walk, dir.as_ref(), list).await
    }

    /// What lies below a directory at any depth, sorted by path.
    pub async fn walk(&self, dir: impl AsRef<Path>) -> Result<Vec<DirEntry>, DiskError> {
        self.meta(Act::Walk, dir.as_ref(), |dir| {
            let mut found = list(dir)?;
            let mut next = 0;
            while next < found.len() {
                if found[next].is_dir {
                    let below = list(&found[next].path)?;
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
        self.meta(Act::Stat, path.as_ref(), |path| {
            match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(Some(entry_of(path, &stat))),
                Err(rustix::io::Errno::NOENT) => Ok(None),
                Err(e) => Err(e.into()),
            }
        })
        .await
    }

    /// How much the file system that `path` lies on holds.
    pub async fn space(&self, path: impl AsRef<Path>) -> Result<DiskSpace, DiskError> {
        self.meta(Act::Stat, path.as_ref(), |path| {
            let fs = rustix::fs::statvfs(path)?;
            Ok(DiskSpace {
                total: fs.f_blocks * fs.f_frsize,
                available: fs.f_bavail * fs.f_frsize,
                inodes_total: fs.f_files,
                inodes_free: fs.f_favail,
            })
        })
        .await
    }

    async fn meta<T: Send + 'static>(
        &self,
        act: Act,
        path: &Path,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let owned = path.to_owned();
        let done = blocking(&self.0.blocking, move || work(&owned)).await;
        done.map_err(|e| DiskError::new(act, path, e))
    }
}

/// The directory a path lies in.
fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn list(dir: &Path) -> io::Result<Vec<DirEntry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        match rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push(entry_of(&path, &stat)),
            // It went away while the directory was read.
            Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    found.sort();
    Ok(found)
}

fn entry_of(path: &Path, stat: &rustix::fs::Stat) -> DirEntry {
    let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
    DirEntry { path: path.to_owned(), is_dir, len: if is_dir { 0 } else { stat.st_size as u64 } }
}
