//! Who is in the cluster: learners added and promoted, members removed, leadership handed over.
//!
//! Law     a change is made by the leader, one at a time, and is answered when a majority of the new members has it.

use std::{collections::BTreeSet, time::Duration};

use openraft::{
    ChangeMembers,
    error::{ClientWriteError, RaftError},
};

use crate::{
    error::MembershipError,
    ids::{Member, MemberId},
    machine::StateMachine,
    network::Request,
    propose::leader,
    raft::pause,
    replica::Handle,
    status::Role,
};

type ChangeError = RaftError<u64, ClientWriteError<u64, Member>>;

impl<S: StateMachine> Handle<S> {
    /// Adds a member that follows without a vote, and waits until it has caught up.
    pub async fn add_learner(&self, id: MemberId, member: Member) -> Result<(), MembershipError> {
        let change = self.core().raft.add_learner(id.0, member, true);
        self.within_deadline(async { change.await.map(drop).map_err(changed) }).await
    }

    /// Gives learners a vote.
    pub async fn promote(&self, ids: BTreeSet<MemberId>) -> Result<(), MembershipError> {
        self.change(ChangeMembers::AddVoterIds(ids.into_iter().map(|id| id.0).collect())).await
    }

    /// Takes a member out, voter or learner. A leader that removes itself steps down.
    pub async fn remove(&self, id: MemberId) -> Result<(), MembershipError> {
        let status = self.status().now();
        if !status.members.contains_key(&id) {
            return Err(MembershipError::Refused(format!("the cluster has no member {id}")));
        }
        if status.voters == [id] {
            return Err(MembershipError::Refused(format!("member {id} is the only one that votes")));
        }
        let one = BTreeSet::from([id.0]);
        let change = if status.voters.contains(&id) {
            ChangeMembers::RemoveVoters(one)
        } else {
            ChangeMembers::RemoveNodes(one)
        };
        self.change(change).await
    }

    /// Hands leadership to `to`, a voter, and waits until it leads. Commands wait meanwhile, or are answered
    /// `NotLeader`; if it does not come to be, this member may go on leading.
    pub async fn transfer_leadership(&self, to: MemberId) -> Result<(), MembershipError> {
        let status = self.status().now();
        if status.role != Role::Leader {
            let known = status.leader.and_then(|id| Some((id, status.members.get(&id)?.clone())));
            return Err(MembershipError::NotLeader { leader: known });
        }
        if to == status.member {
            return Ok(());
        }
        let Some(member) = status.members.get(&to).filter(|_| status.voters.contains(&to)) else {
            return Err(MembershipError::Refused(format!("member {to} has no vote")));
        };
        let core = self.core();
        let _held = Hold::new(self);
        core.lease.end();
        // Followers refuse a candidate while this leader's lease runs, so it has to run out: no heartbeats, no
        // entries. Then the candidate, which has every entry, asks before anybody's patience ends.
        self.wait_synced(to).await?;
        core.raft.runtime_config().heartbeat(false);
        pause(core.config.election_timeout_max + Duration::from_millis(20)).await;
        let asked = core.peers.calls(to, member).call(Request::Elect, core.config.heartbeat * 4).await;
        let elected = match asked {
            Ok(_) => {
                let deadline = core.config.election_timeout_max * 4;
                self.status().wait_for(deadline, |s| s.leader.is_some_and(|leader| leader != s.member)).await
            }
            Err(e) => {
                core.raft.runtime_config().heartbeat(true);
                return Err(MembershipError::Refused(format!("member {to} does not answer: {e}")));
            }
        };
        core.raft.runtime_config().heartbeat(true);
        match elected {
            Ok(status) if status.leader == Some(to) => Ok(()),
            Ok(status) => {
                let other = status.leader.map_or_else(|| "nobody".to_owned(), |id| format!("member {id}"));
                Err(MembershipError::Refused(format!("{other} was elected instead")))
            }
            Err(_) => Err(MembershipError::Deadline { after: core.config.election_timeout_max * 4 }),
        }
    }

    /// Waits until `id` has synced all of this leader's log.
    async fn wait_synced(&self, id: MemberId) -> Result<(), MembershipError> {
        let deadline = self.core().config.answer_deadline;
        let mut status = self.status();
        let caught_up = status.wait_for(deadline, |s| {
            s.role != Role::Leader || s.synced.get(&id).is_some_and(|synced| *synced == s.last_log)
        });
        match caught_up.await {
            Ok(s) if s.role == Role::Leader => Ok(()),
            Ok(_) => Err(MembershipError::NotLeader { leader: None }),
            Err(_) => Err(MembershipError::Deadline { after: deadline }),
        }
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), MembershipError> {
        let change = self.core().raft.change_membership(change, false);
        self.within_deadline(async { change.await.map(drop).map_err(changed) }).await
    }

    async fn within_deadline(
        &self,
        change: impl Future<Output = Result<(), MembershipError>>,
    ) -> Result<(), MembershipError> {
        let after = self.core().config.snapshot_deadline;
        tokio::time::timeout(after, change).await.unwrap_or(Err(MembershipError::Deadline { after }))
    }
}

/// Holds proposals back while it lives.
struct Hold<'a, S: StateMachine>(&'a Handle<S>);

impl<'a, S: StateMachine> Hold<'a, S> {
    fn new(handle: &'a Handle<S>) -> Self {
        handle.core().held.send_replace(true);
        Hold(handle)
    }
}

impl<S: StateMachine> Drop for Hold<'_, S> {
    fn drop(&mut self) {
        self.0.core().held.send_replace(false);
        self.0.core().raft.runtime_config().heartbeat(true);
    }
}

fn changed(e: ChangeError) -> MembershipError {
    match e {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            MembershipError::NotLeader { leader: leader(to.leader_id, to.leader_node) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(e)) => {
            MembershipError::Refused(e.to_string())
        }
        RaftError::Fatal(fatal) => MembershipError::Stopped { why: fatal.to_string() },
    }
}
