//! The applied state: one RocksDB of typed tables, with how far the log has been applied in the same write.
//!
//! Shape   `state-N/` is the state's Nth generation; the file `STATE` names the one in use. Installing a snapshot
//!         opens generation N+1 and replaces `STATE`; generation N goes when its last view has gone.
//! Law     the applied entry, the log time and the membership are written in the batch that applies them.
//! Errors  files of another cluster, or of a newer version, are refused by name.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use openraft::{LogId, StoredMembership};
use rocksdb::{ColumnFamily, DB, ErrorKind, ReadOptions, ReadTier};

use crate::{
    codec::{Codec, CodecError, Utf8},
    error::StartError,
    files,
    ids::{ClusterId, LogTime, Member},
    raft::blocking,
    rocks::RocksShared,
    table::{Direction, RawPair, RawRange, RawScan, Read, Table, TableError},
};

/// Version of the state's own records (`raftState`, `raftRetry`, `raftRetryTime`).
const STATE_VERSION: u64 = 1;
/// Our own table in the state.
const STATE: Table<Utf8, Json> = Table::new("raftState");
/// Column families of ours in every state, beside the state machine's.
pub(crate) const OWN_TABLES: [&str; 3] = ["raftState", RETRY_TABLE, "raftRetryTime"];
/// The answers already given, by caller.
pub(crate) const RETRY_TABLE: &str = "raftRetry";
/// The file that names the generation in use.
const CURRENT: &str = "STATE";

/// The raft position of a state. One JSON record, written with each batch.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    pub(crate) version: u64,
    pub(crate) cluster: String,
    pub(crate) applied: Option<LogId<u64>>,
    pub(crate) membership: StoredMembership<u64, Member>,
    pub(crate) time: LogTime,
}

/// JSON text of a `Position`.
struct Json;
impl Codec for Json {
    type Item = Position;
    fn encode(item: &Position, out: &mut Vec<u8>) {
        serde_json::to_writer(out, item).expect("a position is plain data");
    }
    fn decode(bytes: &[u8]) -> Result<Position, CodecError> {
        serde_json::from_slice(bytes).map_err(|e| CodecError::new("a raft position", e.to_string()))
    }
}

/// Options of the state's families. Most callers have no retry record yet: a filter over the newest records says so at once.
fn family(shared: &RocksShared, name: &str) -> rocksdb::Options {
    let mut options = shared.family();
    if name == RETRY_TABLE {
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
    }
    options
}

/// One generation of the state.
pub(crate) struct StateDb {
    pub(crate) db: DB,
    dir: PathBuf,
    /// Set when a later generation is in use; the folder goes with the last reader.
    superseded: AtomicBool,
    /// Its newest write-ahead log when it was last synced, and how long that was: what a power cut in a test leaves.
    #[cfg(test)]
    synced: std::sync::Mutex<Option<(PathBuf, u64)>>,
}

impl StateDb {
    pub(crate) fn open(
        shared: &RocksShared,
        dir: &Path,
        tables: &[&'static str],
    ) -> Result<StateDb, rocksdb::Error> {
        let wanted: Vec<&str> = tables.iter().copied().chain(OWN_TABLES).collect();
        let db = shared.open(dir, &wanted, |name| family(shared, name))?;
        Ok(StateDb::of(db, dir))
    }

    fn of(db: DB, dir: &Path) -> StateDb {
        StateDb {
            db,
            dir: dir.to_owned(),
            superseded: AtomicBool::new(false),
            #[cfg(test)]
            synced: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn family(&self, table: &str) -> Result<&ColumnFamily, TableError> {
        self.db.cf_handle(table).ok_or_else(|| TableError::NoSuchTable { table: table.to_owned() })
    }

    pub(crate) fn position(&self) -> Result<Option<Position>, TableError> {
        STATE.get(self, &"position".to_owned())
    }

    /// Makes all that was applied durable. Called before the log lets go of what was applied.
    pub(crate) fn sync(&self) -> Result<(), rocksdb::Error> {
        self.db.flush_wal(true)?;
        #[cfg(test)]
        {
            *self.synced.lock().unwrap() = crate::sim::power::newest_wal(&self.dir);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    #[cfg(test)]
    pub(crate) fn synced(&self) -> Option<(PathBuf, u64)> {
        self.synced.lock().unwrap().clone()
    }

    /// A checkpoint of this state in the new folder `dir`, on the same file system.
    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<(), rocksdb::Error> {
        rocksdb::checkpoint::Checkpoint::new(&self.db)?.create_checkpoint(dir)
    }
}

impl Drop for StateDb {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Acquire)
            && let Err(error) = files::remove_dir(&self.dir)
        {
            tracing::warn!(dir = %self.dir.display(), %error, "a replaced state is left for the next start to remove");
        }
    }
}

impl Read for StateDb {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let found = self.db.get_cf(self.family(table)?, key);
        found.map_err(|source| TableError::Disk { table: table.to_owned(), source })
    }

    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        let family = self.family(table)?;
        Ok(scan(table, range, way, |options| self.db.raw_iterator_cf_opt(family, options)))
    }
}

/// A moment of the state: every read through it sees the same one.
///
/// A value that lies in memory is read at once. Only what may wait for the disk leaves the runtime's worker, which costs more than
/// such a read.
pub struct View<'a> {
    state: &'a StateDb,
    snapshot: rocksdb::Snapshot<'a>,
}

impl<'a> View<'a> {
    pub(crate) fn of(state: &'a StateDb) -> Self {
        View { state, snapshot: state.db.snapshot() }
    }

    /// The time of the last entry applied.
    pub fn time(&self) -> Result<LogTime, TableError> {
        Ok(STATE.get(self, &"position".to_owned())?.map(|p| p.time).unwrap_or_default())
    }

    /// The index of the last entry applied; 0 if none was.
    pub fn applied(&self) -> Result<u64, TableError> {
        let position = STATE.get(self, &"position".to_owned())?;
        Ok(position.and_then(|p| p.applied).map_or(0, |id| id.index))
    }
}

impl Read for View<'_> {
    fn get_raw(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        let family = self.state.family(table)?;
        let mut in_memory = ReadOptions::default();
        in_memory.set_read_tier(ReadTier::BlockCache);
        let found = match self.snapshot.get_cf_opt(family, key, in_memory) {
            Err(error) if error.kind() == ErrorKind::Incomplete => {
                blocking(|| self.snapshot.get_cf(family, key))
            }
            found => found,
        };
        found.map_err(|source| TableError::Disk { table: table.to_owned(), source })
    }

    fn scan_raw<'s>(
        &'s self,
        table: &str,
        range: RawRange,
        way: Direction,
    ) -> Result<RawScan<'s>, TableError> {
        let family = self.state.family(table)?;
        let pairs = blocking(|| {
            scan(table, range, way, |options| self.snapshot.raw_iterator_cf_opt(family, options))
        });
        Ok(Box::new(Ahead { pairs, read: VecDeque::new(), next: AHEAD_FIRST }))
    }
}

/// Pairs that a scan reads ahead at first, and at most.
const AHEAD_FIRST: usize = 16;
const AHEAD_MAX: usize = 1024;
/// Bytes of pairs that it reads ahead at most, apart from the last pair.
const AHEAD_LEN_MAX: usize = 256 << 10;

/// A scan that reads so many pairs at a time as blocking work, more each time.
struct Ahead<'s> {
    pairs: RawScan<'s>,
    read: VecDeque<Result<RawPair, TableError>>,
    next: usize,
}

impl Iterator for Ahead<'_> {
    type Item = Result<RawPair, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.is_empty() {
            let (pairs, count) = (&mut self.pairs, self.next);
            self.read = blocking(|| {
                let (mut read, mut len) = (VecDeque::with_capacity(count), 0);
                while read.len() < count
                    && len < AHEAD_LEN_MAX
                    && let Some(pair) = pairs.next()
                {
                    len += pair.as_ref().map_or(0, |(key, value)| key.len() + value.len());
                    read.push_back(pair);
                }
                read
            });
            self.next = (self.next * 4).min(AHEAD_MAX);
        }
        self.read.pop_front()
    }
}

/// Walks a raw iterator over `range`, which is not empty.
fn scan<'s>(
    table: &str,
    range: RawRange,
    way: Direction,
    open: impl FnOnce(ReadOptions) -> rocksdb::DBRawIterator<'s>,
) -> RawScan<'s> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let (from, to) = range;
    let mut options = ReadOptions::default();
    // RocksDB's bounds are [lower, upper): the key after k is k with a zero byte.
    let after = |mut key: Vec<u8>| {
        key.push(0);
        key
    };
    match from {
        Included(key) => options.set_iterate_lower_bound(key),
        Excluded(key) => options.set_iterate_lower_bound(after(key)),
        Unbounded => {}
    }
    match to {
        Included(key) => options.set_iterate_upper_bound(after(key)),
        Excluded(key) => options.set_iterate_upper_bound(key),
        Unbounded => {}
    }
    let mut pairs = open(options);
    match way {
        Direction::Up => pairs.seek_to_first(),
        Direction::Down => pairs.seek_to_last(),
    }
    let table = table.to_owned();
    let mut done = false;
    Box::new(std::iter::from_fn(move || {
        if done {
            return None;
        }
        if let (Some(key), Some(value)) = (pairs.key(), pairs.value()) {
            let pair = (key.to_vec(), value.to_vec());
            match way {
                Direction::Up => pairs.next(),
                Direction::Down => pairs.prev(),
            }
            return Some(Ok(pair));
        }
        done = true;
        pairs.status().err().map(|source| Err(TableError::Disk { table: table.clone(), source }))
    }))
}

/// The state of a running replica: the generation in use, replaced when a snapshot is installed.
pub(crate) struct State {
    shared: RocksShared,
    /// The folder that holds the generations.
    root: PathBuf,
    tables: Vec<&'static str>,
    cluster: ClusterId,
    current: RwLock<(u64, Arc<StateDb>)>,
}

impl State {
    /// Opens the generation in use, or a first, empty one, and removes what interrupted starts and installs left.
    pub(crate) fn open(
        shared: &RocksShared,
        root: &Path,
        tables: Vec<&'static str>,
        cluster: &ClusterId,
    ) -> Result<State, StartError> {
        let disk = |source| StartError::Files { dir: root.to_owned(), source };
        files::make_dir(root).map_err(disk)?;
        let generation = match files::read(&root.join(CURRENT)).map_err(disk)? {
            Some(bytes) => parse_generation(&bytes).ok_or_else(|| StartError::Layout {
                file: root.join(CURRENT),
                found: bytes.escape_ascii().to_string(),
            })?,
            None => {
                name_first(root).map_err(disk)?;
                1
            }
        };
        let dir = generation_dir(root, generation);
        for folder in files::folders(root).map_err(disk)? {
            let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let ours = name.starts_with("state-") || name.starts_with(INCOMING) || name.starts_with(OUTGOING);
            if ours && folder != dir {
                files::remove_dir(&folder).map_err(disk)?;
            }
        }
        let db = StateDb::open(shared, &dir, &tables)
            .map_err(|source| StartError::Open { dir: dir.clone(), source })?;
        check(&db, cluster, &dir)?;
        let current = RwLock::new((generation, Arc::new(db)));
        Ok(State { shared: shared.clone(), root: root.to_owned(), tables, cluster: cluster.clone(), current })
    }

    pub(crate) fn current(&self) -> Arc<StateDb> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    pub(crate) fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The position recorded in a checkpoint of this state.
    pub(crate) fn position_of(&self, checkpoint: &Path) -> Result<Position, StartError> {
        read_position(checkpoint)
    }

    /// A new folder name for a snapshot to receive, the `n`th of this process.
    pub(crate) fn incoming_dir(&self, n: u64) -> PathBuf {
        self.root.join(format!("{INCOMING}{n}"))
    }

    /// A new folder name for a checkpoint to send, the `n`th of this process.
    pub(crate) fn outgoing_dir(&self, n: u64) -> PathBuf {
        self.root.join(format!("{OUTGOING}{n}"))
    }

    /// Makes the fully received and synced folder `received` the state in use.
    ///
    /// A crash before `STATE` is replaced leaves the old state, and the next start removes the new one; a crash
    /// after it leaves the new state.
    pub(crate) fn install(&self, received: &Path) -> Result<Arc<StateDb>, StartError> {
        let disk = |source| StartError::Files { dir: self.root.clone(), source };
        let next = self.current.read().unwrap_or_else(PoisonError::into_inner).0 + 1;
        let dir = generation_dir(&self.root, next);
        files::remove_dir(&dir).map_err(disk)?;
        files::rename(received, &dir).map_err(disk)?;
        let db = StateDb::open(&self.shared, &dir, &self.tables)
            .map_err(|source| StartError::Open { dir: dir.clone(), source })?;
        check(&db, &self.cluster, &dir)?;
        files::replace(&self.root.join(CURRENT), format!("state-{next}\n").as_bytes()).map_err(disk)?;
        let db = Arc::new(db);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.1.superseded.store(true, Ordering::Release);
        *current = (next, Arc::clone(&db));
        Ok(db)
    }
}

/// What the names of snapshots being received begin with.
const INCOMING: &str = "incoming-";
/// What the names of checkpoints being sent begin with.
const OUTGOING: &str = "outgoing-";

pub(crate) fn generation_dir(root: &Path, generation: u64) -> PathBuf {
    root.join(format!("state-{generation}"))
}

/// The position recorded in the checkpoint in `dir`, which is left as it is.
pub(crate) fn read_position(dir: &Path) -> Result<Position, StartError> {
    let failed = |source| StartError::Open { dir: dir.to_owned(), source };
    let options = rocksdb::Options::default();
    let names = DB::list_cf(&options, dir).map_err(failed)?;
    let db = DB::open_cf_for_read_only(&options, dir, names, false).map_err(failed)?;
    let db = StateDb::of(db, dir);
    let position = db.position().map_err(|source| StartError::Damaged { dir: dir.to_owned(), source })?;
    Ok(position.unwrap_or_default())
}

/// Makes generation 1 the state in use: the last step of preparing a folder.
pub(crate) fn name_first(root: &Path) -> std::io::Result<()> {
    files::replace(&root.join(CURRENT), b"state-1\n")
}

fn parse_generation(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.trim_end().strip_prefix("state-")?.parse().ok()
}

/// Refuses a state of another cluster or of a newer version.
fn check(db: &StateDb, cluster: &ClusterId, dir: &Path) -> Result<(), StartError> {
    let Some(position) =
        db.position().map_err(|source| StartError::Damaged { dir: dir.to_owned(), source })?
    else {
        return Ok(());
    };
    if position.version > STATE_VERSION {
        return Err(StartError::Newer { dir: dir.to_owned(), found: position.version, known: STATE_VERSION });
    }
    if position.cluster != cluster.0 {
        return Err(StartError::OtherCluster {
            dir: dir.to_owned(),
            found: ClusterId(position.cluster),
            wanted: cluster.clone(),
        });
    }
    Ok(())
}

/// The position record of `cluster`, to be written with a batch.
pub(crate) fn put_position(
    batch: &mut crate::batch::Batch<'_>,
    position: &Position,
) -> Result<(), TableError> {
    let mut position = position.clone();
    position.version = STATE_VERSION;
    STATE.put(batch, &"position".to_owned(), &position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Be64;

    const ROWS: Table<Be64, Utf8> = Table::new("rows");

    /// Rows that lie on the disk alone, read by workers of a runtime, which may not wait, and by a plain thread.
    #[test]
    fn what_is_not_in_memory_is_read_too_and_a_scan_of_any_length_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 8 << 20).unwrap();
        let fill = |n: u64| format!("{n}-").repeat(1 + n as usize % 97);
        {
            let db = StateDb::open(&shared, dir.path(), &["rows"]).unwrap();
            let mut batch = crate::batch::Batch::new(&db);
            (0..3000).for_each(|n| ROWS.put(&mut batch, &n, &fill(n)).unwrap());
            batch.write().unwrap();
            db.db.flush_cf(db.family("rows").unwrap()).unwrap();
        }
        let db = StateDb::open(&shared, dir.path(), &["rows"]).unwrap();
        let check = || {
            let view = View::of(&db);
            assert_eq!(ROWS.get(&view, &1500).unwrap(), Some(fill(1500)));
            assert_eq!(ROWS.get(&view, &3000).unwrap(), None);
            for (from, way) in [(0, Direction::Up), (2999, Direction::Up), (0, Direction::Down)] {
                let rows = ROWS.range(&view, from.., way).unwrap().map(|row| row.unwrap().0);
                let mut rows: Vec<u64> = rows.collect();
                if way == Direction::Down {
                    rows.reverse();
                }
                assert!(rows.iter().copied().eq(from..3000), "{from} {way:?}");
            }
        };
        check();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async { check() });
    }
}
