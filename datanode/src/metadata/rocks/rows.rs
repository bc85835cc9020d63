//! Rows in SST files, as Ozone's datanodes write and read them.
//!
//! Reading  a scratch database takes the files in, links instead of copies, and is scanned like any other: rows from a
//!          peer are looked at before one of them reaches the volume's own database.

use super::{RocksMetadata, RocksShared, options, store_error};
use crate::metadata::rows::{Local, RowFiles};
use crate::metadata::{Entry, Family, Metadata, MetadataError};
use allotrope_io::{BlockingError, Shard};
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, IngestExternalFileOptions, Options,
    SstFileWriter,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes of blocks and of writes that a scratch database keeps in memory.
const SCRATCH_MEMORY: usize = 8 << 20;

/// SST files.
pub(super) struct SstFiles;

impl RowFiles for SstFiles {
    fn write<'a>(&'a self, shard: &'a Shard, to: PathBuf, rows: mpsc::Receiver<Vec<Entry>>) -> Local<'a, ()> {
        Box::pin(async move {
            let at = to.clone();
            shard.blocking(move || write(&to, rows)).await.map_err(|e| no_thread(&at, e))?
        })
    }

    fn open<'a>(
        &'a self,
        shard: &'a Shard,
        files: Vec<(Family, Option<PathBuf>)>,
        scratch: PathBuf,
    ) -> Local<'a, Arc<dyn Metadata>> {
        Box::pin(async move {
            let at = scratch.clone();
            shard.blocking(move || open(&files, &scratch)).await.map_err(|e| no_thread(&at, e))?
        })
    }
}

fn no_thread(at: &Path, e: BlockingError) -> MetadataError {
    MetadataError::Store { act: "get a thread for", at: at.to_owned(), why: e.to_string() }
}

fn write(to: &Path, mut rows: mpsc::Receiver<Vec<Entry>>) -> Result<(), MetadataError> {
    let failed = |e| store_error("write", to, e);
    let options = sst_options();
    let mut writer = SstFileWriter::create(&options);
    writer.open(to).map_err(failed)?;
    while let Some(page) = rows.blocking_recv() {
        for (key, value) in page {
            writer.put(key, value).map_err(failed)?;
        }
    }
    writer.finish().map_err(failed)
}

pub(super) fn sst_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options
}

fn open(files: &[(Family, Option<PathBuf>)], scratch: &Path) -> Result<Arc<dyn Metadata>, MetadataError> {
    let shared = RocksShared::new(SCRATCH_MEMORY, SCRATCH_MEMORY)?;
    let options = options(&shared);
    let names = files.iter().map(|(family, _)| family.name()).chain(["default"]);
    let descriptors: Vec<_> = names.map(|name| ColumnFamilyDescriptor::new(name, options.clone())).collect();
    let db = DB::open_cf_descriptors(&options, scratch, descriptors)
        .map_err(|e| store_error("open", scratch, e))?;
    for (family, file) in files {
        let Some(file) = file else { continue };
        let cf = super::cf(&db, scratch, *family)?;
        let mut how = IngestExternalFileOptions::default();
        how.set_move_files(true);
        db.ingest_external_file_cf_opts(&cf, &how, vec![file]).map_err(|e| store_error("read", file, e))?;
    }
    Ok(Arc::new(RocksMetadata::with(db, scratch)?))
}
