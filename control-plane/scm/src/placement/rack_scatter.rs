//! As many racks as possible: each replica goes to the rack that has the fewest so far.

use std::collections::BTreeMap;

use allotrope_types::DatanodeId;

use super::{Candidate, Wish, capacity};

pub(super) fn choose(wish: &Wish, able: Vec<&Candidate>, rng: &mut fastrand::Rng) -> Vec<DatanodeId> {
    let mut racks: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in able {
        racks.entry(&candidate.rack).or_default().push(candidate);
    }
    let mut load: BTreeMap<&str, usize> = BTreeMap::new();
    for rack in &wish.racks_used {
        *load.entry(rack).or_default() += 1;
    }
    let mut chosen = Vec::with_capacity(wish.count);
    while chosen.len() < wish.count {
        let on = |rack: &str| load.get(rack).copied().unwrap_or(0);
        let open: Vec<&str> =
            racks.iter().filter(|(_, nodes)| !nodes.is_empty()).map(|(rack, _)| *rack).collect();
        let Some(fewest) = open.iter().map(|rack| on(rack)).min() else { break };
        let emptiest: Vec<&str> = open.into_iter().filter(|rack| on(rack) == fewest).collect();
        let rack = emptiest[rng.usize(..emptiest.len())];
        let taken = racks.get_mut(rack).and_then(|nodes| capacity::take(nodes, rng));
        *load.entry(rack).or_default() += 1;
        chosen.extend(taken.map(|candidate| candidate.node));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::tests::candidate;

    #[test]
    fn racks_that_have_replicas_already_come_last() {
        let nodes: Vec<Candidate> = (0..6).map(|n| candidate(n, n / 2)).collect();
        let racks_used = vec!["/rack-0".to_owned(), "/rack-1".to_owned()];
        for seed in 0..20 {
            let wish = Wish { count: 1, racks_used: racks_used.clone(), ..Wish::default() };
            let chosen = choose(&wish, nodes.iter().collect(), &mut fastrand::Rng::with_seed(seed));
            assert!(chosen[0].as_bytes()[0] >= 4, "{chosen:?}");
        }
    }
}
