//! A volume's metadata: an ordered map in families, written in atomic batches.
//!
//! Shape   [`Metadata`] is the one face; [`rocks`] keeps it in RocksDB, [`memory`] in memory, with a crash to order.
//! Errors  [`MetadataError`]: a full queue is answered at once, a store that failed once stays failed.
//! Source  DESIGN.md, 'Threads' and 'The write path'; docs/formats/schema-v3.md for what lies in the families.

pub mod memory;
pub mod rocks;
pub mod rows;

#[cfg(test)]
pub(crate) mod conformance;

use bytes::Bytes;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

/// A family of keys, under Ozone's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A block's chunks and length, by container and local id.
    BlockData,
    /// A container's counters.
    Counters,
    /// Delete transactions that are acknowledged and not carried out.
    DeleteTransactions,
    /// Blocks that take no more writes.
    FinalizedBlocks,
    /// The last, partial chunk of a block that is written incrementally.
    LastChunk,
    /// Every container this datanode ever made: its own database, not a volume's.
    Witnessed,
}

impl Family {
    /// The families of a volume's database.
    pub const OF_VOLUME: &'static [Family] = &[
        Family::BlockData,
        Family::Counters,
        Family::DeleteTransactions,
        Family::FinalizedBlocks,
        Family::LastChunk,
    ];

    /// The families of the database that lists every container this datanode ever made.
    pub const OF_WITNESSED: &'static [Family] = &[Family::Witnessed];

    /// The column family's name, as Ozone has it.
    pub const fn name(self) -> &'static str {
        match self {
            Family::BlockData => "block_data",
            Family::Counters => "metadata",
            Family::DeleteTransactions => "delete_txns",
            Family::FinalizedBlocks => "finalize_blocks",
            Family::LastChunk => "last_chunk_info",
            Family::Witnessed => "ContainerCreateInfoTable",
        }
    }
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value.
    Put(Family, Vec<u8>, Bytes),
    /// The key is gone.
    Delete(Family, Vec<u8>),
    /// All keys from the first up to, but not including, the second are gone.
    DeleteRange(Family, Vec<u8>, Vec<u8>),
}

/// Changes that happen together or not at all; a later one wins over an earlier one of the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// No changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a key.
    pub fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) -> &mut Batch {
        self.changes.push(Change::Put(family, key.into(), value.into()));
        self
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) -> &mut Batch {
        self.changes.push(Change::Delete(family, key.into()));
        self
    }

    /// Removes all keys from `from` up to, but not including, `to`.
    pub fn delete_range(
        &mut self,
        family: Family,
        from: impl Into<Vec<u8>>,
        to: impl Into<Vec<u8>>,
    ) -> &mut Batch {
        self.changes.push(Change::DeleteRange(family, from.into(), to.into()));
        self
    }

    /// The changes in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Bytes of keys and values.
    pub fn len_bytes(&self) -> usize {
        let len = |change: &Change| match change {
            Change::Put(_, key, value) => key.len() + value.len(),
            Change::Delete(_, key) => key.len(),
            Change::DeleteRange(_, from, to) => from.len() + to.len(),
        };
        self.changes.iter().map(len).sum()
    }
}

/// What an answered commit has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Stable storage.
    Disk,
    /// The kernel's page cache: a crash of the process loses nothing, a crash of the machine may.
    PageCache,
}

impl Durability {
    /// Its name in configurations, and as SCM is told it.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Disk => "disk",
            Durability::PageCache => "page-cache",
        }
    }
}

/// Why metadata was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetadataError {
    /// Too much waits for the store; nothing was done.
    #[error("the queue of {at} is full")]
    Busy {
        /// The store.
        at: PathBuf,
    },
    /// The store is closed.
    #[error("{at} is closed")]
    Closed {
        /// The store.
        at: PathBuf,
    },
    /// The store refused or failed; after a failed write it takes no more.
    #[error("cannot {act} {at}: {why}")]
    Store {
        /// What was being done: "open", "write to".
        act: &'static str,
        /// The store.
        at: PathBuf,
        /// The store's own words.
        why: String,
    },
}

/// An answer that is on its way. Dropping it takes nothing back.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, MetadataError>> + Send>>;

/// Key and value.
pub type Entry = (Bytes, Bytes);

/// An ordered map in families. Batches take effect in the order in which they were handed in.
pub trait Metadata: Send + Sync {
    /// Writes a batch. It is queued when this returns; the answer says that it has `durability`.
    fn commit(&self, batch: Batch, durability: Durability) -> Pending<()>;

    /// The value of a key.
    fn get(&self, family: Family, key: Vec<u8>) -> Pending<Option<Bytes>>;

    /// The values of some keys, in the order of `keys`. Others who ask wait for all of them: tens, not hundreds.
    fn get_each(&self, family: Family, keys: Vec<Vec<u8>>) -> Pending<Vec<Option<Bytes>>>;

    /// At most `count_max` entries from `from` up to, but not including, `to`, in order of their keys.
    fn scan(&self, family: Family, from: Vec<u8>, to: Vec<u8>, count_max: usize) -> Pending<Vec<Entry>>;

    /// Makes all that was committed before stable.
    fn sync(&self) -> Pending<()>;

    /// Writes a copy of the present state that opens as a store of its own, to a folder that does not exist yet.
    fn checkpoint(&self, to: PathBuf) -> Pending<()>;

    /// The form that this store's rows have in files of their own.
    fn row_files(&self) -> &dyn rows::RowFiles;
}
