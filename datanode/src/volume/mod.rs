//! Volumes: one disk folder each, with its metadata and its space.
//!
//! Owns    [`Volume`], shared by all shards; [`open`] formats and opens; [`choose`] picks one for a new container; [`reserved`] is what is left to others.
//! Units   bytes.
//! Errors  [`VolumeError`] at start; [`CommandError`] for a write that the volume cannot take.

pub mod check;
pub mod choose;
pub mod open;
pub mod reserved;

use crate::commands::CommandError;
use crate::format::FormatError;
use crate::format::layout::VolumePaths;
use crate::format::volume_version::VolumeVersion;
use crate::metadata::{Metadata, MetadataError};
use crate::scan::{Budget, ScanConfig};
use allotrope_io::{DiskError, DiskSpace};
use allotrope_types::DatanodeResult::{DiskOutOfSpace, IoException};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Why a volume is not used.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Its path cannot be written into a container file.
    #[error(
        "volume {path} has a character in its path that Ozone's container files cannot hold: use letters, digits and /._-+"
    )]
    Path {
        /// The volume's folder.
        path: PathBuf,
    },
    /// Another process uses it.
    #[error("{path} is in use by {holder}: stop it, or give this datanode another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What the lock file says.
        holder: String,
    },
    /// Its `VERSION` cannot be read.
    #[error("volume {path} has a VERSION that cannot be used")]
    Version {
        /// The volume's folder.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// It belongs to someone else.
    #[error("volume {path} has {key} {found}, this is {expected}: give it its own folder, or empty this one")]
    Foreign {
        /// The volume's folder.
        path: PathBuf,
        /// Which id differs.
        key: &'static str,
        /// The id on the volume.
        found: String,
        /// The id here.
        expected: String,
    },
    /// Its disk failed.
    #[error("volume {path} cannot be opened")]
    Disk {
        /// The volume's folder.
        path: PathBuf,
        /// The disk's reason.
        source: DiskError,
    },
    /// Its metadata cannot be opened.
    #[error("the metadata of {path} cannot be opened")]
    Metadata {
        /// The volume's folder.
        path: PathBuf,
        /// The store's reason.
        source: MetadataError,
    },
    /// A thread for it could not be had.
    #[error("volume {path} cannot be opened: {why}")]
    Thread {
        /// The volume's folder.
        path: PathBuf,
        /// What failed.
        why: String,
    },
}

/// Space on a volume. All in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// What the volume may hold: the file system's size without what is reserved for others.
    pub capacity: u64,
    /// What our containers hold.
    pub used: u64,
    /// What may still be written.
    pub available: u64,
    /// What open containers may still grow by.
    pub committed: u64,
    /// The file system's size.
    pub fs_capacity: u64,
    /// The file system's free bytes.
    pub fs_available: u64,
}

/// How much of a volume is kept free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes that are not ours.
    pub reserved: u64,
    /// Bytes that SCM is told to leave free.
    pub soft: u64,
    /// Free bytes below which writes are refused.
    pub hard: u64,
}

/// A volume that is in use.
pub struct Volume {
    /// Its place in the configuration.
    pub index: usize,
    paths: VolumePaths,
    version: VolumeVersion,
    metadata: Arc<dyn Metadata>,
    kept: Kept,
    suspect: AtomicBool,
    failed: AtomicBool,
    check_asked: Notify,
    /// Of the data scan, and of scans on demand.
    budgets: OnceLock<[Budget; 2]>,
    fs_capacity: AtomicI64,
    fs_available: AtomicI64,
    used: AtomicI64,
    committed: AtomicI64,
}

impl Volume {
    /// A volume that has been opened.
    pub fn new(
        index: usize,
        paths: VolumePaths,
        version: VolumeVersion,
        metadata: Arc<dyn Metadata>,
        kept: Kept,
    ) -> Volume {
        Volume {
            index,
            paths,
            version,
            metadata,
            kept,
            suspect: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            check_asked: Notify::new(),
            budgets: OnceLock::new(),
            fs_capacity: AtomicI64::new(0),
            fs_available: AtomicI64::new(0),
            used: AtomicI64::new(0),
            committed: AtomicI64::new(0),
        }
    }

    /// Where things lie.
    pub fn paths(&self) -> &VolumePaths {
        &self.paths
    }

    /// Whose it is.
    pub fn version(&self) -> &VolumeVersion {
        &self.version
    }

    /// Its metadata.
    pub fn metadata(&self) -> &Arc<dyn Metadata> {
        &self.metadata
    }

    /// How much is kept free.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Takes it out of use: a flush failed, so nobody knows which bytes are stable.
    pub fn suspect(&self, why: &dyn std::fmt::Display) {
        if !self.suspect.swap(true, Relaxed) {
            tracing::error!(volume = %self.version.volume, path = %self.paths.root().display(), why = %why,
                "a flush failed: the volume takes no more writes");
            self.ask_check();
        }
    }

    /// Whether it takes no more writes.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed) || self.is_failed()
    }

    /// Takes it out of use altogether. False if it was already.
    pub fn set_failed(&self, why: &str) -> bool {
        let was = self.failed.swap(true, Relaxed);
        if !was {
            tracing::error!(volume = %self.version.volume, path = %self.paths.root().display(), why,
                "the volume is out of use");
            // Whoever watches it lets go of it.
            self.ask_check();
        }
        !was
    }

    /// Whether it is out of use altogether: its containers are not here any more.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Has the disk checked soon: something on it failed.
    pub fn ask_check(&self) {
        self.check_asked.notify_one();
    }

    /// Resolves once a check is asked for.
    pub async fn check_asked(&self) {
        self.check_asked.notified().await;
    }

    /// What scans may read a second: of the data scan, or of scans on demand.
    pub fn budget(&self, on_demand: bool, config: &ScanConfig) -> &Budget {
        let make = || [config.bytes_per_second, config.demand_bytes_per_second].map(Budget::new);
        &self.budgets.get_or_init(make)[usize::from(on_demand)]
    }

    /// Learns what the file system holds.
    pub fn set_fs(&self, space: DiskSpace) {
        self.fs_capacity.store(space.total as i64, Relaxed);
        self.fs_available.store(space.available as i64, Relaxed);
    }

    /// Counts bytes written into containers (negative: removed).
    pub fn grew(&self, bytes: i64) {
        self.used.fetch_add(bytes, Relaxed);
        self.fs_available.fetch_sub(bytes, Relaxed);
    }

    /// Counts bytes found in containers at start.
    pub fn found(&self, bytes: u64) {
        self.used.fetch_add(bytes as i64, Relaxed);
    }

    /// Counts bytes that open containers may still grow by (negative: given back).
    pub fn commit(&self, bytes: i64) {
        self.committed.fetch_add(bytes, Relaxed);
    }

    /// Its space now.
    pub fn space(&self) -> Space {
        let at = |value: &AtomicI64| u64::try_from(value.load(Relaxed)).unwrap_or(0);
        let (fs_capacity, fs_available, used) =
            (at(&self.fs_capacity), at(&self.fs_available), at(&self.used));
        let capacity = fs_capacity.saturating_sub(self.kept.reserved);
        // What others have written into the file system's reserved part does not count against us twice.
        let available = fs_available.min(capacity.saturating_sub(used));
        Space { capacity, used, available, committed: at(&self.committed), fs_capacity, fs_available }
    }

    /// Refuses a write that the volume cannot take.
    pub fn check_takes_writes(&self) -> Result<(), CommandError> {
        if self.is_suspect() {
            let why = format!("volume {} failed and takes no writes", self.version.volume);
            return Err(CommandError::new(IoException, why));
        }
        let available = self.space().available;
        if available < self.kept.hard {
            let why = format!(
                "volume {} has {available} bytes left, below its minimum of {}",
                self.version.volume, self.kept.hard
            );
            return Err(CommandError::new(DiskOutOfSpace, why));
        }
        Ok(())
    }
}
