//! What a data directory is good for: found by using it.

use crate::buffer::{AlignedBuf, PAGE};
use crate::probe::{ProbeLine, Severity};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a data directory shall be.
const EXPECTED: &str = "a directory that takes files, with O_DIRECT aligned to at most 4 KiB";

/// The kind of a file system, as far as it matters to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsKind {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// Memory: nothing survives.
    Tmpfs,
    /// A container's layered file system.
    Overlay,
    /// Over the network.
    Nfs,
    /// Another; its magic number.
    Other(u64),
}

impl FsKind {
    fn of(magic: u64) -> FsKind {
        match magic {
            0xef53 => FsKind::Ext,
            0x5846_5342 => FsKind::Xfs,
            0x9123_683e => FsKind::Btrfs,
            0x0102_1994 => FsKind::Tmpfs,
            0x794c_7630 => FsKind::Overlay,
            0x6969 => FsKind::Nfs,
            other => FsKind::Other(other),
        }
    }
}

impl fmt::Display for FsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FsKind::Ext => "ext4",
            FsKind::Xfs => "xfs",
            FsKind::Btrfs => "btrfs",
            FsKind::Tmpfs => "tmpfs",
            FsKind::Overlay => "overlayfs",
            FsKind::Nfs => "nfs",
            FsKind::Other(magic) => return write!(f, "file system {magic:#x}"),
        })
    }
}

/// Why a data directory does not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirTrouble {
    /// There is none.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// It is a file.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// The file system is mounted read-only.
    #[error("{0} lies on a file system that is mounted read-only")]
    ReadOnly(PathBuf),
    /// It belongs to another user and may not be written.
    #[error("{path} belongs to user {owner} and this process (user {me}) may not write it")]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        me: u32,
    },
    /// No byte or no inode is free.
    #[error("{0} is full: no space or no inode is left")]
    Full(PathBuf),
    /// It failed otherwise.
    #[error("{path} cannot be used: {why}")]
    Failed {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl DirTrouble {
    /// What to change.
    pub fn advice(&self) -> String {
        match self {
            DirTrouble::Missing(path) => format!("mkdir -p {}, or correct hdds.datanode.dir", path.display()),
            DirTrouble::NotADirectory(path) => format!("correct hdds.datanode.dir: {}", path.display()),
            DirTrouble::ReadOnly(path) => {
                format!("mount -o remount,rw the file system of {}", path.display())
            }
            DirTrouble::NotOurs { path, me, .. } => format!("chown -R {me} {}", path.display()),
            DirTrouble::Full(path) => {
                format!("free space or inodes on the file system of {}", path.display())
            }
            DirTrouble::Failed { .. } => "look for the reason in the kernel's log".into(),
        }
    }
}

/// The facts of a directory that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirFacts {
    /// Its file system.
    pub fs: FsKind,
    /// Whether files can be read and written past the page cache.
    pub direct: bool,
    /// The alignment of offsets and of memory that direct files ask for, in bytes; 0 where the kernel does not say.
    pub direct_align: (u32, u32),
    /// Whether the device can be polled for completions (IOPOLL).
    pub iopoll: bool,
    /// Bytes free for this process.
    pub bytes_free: u64,
    /// Inodes free, of how many; none of none where the file system makes them as it needs.
    pub inodes: (u64, u64),
}

/// What was found of one data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirProbe {
    /// The directory.
    pub path: PathBuf,
    /// Its facts, or why it does not serve.
    pub found: Result<DirFacts, DirTrouble>,
}

impl DirProbe {
    /// Looks at `path` by writing, syncing and removing a file of a page in it.
    pub(crate) fn look(path: &Path) -> DirProbe {
        DirProbe { path: path.to_owned(), found: look(path) }
    }

    /// Why it does not serve, if so.
    pub fn trouble(&self) -> Option<&DirTrouble> {
        self.found.as_ref().err()
    }

    pub(crate) fn lines(&self) -> Vec<ProbeLine> {
        let path = self.path.display();
        let facts = match &self.found {
            Ok(facts) => facts,
            Err(trouble) => {
                let advice = trouble.advice();
                return vec![ProbeLine::new(Severity::Broken, trouble.to_string(), EXPECTED, Some(&advice))];
            }
        };
        let mut lines = Vec::new();
        let (offset, memory) = facts.direct_align;
        if !facts.direct {
            lines.push(ProbeLine::new(
                Severity::Slower,
                format!("{path} is on {} without O_DIRECT: data passes the page cache", facts.fs),
                EXPECTED,
                Some("a data directory on ext4 or xfs"),
            ));
        } else if offset as usize > PAGE || memory as usize > PAGE {
            lines.push(ProbeLine::new(
                Severity::Broken,
                format!(
                    "{path} asks for an alignment of {} B, and we write pages of {PAGE} B",
                    offset.max(memory)
                ),
                EXPECTED,
                Some("a device with sectors of at most 4 KiB"),
            ));
        } else {
            let iopoll = if facts.iopoll { ", IOPOLL" } else { "" };
            let text = format!("{path} is on {}, O_DIRECT aligned to {offset} B{iopoll}", facts.fs);
            lines.push(ProbeLine::new(Severity::Fine, text, EXPECTED, None));
        }
        match facts.fs {
            FsKind::Tmpfs => lines.push(ProbeLine::new(
                Severity::Slower,
                format!("{path} is memory: nothing in it survives a restart of the machine"),
                "a disk",
                Some("a data directory on a disk"),
            )),
            FsKind::Overlay => lines.push(ProbeLine::new(
                Severity::Slower,
                format!("{path} is a container's own layer: it goes with the container"),
                "a disk",
                Some("mount a volume there"),
            )),
            _ => {}
        }
        let (free, all) = facts.inodes;
        if all > 0 && free < all / 100 {
            lines.push(ProbeLine::new(
                Severity::Slower,
                format!("{path} has {free} of {all} inodes left"),
                "1 % of the inodes free",
                Some("a file system made with more inodes; one block file takes one"),
            ));
        }
        lines
    }

    pub(crate) fn summary(&self) -> String {
        match &self.found {
            Ok(facts) if facts.direct => format!("{} ({}, O_DIRECT)", self.path.display(), facts.fs),
            Ok(facts) => format!("{} ({}, page cache)", self.path.display(), facts.fs),
            Err(trouble) => trouble.to_string(),
        }
    }
}

fn look(path: &Path) -> Result<DirFacts, DirTrouble> {
    let trouble = |e: Errno| trouble_of(path, e);
    let stat = rustix::fs::stat(path).map_err(trouble)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(DirTrouble::NotADirectory(path.to_owned()));
    }
    let fs = rustix::fs::statfs(path).map_err(trouble)?;
    let space = rustix::fs::statvfs(path).map_err(trouble)?;
    let file = path.join(format!(".allotrope-probe-{}", std::process::id()));
    let used = try_file(&file);
    let _ = rustix::fs::unlink(&file);
    let (direct, direct_align) = used.map_err(trouble)?;
    Ok(DirFacts {
        fs: FsKind::of(fs.f_type as u64),
        direct,
        direct_align,
        iopoll: polls(stat.st_dev),
        bytes_free: space.f_bavail * space.f_frsize,
        inodes: (space.f_favail, space.f_files),
    })
}

/// Writes and syncs a page, past the page cache if that is possible.
fn try_file(file: &Path) -> Result<(bool, (u32, u32)), Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let mut page = AlignedBuf::heap(PAGE);
    page.set_len(PAGE);
    let write = |flags: OFlags| -> Result<_, Errno> {
        let fd = rustix::fs::open(file, flags, mode)?;
        rustix::io::pwrite(&fd, &page, 0)?;
        rustix::fs::fdatasync(&fd)?;
        Ok(fd)
    };
    match write(flags | OFlags::DIRECT) {
        Ok(fd) => {
            let facts = rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
            let align = facts.map_or((0, 0), |facts| (facts.stx_dio_offset_align, facts.stx_dio_mem_align));
            Ok((true, align))
        }
        Err(Errno::INVAL | Errno::OPNOTSUPP) => write(flags).map(|_| (false, (0, 0))),
        Err(e) => Err(e),
    }
}

/// Whether the kernel says that the device's completions can be polled.
fn polls(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    // A partition has its queue one level up.
    let says = |queue: PathBuf| std::fs::read_to_string(queue.join("queue/io_poll")).ok();
    says(block.clone()).or_else(|| says(block.join(".."))).is_some_and(|on| on.trim() == "1")
}

fn trouble_of(path: &Path, e: Errno) -> DirTrouble {
    let owned = || path.to_owned();
    match e {
        Errno::NOENT => DirTrouble::Missing(owned()),
        Errno::NOTDIR => DirTrouble::NotADirectory(owned()),
        Errno::ROFS => DirTrouble::ReadOnly(owned()),
        Errno::NOSPC | Errno::DQUOT => DirTrouble::Full(owned()),
        Errno::ACCESS | Errno::PERM => {
            let owner = rustix::fs::statat(CWD, path, AtFlags::empty()).map_or(0, |stat| stat.st_uid);
            DirTrouble::NotOurs { path: owned(), owner, me: rustix::process::geteuid().as_raw() }
        }
        e => DirTrouble::Failed { path: owned(), why: io::Error::from(e).to_string() },
    }
}
