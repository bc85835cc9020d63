//! What a container should do next, given what its replicas are.
//!
//! Shape   [`next`] is a pure function from facts to actions. It looks at the level, not the edge: it is asked after each
//!         report and again at each sweep, so a report that is lost, doubled or late changes when something happens and
//!         not whether. Carrying an action out twice changes nothing.
//! Law     a replica that may hold something newer than what is known is never destroyed.
//! Source  wire facts: scm.md 2.4 and 2.9 (2, 3, 4, 5, 6).

use std::collections::BTreeSet;

use allotrope_types::{
    Bcsid, ByteCount, ContainerEvent, ContainerState, DatanodeId, ReplicaState, ReplicationConfig,
};

use super::{Container, Replica};

/// What is known of a container when it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The container.
    pub container: &'a Container,
    /// Its replicas, as last reported; those on dead nodes are gone already.
    pub replicas: &'a [Replica],
    /// Whether its pipeline exists and is open.
    pub pipeline_open: bool,
    /// Who was to write it: where replicas may be that were never reported.
    pub members: &'a [DatanodeId],
    /// Who wrote it, if each of them had everything before it was acknowledged; else empty.
    pub writers: &'a [DatanodeId],
    /// Those of `writers` that are dead.
    pub dead_writers: &'a [DatanodeId],
    /// Bytes at which it is full.
    pub full_at: ByteCount,
    /// How long it has been in its state, in ms.
    pub in_state_ms: u64,
    /// How long it is CLOSING before replicas are told to close, in ms.
    pub close_wait_ms: u64,
    /// How long it is CLOSING without any replica before it counts as closed and empty, in ms.
    pub empty_wait_ms: u64,
    /// Whether all that the cluster holds has been reported: SCM has left safe mode.
    pub all_reported: bool,
}

/// What should be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The container goes on in its life, with the largest BCSID that is known to be safe.
    Step(ContainerEvent, Bcsid),
    /// A datanode is told to close its replica; `force` where no Raft group will do it.
    CloseReplica {
        /// Who.
        node: DatanodeId,
        /// Whether it closes without its pipeline.
        force: bool,
    },
    /// A datanode is told to delete its replica; `force` if it holds blocks that are stale for certain.
    DeleteReplica {
        /// Who.
        node: DatanodeId,
        /// Whether it deletes a replica with blocks.
        force: bool,
    },
}

/// What `facts` call for. Steps come first; the other actions are for the state before them.
pub fn next(facts: &Facts<'_>) -> Vec<Action> {
    match facts.container.state {
        ContainerState::Open => open(facts),
        ContainerState::Closing => closing(facts),
        ContainerState::QuasiClosed => quasi_closed(facts),
        ContainerState::Closed => closed(facts),
        ContainerState::Deleting => deleting(facts),
        ContainerState::Deleted => deleted(facts),
        ContainerState::Recovering => Vec::new(),
    }
}

fn open(facts: &Facts<'_>) -> Vec<Action> {
    let full = facts.container.used >= facts.full_at;
    let not_open = facts.replicas.iter().any(|replica| replica.state != ReplicaState::Open);
    if full || not_open || !facts.pipeline_open {
        return vec![Action::Step(ContainerEvent::Finalize, sequence(facts))];
    }
    Vec::new()
}

fn closing(facts: &Facts<'_>) -> Vec<Action> {
    let Facts { container, replicas, .. } = facts;
    let step = |event| vec![Action::Step(event, sequence(facts))];
    if replicas.is_empty() {
        let waited = facts.all_reported && container.keys == 0 && facts.in_state_ms >= facts.empty_wait_ms;
        if waited {
            return step(ContainerEvent::Close);
        }
    } else if replicas.iter().any(|replica| closes(container, replica)) {
        return step(ContainerEvent::Close);
    } else if replicas.iter().any(|replica| replica.state == ReplicaState::QuasiClosed) {
        return step(ContainerEvent::QuasiClose);
    } else if facts.all_reported && replicas.iter().all(|replica| replica.state == ReplicaState::Unhealthy) {
        let ratis = matches!(container.config, ReplicationConfig::Ratis(_));
        return step(if ratis { ContainerEvent::QuasiClose } else { ContainerEvent::Close });
    }
    if facts.in_state_ms < facts.close_wait_ms {
        return Vec::new();
    }
    let told: BTreeSet<DatanodeId> = match replicas.is_empty() {
        true => facts.members.iter().copied().collect(),
        false => replicas
            .iter()
            .filter(|r| matches!(r.state, ReplicaState::Open | ReplicaState::Closing))
            .map(|r| r.node)
            .collect(),
    };
    let force = !matches!(container.config, ReplicationConfig::Ratis(_));
    told.into_iter().map(|node| Action::CloseReplica { node, force }).collect()
}

/// Whether this CLOSED replica shows that the container is closed.
fn closes(container: &Container, replica: &Replica) -> bool {
    replica.state == ReplicaState::Closed
        && match container.config {
            // Only a replica that has everything: in another one the last writes may be missing.
            ReplicationConfig::Ratis(_) => replica.bcsid == container.sequence,
            // The first data cell is in each stripe, and so is parity.
            ReplicationConfig::Ec(ec) => {
                replica.index.is_some_and(|index| index.position() == 0 || ec.is_parity(index))
            }
            ReplicationConfig::StandAlone(_) => true,
        }
}

fn quasi_closed(facts: &Facts<'_>) -> Vec<Action> {
    let Facts { container, replicas, .. } = facts;
    let settled = writers_settled(facts);
    // Then nothing that was acknowledged lies beyond the newest copy, whatever a writer that is gone had reported.
    let last = match settled {
        true => replicas.iter().filter(|r| is_sealed(r)).map(|r| r.bcsid).max(),
        false => Some(container.sequence),
    };
    if let Some(closed) = replicas.iter().find(|r| r.state == ReplicaState::Closed && Some(r.bcsid) == last) {
        return vec![Action::Step(ContainerEvent::ForceClose, closed.bcsid)];
    }
    let mut actions: Vec<Action> = close_open_ones(replicas, false);
    let of = |state| replicas.iter().filter(move |r: &&Replica| r.state == state);
    let newest = of(ReplicaState::QuasiClosed).map(|r| r.bcsid).max();
    let newest_unhealthy = of(ReplicaState::Unhealthy).map(|r| r.bcsid).max();
    let origins: BTreeSet<DatanodeId> =
        of(ReplicaState::QuasiClosed).chain(of(ReplicaState::Unhealthy)).map(|r| r.origin).collect();
    let wanted = container.config.required_nodes();
    // With every origin heard, the newest copy has all that any of them has.
    if let Some(newest) = newest
        && (origins.len() >= wanted || settled)
        && newest_unhealthy.is_none_or(|unhealthy| unhealthy <= newest)
    {
        let best = of(ReplicaState::QuasiClosed).filter(|r| r.bcsid == newest);
        actions.extend(best.map(|r| Action::CloseReplica { node: r.node, force: true }));
    }
    actions
}

fn is_sealed(replica: &Replica) -> bool {
    matches!(replica.state, ReplicaState::Closed | ReplicaState::QuasiClosed)
}

/// Whether each of those who wrote the container has been heard, its replica sealed or broken, or is dead, and at least
/// one has been heard. A replica is sealed only after its writer has ended the pipeline, so nothing was acknowledged
/// since; and each has everything that was (docs/pipelines.md, 'Why it is safe').
fn writers_settled(facts: &Facts<'_>) -> bool {
    let replicas = facts.replicas;
    let heard = |writer: &DatanodeId| {
        replicas.iter().any(|r| r.origin == *writer && (is_sealed(r) || r.state == ReplicaState::Unhealthy))
    };
    facts.all_reported
        && facts.writers.iter().any(|w| replicas.iter().any(|r| r.origin == *w && is_sealed(r)))
        && facts.writers.iter().all(|writer| heard(writer) || facts.dead_writers.contains(writer))
}

fn closed(facts: &Facts<'_>) -> Vec<Action> {
    let Facts { container, replicas, .. } = facts;
    let mut actions = close_open_ones(replicas, true);
    let late =
        replicas.iter().filter(|r| r.state == ReplicaState::QuasiClosed && r.bcsid == container.sequence);
    actions.extend(late.map(|r| Action::CloseReplica { node: r.node, force: true }));
    actions
}

fn close_open_ones(replicas: &[Replica], force: bool) -> Vec<Action> {
    let open = replicas.iter().filter(|r| matches!(r.state, ReplicaState::Open | ReplicaState::Closing));
    open.map(|r| Action::CloseReplica { node: r.node, force }).collect()
}

fn deleting(facts: &Facts<'_>) -> Vec<Action> {
    if facts.replicas.is_empty() {
        // A node that has not reported yet may hold one: not before all have.
        let settled = facts.all_reported;
        return if settled {
            vec![Action::Step(ContainerEvent::Cleanup, facts.container.sequence)]
        } else {
            Vec::new()
        };
    }
    deleted(facts)
}

/// How long a replica with blocks is kept that looks stale: whoever said that the container is empty may have been wrong.
const STALE_KEPT_MS: u64 = 24 * 3_600_000;

fn deleted(facts: &Facts<'_>) -> Vec<Action> {
    let Facts { container, replicas, .. } = facts;
    let is_empty = |replica: &Replica| replica.empty && replica.keys == 0;
    let holding = || replicas.iter().filter(|r| !is_empty(r) && r.state != ReplicaState::Invalid);
    // One that was away while the blocks were deleted has them still. So many were not away: it was a mistake.
    let mistaken = match container.config {
        ReplicationConfig::Ec(ec) => {
            holding().filter_map(|r| r.index).collect::<BTreeSet<_>>().len() >= ec.data()
        }
        config => holding().count() > config.required_nodes() / 2,
    };
    let mut actions = Vec::new();
    for replica in *replicas {
        let node = replica.node;
        let sealed = matches!(replica.state, ReplicaState::Closed | ReplicaState::QuasiClosed);
        let stale = match container.config {
            ReplicationConfig::Ec(_) => true,
            ReplicationConfig::Ratis(_) => sealed && replica.bcsid <= container.sequence,
            ReplicationConfig::StandAlone(_) => false,
        };
        if is_empty(replica) {
            actions.push(Action::DeleteReplica { node, force: false });
        } else if stale && !mistaken {
            if facts.in_state_ms >= STALE_KEPT_MS {
                actions.push(Action::DeleteReplica { node, force: true });
            }
        } else if replica.state != ReplicaState::Invalid {
            let back = match replica.state {
                ReplicaState::Closed => ContainerEvent::ResurrectClosed,
                _ => ContainerEvent::ResurrectQuasiClosed,
            };
            return vec![Action::Step(back, container.sequence.max(replica.bcsid))];
        }
    }
    actions
}

/// The largest BCSID among the container's own and its healthy replicas'.
fn sequence(facts: &Facts<'_>) -> Bcsid {
    let healthy =
        facts.replicas.iter().filter(|r| !matches!(r.state, ReplicaState::Unhealthy | ReplicaState::Invalid));
    healthy.map(|r| r.bcsid).fold(facts.container.sequence, Bcsid::max)
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
