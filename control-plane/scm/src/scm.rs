//! One running SCM as its services see it: the cluster in memory, the way into the log, and who leads.
//!
//! Law     nothing of a cluster's lock is held over an await; what a service answers about the tables has been applied.
//! Errors  [`ProposeFault`] for a change that was not made; [`Scm::leading`] says what a client of a follower is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allotrope_consensus::{Handle, Origin, ProposeError};
use allotrope_proto::rpc::Fault;
use allotrope_types::{LocalId, Term};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::clock::Clock;
use crate::cluster::{Cluster, Now, OpenKey};
use crate::config::{Config, ScmMember};
use crate::deletion::Deletions;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::replicated::ScmMachine;
use crate::replicated::command::{Change, Command, Ids, Outcome, TakeIds};
use crate::replicated::tables::sequence;

/// Block ids taken at a time (`ozone.scm.sequence.id.batch.size`).
const LOCAL_IDS_AT_A_TIME: u64 = 1_000;

/// Exception classes that SCM's clients act on.
pub(crate) mod class {
    /// This SCM does not lead: the client asks the one that its text names.
    pub(crate) const NOT_LEADER: &str = "org.apache.hadoop.hdds.ratis.ServerNotLeaderException";
    /// A failure of SCM's with a code of its own.
    pub(crate) const SCM: &str = "org.apache.hadoop.hdds.scm.exceptions.SCMException";
    /// No such container.
    pub(crate) const CONTAINER_NOT_FOUND: &str =
        "org.apache.hadoop.hdds.scm.container.ContainerNotFoundException";
    /// No such pipeline.
    pub(crate) const PIPELINE_NOT_FOUND: &str =
        "org.apache.hadoop.hdds.scm.pipeline.PipelineNotFoundException";
}

/// A change that was not made, or of which nothing is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposeFault {
    /// The log did not take it, or did not answer.
    #[error(transparent)]
    Log(#[from] ProposeError),
    /// It makes no sense in the state it met.
    #[error("{0}")]
    Refused(String),
}

/// A running SCM.
pub(crate) struct Scm {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) raft: Handle<ScmMachine>,
    cluster: Arc<Mutex<Cluster>>,
    deletions: Mutex<Deletions>,
    /// The term in which this member leads; 0 while it does not.
    leading_term: AtomicU64,
    changes: mpsc::Sender<Change>,
    opening: Mutex<BTreeMap<OpenKey, Arc<AsyncMutex<()>>>>,
    taking_ids: AsyncMutex<()>,
    /// One request at a time decides who leaves.
    pub(crate) deciding_duties: AsyncMutex<()>,
}

impl Scm {
    pub(crate) fn new(
        config: Config,
        identity: Identity,
        clock: Arc<dyn Clock>,
        cluster: Arc<Mutex<Cluster>>,
        raft: Handle<ScmMachine>,
        changes: mpsc::Sender<Change>,
    ) -> Scm {
        Scm {
            config,
            identity,
            clock,
            metrics: Metrics::default(),
            raft,
            cluster,
            deletions: Mutex::new(Deletions::default()),
            leading_term: AtomicU64::new(0),
            changes,
            opening: Mutex::new(BTreeMap::new()),
            taking_ids: AsyncMutex::new(()),
            deciding_duties: AsyncMutex::new(()),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now::of(&*self.clock)
    }

    /// The cluster, for a short look or change.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock that lets one caller at a time open a container for `key`.
    pub(crate) fn opening(&self, key: &OpenKey) -> Arc<AsyncMutex<()>> {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(opening.entry(key.clone()).or_default())
    }

    /// Its figures, as Prometheus' text format.
    pub(crate) fn figures(&self) -> String {
        let (deletions, leads) = (self.deletions().under_way(), self.term().is_some());
        self.metrics.text(&self.cluster(), deletions, leads)
    }

    /// The term in which this member leads.
    pub(crate) fn term(&self) -> Option<Term> {
        match self.leading_term.load(Ordering::Acquire) {
            0 => None,
            term => Some(Term::new(term)),
        }
    }

    /// This member leads in `term` from now on, or does not. What only a leader knows is forgotten at each change.
    pub(crate) fn set_leading(&self, term: Option<u64>) {
        let before = self.leading_term.swap(term.unwrap_or(0), Ordering::AcqRel);
        if before != term.unwrap_or(0) {
            tracing::info!(term, "leadership has changed");
            {
                let mut cluster = self.cluster();
                cluster.commands.clear();
                cluster.manager.forget();
            }
            self.deletions().clear();
        }
    }

    /// Whether this member leads; else what its client is told, in words that Ozone's clients parse. `port` picks the port
    /// of the leader's that serves the same protocol.
    pub(crate) fn leading(&self, port: impl Fn(&ScmMember) -> u16) -> Result<Term, Fault> {
        self.term().ok_or_else(|| {
            let leader = self.raft.status().now().leader;
            let leader = self.config.members.iter().find(|m| Some(m.number) == leader.map(|id| id.0));
            // A leader that has just been elected, or has just lost its majority, does not name itself.
            let leader = leader.filter(|member| member.number != self.config.member);
            let leader = leader.map(|member| format!("{}:{}", member.host, port(member)));
            not_leader(&self.identity.scm_id, &self.config.host_name, leader.as_deref())
        })
    }

    /// Proposes a change and waits until it is applied.
    pub(crate) async fn propose(&self, change: Change) -> Result<Outcome, ProposeFault> {
        let answer = self.raft.propose(Origin::Service, &Command::from(change)).await?;
        match answer.outcome {
            Some(Outcome::Refused(why)) => Err(ProposeFault::Refused(why)),
            Some(outcome) => Ok(outcome),
            None => Err(ProposeFault::Refused("a newer version answered".to_owned())),
        }
    }

    /// Hands changes to the loop that proposes them. What does not fit is found again by the next sweep.
    pub(crate) fn propose_later(&self, changes: Vec<Change>) {
        for change in changes {
            if self.changes.try_send(change).is_err() {
                self.metrics.changes_postponed.add(1);
                return;
            }
        }
    }

    /// The id of a new block: no other block ever gets it.
    pub(crate) async fn local_id(&self) -> Result<LocalId, ProposeFault> {
        if let Some(id) = self.cluster().local_ids.next() {
            return Ok(LocalId::new(id));
        }
        let _one_at_a_time = self.taking_ids.lock().await;
        loop {
            if let Some(id) = self.cluster().local_ids.next() {
                return Ok(LocalId::new(id));
            }
            let take = TakeIds { sequence: sequence::LOCAL.to_owned(), count: LOCAL_IDS_AT_A_TIME };
            match self.propose(Change::TakeIds(take)).await? {
                Outcome::Ids(Ids { first, last }) => self.cluster().local_ids = first..=last,
                other => {
                    return Err(ProposeFault::Refused(format!("ids were asked for, and {other:?} came")));
                }
            }
        }
    }
}

/// The fault that makes a client of Ozone's ask `leader` next.
pub(crate) fn not_leader(scm_id: &str, host: &str, leader: Option<&str>) -> Fault {
    let text = match leader {
        Some(leader) => {
            format!("Server:{scm_id}({host}) is not the leader. Suggested leader is Server:{leader}.")
        }
        None => format!("Server:{scm_id}({host}) is not the leader. Could not determine the leader node."),
    };
    Fault::application(class::NOT_LEADER, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_names_the_leader_in_the_words_that_clients_parse() {
        let fault = not_leader("s-1", "scm1", Some("scm2:9863"));
        assert_eq!(fault.class(), "org.apache.hadoop.hdds.ratis.ServerNotLeaderException");
        assert_eq!(
            fault.message(),
            "Server:s-1(scm1) is not the leader. Suggested leader is Server:scm2:9863."
        );
        assert!(not_leader("s-1", "scm1", None).message().ends_with("Could not determine the leader node."));
    }
}
