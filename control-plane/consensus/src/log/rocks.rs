//! The log on disk: records in RocksDB, written by one thread that groups all that wait into one synced batch.
//!
//! Shape   column family `log` holds records by big-endian index; `head` holds one JSON record.
//! Errors  at opening every record is verified and the indexes must have no gap: a damaged one refuses to start. (A
//!         write torn by a crash never shows here: RocksDB cuts the torn end of its own log off.)

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use openraft::RaftLogId;
use rocksdb::{DB, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};

use super::{LogDisk, LogHead, LogWrite, Opened, Written, record};
use crate::{
    error::StartError,
    files,
    ids::{ClusterId, MemberId},
    raft::{LogId, Vote},
    rocks::RocksShared,
};

/// Version of the log's layout.
const LOG_VERSION: u64 = 1;
const LOG: &str = "log";
const HEAD: &str = "head";
const HEAD_KEY: &[u8] = b"head";

/// Records in RocksDB.
pub(crate) struct RocksLog {
    files: Arc<Files>,
    queue: Option<mpsc::Sender<(LogWrite, Written)>>,
    writer: Option<JoinHandle<()>>,
}

/// The database, held by the log and by its writer, whichever ends last.
struct Files {
    db: DB,
    /// The last field: it is let go of when the database is closed.
    _open: Arc<()>,
}

/// Opens the log in `dir`, or makes it, and verifies it.
pub(crate) fn open(
    shared: &RocksShared,
    dir: &Path,
    cluster: &ClusterId,
    member: MemberId,
) -> Result<Opened, StartError> {
    files::make_dir(dir).map_err(|source| StartError::Files { dir: dir.to_owned(), source })?;
    let failed = |source| StartError::Open { dir: dir.to_owned(), source };
    let db = shared.open(dir, &[LOG, HEAD], |name| family(shared, name)).map_err(failed)?;
    let head = match db.get_cf(db.cf_handle(HEAD).expect("opened with it"), HEAD_KEY).map_err(failed)? {
        Some(bytes) => parse_head(&bytes, dir, cluster, member)?,
        None => {
            let head = new_head(cluster, member);
            write_batch(&db, &[LogWrite { head: Some(head.clone()), ..LogWrite::default() }])
                .map_err(failed)?;
            head
        }
    };
    let last = verify(&db, &head, dir)?;
    let open = Arc::new(());
    let files = Arc::new(Files { db, _open: open.clone() });
    let (queue, waiting) = mpsc::channel();
    let writing = Arc::clone(&files);
    let writer = std::thread::Builder::new()
        .name("raft-log".to_owned())
        .spawn(move || write_groups(&writing.db, &waiting))
        .map_err(|source| StartError::Files { dir: dir.to_owned(), source })?;
    let disk = Box::new(RocksLog { files, queue: Some(queue), writer: Some(writer) });
    Ok(Opened { disk, head, last, open })
}

/// Makes an empty log in the new folder `dir` that goes on after `purged`.
pub(crate) fn found(
    shared: &RocksShared,
    dir: &Path,
    cluster: &ClusterId,
    member: MemberId,
    purged: LogId,
    vote: Vote,
) -> Result<(), StartError> {
    files::make_dir(dir).map_err(|source| StartError::Files { dir: dir.to_owned(), source })?;
    let failed = |source| StartError::Open { dir: dir.to_owned(), source };
    let db = shared.open(dir, &[LOG, HEAD], |name| family(shared, name)).map_err(failed)?;
    let head = LogHead { vote: Some(vote), purged: Some(purged), ..new_head(cluster, member) };
    write_batch(&db, &[LogWrite { head: Some(head), ..LogWrite::default() }]).map_err(failed)
}

/// The head of a log that has nothing yet.
pub(crate) fn new_head(cluster: &ClusterId, member: MemberId) -> LogHead {
    LogHead { version: LOG_VERSION, cluster: cluster.0.clone(), member: member.0, ..LogHead::default() }
}

/// Options of the log's families: its records are written once, read soon and dropped from the front.
fn family(shared: &RocksShared, name: &str) -> Options {
    let mut options = shared.family();
    if name == LOG {
        options.set_write_buffer_size(64 << 20);
        options.set_max_write_buffer_number(4);
    }
    options
}

fn parse_head(
    bytes: &[u8],
    dir: &Path,
    cluster: &ClusterId,
    member: MemberId,
) -> Result<LogHead, StartError> {
    let damaged = |e: serde_json::Error| StartError::LogDamaged {
        dir: dir.to_owned(),
        index: 0,
        reason: format!("its head: {e}"),
    };
    // The version first: a newer head may have other fields.
    let version: serde_json::Value = serde_json::from_slice(bytes).map_err(damaged)?;
    let found = version.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if found > LOG_VERSION {
        return Err(StartError::Newer { dir: dir.to_owned(), found, known: LOG_VERSION });
    }
    let head: LogHead = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.cluster != cluster.0 {
        let (found, wanted) = (ClusterId(head.cluster), cluster.clone());
        return Err(StartError::OtherCluster { dir: dir.to_owned(), found, wanted });
    }
    if head.member != member.0 {
        return Err(StartError::OtherMember {
            dir: dir.to_owned(),
            found: MemberId(head.member),
            wanted: member,
        });
    }
    Ok(head)
}

/// Reads every record: each verifies, each follows the one before. Returns the last one's id.
fn verify(db: &DB, head: &LogHead, dir: &Path) -> Result<Option<LogId>, StartError> {
    let first = head.purged.map_or(0, |id| id.index + 1);
    let mut last = None;
    let log = db.cf_handle(LOG).expect("opened with it");
    let start = first.to_be_bytes();
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    let records = db.iterator_cf_opt(log, options, IteratorMode::From(&start, rocksdb::Direction::Forward));
    for (expected, record) in (first..).zip(records) {
        let damaged = |reason| StartError::LogDamaged { dir: dir.to_owned(), index: expected, reason };
        let (key, value) = record.map_err(|source| StartError::Open { dir: dir.to_owned(), source })?;
        let entry = match record::decode(&value) {
            Ok(entry) => entry,
            Err(record::RecordError::Newer(found)) => {
                let (found, known) = (found.into(), record::RECORD_VERSION.into());
                return Err(StartError::Newer { dir: dir.to_owned(), found, known });
            }
            Err(e) => return Err(damaged(e.to_string())),
        };
        if *key != expected.to_be_bytes() || entry.get_log_id().index != expected {
            return Err(damaged(format!("entry {} is in its place", entry.log_id.index)));
        }
        last = Some(entry.log_id);
    }
    Ok(last)
}

/// The writer thread: everything that waits goes into one batch and one sync.
fn write_groups(db: &DB, waiting: &mpsc::Receiver<(LogWrite, Written)>) {
    let mut failed = None::<String>;
    while let Ok((first, done)) = waiting.recv() {
        let (mut writes, mut waiters) = (vec![first], vec![done]);
        while let Ok((write, done)) = waiting.try_recv() {
            writes.push(write);
            waiters.push(done);
        }
        if failed.is_none()
            && let Err(e) = write_batch(db, &writes)
        {
            // After a failed sync nobody knows what the disk holds: nothing more is written by this process.
            tracing::error!(error = %e, "the raft log cannot be written; this member stops");
            failed = Some(e.to_string());
        }
        for done in waiters {
            done(match &failed {
                None => Ok(()),
                Some(why) => Err(io::Error::other(format!("the raft log cannot be written: {why}"))),
            });
        }
    }
}

fn write_batch(db: &DB, writes: &[LogWrite]) -> Result<(), rocksdb::Error> {
    let log = db.cf_handle(LOG).expect("opened with it");
    let head = db.cf_handle(HEAD).expect("opened with it");
    let mut batch = WriteBatch::default();
    for write in writes {
        if let Some(from) = write.truncate_from {
            batch.delete_range_cf(log, from.to_be_bytes(), u64::MAX.to_be_bytes());
        }
        if let Some(to) = write.purge_to {
            batch.delete_range_cf(log, 0_u64.to_be_bytes(), (to + 1).to_be_bytes());
        }
        for (index, record) in &write.put {
            batch.put_cf(log, index.to_be_bytes(), record);
        }
        if let Some(new) = &write.head {
            batch.put_cf(head, HEAD_KEY, serde_json::to_vec(new).expect("a head is plain data"));
        }
    }
    let mut options = WriteOptions::default();
    options.set_sync(true);
    db.write_opt(batch, &options)
}

impl LogDisk for RocksLog {
    fn write(&self, write: LogWrite, done: Written) {
        let queue = self.queue.as_ref().expect("taken only when dropped");
        if let Err(mpsc::SendError((_, done))) = queue.send((write, done)) {
            done(Err(io::Error::other("the log's writer has stopped")));
        }
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let log = self.files.db.cf_handle(LOG).expect("opened with it");
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.to_be_bytes());
        options.fill_cache(false);
        let start = from.to_be_bytes();
        let mut records = Vec::new();
        for record in self.files.db.iterator_cf_opt(
            log,
            options,
            IteratorMode::From(&start, rocksdb::Direction::Forward),
        ) {
            let (key, value) = record.map_err(io::Error::other)?;
            let key: [u8; 8] = key
                .as_ref()
                .try_into()
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a log key is short"))?;
            records.push((u64::from_be_bytes(key), value.into_vec()));
        }
        Ok(records)
    }
}

impl Drop for RocksLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != std::thread::current().id()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}
