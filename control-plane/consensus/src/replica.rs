//! A replica: one member's log, state and part in the cluster, and the handle its service holds.
//!
//! Owns    the tasks that gather commands, confirm reads and run openraft.
//! Law     an answer means: synced on a majority and applied here. `shutdown` answers what was accepted, then stops.

use std::{
    marker::PhantomData,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use openraft::error::{InitializeError, RaftError};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use crate::{
    codec::Codec,
    config::{Beginning, ReplicaConfig, Surroundings},
    error::{ProposeError, ReadError, StartError},
    ids::{MemberId, Origin},
    log::{self, Log, Opened},
    machine::{Applier, StateMachine},
    network::{Peers, Server, Service},
    propose::{Proposal, Proposer},
    raft::{Call, LogId, Raft, blocking, pause},
    read::{Confirmer, Lease, Waiting},
    state::{State, View},
    status::StatusWatch,
};

/// Reads that wait for one confirmation; more are refused as a stopped replica refuses them.
const READS_WAITING_MAX: usize = 4096;

/// Starts replicas.
pub struct Replica;

impl Replica {
    /// Starts a member on the log and state in its folder, or on new ones. Returns when it runs; it leads, or knows
    /// who does, somewhat later. Serve `Handle::service` to the other members.
    pub async fn start<S: StateMachine>(
        config: ReplicaConfig,
        surroundings: Surroundings,
        machine: S,
    ) -> Result<Handle<S>, StartError> {
        let opened = blocking(|| {
            log::rocks::open(&surroundings.rocks, &config.dir.join("log"), &config.cluster, config.member)
        })?;
        Self::start_on(opened, config, surroundings, machine).await
    }

    /// Starts a member on an opened log.
    pub(crate) async fn start_on<S: StateMachine>(
        opened: Opened,
        config: ReplicaConfig,
        surroundings: Surroundings,
        machine: S,
    ) -> Result<Handle<S>, StartError> {
        let raft_config = Arc::new(config.raft()?);
        let root = config.dir.join("state");
        let state = blocking(|| State::open(&surroundings.rocks, &root, machine.tables(), &config.cluster))?;
        let state = Arc::new(state);
        let retry_kept_ms = u64::try_from(config.retry_kept.as_millis()).unwrap_or(u64::MAX);
        let applier = blocking(|| Applier::new(machine, Arc::clone(&state), retry_kept_ms));
        let applier = applier.map_err(|source| StartError::Damaged { dir: root, source })?;
        let (applied, purged) = (applier.applied(), opened.head.purged);
        if purged > applied {
            let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
            return Err(StartError::Gap { dir: config.dir, applied: index(applied), purged: index(purged) });
        }
        let log = Log::new(opened, Arc::clone(&state), config.tail_bytes_max);
        let log_open = log.watch_open();
        let peers = Peers {
            network: surroundings.network,
            cluster: config.cluster.clone(),
            me: config.member,
            snapshot_deadline: config.snapshot_deadline,
            outgoing: Arc::new(AtomicU64::new(0)),
        };
        let raft = Raft::new(config.member.0, raft_config, peers.clone(), log, applier).await;
        let raft = raft.map_err(|e| StartError::Stopped(e.to_string()))?;
        begin(&raft, &config).await?;

        let (held, holding) = watch::channel(false);
        let (proposals, proposed) = mpsc::unbounded_channel();
        let (reads, reading) = mpsc::channel(READS_WAITING_MAX);
        let lease = Arc::new(Lease::default());
        let proposer = Proposer {
            raft: raft.clone(),
            clock: surroundings.clock,
            entry_bytes_max: config.entry_bytes_max,
            entries_in_flight_max: config.entries_in_flight_max,
            held: holding.clone(),
        };
        tokio::spawn(proposer.run(proposed));
        let confirmer = Confirmer {
            raft: raft.clone(),
            lease: Arc::clone(&lease),
            lease_time: config.election_timeout_min.min(config.election_timeout_max / 2),
            deadline: config.answer_deadline,
            held: holding,
        };
        tokio::spawn(confirmer.run(reading));
        let server = Arc::new(Server {
            raft: raft.clone(),
            state: Arc::clone(&state),
            cluster: config.cluster.clone(),
            me: config.member,
            incoming: Mutex::new(None),
            received: AtomicU64::new(0),
        });
        let waiting = Arc::new(Semaphore::new(config.commands_waiting_max));
        let stopping = AtomicBool::new(false);
        let core = Core {
            config,
            raft,
            state,
            peers,
            proposals,
            reads,
            lease,
            held,
            waiting,
            server,
            stopping,
            backing_up: Mutex::new(()),
            log_open,
        };
        Ok(Handle { core: Arc::new(core), machine: PhantomData })
    }
}

/// Founds the cluster if this is its first start.
async fn begin(raft: &Raft, config: &ReplicaConfig) -> Result<(), StartError> {
    let Beginning::Found(members) = &config.beginning else { return Ok(()) };
    let stopped = |e: &dyn std::fmt::Display| StartError::Stopped(e.to_string());
    if raft.is_initialized().await.map_err(|e| stopped(&e))? {
        let alone = raft.metrics().borrow().membership_config.voter_ids().eq([config.member.0]);
        // Nobody else could be leading: there is nothing to wait for.
        return if alone { raft.trigger().elect().await.map_err(|e| stopped(&e)) } else { Ok(()) };
    }
    let members: std::collections::BTreeMap<u64, _> =
        members.iter().map(|(id, m)| (id.0, m.clone())).collect();
    match raft.initialize(members).await {
        // Another founder may have been faster: its first entry is here already.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(e) => Err(stopped(&e)),
    }
}

/// What a handle and its clones share.
pub(crate) struct Core {
    pub(crate) config: ReplicaConfig,
    pub(crate) raft: Raft,
    pub(crate) state: Arc<State>,
    pub(crate) peers: Peers,
    proposals: mpsc::UnboundedSender<Proposal>,
    reads: mpsc::Sender<Waiting>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) held: watch::Sender<bool>,
    waiting: Arc<Semaphore>,
    server: Arc<Server>,
    stopping: AtomicBool,
    /// Held while a backup is written.
    pub(crate) backing_up: Mutex<()>,
    log_open: Weak<()>,
}

/// A running replica. Clones are the same one.
pub struct Handle<S> {
    core: Arc<Core>,
    machine: PhantomData<fn() -> S>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Handle { core: Arc::clone(&self.core), machine: PhantomData }
    }
}

impl<S: StateMachine> Handle<S> {
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Which member this is.
    pub fn member(&self) -> MemberId {
        self.core.config.member
    }

    /// Puts a command into the log and answers it once it is synced on a majority and applied here.
    ///
    /// Cancel safety: a dropped call leaves its command where it is; it may be applied.
    pub async fn propose(
        &self,
        origin: Origin,
        command: &<S::Command as Codec>::Item,
    ) -> Result<<S::Answer as Codec>::Item, ProposeError> {
        let core = &self.core;
        let stopped = || ProposeError::Stopped { why: "it is shutting down".to_owned() };
        let command = S::Command::to_bytes(command);
        let bytes_max = core.config.command_bytes_max;
        if command.len() > bytes_max {
            return Err(ProposeError::TooLarge { bytes: command.len(), bytes_max });
        }
        if core.stopping.load(Ordering::Acquire) {
            return Err(stopped());
        }
        let place = Arc::clone(&core.waiting).try_acquire_owned().map_err(|_| ProposeError::Busy)?;
        let (reply, answered) = oneshot::channel();
        let call = Call { origin, command: command.into() };
        core.proposals.send(Proposal { call, reply, place }).map_err(|_| stopped())?;
        let after = core.config.answer_deadline;
        let answer =
            tokio::time::timeout(after, answered).await.map_err(|_| ProposeError::Deadline { after })?;
        let answer = answer.map_err(|_| stopped())??;
        S::Answer::decode(&answer).map_err(|source| ProposeError::Answer { source })
    }

    /// Reads a moment of the state that has everything answered before this call. Only a leader can.
    ///
    /// `read` runs on the caller's thread and may block on the disk.
    pub async fn read<R>(&self, read: impl FnOnce(&View<'_>) -> R) -> Result<R, ReadError> {
        let core = &self.core;
        let stopped = || ReadError::Stopped { why: "it is shutting down".to_owned() };
        if core.stopping.load(Ordering::Acquire) {
            return Err(stopped());
        }
        if !core.lease.holds() {
            let (reply, confirmed) = oneshot::channel();
            let after = core.config.answer_deadline;
            let waited = tokio::time::timeout(after, async {
                core.reads.send(reply).await.map_err(|_| stopped())?;
                confirmed.await.map_err(|_| stopped())?
            });
            waited.await.unwrap_or(Err(ReadError::NoMajority { after }))?;
        }
        Ok(self.read_local(read))
    }

    /// Reads this member's state as far as it has applied the log, which may be behind the leader's.
    pub fn read_local<R>(&self, read: impl FnOnce(&View<'_>) -> R) -> R {
        let db = self.core.state.current();
        read(&View::of(&db))
    }

    /// Role, term, positions and members.
    pub fn status(&self) -> StatusWatch {
        StatusWatch(self.core.raft.metrics())
    }

    /// What answers the other members: give it to `network::tcp::serve` or to a `MemoryNetwork`.
    pub fn service(&self) -> Arc<dyn Service> {
        Arc::clone(&self.core.server) as Arc<dyn Service>
    }

    /// Answers what was accepted, for `drain` at most, then stops and closes the files.
    pub async fn shutdown(&self, drain: Duration) {
        let core = &self.core;
        core.stopping.store(true, Ordering::Release);
        let all = u32::try_from(core.config.commands_waiting_max).unwrap_or(u32::MAX);
        if tokio::time::timeout(drain, core.waiting.acquire_many(all)).await.is_err() {
            tracing::warn!(member = %self.member(), "commands were left unanswered when the replica stopped");
        }
        if let Err(error) = core.raft.shutdown().await {
            tracing::error!(%error, "the raft core did not end well");
        }
        if let Err(error) = blocking(|| core.state.current().sync()) {
            tracing::error!(%error, "the state could not be synced at the end");
        }
        // Tasks of openraft end a little after it; the log's files are free when the last has.
        for _ in 0..200 {
            if self.core.log_open.strong_count() == 0 {
                return;
            }
            pause(Duration::from_millis(10)).await;
        }
        tracing::warn!(member = %self.member(), "the log is still open after the replica has stopped");
    }
}
