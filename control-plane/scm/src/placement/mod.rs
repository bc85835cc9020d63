//! Placement: which nodes shall hold a new container's replicas.
//!
//! Shape   pure functions from [`Candidate`]s, a [`Wish`] and a seeded generator to distinct nodes, in replica order.
//! Law     never two replicas on one node; the same seed and facts give the same nodes.
//! Errors  [`NotEnough`] says how many nodes were there and what kept the others out.
//! Source  wire facts: scm.md 2.8.

mod capacity;
mod rack_aware;
mod rack_scatter;
mod random;

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::DatanodeId;

/// A node that may take a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Who.
    pub node: DatanodeId,
    /// Where it stands.
    pub rack: String,
    /// How many more containers it has room for.
    pub slots: u64,
    /// Used of capacity, 0 to 1.
    pub share_used: f64,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// How many nodes.
    pub count: usize,
    /// Racks of the replicas that exist already, one entry a replica.
    pub racks_used: Vec<String>,
    /// Nodes that shall not be chosen (they hold a replica, or the client had trouble with them).
    pub excluded: BTreeSet<DatanodeId>,
}

/// How nodes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Any, each as likely (`SCMContainerPlacementRandom`).
    Random,
    /// The less used of two that chance picked (`SCMContainerPlacementCapacity`).
    Capacity,
    /// Two racks: two replicas on one, the rest elsewhere (`SCMContainerPlacementRackAware`).
    RackAware,
    /// As many racks as possible (`SCMContainerPlacementRackScatter`).
    RackScatter,
}

/// Too few nodes can take a replica.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} datanodes are needed and {found} can take a container ({registered} healthy and in service, {excluded} of \
     them excluded, {full} without room)"
)]
pub struct NotEnough {
    /// How many were wanted.
    pub wanted: usize,
    /// How many could take one.
    pub found: usize,
    /// How many are healthy and in service.
    pub registered: usize,
    /// How many of these the request excludes.
    pub excluded: usize,
    /// How many of the rest have no room for a container.
    pub full: usize,
}

impl Policy {
    /// Chooses `wish.count` nodes among `candidates`.
    pub fn choose(
        self,
        wish: &Wish,
        candidates: &[Candidate],
        rng: &mut fastrand::Rng,
    ) -> Result<Vec<DatanodeId>, NotEnough> {
        let mut distinct = BTreeSet::new();
        let all: Vec<&Candidate> = candidates.iter().filter(|c| distinct.insert(c.node)).collect();
        let (out, within): (Vec<&Candidate>, Vec<&Candidate>) =
            all.iter().partition(|c| wish.excluded.contains(&c.node));
        let mut able: Vec<&Candidate> = within.iter().copied().filter(|c| c.slots > 0).collect();
        if able.len() < wish.count {
            return Err(NotEnough {
                wanted: wish.count,
                found: able.len(),
                registered: all.len(),
                excluded: out.len(),
                full: within.len() - able.len(),
            });
        }
        able.sort_unstable_by_key(|c| c.node);
        Ok(match self {
            Policy::Random => random::choose(wish.count, able, rng),
            Policy::Capacity => capacity::choose(wish.count, able, rng),
            Policy::RackAware => rack_aware::choose(wish, able, rng),
            Policy::RackScatter => rack_scatter::choose(wish, able, rng),
        })
    }
}

/// Whether replicas on these racks are spread as `RackScatter` would, over a cluster with `racks_all` racks.
///
/// More replicas than needed are no fault of the spread.
pub fn is_scattered(racks_of_replicas: &[&str], replicas_wanted: usize, racks_all: usize) -> bool {
    if racks_all <= 1 || racks_of_replicas.is_empty() {
        return true;
    }
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    for rack in racks_of_replicas {
        *on.entry(rack).or_default() += 1;
    }
    let surplus = racks_of_replicas.len().saturating_sub(replicas_wanted);
    let on_one_max = replicas_wanted.div_ceil(racks_all) + surplus;
    let racks_wanted = racks_all.min(replicas_wanted).min(racks_of_replicas.len());
    on.len() >= racks_wanted && on.values().all(|count| *count <= on_one_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn candidate(n: u8, rack: u8) -> Candidate {
        let node = DatanodeId::from_bytes([n; 16]);
        Candidate { node, rack: format!("/rack-{rack}"), slots: 1, share_used: f64::from(n) / 256.0 }
    }

    fn racks(chosen: &[DatanodeId], candidates: &[Candidate]) -> BTreeMap<String, usize> {
        let mut on = BTreeMap::new();
        for node in chosen {
            let at = candidates.iter().find(|c| c.node == *node).unwrap();
            *on.entry(at.rack.clone()).or_default() += 1;
        }
        on
    }

    fn world() -> impl Strategy<Value = (Vec<Candidate>, usize, u64)> {
        (prop::collection::btree_map(any::<u8>(), 0..5u8, 1..24), any::<u64>()).prop_flat_map(
            |(nodes, seed)| {
                let candidates: Vec<Candidate> = nodes.iter().map(|(n, rack)| candidate(*n, *rack)).collect();
                let most = candidates.len();
                (Just(candidates), 0..=most, Just(seed))
            },
        )
    }

    const ALL: [Policy; 4] = [Policy::Random, Policy::Capacity, Policy::RackAware, Policy::RackScatter];

    proptest! {
        #[test]
        fn no_policy_puts_two_replicas_on_one_node_and_a_seed_repeats((candidates, count, seed) in world()) {
            for policy in ALL {
                let wish = Wish { count, ..Wish::default() };
                let choose = || policy.choose(&wish, &candidates, &mut fastrand::Rng::with_seed(seed)).unwrap();
                let chosen = choose();
                prop_assert_eq!(chosen.len(), count);
                prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), count, "{:?}", policy);
                prop_assert_eq!(chosen, choose());
            }
        }

        #[test]
        fn excluded_and_full_nodes_are_never_chosen((candidates, count, seed) in world()) {
            for policy in ALL {
                let mut candidates = candidates.clone();
                for candidate in candidates.iter_mut().step_by(3) {
                    candidate.slots = 0;
                }
                let excluded: BTreeSet<DatanodeId> = candidates.iter().skip(1).step_by(3).map(|c| c.node).collect();
                let wish = Wish { count, excluded: excluded.clone(), ..Wish::default() };
                match policy.choose(&wish, &candidates, &mut fastrand::Rng::with_seed(seed)) {
                    Ok(chosen) => {
                        for node in chosen {
                            prop_assert!(!excluded.contains(&node));
                            prop_assert!(candidates.iter().any(|c| c.node == node && c.slots > 0));
                        }
                    }
                    Err(few) => {
                        prop_assert!(few.found < count);
                        prop_assert_eq!(few.registered, candidates.len());
                        prop_assert_eq!(few.found + few.excluded + few.full, few.registered);
                    }
                }
            }
        }

        #[test]
        fn scatter_uses_as_many_racks_as_possible_and_none_more_than_it_must((candidates, count, seed) in world()) {
            let wish = Wish { count, ..Wish::default() };
            let mut rng = fastrand::Rng::with_seed(seed);
            let chosen = Policy::RackScatter.choose(&wish, &candidates, &mut rng).unwrap();
            let on = racks(&chosen, &candidates);
            let sizes = racks(&candidates.iter().map(|c| c.node).collect::<Vec<_>>(), &candidates);
            prop_assert_eq!(on.len(), sizes.len().min(count));
            // A rack has two more than another only where the other has no further node.
            for (fuller, many) in &on {
                for (rack, size) in &sizes {
                    let few = on.get(rack).copied().unwrap_or(0);
                    prop_assert!(*many <= few + 1 || few == *size, "{} has {}, {} has {}", fuller, many, rack, few);
                }
            }
        }

        #[test]
        fn rack_aware_uses_two_racks_where_there_are_two((candidates, count, seed) in world()) {
            let wish = Wish { count, ..Wish::default() };
            let mut rng = fastrand::Rng::with_seed(seed);
            let chosen = Policy::RackAware.choose(&wish, &candidates, &mut rng).unwrap();
            let sizes = racks(&candidates.iter().map(|c| c.node).collect::<Vec<_>>(), &candidates);
            if count >= 3 && sizes.len() >= 2 {
                prop_assert!(racks(&chosen, &candidates).len() >= 2);
            }
        }
    }

    #[test]
    fn too_few_nodes_are_counted_by_what_keeps_them_out() {
        let mut candidates: Vec<Candidate> = (0..5).map(|n| candidate(n, n)).collect();
        candidates[0].slots = 0;
        let excluded = BTreeSet::from([candidates[1].node]);
        let wish = Wish { count: 5, excluded, ..Wish::default() };
        let few = Policy::Random.choose(&wish, &candidates, &mut fastrand::Rng::with_seed(1)).unwrap_err();
        assert_eq!(
            few.to_string(),
            "5 datanodes are needed and 3 can take a container (5 healthy and in service, 1 of them excluded, 1 without \
             room)"
        );
        assert!(Policy::Random.choose(&wish, &[], &mut fastrand::Rng::with_seed(1)).is_err());
    }

    #[test]
    fn a_spread_is_judged_without_blaming_surplus_replicas() {
        assert!(is_scattered(&["a", "b", "c"], 3, 3));
        assert!(!is_scattered(&["a", "a", "b"], 3, 3));
        assert!(is_scattered(&["a", "a", "b"], 3, 2));
        assert!(is_scattered(&["a", "a", "b", "c"], 3, 3), "one too many");
        assert!(is_scattered(&["a", "a", "a"], 3, 1));
        assert!(is_scattered(&["a"], 3, 0), "an empty topology");
        assert!(!is_scattered(&["a", "a"], 5, 5));
    }
}
