//! What a disk answers when it fails.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What was being done when a disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Opening or creating a file.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Making data or a directory durable.
    Sync,
    /// Reserving space.
    Allocate,
    /// Setting a file's length.
    Truncate,
    /// Asking for a file's or directory's facts.
    Stat,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Creating directories.
    CreateDir,
    /// Listing a directory.
    Walk,
    /// Locking a file.
    Lock,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Open => "open",
            Act::Read => "read",
            Act::Write => "write",
            Act::Sync => "sync",
            Act::Allocate => "allocate space for",
            Act::Truncate => "set the length of",
            Act::Stat => "stat",
            Act::Rename => "rename",
            Act::Remove => "remove",
            Act::CreateDir => "create directory",
            Act::Walk => "list",
            Act::Lock => "lock",
        })
    }
}

/// A disk operation failed: what, where, and the system's reason in `source`.
#[derive(Debug)]
pub struct DiskError {
    /// What was being done.
    pub act: Act,
    /// To which file or directory.
    pub path: PathBuf,
    /// At which byte, for reads and writes.
    pub at: Option<u64>,
    /// The system's reason.
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn new(act: Act, path: &Path, source: impl Into<io::Error>) -> DiskError {
        DiskError { act, path: path.to_owned(), at: None, source: source.into() }
    }

    pub(crate) fn at(act: Act, path: &Path, at: u64, source: impl Into<io::Error>) -> DiskError {
        DiskError { act, path: path.to_owned(), at: Some(at), source: source.into() }
    }

    /// The kind of the system's reason.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the file or directory is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }

    /// Whether the disk, or a quota on it, is full: nothing is wrong with the disk.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.act, self.path.display())?;
        self.at.map_or(Ok(()), |at| write!(f, " at byte {at}"))
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
