//! What a replica is told when it starts.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    error::StartError,
    ids::{Clock, ClusterId, Member, MemberId},
    network::Network,
    rocks::RocksShared,
};

/// How a member comes to its cluster. Read only when its log is empty: a restart needs none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The cluster begins with these members, this one among them; each of them is started with the same list.
    Found(BTreeMap<MemberId, Member>),
    /// The cluster exists; this member waits to be added by its leader.
    Join,
}

/// A replica's settings. `ReplicaConfig::new` gives the defaults.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Where its log and state lie; one folder a replica, on a file system that keeps what it synced.
    pub dir: PathBuf,
    /// Whose log and state these are.
    pub cluster: ClusterId,
    /// Which member this is.
    pub member: MemberId,
    /// How it comes to the cluster.
    pub beginning: Beginning,
    /// How often a leader says that it is there. Default 500 ms: an append that takes a follower longer is sent again.
    pub heartbeat: Duration,
    /// A follower that hears nothing for a time between these stands for election, after the old leader's lease
    /// (the longer of them) has ended. Default 1.5 s to 3 s.
    pub election_timeout_min: Duration,
    /// See `election_timeout_min`.
    pub election_timeout_max: Duration,
    /// Commands accepted and not yet answered; more are answered `Busy`. Default 4096.
    pub commands_waiting_max: usize,
    /// The largest encoded command. Default 4 MiB.
    pub command_bytes_max: usize,
    /// Commands in one log entry, by their bytes. Default 1 MiB; one larger command goes alone.
    pub entry_bytes_max: usize,
    /// Log entries proposed and not yet applied. Default 2: while one is synced the next gathers.
    pub entries_in_flight_max: usize,
    /// Longest a command or a read waits for its answer. Default 30 s.
    pub answer_deadline: Duration,
    /// How long an answer is kept for retries, in log time. Default 10 min, as Ratis has it.
    pub retry_kept: Duration,
    /// Log entries after which the log lets go of what the state holds. Default 20,000.
    pub purge_every: u64,
    /// Applied log entries kept for followers that are behind; further behind they get a snapshot. Default 10,000.
    pub entries_kept: u64,
    /// Bytes of synced entries kept in memory. Default 32 MiB.
    pub tail_bytes_max: usize,
    /// Longest a follower may take to install a snapshot, and a change of membership to be done; a piece of a
    /// snapshot has a sixth of it. Default 60 s.
    pub snapshot_deadline: Duration,
}

impl ReplicaConfig {
    /// The defaults, for a laptop and for production alike.
    pub fn new(dir: impl Into<PathBuf>, cluster: ClusterId, member: MemberId, beginning: Beginning) -> Self {
        ReplicaConfig {
            dir: dir.into(),
            cluster,
            member,
            beginning,
            heartbeat: Duration::from_millis(500),
            election_timeout_min: Duration::from_millis(1500),
            election_timeout_max: Duration::from_millis(3000),
            commands_waiting_max: 4096,
            command_bytes_max: 4 << 20,
            entry_bytes_max: 1 << 20,
            entries_in_flight_max: 2,
            answer_deadline: Duration::from_secs(30),
            retry_kept: Duration::from_secs(600),
            purge_every: 20_000,
            entries_kept: 10_000,
            tail_bytes_max: 32 << 20,
            snapshot_deadline: Duration::from_secs(60),
        }
    }

    /// openraft's settings, if these make sense.
    pub(crate) fn raft(&self) -> Result<openraft::Config, StartError> {
        let wrong = |what: &str| Err(StartError::Config(what.to_owned()));
        if let Beginning::Found(members) = &self.beginning
            && !members.contains_key(&self.member)
        {
            return wrong("the founding members do not include this one");
        }
        if self.commands_waiting_max == 0 || self.entries_in_flight_max == 0 {
            return wrong("commands_waiting_max and entries_in_flight_max have to be at least 1");
        }
        if self.command_bytes_max > 32 << 20 || self.entry_bytes_max > 32 << 20 {
            return wrong(
                "command_bytes_max and entry_bytes_max can be 32 MiB at most: an entry travels in one message",
            );
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let config = openraft::Config {
            cluster_name: self.cluster.0.clone(),
            heartbeat_interval: ms(self.heartbeat),
            election_timeout_min: ms(self.election_timeout_min),
            election_timeout_max: ms(self.election_timeout_max),
            install_snapshot_timeout: ms(self.snapshot_deadline),
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.purge_every),
            max_in_snapshot_log_to_keep: self.entries_kept,
            purge_batch_size: (self.purge_every / 4).clamp(1, 256),
            replication_lag_threshold: self.purge_every.saturating_add(self.entries_kept),
            ..openraft::Config::default()
        };
        config.validate().map_err(|e| StartError::Config(e.to_string()))
    }
}

/// What a replica reaches the world through.
#[derive(Clone)]
pub struct Surroundings {
    /// What the process's RocksDBs share.
    pub rocks: RocksShared,
    /// The way to the other members.
    pub network: Arc<dyn Network>,
    /// The wall clock that stamps commands.
    pub clock: Arc<dyn Clock>,
}
