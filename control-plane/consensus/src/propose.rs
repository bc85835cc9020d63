//! From a command to its answer: commands that wait together share one log entry and one sync.
//!
//! Law     a command is put into the log at most once a call of `propose`; what happened to it after a deadline or a
//!         stop is unknown, and a retry with the same origin finds out.
//! Bounds  `commands_waiting_max` commands accepted and unanswered, `entries_in_flight_max` entries.

use std::sync::Arc;

use bytes::Bytes;
use openraft::{error::ClientWriteError, raft::ClientWriteResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    error::ProposeError,
    ids::{Clock, LogTime, Member, MemberId},
    raft::{Call, CommandList, Commands, Raft},
};

/// A command on its way, with the place it holds among those waiting.
pub(crate) struct Proposal {
    pub(crate) call: Call,
    pub(crate) reply: oneshot::Sender<Result<Bytes, ProposeError>>,
    pub(crate) place: OwnedSemaphorePermit,
}

/// Gathers proposals into entries.
pub(crate) struct Proposer {
    pub(crate) raft: Raft,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entry_bytes_max: usize,
    pub(crate) entries_in_flight_max: usize,
    /// While true nothing is proposed: leadership is being handed over.
    pub(crate) held: watch::Receiver<bool>,
}

impl Proposer {
    /// Runs until every sender has gone.
    pub(crate) async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Proposal>) {
        let window = Arc::new(Semaphore::new(self.entries_in_flight_max));
        while let Some(first) = waiting.recv().await {
            let slot = Arc::clone(&window).acquire_owned().await.expect("the window is never closed");
            if self.held.wait_for(|held| !held).await.is_err() {
                return;
            }
            // Taken only now: what came while the slot was awaited goes into this entry too.
            let mut bytes = first.call.command.len();
            let mut gathered = vec![first];
            while bytes < self.entry_bytes_max
                && let Ok(next) = waiting.try_recv()
            {
                bytes += next.call.command.len();
                gathered.push(next);
            }
            self.propose(gathered, slot).await;
        }
    }

    async fn propose(&self, gathered: Vec<Proposal>, slot: OwnedSemaphorePermit) {
        let mut calls = Vec::with_capacity(gathered.len());
        let mut replies = Vec::with_capacity(gathered.len());
        for proposal in gathered {
            calls.push(proposal.call);
            replies.push((proposal.reply, proposal.place));
        }
        let time = LogTime { unix_ms: self.clock.unix_ms() };
        let commands = Commands(Arc::new(CommandList { time, calls }));
        match self.raft.client_write_ff(commands).await {
            Ok(written) => {
                let raft = self.raft.clone();
                tokio::spawn(async move {
                    let written: Result<ClientWriteResult<_>, _> = written.await;
                    drop(slot);
                    match written {
                        Ok(written) => answer(written, replies),
                        Err(_) => refuse(replies, || ProposeError::Stopped { why: why_ended(&raft) }),
                    }
                });
            }
            Err(fatal) => refuse(replies, || ProposeError::Stopped { why: fatal.to_string() }),
        }
    }
}

/// Why openraft's core no longer answers.
fn why_ended(raft: &Raft) -> String {
    let ended = raft.metrics().borrow().running_state.as_ref().err().map(ToString::to_string);
    ended.unwrap_or_else(|| "the raft core has ended".to_owned())
}

type Replies = Vec<(oneshot::Sender<Result<Bytes, ProposeError>>, OwnedSemaphorePermit)>;

fn answer(written: ClientWriteResult<crate::raft::Types>, replies: Replies) {
    match written {
        Ok(written) => {
            assert_eq!(written.data.0.len(), replies.len(), "each command of an entry has an answer");
            for ((reply, _place), answer) in replies.into_iter().zip(written.data.0) {
                let _gone = reply.send(Ok(answer)); // a caller that went away wants none
            }
        }
        Err(ClientWriteError::ForwardToLeader(to)) => {
            refuse(replies, || ProposeError::NotLeader {
                leader: leader(to.leader_id, to.leader_node.clone()),
            });
        }
        Err(ClientWriteError::ChangeMembershipError(e)) => {
            refuse(replies, || ProposeError::Stopped { why: format!("openraft took a command for: {e}") });
        }
    }
}

fn refuse(replies: Replies, why: impl Fn() -> ProposeError) {
    for (reply, _place) in replies {
        let _gone = reply.send(Err(why()));
    }
}

/// openraft's hint as ours.
pub(crate) fn leader(id: Option<u64>, member: Option<Member>) -> Option<(MemberId, Member)> {
    Some((MemberId(id?), member?))
}
