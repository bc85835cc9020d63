//! What a replica says about itself: role, term, positions, members.

use std::{collections::BTreeMap, time::Duration};

use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use crate::ids::{Member, MemberId};

/// What a member is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It orders commands.
    Leader,
    /// It follows a leader and votes.
    Follower,
    /// It stands for election.
    Candidate,
    /// It follows and does not vote, or is not in the cluster yet.
    Learner,
    /// It has stopped, by request or because its disk failed.
    Stopped,
}

/// A replica's state as its metrics show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whose status this is.
    pub member: MemberId,
    /// What it is.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<MemberId>,
    /// The index of its last log entry, synced or not.
    pub last_log: Option<u64>,
    /// The index of the last entry applied to its state.
    pub applied: Option<u64>,
    /// The index of the last entry its log has let go of.
    pub purged: Option<u64>,
    /// Everybody in the cluster.
    pub members: BTreeMap<MemberId, Member>,
    /// Those who vote.
    pub voters: Vec<MemberId>,
    /// On a leader: the last entry each member is known to have synced.
    pub synced: BTreeMap<MemberId, Option<u64>>,
    /// On a leader: milliseconds since a majority last answered.
    pub majority_seen_ms: Option<u64>,
    /// Why it has stopped.
    pub stopped: Option<String>,
}

impl Status {
    fn of(metrics: &RaftMetrics<u64, Member>) -> Status {
        let membership = metrics.membership_config.membership();
        let index = |id: &Option<openraft::LogId<u64>>| id.map(|id| id.index);
        let synced = metrics.replication.iter().flatten().map(|(id, log)| (MemberId(*id), index(log)));
        let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
        let role = match metrics.state {
            _ if stopped.is_some() => Role::Stopped,
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        };
        Status {
            member: MemberId(metrics.id),
            role,
            term: metrics.current_term,
            leader: metrics.current_leader.map(MemberId),
            last_log: metrics.last_log_index,
            applied: index(&metrics.last_applied),
            purged: index(&metrics.purged),
            members: membership.nodes().map(|(id, member)| (MemberId(*id), member.clone())).collect(),
            voters: membership.voter_ids().map(MemberId).collect(),
            synced: synced.collect(),
            majority_seen_ms: metrics.millis_since_quorum_ack,
            stopped,
        }
    }
}

/// Follows a replica's status.
#[derive(Clone)]
pub struct StatusWatch(pub(crate) watch::Receiver<RaftMetrics<u64, Member>>);

impl StatusWatch {
    /// As it is now.
    pub fn now(&self) -> Status {
        Status::of(&self.0.borrow())
    }

    /// Waits for a change since the last call; false when the replica has gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Waits until `wanted` holds, for `deadline` at most; the last status seen if it does not come true.
    pub async fn wait_for(
        &mut self,
        deadline: Duration,
        mut wanted: impl FnMut(&Status) -> bool + Send,
    ) -> Result<Status, Status> {
        let found = tokio::time::timeout(deadline, async {
            loop {
                let status = Status::of(&self.0.borrow_and_update());
                if wanted(&status) {
                    return Some(status);
                }
                if !self.changed().await {
                    return None;
                }
            }
        })
        .await;
        found.ok().flatten().ok_or_else(|| self.now())
    }
}
