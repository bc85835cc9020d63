//! Deletions: which replicas are still to be told that blocks are gone.
//!
//! Shape   [`verdict`] is pure: a transaction, its container, its replicas and what has been acknowledged, to what happens
//!         next. Acknowledgements are kept in memory only; a new leader asks again, and a datanode that has deleted the
//!         blocks already says yes.
//! Law     a transaction goes when every replica that is known has acknowledged it and there are as many as there
//!         should be, or when its container is gone.
//! Source  wire facts: scm.md 2.12.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{ContainerId, ContainerState, DatanodeId, ReplicaState};

use crate::container::{Container, Replica};

/// What is known of one transaction beyond its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Who has carried it out.
    pub acked: BTreeSet<DatanodeId>,
    /// Who was told, and when (monotonic ms).
    pub sent: BTreeMap<DatanodeId, u64>,
}

/// What happens to a transaction next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These nodes are told.
    Send(Vec<DatanodeId>),
    /// Nothing, until something changes.
    Wait,
    /// It is done, or there is nothing left to do it on.
    Remove,
}

/// What happens to a transaction of `container` (`None`: there is none) next.
pub fn verdict(
    container: Option<&Container>,
    replicas: &[Replica],
    progress: &Progress,
    now_ms: u64,
    resend_ms: u64,
) -> Verdict {
    let Some(container) = container else { return Verdict::Remove };
    match container.state {
        // A container that is still written: its blocks go when it is closed.
        ContainerState::Open | ContainerState::Closing | ContainerState::Recovering => return Verdict::Wait,
        ContainerState::Deleting | ContainerState::Deleted => return Verdict::Remove,
        ContainerState::QuasiClosed | ContainerState::Closed => {}
    }
    let unacked: Vec<&Replica> = replicas.iter().filter(|r| !progress.acked.contains(&r.node)).collect();
    let wanted = container.config.required_nodes();
    if unacked.is_empty() && replicas.len() >= wanted {
        return Verdict::Remove;
    }
    // A replica that is missing here will be rebuilt from the others: if these had deleted, it would keep the blocks
    // for ever. So nobody is told before all are there.
    if replicas.len() < wanted {
        return Verdict::Wait;
    }
    let due = |r: &&&Replica| {
        let sealed = matches!(r.state, ReplicaState::Closed | ReplicaState::QuasiClosed);
        let waited = progress.sent.get(&r.node).is_none_or(|at| now_ms.saturating_sub(*at) >= resend_ms);
        sealed && waited
    };
    let due: Vec<DatanodeId> = unacked.iter().filter(due).map(|r| r.node).collect();
    if due.is_empty() { Verdict::Wait } else { Verdict::Send(due) }
}

/// Transactions under way, in memory.
#[derive(Debug, Default)]
pub struct Deletions {
    progress: BTreeMap<u64, (ContainerId, Progress)>,
    /// Where the walk over the table goes on.
    pub cursor: u64,
}

impl Deletions {
    /// What is known of a transaction.
    pub fn progress(&self, transaction: u64) -> Progress {
        self.progress.get(&transaction).map(|(_, progress)| progress.clone()).unwrap_or_default()
    }

    /// `node` was told of a transaction.
    pub fn sent(&mut self, transaction: u64, container: ContainerId, node: DatanodeId, now_ms: u64) {
        let (_, progress) =
            self.progress.entry(transaction).or_insert_with(|| (container, Progress::default()));
        progress.sent.insert(node, now_ms);
    }

    /// `node` says that it has carried a transaction out, or could not.
    pub fn acknowledged(
        &mut self,
        transaction: u64,
        container: ContainerId,
        node: DatanodeId,
        success: bool,
    ) {
        let Some((of, progress)) = self.progress.get_mut(&transaction) else { return };
        if *of != container {
            return;
        }
        if success {
            progress.acked.insert(node);
        } else {
            // It tries again when it is told again.
            progress.sent.remove(&node);
        }
    }

    /// Transactions that are gone.
    pub fn removed(&mut self, transactions: &[u64]) {
        for transaction in transactions {
            self.progress.remove(transaction);
        }
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.progress.len()
    }

    /// Forgets all: leadership has changed.
    pub fn clear(&mut self) {
        *self = Deletions::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_types::{Bcsid, ByteCount};

    fn container(config: &str, state: ContainerState) -> Container {
        Container {
            id: ContainerId::new(1),
            state,
            pipeline: None,
            config: config.parse().unwrap(),
            owner: "om".into(),
            used: ByteCount::ZERO,
            keys: 1,
            sequence: Bcsid::new(0),
            state_entered_ms: 0,
            delete_transaction: 0,
            suppressed: false,
        }
    }

    fn replicas(nodes: &[u8], state: ReplicaState) -> Vec<Replica> {
        let replica = |n: &u8| Replica {
            node: DatanodeId::from_bytes([*n; 16]),
            state,
            index: None,
            empty: false,
            bcsid: Bcsid::new(0),
            used: ByteCount::ZERO,
            keys: 1,
            origin: DatanodeId::from_bytes([*n; 16]),
            checksum: None,
        };
        nodes.iter().map(replica).collect()
    }

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_bytes([n; 16])
    }

    #[test]
    fn every_replica_acknowledges_before_a_transaction_goes() {
        let closed = container("RATIS/THREE", ContainerState::Closed);
        let three = replicas(&[1, 2, 3], ReplicaState::Closed);
        let mut deletions = Deletions::default();
        let look = |d: &Deletions, now_ms| verdict(Some(&closed), &three, &d.progress(9), now_ms, 300);
        assert_eq!(look(&deletions, 0), Verdict::Send(vec![node(1), node(2), node(3)]));
        for n in 1..=3 {
            deletions.sent(9, closed.id, node(n), 0);
        }
        assert_eq!(look(&deletions, 299), Verdict::Wait);
        deletions.acknowledged(9, closed.id, node(1), true);
        deletions.acknowledged(9, closed.id, node(2), false);
        deletions.acknowledged(9, ContainerId::new(2), node(3), true);
        assert_eq!(look(&deletions, 299), Verdict::Send(vec![node(2)]), "it failed there");
        assert_eq!(
            look(&deletions, 300),
            Verdict::Send(vec![node(2), node(3)]),
            "the third may not have heard"
        );
        deletions.acknowledged(9, closed.id, node(2), true);
        deletions.acknowledged(9, closed.id, node(3), true);
        assert_eq!(look(&deletions, 300), Verdict::Remove);
        deletions.removed(&[9]);
        assert_eq!(deletions.under_way(), 0);
    }

    #[test]
    fn containers_that_are_written_or_lack_a_replica_wait_and_those_that_are_gone_need_nothing() {
        let none = Progress::default();
        let one = replicas(&[1], ReplicaState::Closed);
        let at = |state, replicas: &[Replica]| {
            verdict(Some(&container("RATIS/THREE", state)), replicas, &none, 0, 1)
        };
        assert_eq!(at(ContainerState::Open, &one), Verdict::Wait);
        assert_eq!(at(ContainerState::Closed, &one), Verdict::Wait);
        assert_eq!(at(ContainerState::Closed, &[]), Verdict::Wait);
        assert_eq!(at(ContainerState::Deleting, &one), Verdict::Remove);
        assert_eq!(verdict(None, &[], &none, 0, 1), Verdict::Remove);
        let open = replicas(&[1, 2, 3], ReplicaState::Open);
        assert_eq!(at(ContainerState::Closed, &open), Verdict::Wait, "not sealed there yet");
    }
}
