//! Rows of one container in files of their own, as archives carry them.
//!
//! Shape   [`RowFiles`] is the face; RocksDB's back writes and reads SST files, which is what Ozone's datanodes exchange;
//!         the in-memory twin has a form of its own. A store tells which it is by [`Metadata::row_files`].
//! Errors  [`MetadataError`]; a file from a peer that is damaged is one.

use super::{Entry, Family, Metadata, MetadataError};
use allotrope_io::Shard;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// An answer that is made on the asking shard.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = Result<T, MetadataError>> + 'a>>;

/// Writes rows into files and reads them back.
pub trait RowFiles: Send + Sync {
    /// Writes rows as they come, in order of their keys, to the file `to`, which does not exist yet. Not made durable.
    fn write<'a>(&'a self, shard: &'a Shard, to: PathBuf, rows: mpsc::Receiver<Vec<Entry>>) -> Local<'a, ()>;

    /// The rows of `files` as a store that is read and thrown away; a family without a file is empty. What it needs besides lies in the folder `scratch`,
    /// which does not exist yet; the caller removes it.
    fn open<'a>(
        &'a self,
        shard: &'a Shard,
        files: Vec<(Family, Option<PathBuf>)>,
        scratch: PathBuf,
    ) -> Local<'a, Arc<dyn Metadata>>;
}
