//! The replica map: which datanode holds which container, in which state, as last reported.
//!
//! Owns    both directions: replicas by container, containers by node. In memory only; reports rebuild it.
//! Units   a replica costs 72 bytes and its two places in the maps.
//! Law     the two directions never disagree; `remove_node` leaves nothing of a node.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{Bcsid, ByteCount, ContainerId, DatanodeId, ReplicaIndex, ReplicaState};

/// One replica, as its datanode last reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Who holds it.
    pub node: DatanodeId,
    /// Its state there.
    pub state: ReplicaState,
    /// Which part of an EC group it is.
    pub index: Option<ReplicaIndex>,
    /// Whether the node says that it holds no block.
    pub empty: bool,
    /// Its newest write, where a Raft log numbers them.
    pub bcsid: Bcsid,
    /// Bytes of its blocks.
    pub used: ByteCount,
    /// Its blocks.
    pub keys: u64,
    /// The node on which this copy was first written; copies of it keep the name.
    pub origin: DatanodeId,
    /// The checksum of its contents, if the node has computed one.
    pub checksum: Option<i64>,
}

/// All replicas known.
#[derive(Debug, Default)]
pub struct Replicas {
    by_container: BTreeMap<ContainerId, Vec<Replica>>,
    by_node: BTreeMap<DatanodeId, BTreeSet<ContainerId>>,
}

impl Replicas {
    /// The replicas of `container`, one a node, by node.
    pub fn of(&self, container: ContainerId) -> &[Replica] {
        self.by_container.get(&container).map_or(&[], Vec::as_slice)
    }

    /// The containers of which `node` holds a replica.
    pub fn on(&self, node: DatanodeId) -> impl Iterator<Item = ContainerId> {
        self.by_node.get(&node).into_iter().flatten().copied()
    }

    /// How many replicas `node` holds.
    pub fn count_on(&self, node: DatanodeId) -> usize {
        self.by_node.get(&node).map_or(0, BTreeSet::len)
    }

    /// How many replicas there are.
    pub fn len(&self) -> usize {
        self.by_node.values().map(BTreeSet::len).sum()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_container.is_empty()
    }

    /// Notes a replica, in place of what its node reported of that container before. True if it is new there.
    pub fn put(&mut self, container: ContainerId, replica: Replica) -> bool {
        let new = self.by_node.entry(replica.node).or_default().insert(container);
        let replicas = self.by_container.entry(container).or_default();
        match replicas.binary_search_by_key(&replica.node, |r| r.node) {
            Ok(at) => replicas[at] = replica,
            Err(at) => {
                replicas.reserve_exact(1);
                replicas.insert(at, replica);
            }
        }
        new
    }

    /// Forgets the replica of `container` on `node`; true if there was one.
    pub fn remove(&mut self, container: ContainerId, node: DatanodeId) -> bool {
        let Some(held) = self.by_node.get_mut(&node) else { return false };
        let known = held.remove(&container);
        if held.is_empty() {
            self.by_node.remove(&node);
        }
        if let Some(replicas) = self.by_container.get_mut(&container) {
            replicas.retain(|replica| replica.node != node);
            if replicas.is_empty() {
                self.by_container.remove(&container);
            }
        }
        known
    }

    /// Forgets all that `node` holds; returns which containers that were.
    pub fn remove_node(&mut self, node: DatanodeId) -> Vec<ContainerId> {
        let held: Vec<ContainerId> = self.on(node).collect();
        for container in &held {
            self.remove(*container, node);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replica(node: u8) -> Replica {
        Replica {
            node: DatanodeId::from_bytes([node; 16]),
            state: ReplicaState::Open,
            index: None,
            empty: false,
            bcsid: Bcsid::new(0),
            used: ByteCount::ZERO,
            keys: 0,
            origin: DatanodeId::from_bytes([node; 16]),
            checksum: None,
        }
    }

    proptest! {
        #[test]
        fn the_two_directions_never_disagree(steps in prop::collection::vec((0..3u8, 0..5u64, 0..4u8), 0..60)) {
            let mut map = Replicas::default();
            let mut model = BTreeSet::new();
            for (what, container, node) in steps {
                let (id, who) = (ContainerId::new(container), DatanodeId::from_bytes([node; 16]));
                match what {
                    0 => prop_assert_eq!(map.put(id, replica(node)), model.insert((container, node))),
                    1 => prop_assert_eq!(map.remove(id, who), model.remove(&(container, node))),
                    _ => {
                        map.remove_node(who);
                        model.retain(|(_, n)| *n != node);
                    }
                }
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert_eq!(map.is_empty(), model.is_empty());
            for container in 0..5 {
                let nodes: Vec<u8> = map.of(ContainerId::new(container)).iter().map(|r| r.node.as_bytes()[0]).collect();
                let wanted: Vec<u8> = model.iter().filter(|(c, _)| *c == container).map(|(_, n)| *n).collect();
                prop_assert_eq!(nodes, wanted);
            }
            for node in 0..4u8 {
                let held: Vec<u64> = map.on(DatanodeId::from_bytes([node; 16])).map(ContainerId::as_u64).collect();
                let wanted: Vec<u64> = model.iter().filter(|(_, n)| *n == node).map(|(c, _)| *c).collect();
                prop_assert_eq!(map.count_on(DatanodeId::from_bytes([node; 16])), held.len());
                prop_assert_eq!(held, wanted);
            }
        }
    }

    #[test]
    fn a_replica_is_small() {
        assert!(size_of::<Replica>() <= 96, "{}", size_of::<Replica>());
    }
}
