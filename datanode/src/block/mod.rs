//! Blocks: which bytes of their files this process wrote, and what PutBlock makes of a chunk list.
//!
//! Shape   [`put`] decides, [`OpenBlock`] holds what the home shard knows of a block that is being written.

mod around;
pub mod checksums;
pub mod files;
mod heat;
mod listing;
pub(crate) mod lists;
pub mod put;
pub mod ranges;
pub mod read;
pub mod records;
pub mod write;

pub(crate) use crate::block::heat::Heat;
use crate::block::listing::Listing;
use crate::block::put::Stored;
use crate::block::ranges::Ranges;
use allotrope_io::File;
use allotrope_types::LocalId;
use tokio::sync::Mutex;

/// A block that is being written, on its container's home shard. Writes to it queue in the order they arrive.
#[derive(Debug)]
pub struct OpenBlock {
    /// Its name in its container.
    pub local: LocalId,
    /// What writers change, one at a time.
    pub tail: Mutex<Tail>,
}

impl OpenBlock {
    /// A block of which nothing is known yet.
    pub fn new(local: LocalId) -> OpenBlock {
        OpenBlock { local, tail: Mutex::default() }
    }
}

/// The state of a block that is being written.
#[derive(Default)]
pub struct Tail {
    /// What the metadata holds; `None` until it was read.
    pub stored: Option<Stored>,
    /// The block's file, once it was opened.
    pub file: Option<File>,
    /// The stored list as its client encoded it, as far as that is known.
    pub listing: Listing,
    /// Where the next chunk goes: the end of all that was written, in bytes. After a restart it is the committed end.
    pub end: u64,
    /// Bytes this process wrote and verified.
    pub written: Ranges,
    /// Whether the file holds bytes that are not stable yet.
    pub dirty: bool,
    /// Whether the file's directory entry may not be stable yet.
    pub entry_unsynced: bool,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("end", &self.end).field("dirty", &self.dirty).finish_non_exhaustive()
    }
}
