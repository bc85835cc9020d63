//! Names, lengths and facts: what a disk does besides moving bytes.
//!
//! Shape   [`Fs`] is implemented by the machine's file systems and by the in-memory disk; its calls may block.
//! Errors  `io::Error` as the system gives it; the face adds act and path.

use crate::file::OpenHow;
use crate::sim::SimHandle;
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

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

/// An open file.
#[derive(Debug)]
pub(crate) enum Body {
    Real(OwnedFd),
    Memory(SimHandle),
}

impl Body {
    /// The descriptor of a file of the machine's.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Body::Real(fd) => fd.as_fd(),
            Body::Memory(_) => unreachable!("a file in memory stays on the in-memory disk"),
        }
    }

    pub(crate) fn memory(&self) -> &SimHandle {
        match self {
            Body::Memory(handle) => handle,
            Body::Real(_) => unreachable!("the in-memory disk opens files in memory"),
        }
    }
}

/// Which file this is, whatever its names are: device and inode.
pub(crate) type FileId = (u64, u64);

/// The blocking half of a disk.
pub(crate) trait Fs: Send + Sync {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<(Body, FileId, u64)>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    fn sync_filesystem(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>>;
    fn space(&self, path: &Path) -> io::Result<DiskSpace>;
    fn len(&self, file: &Body) -> io::Result<u64>;
    fn truncate(&self, file: &Body, len: u64) -> io::Result<()>;
    fn allocate(&self, file: &Body, from: u64, len: u64) -> io::Result<()>;
    fn try_lock(&self, file: &Body, shared: bool) -> io::Result<bool>;
    fn lock_holder(&self, file: &Body) -> io::Result<Option<u32>>;
    /// Whether a flush of the whole file system makes durable what direct writes to its files left to do.
    fn flushes_whole(&self, device: u64) -> bool;
}

/// The machine's file systems.
pub(crate) struct RealFs;

impl Fs for RealFs {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<(Body, FileId, u64)> {
        let mut flags = OFlags::CLOEXEC;
        flags |= if how.write { OFlags::RDWR } else { OFlags::RDONLY };
        flags.set(OFlags::CREATE, how.create);
        flags.set(OFlags::EXCL, how.exclusive);
        flags.set(OFlags::TRUNC, how.truncate);
        flags.set(OFlags::DIRECT, how.direct);
        let open = |flags| rustix::fs::open(path, flags, Mode::from_raw_mode(0o640));
        let fd = match open(flags) {
            // A file system without it (the probe names it): whole pages go through the page cache. The failed call may have
            // created the file.
            Err(Errno::INVAL | Errno::OPNOTSUPP) if how.direct => {
                open(flags.difference(OFlags::DIRECT | OFlags::EXCL))?
            }
            opened => opened?,
        };
        let stat = rustix::fs::fstat(&fd)?;
        Ok((Body::Real(fd), (stat.st_dev, stat.st_ino), stat.st_size as u64))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let fd = rustix::fs::open(dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::fsync(fd)?)
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::syncfs(fd)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            // What went away while the directory was read is left out.
            found.extend(self.stat(&entry?.path())?);
        }
        found.sort();
        Ok(found)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
                let len = if is_dir { 0 } else { stat.st_size as u64 };
                Ok(Some(DirEntry { path: path.to_owned(), is_dir, len }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let fs = rustix::fs::statvfs(path)?;
        Ok(DiskSpace {
            total: fs.f_blocks * fs.f_frsize,
            available: fs.f_bavail * fs.f_frsize,
            inodes_total: fs.f_files,
            inodes_free: fs.f_favail,
        })
    }

    fn len(&self, file: &Body) -> io::Result<u64> {
        Ok(rustix::fs::fstat(file.fd())?.st_size as u64)
    }

    fn truncate(&self, file: &Body, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(file.fd(), len)?)
    }

    fn allocate(&self, file: &Body, from: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file.fd(), FallocateFlags::KEEP_SIZE, from, len)?)
    }

    fn try_lock(&self, file: &Body, shared: bool) -> io::Result<bool> {
        crate::sys::try_lock(file.fd(), shared)
    }

    fn lock_holder(&self, file: &Body) -> io::Result<Option<u32>> {
        crate::sys::lock_holder(file.fd())
    }

    fn flushes_whole(&self, device: u64) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        is_ext4(&mounts, (rustix::fs::major(device), rustix::fs::minor(device)))
    }
}

/// Whether the table of mounts says that the device is ext4. Its kind alone would not do: ext2 has the same magic number.
///
/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext4 /dev/root rw`: the third word is the device, the one after the dash the
/// kind (proc_pid_mountinfo(5)).
fn is_ext4(mounts: &str, (major, minor): (u32, u32)) -> bool {
    let device = format!("{major}:{minor}");
    mounts.lines().any(|line| {
        let mut words = line.split(' ');
        words.nth(2) == Some(&device) && words.skip_while(|word| *word != "-").nth(1) == Some("ext4")
    })
}

/// Bytes in the page cache that have yet to be written, of all file systems; `None` where the kernel does not say.
pub(crate) fn dirty_bytes() -> Option<u64> {
    let facts = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| {
        let line = facts.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some((kib("Dirty:")? + kib("Writeback:")?) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_device_mounted_as_ext4_is_flushed_whole() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
                      23 22 0:21 / /proc rw - proc proc rw\n\
                      24 22 8:16 / /data ext4 rw - ext2 /dev/sdb rw\n";
        assert!(is_ext4(mounts, (254, 0)));
        assert!(!is_ext4(mounts, (0, 21)));
        assert!(!is_ext4(mounts, (8, 16)));
        assert!(!is_ext4(mounts, (8, 17)));
        assert!(dirty_bytes().is_some());
    }
}
