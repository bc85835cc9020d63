//! What the benches hold the replicas against: RocksDB's own synced batches, and openraft over a store in memory.
//!
//! Why     only this crate names RocksDB and openraft. (openraft's published memory store needs openraft without the
//!         storage traits used here, and one build has one openraft; so the store below is ours, as plain as that one.)

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::Future,
    ops::RangeBounds,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use openraft::{
    Config, EntryPayload, LogState, RaftLogReader, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageIOError, StoredMembership,
    error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetwork, RaftNetworkFactory},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
    storage::{LogFlushed, RaftLogStorage, RaftStateMachine},
};

use crate::{
    ids::{LogTime, Member, Origin},
    raft::{Answers, Call, CommandList, Commands, Entry, LogId, Raft, StorageError, Types, Vote},
    rocks::RocksShared,
    snapshot::SnapshotData,
};

/// One bare RocksDB.
pub struct BareRocks(rocksdb::DB);

impl BareRocks {
    /// Opens one in the new folder `dir`.
    pub fn open(shared: &RocksShared, dir: &Path) -> Result<BareRocks, rocksdb::Error> {
        shared.open(dir, &[], |_| shared.family()).map(BareRocks)
    }

    /// Writes `records` in one synced batch.
    pub fn write_synced(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Result<(), rocksdb::Error> {
        let mut batch = rocksdb::WriteBatch::default();
        for (key, value) in records {
            batch.put(key, value);
        }
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(true);
        self.0.write_opt(batch, &options)
    }
}

/// openraft over a store in memory, one member: nothing is synced, and each command is an entry of its own.
#[derive(Clone)]
pub struct BareRaft(Raft);

impl BareRaft {
    /// Starts one and waits until it leads.
    ///
    /// # Panics
    /// Where openraft refuses a cluster of one.
    pub async fn start() -> BareRaft {
        let config = Config { snapshot_policy: openraft::SnapshotPolicy::Never, ..Config::default() };
        let config = Arc::new(config.validate().expect("openraft's defaults are valid"));
        let raft = Raft::new(1, config, Alone, MemoryLog::default(), MemoryState::default()).await;
        let raft = raft.expect("a new store starts");
        let one = BTreeMap::from([(1, Member::default())]);
        raft.initialize(one).await.expect("a new store can be initialised");
        let leads = raft.wait(None).metrics(|m| m.current_leader == Some(1), "it leads").await;
        leads.expect("a cluster of one elects itself");
        BareRaft(raft)
    }

    /// Proposes `command` and waits until it is applied.
    ///
    /// # Panics
    /// Where the command is not answered.
    pub async fn propose(&self, command: Vec<u8>) {
        let call = Call { origin: Origin::Service, command: command.into() };
        let list = CommandList { time: LogTime::default(), calls: vec![call] };
        self.0.client_write(Commands(Arc::new(list))).await.expect("a cluster of one answers");
    }

    /// Stops it.
    ///
    /// # Panics
    /// Where openraft's core did.
    pub async fn stop(&self) {
        self.0.shutdown().await.expect("openraft's core ends well");
    }
}

/// Entries by index, and the vote.
type Kept = (BTreeMap<u64, Entry>, Option<Vote>);

/// A log in memory.
#[derive(Clone, Default)]
struct MemoryLog(Arc<Mutex<Kept>>);

impl MemoryLog {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<Types> for MemoryLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.lock().0.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for MemoryLog {
    type LogReader = MemoryLog;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let last_log_id = self.lock().0.last_key_value().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: None, last_log_id })
    }
    async fn get_log_reader(&mut self) -> MemoryLog {
        self.clone()
    }
    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.lock().1 = Some(*vote);
        Ok(())
    }
    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().1)
    }
    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        self.lock().0.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
        callback.log_io_completed(Ok(()));
        Ok(())
    }
    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.lock().0.split_off(&log_id.index);
        Ok(())
    }
    async fn purge(&mut self, _log_id: LogId) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A state in memory: the last command.
#[derive(Default)]
struct MemoryState {
    applied: Option<LogId>,
    membership: StoredMembership<u64, Member>,
    last: Option<Commands>,
}

impl RaftStateMachine<Types> for MemoryState {
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId>, StoredMembership<u64, Member>), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }
    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let apply = |entry: Entry| {
            self.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(commands) => self.last = Some(commands),
                EntryPayload::Membership(members) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), members);
                }
            }
            Answers::default()
        };
        Ok(entries.into_iter().map(apply).collect())
    }
    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }
    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        Err(no_snapshots())
    }
    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<u64, Member>,
        _snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        Err(no_snapshots())
    }
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        Ok(None)
    }
}

struct NoSnapshots;

fn no_snapshots() -> StorageError {
    StorageIOError::read_snapshot(None, &std::io::Error::other("the store in memory has none")).into()
}

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        Err(no_snapshots())
    }
}

/// The network of a member that has no others.
struct Alone;

fn nobody() -> Unreachable {
    Unreachable::new(&std::io::Error::other("there is no other member"))
}

impl RaftNetworkFactory<Types> for Alone {
    type Network = Alone;

    async fn new_client(&mut self, _target: u64, _node: &Member) -> Alone {
        Alone
    }
}

impl RaftNetwork<Types> for Alone {
    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        Err(RPCError::Unreachable(nobody()))
    }
    async fn vote(
        &mut self,
        _rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Member, RaftError<u64>>> {
        Err(RPCError::Unreachable(nobody()))
    }
    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot<Types>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        Err(StreamingError::Unreachable(nobody()))
    }
}
