//! The less used of two nodes that chance picked: full nodes get less, and no node gets all.

use allotrope_types::DatanodeId;

use super::Candidate;

pub(super) fn choose(count: usize, mut able: Vec<&Candidate>, rng: &mut fastrand::Rng) -> Vec<DatanodeId> {
    (0..count).filter_map(|_| take(&mut able, rng)).map(|c| c.node).collect()
}

/// Takes the less used of two that chance picks out of `able`; the only one if there is one.
pub(super) fn take<'a>(able: &mut Vec<&'a Candidate>, rng: &mut fastrand::Rng) -> Option<&'a Candidate> {
    if able.is_empty() {
        return None;
    }
    let (a, b) = (rng.usize(..able.len()), rng.usize(..able.len()));
    let less = if able[b].share_used < able[a].share_used { b } else { a };
    Some(able.swap_remove(less))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::tests::candidate;

    #[test]
    fn a_full_node_gets_fewer_containers_than_an_empty_one() {
        let nodes: Vec<Candidate> = (0..10).map(|n| candidate(n * 20, 0)).collect();
        let mut rng = fastrand::Rng::with_seed(3);
        let mut counts = [0; 10];
        for _ in 0..2000 {
            let chosen = choose(1, nodes.iter().collect(), &mut rng);
            counts[usize::from(chosen[0].as_bytes()[0]) / 20] += 1;
        }
        assert!(counts[0] > 3 * counts[9], "{counts:?}");
        assert!(counts[9] > 0, "the fullest is not starved: {counts:?}");
    }
}
