//! The Raft log: entries, the vote and what has been purged, synced before it is answered.
//!
//! Owns    the log's tail in memory (what is being applied and replicated is read from there), and its place on disk.
//! Shape   `Log` speaks openraft's traits; a `LogDisk` below it stores records: RocksDB, or the in-memory twin.
//! Law     no gap between entries; writes reach the disk in the order they were made; an append is answered when
//!         synced. A failed write fails the replica: it is never retried into success.

pub(crate) mod record;
pub(crate) mod rocks;
mod tail;
#[cfg(test)]
pub(crate) mod twin;

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use openraft::{
    LogState, RaftLogReader,
    storage::{LogFlushed, RaftLogStorage},
};
use serde::{Deserialize, Serialize};

use self::tail::Tail;
use crate::{
    raft::{Entry, LogId, StorageError, Types, Vote, blocking, pause},
    state::State,
};

/// Most bytes of entries read for one message to a follower.
const READ_BYTES_MAX: usize = 4 << 20;

/// How often, and after which pause again, a purge looks whether the state has what it lets go of: a minute in all.
const APPLIED_LOOKS_MAX: usize = 6000;
const APPLIED_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is stored beside the entries. One record, replaced whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogHead {
    pub(crate) version: u64,
    pub(crate) cluster: String,
    pub(crate) member: u64,
    pub(crate) vote: Option<Vote>,
    pub(crate) purged: Option<LogId>,
}

/// One write: all of it or nothing survives a crash.
#[derive(Debug, Default)]
pub(crate) struct LogWrite {
    /// Records to put, by index.
    pub(crate) put: Vec<(u64, Vec<u8>)>,
    /// Drops every record from this index on; before `put`.
    pub(crate) truncate_from: Option<u64>,
    /// Drops every record up to this index, inclusive.
    pub(crate) purge_to: Option<u64>,
    /// Replaces the head.
    pub(crate) head: Option<LogHead>,
}

/// Called once, when a write is synced or has failed.
pub(crate) type Written = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Where records are stored.
pub(crate) trait LogDisk: Send + Sync + 'static {
    /// Queues a write behind those made before; `done` is called when it is synced.
    fn write(&self, write: LogWrite, done: Written);
    /// The records from `from` to `to` (exclusive) that are written, in order.
    fn read(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Vec<u8>)>>;
}

/// The log of one member. Clones share it: openraft reads through some and writes through one.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

struct Shared {
    disk: Box<dyn LogDisk>,
    /// Synced before the log lets go of entries that were applied to it.
    state: Arc<State>,
    inner: Mutex<Inner>,
    /// The last field: it is let go of when the disk is closed, and not while it closes.
    open: Arc<()>,
}

struct Inner {
    head: LogHead,
    last: Option<LogId>,
    tail: Tail,
}

/// What a disk's log held when it was opened, verified.
pub(crate) struct Opened {
    pub(crate) disk: Box<dyn LogDisk>,
    pub(crate) head: LogHead,
    pub(crate) last: Option<LogId>,
    /// Held until the disk's files are closed.
    pub(crate) open: Arc<()>,
}

impl Log {
    /// The log over an opened disk. `tail_bytes_max` bounds the entries kept in memory once they are synced.
    pub(crate) fn new(opened: Opened, state: Arc<State>, tail_bytes_max: usize) -> Log {
        let inner = Inner { head: opened.head, last: opened.last, tail: Tail::new(tail_bytes_max) };
        Log(Arc::new(Shared { disk: opened.disk, state, inner: Mutex::new(inner), open: opened.open }))
    }

    /// Has no strong count once the log is closed everywhere.
    pub(crate) fn watch_open(&self) -> Weak<()> {
        Arc::downgrade(&self.0.open)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and waits until it is synced.
    async fn write_synced(&self, write: LogWrite) -> io::Result<()> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.0.disk.write(write, Box::new(move |result| drop(tx.send(result))));
        rx.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer has stopped")))
    }

    /// Waits until the state has entry `log_id`. openraft lets go of the log while the snapshot that brings the entries is
    /// still being installed; a crash between would leave neither.
    async fn wait_applied(&self, log_id: LogId) -> io::Result<()> {
        for _ in 0..APPLIED_LOOKS_MAX {
            let position = blocking(|| self.0.state.current().position()).map_err(io::Error::other)?;
            if position.and_then(|position| position.applied) >= Some(log_id) {
                return Ok(());
            }
            pause(APPLIED_LOOK_EVERY).await;
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the state does not come to have entry {log_id}"),
        ))
    }

    /// The entries from `from` to `to` (exclusive), no more than about `bytes_max` of them, but at least one.
    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (tail_start, purged) = {
            let inner = self.inner();
            (inner.tail.start(), inner.head.purged.map_or(0, |id| id.index + 1))
        };
        if from < purged {
            // Never skipped: a state that lacks them would go on without them.
            let why = format!("entry {from} was asked for; the log begins at {purged}");
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        // What the tail no longer holds comes from the disk, in steps, so that the limit holds.
        let disk_end = tail_start.unwrap_or(to).min(to);
        while next < disk_end && bytes < bytes_max {
            let step_end = disk_end.min(next + 64);
            let records = self.0.disk.read(next, step_end)?;
            if records.is_empty() {
                break;
            }
            for (index, record) in records {
                if bytes >= bytes_max {
                    return Ok(entries);
                }
                bytes += record.len();
                entries.push(decode_at(index, &record)?);
            }
            next = step_end;
        }
        if bytes < bytes_max && next >= disk_end {
            self.inner().tail.read_into(next, to, bytes_max - bytes, &mut entries);
        }
        Ok(entries)
    }
}

/// The entry of the record at `index`.
pub(crate) fn decode_at(index: u64, bytes: &[u8]) -> io::Result<Entry> {
    let damaged =
        |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("log entry {index}: {why}"));
    let entry = record::decode(bytes).map_err(|e| damaged(e.to_string()))?;
    if entry.log_id.index != index {
        return Err(damaged(format!("its record says it is entry {}", entry.log_id.index)));
    }
    Ok(entry)
}

fn read_error(e: io::Error) -> StorageError {
    openraft::StorageIOError::read_logs(&e).into()
}

fn write_error(e: io::Error) -> StorageError {
    openraft::StorageIOError::write_logs(&e).into()
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(i) => *i,
            Bound::Excluded(i) => i + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(i) => i + 1,
            Bound::Excluded(i) => *i,
            Bound::Unbounded => u64::MAX,
        };
        let last = self.inner().last.map_or(0, |id| id.index + 1);
        blocking(|| self.read(from, to.min(last), usize::MAX)).map_err(read_error)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        blocking(|| self.read(start, end, READ_BYTES_MAX)).map_err(read_error)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let inner = self.inner();
        let purged = inner.head.purged;
        Ok(LogState { last_purged_log_id: purged, last_log_id: inner.last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let head = LogHead { vote: Some(*vote), ..self.inner().head.clone() };
        self.write_synced(LogWrite { head: Some(head.clone()), ..LogWrite::default() })
            .await
            .map_err(|e| openraft::StorageIOError::write_vote(&e))?;
        self.inner().head = head;
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let head = self.inner().head.clone();
        // A leader that starts again does not know how much was committed, and its state may have lost its end: if openraft
        // took it back as the leader, it would answer reads from that state. It stands for election like everybody.
        Ok(head.vote.map(|mut vote| {
            vote.committed &= vote.leader_id().voted_for() != Some(head.member);
            vote
        }))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut put = Vec::new();
        {
            let mut inner = self.inner();
            for entry in entries {
                let record = record::encode(&entry);
                let next = inner.last.or(inner.head.purged).map_or(0, |id| id.index + 1);
                assert_eq!(entry.log_id.index, next, "openraft appends without a gap");
                inner.last = Some(entry.log_id);
                inner.tail.push(record.len(), entry.clone());
                put.push((entry.log_id.index, record));
            }
        }
        let Some((last, _)) = put.last() else {
            callback.log_io_completed(Ok(()));
            return Ok(());
        };
        let (last, shared) = (*last, Arc::clone(&self.0));
        let done = Box::new(move |result: io::Result<()>| {
            if result.is_ok() {
                shared.inner.lock().unwrap_or_else(PoisonError::into_inner).tail.synced(last);
            }
            callback.log_io_completed(result);
        });
        self.0.disk.write(LogWrite { put, ..LogWrite::default() }, done);
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let write = LogWrite { truncate_from: Some(log_id.index), ..LogWrite::default() };
        self.write_synced(write).await.map_err(write_error)?;
        let purged = self.inner().head.purged.map(|id| id.index);
        let before = match log_id.index.checked_sub(1) {
            Some(before) if Some(before) > purged => {
                blocking(|| self.read(before, before + 1, usize::MAX)).map_err(read_error)?
            }
            _ => Vec::new(),
        };
        let mut inner = self.inner();
        inner.tail.truncate(log_id.index);
        inner.last = before.first().map(|entry| entry.log_id);
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.wait_applied(log_id).await.map_err(write_error)?;
        // A power failure may take the state's unsynced end, which is then applied again from the log: so the log
        // keeps its entries until the state is synced.
        blocking(|| self.0.state.current().sync()).map_err(|e| write_error(io::Error::other(e)))?;
        let head = LogHead { purged: Some(log_id), ..self.inner().head.clone() };
        let write =
            LogWrite { purge_to: Some(log_id.index), head: Some(head.clone()), ..LogWrite::default() };
        self.write_synced(write).await.map_err(write_error)?;
        let mut inner = self.inner();
        inner.head = head;
        inner.tail.purge(log_id.index);
        if inner.last.is_some_and(|last| last.index <= log_id.index) {
            inner.last = None;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "purge_tests.rs"]
mod tests;
