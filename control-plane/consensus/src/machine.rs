//! The state machine: what OM and SCM bring, and how committed entries are applied to it.
//!
//! Owns    the order of application, the exactly-once check, the one write an entry's effects are part of.
//! Law     `apply` is a function of the state, the command and its time. It reads no clock, no randomness, no files.
//! Errors  a table that cannot be read or a command that does not decode stops the replica: the others go on.

use std::sync::Arc;

use bytes::Bytes;
use openraft::{
    EntryPayload, RaftSnapshotBuilder, SnapshotMeta, StorageIOError, StoredMembership,
    storage::RaftStateMachine,
};

use crate::{
    batch::Batch,
    codec::Codec,
    ids::{LogTime, Member, Origin},
    raft::{Answers, Entry, LogId, StorageError, Types, blocking},
    retry::{self, Known},
    snapshot::SnapshotData,
    state::{Position, State, View, put_position},
    table::TableError,
};

/// Most bytes of writes gathered before they go to RocksDB.
const BATCH_BYTES: usize = 8 << 20;

/// What is replicated: how one service's commands change its tables.
pub trait StateMachine: Send + Sync + 'static {
    /// How a command is encoded in the log. An encoding once written must be read for ever.
    type Command: Codec;
    /// How an answer is encoded in its retry record.
    type Answer: Codec;

    /// The column families of its tables. Families in the state that are not named here are left alone.
    fn tables(&self) -> Vec<&'static str>;

    /// Called before the first command and again whenever a snapshot has replaced the state: rebuild here what is
    /// kept in memory beside it.
    fn restored(&mut self, _view: &View<'_>) -> Result<(), TableError> {
        Ok(())
    }

    /// Applies one command at its time and answers it. Reads through `batch` see its own and earlier writes.
    ///
    /// A command that is refused is an answer like any other; it must not have written before. An error means that
    /// this member's disk is damaged: the member stops.
    fn apply(
        &mut self,
        batch: &mut Batch<'_>,
        command: <Self::Command as Codec>::Item,
        time: LogTime,
    ) -> Result<<Self::Answer as Codec>::Item, TableError>;
}

/// Applies committed entries: openraft's side of a state machine.
pub(crate) struct Applier<S> {
    machine: S,
    state: Arc<State>,
    position: Position,
    retry_kept_ms: u64,
    /// No retry record is left from before this log time; zero if that is not known.
    forgotten: LogTime,
}

impl<S: StateMachine> Applier<S> {
    pub(crate) fn new(mut machine: S, state: Arc<State>, retry_kept_ms: u64) -> Result<Self, TableError> {
        let db = state.current();
        machine.restored(&View::of(&db))?;
        let position = db.position()?.unwrap_or_else(|| fresh(&state));
        Ok(Applier { machine, state, position, retry_kept_ms, forgotten: LogTime::default() })
    }

    /// The last entry in the state.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.position.applied
    }

    fn apply_all(&mut self, entries: Vec<Entry>) -> Result<Vec<Answers>, (Option<LogId>, TableError)> {
        let db = self.state.current();
        let mut batch = Batch::new(&db);
        let mut position = self.position.clone();
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let failed = |e| (Some(entry.log_id), e);
            position.applied = Some(entry.log_id);
            answers.push(match entry.payload {
                EntryPayload::Blank => Answers::default(),
                EntryPayload::Membership(membership) => {
                    position.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Answers::default()
                }
                EntryPayload::Normal(commands) => {
                    position.time = position.time.max(commands.0.time);
                    let time = position.time;
                    let mut given = Vec::with_capacity(commands.0.calls.len());
                    for call in &commands.0.calls {
                        let answer = self.apply_one(&mut batch, call.origin, &call.command, time);
                        given.push(answer.map_err(failed)?);
                    }
                    let (kept_ms, gone) = (self.retry_kept_ms, &mut self.forgotten);
                    retry::forget(&mut batch, time, kept_ms, given.len(), gone).map_err(failed)?;
                    Answers(given)
                }
            });
            if batch.bytes() > BATCH_BYTES {
                put_position(&mut batch, &position).and_then(|()| batch.write()).map_err(failed)?;
                batch = Batch::new(&db);
                self.position = position.clone();
            }
        }
        let failed = |e| (position.applied, e);
        put_position(&mut batch, &position).and_then(|()| batch.write()).map_err(failed)?;
        self.position = position;
        Ok(answers)
    }

    fn apply_one(
        &mut self,
        batch: &mut Batch<'_>,
        origin: Origin,
        command: &Bytes,
        time: LogTime,
    ) -> Result<Bytes, TableError> {
        let Origin::Client { client, call } = origin else { return self.answer(batch, command, time) };
        match retry::find(batch, client, call, time, self.retry_kept_ms)? {
            Known::Answered(answer) => Ok(answer),
            Known::New { expired } => {
                let answer = self.answer(batch, command, time)?;
                retry::keep(batch, client, call, time, expired, &answer)?;
                Ok(answer)
            }
        }
    }

    fn answer(&mut self, batch: &mut Batch<'_>, command: &Bytes, time: LogTime) -> Result<Bytes, TableError> {
        let command = S::Command::decode(command).map_err(|source| TableError::Command { source })?;
        Ok(S::Answer::to_bytes(&self.machine.apply(batch, command, time)?).into())
    }

    /// The state as a snapshot: where it stands now. Its checkpoint is made when a follower needs it.
    fn snapshot(&self) -> openraft::Snapshot<Types> {
        let meta = snapshot_meta(&self.position);
        openraft::Snapshot { meta, snapshot: Box::new(SnapshotData::Here(Arc::clone(&self.state))) }
    }
}

/// What openraft calls a state at `position`.
pub(crate) fn snapshot_meta(position: &Position) -> SnapshotMeta<u64, Member> {
    let id = position.applied.map_or_else(|| "empty".to_owned(), |id| format!("{id}"));
    SnapshotMeta {
        last_log_id: position.applied,
        last_membership: position.membership.clone(),
        snapshot_id: id,
    }
}

fn fresh(state: &State) -> Position {
    Position { cluster: state.cluster().0.clone(), ..Position::default() }
}

impl<S: StateMachine> RaftStateMachine<Types> for Applier<S> {
    type SnapshotBuilder = Built;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId>, StoredMembership<u64, Member>), StorageError> {
        Ok((self.position.applied, self.position.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        blocking(|| self.apply_all(entries)).map_err(|(at, error)| {
            tracing::error!(entry = ?at.map(|id| id.index), error = &error as &dyn std::error::Error, "an entry cannot be applied; this member stops");
            match at {
                Some(at) => StorageIOError::apply(at, &error).into(),
                None => StorageIOError::write_state_machine(&error).into(),
            }
        })
    }

    async fn get_snapshot_builder(&mut self) -> Built {
        Built(Some(self.snapshot()))
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        Ok(Box::new(SnapshotData::Here(Arc::clone(&self.state)))) // we receive snapshots ourselves: see snapshot.rs
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<u64, Member>,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let SnapshotData::Received(received) = *snapshot else {
            let error = std::io::Error::other("this snapshot was not received from a leader");
            return Err(StorageIOError::write_snapshot(None, &error).into());
        };
        blocking(|| {
            let db = self.state.install(received.dir())?;
            let damaged =
                |source| crate::error::StartError::Damaged { dir: received.dir().to_owned(), source };
            self.machine.restored(&View::of(&db)).map_err(damaged)?;
            self.position = db.position().map_err(damaged)?.unwrap_or_else(|| fresh(&self.state));
            self.forgotten = LogTime::default();
            Ok(())
        })
        .map_err(|e: crate::error::StartError| {
            tracing::error!(
                error = &e as &dyn std::error::Error,
                "a snapshot cannot be installed; this member stops"
            );
            StorageIOError::write_snapshot(None, &e).into()
        })
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<openraft::Snapshot<Types>>, StorageError> {
        Ok(self.position.applied.map(|_| self.snapshot()))
    }
}

/// A snapshot that was complete when it was asked for: the state itself is one.
pub(crate) struct Built(Option<openraft::Snapshot<Types>>);

impl RaftSnapshotBuilder<Types> for Built {
    async fn build_snapshot(&mut self) -> Result<openraft::Snapshot<Types>, StorageError> {
        self.0.take().ok_or_else(|| {
            StorageIOError::read_snapshot(None, &std::io::Error::other("a snapshot is built once")).into()
        })
    }
}
