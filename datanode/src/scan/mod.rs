//! Scanners: containers looked at and read again, so that damage is found while other replicas are whole.
//!
//! Owns    [`Finding`], what can be wrong; [`metadata`] looks at a container's files and records, [`data`] reads its
//!         blocks; [`serve`] decides when; [`Budget`] how fast.
//! Shape   the metadata scan visits every container; the data scan reads sealed ones, one at a time a volume, within the
//!         volume's budget and in the scrub class; a scan on demand follows a read that failed. A container that is
//!         damaged becomes UNHEALTHY and SCM hears of it at once.
//! Law     what looks damaged is looked at twice, and again held against the metadata: a block that was deleted meanwhile,
//!         a file that was closed meanwhile and a read that went wrong once condemn nobody.
//! Units   bytes a second a volume.
//! Source  wire facts: scm.md 2.13.

pub mod budget;
pub mod data;
pub mod metadata;
pub mod serve;

use allotrope_types::LocalId;
use std::fmt;
use std::time::Duration;

pub use budget::Budget;

/// How containers are scanned. The names of Ozone's settings stand beside the fields, below `hdds.container.scrub.`.
#[derive(Clone, Debug)]
pub struct ScanConfig {
    /// Whether anything is scanned (`enabled`).
    pub enabled: bool,
    /// Time between scans of all containers' metadata (`metadata.scan.interval`).
    pub metadata_every: Duration,
    /// Time between scans of a container's data (`data.scan.interval`).
    pub data_every: Duration,
    /// Bytes a second that the data scan of a volume may read (`volume.bytes.per.second`).
    pub bytes_per_second: u64,
    /// Bytes a second that scans on demand of a volume may read (`on.demand.volume.bytes.per.second`).
    pub demand_bytes_per_second: u64,
    /// Least time between two scans of one container's data (`min.gap`).
    pub gap_min: Duration,
}

impl Default for ScanConfig {
    fn default() -> ScanConfig {
        ScanConfig {
            enabled: true,
            metadata_every: Duration::from_secs(3 * 3600),
            data_every: Duration::from_secs(7 * 24 * 3600),
            bytes_per_second: 5 << 20,
            demand_bytes_per_second: 5 << 20,
            gap_min: Duration::from_secs(15 * 60),
        }
    }
}

/// What is wrong with a replica, by the names of Ozone's scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The container's folder is gone.
    MissingContainerDir,
    /// Its folder for metadata is gone.
    MissingMetadataDir,
    /// Its descriptor is gone.
    MissingContainerFile,
    /// Its folder for block files is gone.
    MissingChunksDir,
    /// A block's file is gone.
    MissingDataFile,
    /// The descriptor's bytes are not those that were written.
    CorruptContainerFile,
    /// A chunk's bytes are not those that were put.
    CorruptChunk,
    /// A block's file is shorter than its chunks.
    InconsistentChunkLength,
    /// The records of its blocks cannot be read.
    InaccessibleDb,
    /// The tree of checksums cannot be read. It is built anew: the replica itself is whole.
    CorruptTree,
}

impl Damage {
    /// All kinds.
    pub const ALL: [Damage; 10] = [
        Damage::MissingContainerDir,
        Damage::MissingMetadataDir,
        Damage::MissingContainerFile,
        Damage::MissingChunksDir,
        Damage::MissingDataFile,
        Damage::CorruptContainerFile,
        Damage::CorruptChunk,
        Damage::InconsistentChunkLength,
        Damage::InaccessibleDb,
        Damage::CorruptTree,
    ];

    /// Its name, as figures and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Damage::MissingContainerDir => "missing_container_dir",
            Damage::MissingMetadataDir => "missing_metadata_dir",
            Damage::MissingContainerFile => "missing_container_file",
            Damage::MissingChunksDir => "missing_chunks_dir",
            Damage::MissingDataFile => "missing_data_file",
            Damage::CorruptContainerFile => "corrupt_container_file",
            Damage::CorruptChunk => "corrupt_chunk",
            Damage::InconsistentChunkLength => "inconsistent_chunk_length",
            Damage::InaccessibleDb => "inaccessible_db",
            Damage::CorruptTree => "corrupt_tree",
        }
    }

    /// Whether the replica is not what it should be.
    pub const fn condemns(self) -> bool {
        !matches!(self, Damage::CorruptTree)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub damage: Damage,
    /// In which block, if it is about one.
    pub block: Option<LocalId>,
    /// In words, with the place.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(f, "{} in block {block}: {}", self.damage.name(), self.why),
            None => write!(f, "{}: {}", self.damage.name(), self.why),
        }
    }
}
