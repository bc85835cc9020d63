//! Metadata in RocksDB, one database a volume: the one module that names it.
//!
//! Shape   one writer thread groups all batches that wait into one write, synced if any of them asks for it; reader
//!         threads answer gets and scans, and never queue behind a commit.
//! Units   queues count requests, groups bytes.
//! Errors  [`MetadataError`]; a failed write is RocksDB's background error, after which it takes no writes.
//! Source  DESIGN.md, 'Threads': only options and families that Ozone's RocksDB 7.7.3 opens.

mod rows;

use super::{Batch, Change, Durability, Entry, Family, Metadata, MetadataError, Pending};
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Env,
    IteratorMode, Options, ReadOptions, ReadTier, WriteBatch, WriteBufferManager, WriteOptions,
};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Requests that may wait for the writer, and for the readers.
const QUEUE_MAX: usize = 4096;
/// Bytes after which a group takes no further batch.
const GROUP_BYTES_MAX: usize = 4 << 20;
const READERS: usize = 2;

/// What all databases of a process share: one block cache, one write-buffer budget, one set of background threads.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    write_buffers: WriteBufferManager,
    env: Env,
}

impl RocksShared {
    /// `cache_bytes` of blocks kept for reads, `write_buffer_bytes` of unsorted writes, for all databases together.
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Result<RocksShared, MetadataError> {
        let cache = Cache::new_lru_cache(cache_bytes);
        let write_buffers = WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false);
        let mut env = Env::new().map_err(|e| store_error("open", Path::new("RocksDB's environment"), e))?;
        env.set_background_threads(2);
        env.set_high_priority_background_threads(1);
        Ok(RocksShared { cache, write_buffers, env })
    }
}

/// A database. Dropping the last handle finishes what was queued and closes it.
pub struct RocksMetadata {
    inner: Arc<Inner>,
}

struct Inner {
    at: PathBuf,
    db: Arc<DB>,
    writes: Option<SyncSender<Write>>,
    reads: Option<SyncSender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

enum Write {
    Batch(Batch, Durability, oneshot::Sender<Result<(), MetadataError>>),
    Sync(oneshot::Sender<Result<(), MetadataError>>),
}

type Read = Box<dyn FnOnce(&DB, &Path) + Send>;

impl RocksMetadata {
    /// Opens the database at `at`, or creates it with `families`. Families that are there already are opened too.
    /// Blocks; not for a shard's thread.
    pub fn open(
        at: &Path,
        families: &[Family],
        shared: &RocksShared,
    ) -> Result<RocksMetadata, MetadataError> {
        let options = options(shared);
        let mut names: Vec<String> = families.iter().map(|family| family.name().to_owned()).collect();
        names.push("default".to_owned());
        if DB::list_cf(&options, at).is_ok_and(|there| {
            names.extend(there);
            true
        }) {
            names.sort();
            names.dedup();
        }
        let descriptors: Vec<_> =
            names.iter().map(|name| ColumnFamilyDescriptor::new(name, options.clone())).collect();
        let db =
            DB::open_cf_descriptors(&options, at, descriptors).map_err(|e| store_error("open", at, e))?;
        RocksMetadata::with(db, at)
    }

    /// A database that is open, with its writer and its readers.
    fn with(db: DB, at: &Path) -> Result<RocksMetadata, MetadataError> {
        let db = Arc::new(db);
        let (writes, queue) = sync_channel(QUEUE_MAX);
        let (reads, read_queue) = sync_channel::<Read>(QUEUE_MAX);
        let read_queue = Arc::new(Mutex::new(read_queue));
        let mut threads = Vec::new();
        let spawn =
            |name: &str, work: Box<dyn FnOnce() + Send>| {
                std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| {
                    MetadataError::Store { act: "start a thread for", at: at.to_owned(), why: e.to_string() }
                })
            };
        let (writer_db, writer_at) = (db.clone(), at.to_owned());
        threads.push(spawn("metadata-write", Box::new(move || write_all(&writer_db, &writer_at, &queue)))?);
        for _ in 0..READERS {
            let (db, at, queue) = (db.clone(), at.to_owned(), read_queue.clone());
            threads.push(spawn("metadata-read", Box::new(move || read_all(&db, &at, &queue)))?);
        }
        let inner = Inner { at: at.to_owned(), db, writes: Some(writes), reads: Some(reads), threads };
        Ok(RocksMetadata { inner: Arc::new(inner) })
    }

    /// Opens the database at `at` for reading, and changes nothing of it: RocksDB's own log goes to the folder `logs`.
    /// Commits are refused. Blocks; not for a shard's thread.
    pub fn open_read_only(at: &Path, logs: &Path) -> Result<RocksMetadata, MetadataError> {
        let shared = RocksShared::new(32 << 20, 32 << 20)?;
        let mut options = options(&shared);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        options.set_db_log_dir(logs);
        let names = DB::list_cf(&options, at).map_err(|e| store_error("open", at, e))?;
        let families: Vec<_> =
            names.iter().map(|name| ColumnFamilyDescriptor::new(name, options.clone())).collect();
        let db = DB::open_cf_descriptors_read_only(&options, at, families, false)
            .map_err(|e| store_error("open", at, e))?;
        RocksMetadata::with(db, at)
    }

    /// What memory says of a key; `None` where only the disk can tell. Microseconds of this thread, where the way to a reader and
    /// back costs two switches of threads.
    fn cached(&self, family: Family, key: &[u8]) -> Option<Option<Bytes>> {
        let cf = self.inner.db.cf_handle(family.name())?;
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::BlockCache);
        // An error may be the want of the disk, or the disk's own: a reader finds out.
        let found = self.inner.db.get_pinned_cf_opt(cf, key, &options).ok()?;
        Some(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn write<T: Send + 'static>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, MetadataError>>) -> Write,
    ) -> Pending<T> {
        let (reply, answer) = oneshot::channel();
        self.queue(&self.inner.writes, make(reply), answer)
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DB, &Path) -> Result<T, MetadataError> + Send + 'static,
    ) -> Pending<T> {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |db, at| drop(reply.send(work(db, at))));
        self.queue(&self.inner.reads, job, answer)
    }

    fn queue<Q, T: Send + 'static>(
        &self,
        queue: &Option<SyncSender<Q>>,
        request: Q,
        answer: oneshot::Receiver<Result<T, MetadataError>>,
    ) -> Pending<T> {
        let at = self.inner.at.clone();
        let queued = match queue.as_ref().map(|queue| queue.try_send(request)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(MetadataError::Busy { at: at.clone() }),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(MetadataError::Closed { at: at.clone() }),
        };
        Box::pin(async move {
            queued?;
            answer.await.unwrap_or(Err(MetadataError::Closed { at }))
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        (self.writes, self.reads) = (None, None);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(at = %self.at.display(), "a thread of the metadata panicked");
            }
        }
        // Nothing is left to flush: what was acknowledged is in the log, which the next start replays.
        self.db.cancel_all_background_work(true);
    }
}

impl Metadata for RocksMetadata {
    fn commit(&self, batch: Batch, durability: Durability) -> Pending<()> {
        self.write(|reply| Write::Batch(batch, durability, reply))
    }

    fn get(&self, family: Family, key: Vec<u8>) -> Pending<Option<Bytes>> {
        if let Some(found) = self.cached(family, &key) {
            return Box::pin(std::future::ready(Ok(found)));
        }
        self.read(move |db, at| {
            let cf = cf(db, at, family)?;
            let found = db.get_cf(cf, key).map_err(|e| store_error("read", at, e))?;
            Ok(found.map(Bytes::from))
        })
    }

    fn get_each(&self, family: Family, keys: Vec<Vec<u8>>) -> Pending<Vec<Option<Bytes>>> {
        self.read(move |db, at| {
            let cf = cf(db, at, family)?;
            let found = db.batched_multi_get_cf(cf, &keys, false);
            let value = |value: rocksdb::DBPinnableSlice<'_>| Bytes::copy_from_slice(&value);
            found
                .into_iter()
                .map(|one| one.map(|one| one.map(value)).map_err(|e| store_error("read", at, e)))
                .collect()
        })
    }

    fn scan(&self, family: Family, from: Vec<u8>, to: Vec<u8>, count_max: usize) -> Pending<Vec<Entry>> {
        self.read(move |db, at| {
            if from >= to {
                return Ok(Vec::new());
            }
            let cf = cf(db, at, family)?;
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(to);
            options.set_total_order_seek(true);
            let mode = IteratorMode::From(&from, rocksdb::Direction::Forward);
            db.iterator_cf_opt(cf, options, mode)
                .take(count_max)
                .map(|entry| {
                    let (key, value) = entry.map_err(|e| store_error("scan", at, e))?;
                    Ok((Bytes::from(key), Bytes::from(value)))
                })
                .collect()
        })
    }

    fn sync(&self) -> Pending<()> {
        self.write(Write::Sync)
    }

    fn checkpoint(&self, to: PathBuf) -> Pending<()> {
        self.read(move |db, _| {
            rocksdb::checkpoint::Checkpoint::new(db)
                .and_then(|copy| copy.create_checkpoint(&to))
                .map_err(|e| store_error("copy to", &to, e))
        })
    }

    fn row_files(&self) -> &dyn super::rows::RowFiles {
        &rows::SstFiles
    }
}

fn options(shared: &RocksShared) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_format_version(5);
    table.set_block_cache(&shared.cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_write_buffer_manager(&shared.write_buffers);
    options.set_env(&shared.env);
    options.set_max_total_wal_size(256 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(16 << 20);
    options
}

fn cf<'a>(db: &'a DB, at: &Path, family: Family) -> Result<&'a rocksdb::ColumnFamily, MetadataError> {
    db.cf_handle(family.name()).ok_or_else(|| MetadataError::Store {
        act: "use",
        at: at.to_owned(),
        why: format!("it has no family {}", family.name()),
    })
}

/// The writer: takes what waits, writes it as one batch, answers all of it.
fn write_all(db: &DB, at: &Path, queue: &Receiver<Write>) {
    let mut waiting = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut group = WriteBatch::default();
        let (mut sync, mut bytes) = (false, 0);
        let mut next = Some(first);
        while let Some(write) = next {
            match write {
                Write::Batch(batch, durability, reply) => {
                    sync |= durability == Durability::Disk;
                    bytes += batch.len_bytes();
                    match add(db, at, &mut group, &batch) {
                        Ok(()) => waiting.push(reply),
                        Err(e) => drop(reply.send(Err(e))),
                    }
                }
                Write::Sync(reply) => {
                    sync = true;
                    waiting.push(reply);
                }
            }
            next = if bytes < GROUP_BYTES_MAX { queue.try_recv().ok() } else { None };
        }
        let mut options = WriteOptions::default();
        let empty = group.is_empty();
        options.set_sync(sync && !empty);
        let mut done = db.write_opt(group, &options).map_err(|e| store_error("write to", at, e));
        if done.is_ok() && sync && empty {
            done = db.flush_wal(true).map_err(|e| store_error("sync", at, e));
        }
        for reply in waiting.drain(..) {
            drop(reply.send(done.clone()));
        }
    }
}

fn add(db: &DB, at: &Path, group: &mut WriteBatch, batch: &Batch) -> Result<(), MetadataError> {
    // Every family is looked up before anything is added, so that a batch goes in whole or not at all.
    for change in batch.changes() {
        let (Change::Put(family, ..) | Change::Delete(family, _) | Change::DeleteRange(family, ..)) = change;
        cf(db, at, *family)?;
    }
    for change in batch.changes() {
        match change {
            Change::Put(family, key, value) => group.put_cf(cf(db, at, *family)?, key, value),
            Change::Delete(family, key) => group.delete_cf(cf(db, at, *family)?, key),
            Change::DeleteRange(family, from, to) if from < to => {
                group.delete_range_cf(cf(db, at, *family)?, from, to);
            }
            Change::DeleteRange(..) => {}
        }
    }
    Ok(())
}

/// A reader: takes one job after the other.
fn read_all(db: &DB, at: &Path, queue: &Mutex<Receiver<Read>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(db, at),
            Err(_) => return,
        }
    }
}

/// Writes entries, in order of their keys, as an SST file that RocksDB takes in or reads by itself. Blocks.
pub fn write_sst(to: &Path, entries: &[Entry]) -> Result<(), MetadataError> {
    let failed = |e| store_error("write", to, e);
    let options = rows::sst_options();
    let mut writer = rocksdb::SstFileWriter::create(&options);
    writer.open(to).map_err(failed)?;
    for (key, value) in entries {
        writer.put(key, value).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn store_error(act: &'static str, at: &Path, source: rocksdb::Error) -> MetadataError {
    MetadataError::Store { act, at: at.to_owned(), why: source.into_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::conformance::{self, wait};

    fn shared() -> RocksShared {
        RocksShared::new(8 << 20, 8 << 20).unwrap()
    }

    #[test]
    fn it_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksMetadata::open(&dir.path().join("db"), Family::OF_VOLUME, &shared()).unwrap();
        conformance::run(&store, &dir.path().join("copy"), |path| {
            Box::new(RocksMetadata::open(path, Family::OF_VOLUME, &shared()).unwrap())
        });
    }

    #[test]
    fn what_was_committed_is_there_after_it_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..3u8 {
            let store = RocksMetadata::open(dir.path(), Family::OF_VOLUME, &shared()).unwrap();
            for earlier in 0..n {
                assert!(wait(store.get(Family::BlockData, vec![earlier])).unwrap().is_some());
            }
            let mut batch = Batch::new();
            batch.put(Family::BlockData, [n], vec![n]);
            wait(store.commit(batch, Durability::Disk)).unwrap();
        }
    }

    #[test]
    fn a_batch_that_names_a_family_it_has_not_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksMetadata::open(dir.path(), Family::OF_WITNESSED, &shared()).unwrap();
        let mut batch = Batch::new();
        batch.put(Family::Witnessed, [1], vec![1]).put(Family::BlockData, [1], vec![1]);
        assert!(wait(store.commit(batch, Durability::Disk)).is_err());
        assert_eq!(wait(store.get(Family::Witnessed, vec![1])).unwrap(), None);
    }
}
