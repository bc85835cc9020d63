//! Linearizable reads: the leader's own state, once a majority has confirmed that it still leads.
//!
//! Shape   reads that wait together share one confirmation (a read index); for a while after it, the lease, reads
//!         need none.
//! Law     the lease counts from before the confirmation was asked for and is shorter than the time for which
//!         followers, having answered, refuse every candidate. What was answered before a read is applied here: an
//!         answer is given only after the entry was applied on its leader.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    error::ReadError,
    propose::leader,
    raft::{Raft, now},
};

/// Until when this member may answer reads without asking.
#[derive(Default)]
pub(crate) struct Lease {
    until: Mutex<Option<Instant>>,
}

impl Lease {
    pub(crate) fn holds(&self) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now() < until)
    }

    /// Ends it, before leadership is handed over.
    pub(crate) fn end(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn extend(&self, until: Instant) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// Someone who waits for a confirmation.
pub(crate) type Waiting = oneshot::Sender<Result<(), ReadError>>;

/// Confirms leadership for all that wait.
pub(crate) struct Confirmer {
    pub(crate) raft: Raft,
    pub(crate) lease: Arc<Lease>,
    /// How long a confirmation is good for, from before it was asked.
    pub(crate) lease_time: Duration,
    pub(crate) deadline: Duration,
    /// While true no lease is taken: leadership is being handed over.
    pub(crate) held: tokio::sync::watch::Receiver<bool>,
}

impl Confirmer {
    /// Runs until every sender has gone.
    pub(crate) async fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(first) = waiting.recv().await {
            let mut all = vec![first];
            while let Ok(next) = waiting.try_recv() {
                all.push(next);
            }
            let asked = now();
            let confirmed = tokio::time::timeout(self.deadline, self.raft.ensure_linearizable()).await;
            if matches!(confirmed, Ok(Ok(_))) && !*self.held.borrow() {
                self.lease.extend(asked + self.lease_time);
            }
            for waiter in all {
                let _gone = waiter.send(match &confirmed {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(e)) => Err(self.error(e)),
                    Err(_) => Err(ReadError::NoMajority { after: self.deadline }),
                });
            }
        }
    }

    fn error(&self, e: &RaftError<u64, CheckIsLeaderError<u64, crate::ids::Member>>) -> ReadError {
        match e {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to)) => {
                ReadError::NotLeader { leader: leader(to.leader_id, to.leader_node.clone()) }
            }
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => {
                ReadError::NoMajority { after: self.deadline }
            }
            RaftError::Fatal(fatal) => ReadError::Stopped { why: fatal.to_string() },
        }
    }
}
