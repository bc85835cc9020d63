//! Container reports: from a datanode's message to the replica map.
//!
//! Shape   a full report says all that a node holds: what it lacks is gone. An incremental one says what has changed.
//!         Both return the containers that may have to go on in their lives; reports of one node are applied whole, one
//!         after the other, under SCM's lock.
//! Errors  an entry that cannot be true (a negative id, an EC index outside its scheme) is dropped by name and counted; the
//!         rest of the report stands.
//! Cost    reports of hundreds of thousands of replicas: an entry is moved out of its message, before SCM's lock is taken.
//! Source  wire facts: scm.md 1.6.

use std::collections::BTreeSet;

use allotrope_proto::edge::heartbeat::ContainerReplica;
use allotrope_proto::heartbeat::ContainerReplicaProto;
use allotrope_types::{ByteCount, ContainerId, DatanodeId, ReplicaIndex, ReplicaState, ReplicationConfig};

use super::{Replica, Replicas};
use crate::wire::NotOurs;

/// What a report led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Containers of which something was reported or went away.
    pub touched: BTreeSet<ContainerId>,
    /// Entries that could not be true.
    pub dropped: usize,
}

/// The entries of one report.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    replicas: Vec<ContainerReplica>,
    /// Containers of entries that are malformed, where that much can be read: the node does hold something.
    damaged: Vec<ContainerId>,
    dropped: usize,
}

impl Entries {
    /// Reads what `node` sent.
    pub fn read(node: DatanodeId, entries: Vec<ContainerReplicaProto>) -> Entries {
        let mut read = Entries { replicas: Vec::with_capacity(entries.len()), ..Entries::default() };
        for entry in entries {
            let container = entry.container_id;
            match ContainerReplica::try_from(entry) {
                Ok(replica) => read.replicas.push(replica),
                Err(why) => {
                    let error = &why as &dyn std::error::Error;
                    tracing::warn!(%node, container, error, "an entry of a container report is dropped");
                    read.damaged.extend(ContainerId::try_from(container));
                    read.dropped += 1;
                }
            }
        }
        read
    }
}

/// Looks whether an entry can be true. `config` is the container's, if SCM knows the container.
pub fn read(
    entry: &ContainerReplica,
    node: DatanodeId,
    config: impl FnOnce(ContainerId) -> Option<ReplicationConfig>,
) -> Result<(ContainerId, Replica), NotOurs> {
    let (container, state, index) = (entry.container_id, entry.state, entry.replica.0);
    // The wire's enum stops at DELETED: RECOVERING is no datanode's to report.
    if state == ReplicaState::Recovering {
        let why = format!("{} is no state of a replica", state.number());
        return Err(NotOurs::new("ContainerReplicaProto.state", why));
    }
    match (config(container), index) {
        (Some(ReplicationConfig::Ec(ec)), Some(index)) if ec.has(index) => {}
        (Some(ReplicationConfig::Ec(ec)), index) => {
            let index = index.map_or(0, ReplicaIndex::number);
            return Err(NotOurs::new(
                "ContainerReplicaProto.replicaIndex",
                format!("{index} is outside {ec} of container {container}"),
            ));
        }
        (Some(config), Some(index)) => {
            let index = index.number();
            return Err(NotOurs::new(
                "ContainerReplicaProto.replicaIndex",
                format!("{index} is given for {config} container {container}"),
            ));
        }
        (_, _) => {}
    }
    let origin = match entry.origin_node_id.as_deref() {
        None | Some("") => node,
        Some(text) => text.parse().map_err(|e| NotOurs::new("ContainerReplicaProto.originNodeId", e))?,
    };
    let keys = u64::try_from(entry.key_count.unwrap_or(0))
        .map_err(|_| NotOurs::new("ContainerReplicaProto.keyCount", "it is negative"))?;
    let replica = Replica {
        node,
        state,
        index,
        empty: entry.is_empty.unwrap_or(false),
        bcsid: entry.block_commit_sequence_id.unwrap_or_default(),
        used: entry.used.unwrap_or(ByteCount::ZERO),
        keys,
        origin,
        checksum: entry.data_checksum,
    };
    Ok((container, replica))
}

/// Applies a full report: what `node` held and does not name is gone.
pub fn full(
    replicas: &mut Replicas,
    node: DatanodeId,
    entries: &Entries,
    config: impl Fn(ContainerId) -> Option<ReplicationConfig>,
) -> Applied {
    let mut gone: BTreeSet<ContainerId> = replicas.on(node).collect();
    let mut applied = incremental(replicas, node, entries, config);
    // Also where the entry was dropped: the node does hold something.
    for id in entries.replicas.iter().map(|entry| &entry.container_id).chain(&entries.damaged) {
        gone.remove(id);
    }
    for container in gone {
        replicas.remove(container, node);
        applied.touched.insert(container);
    }
    applied
}

/// Applies an incremental report.
pub fn incremental(
    replicas: &mut Replicas,
    node: DatanodeId,
    entries: &Entries,
    config: impl Fn(ContainerId) -> Option<ReplicationConfig>,
) -> Applied {
    let mut applied = Applied { dropped: entries.dropped, ..Applied::default() };
    for entry in &entries.replicas {
        match read(entry, node, &config) {
            Ok((container, replica)) => {
                if replica.state == ReplicaState::Deleted {
                    replicas.remove(container, node);
                } else {
                    replicas.put(container, replica);
                }
                applied.touched.insert(container);
            }
            Err(why) => {
                tracing::warn!(%node, container = %entry.container_id, %why, "an entry of a container report is dropped");
                applied.dropped += 1;
            }
        }
    }
    applied
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EC: fn(ContainerId) -> Option<ReplicationConfig> = |_| Some("rs-10-4-1024k".parse().unwrap());
    const PLAIN: fn(ContainerId) -> Option<ReplicationConfig> = |_| Some("STANDALONE/ONE".parse().unwrap());
    const UNKNOWN: fn(ContainerId) -> Option<ReplicationConfig> = |_| None;

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_bytes([n; 16])
    }

    fn entries(entries: &[ContainerReplicaProto]) -> Entries {
        Entries::read(node(1), entries.to_vec())
    }

    /// Whether an entry is taken for a container of that config.
    fn is_taken(entry: &ContainerReplicaProto, config: fn(ContainerId) -> Option<ReplicationConfig>) -> bool {
        ContainerReplica::try_from(entry.clone()).is_ok_and(|entry| read(&entry, node(1), config).is_ok())
    }

    fn entry(container_id: i64) -> ContainerReplicaProto {
        ContainerReplicaProto { container_id, state: ReplicaState::Open.number(), ..Default::default() }
    }

    #[test]
    fn entries_that_cannot_be_true_are_dropped_and_the_rest_stands() {
        let with_index =
            |replica_index| ContainerReplicaProto { replica_index: Some(replica_index), ..entry(1) };
        assert!(!is_taken(&entry(i64::MIN), PLAIN), "container 2^63");
        assert!(is_taken(&with_index(14), EC));
        assert!(!is_taken(&with_index(17), EC), "an index of 17 in 10+4");
        assert!(!is_taken(&with_index(0), EC), "no index in an EC container");
        assert!(!is_taken(&with_index(1), PLAIN), "an index without EC");
        assert!(!is_taken(&with_index(33), UNKNOWN));
        assert!(!is_taken(&with_index(-1), UNKNOWN));
        let bad = [
            ContainerReplicaProto { state: 8, ..entry(1) },
            ContainerReplicaProto { used: Some(-1), ..entry(1) },
            ContainerReplicaProto { key_count: Some(-1), ..entry(1) },
            ContainerReplicaProto { origin_node_id: Some("me".into()), ..entry(1) },
            ContainerReplicaProto { block_commit_sequence_id: Some(u64::MAX), ..entry(1) },
        ];
        for bad in &bad {
            assert!(!is_taken(bad, PLAIN), "{bad:?}");
        }
        let mut replicas = Replicas::default();
        let all: Vec<_> = bad.iter().cloned().chain([entry(7)]).collect();
        let applied = incremental(&mut replicas, node(1), &entries(&all), PLAIN);
        assert_eq!((applied.dropped, applied.touched.len(), replicas.len()), (bad.len(), 1, 1));
    }

    #[test]
    fn what_a_full_report_lacks_is_gone() {
        let mut replicas = Replicas::default();
        full(&mut replicas, node(1), &entries(&[entry(1), entry(2), entry(3)]), PLAIN);
        full(&mut replicas, node(2), &entries(&[entry(2)]), PLAIN);
        let applied = full(&mut replicas, node(1), &entries(&[entry(3)]), PLAIN);
        assert_eq!(applied.touched.iter().map(|id| id.as_u64()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(replicas.on(node(1)).map(ContainerId::as_u64).collect::<Vec<_>>(), [3]);
        assert_eq!(replicas.of(ContainerId::new(2)).len(), 1, "the other node's replica stays");
    }

    #[test]
    fn a_damaged_entry_of_a_full_report_does_not_make_its_replica_vanish() {
        let mut replicas = Replicas::default();
        full(&mut replicas, node(1), &entries(&[entry(1)]), PLAIN);
        let damaged = ContainerReplicaProto { used: Some(-7), ..entry(1) };
        full(&mut replicas, node(1), &entries(&[damaged]), PLAIN);
        assert_eq!(replicas.of(ContainerId::new(1)).len(), 1);
    }

    proptest! {
        // However increments were lost, doubled or reordered before it: after a full report the map says what it says.
        #[test]
        fn a_full_report_settles_whatever_came_before(
            before in prop::collection::vec((0..6i64, 1..8i32), 0..20),
            now in prop::collection::btree_set(0..6i64, 0..6),
        ) {
            let mut replicas = Replicas::default();
            for (id, state) in before {
                let change = ContainerReplicaProto { state, ..entry(id) };
                incremental(&mut replicas, node(1), &entries(&[change]), UNKNOWN);
            }
            let named: Vec<_> = now.iter().map(|id| entry(*id)).collect();
            full(&mut replicas, node(1), &entries(&named), UNKNOWN);
            let held: BTreeSet<i64> = replicas.on(node(1)).map(|id| id.to_wire()).collect();
            prop_assert_eq!(held, now);
        }
    }
}
