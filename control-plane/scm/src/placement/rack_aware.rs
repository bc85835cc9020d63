//! Two racks: the first anywhere, the second beside it, the rest on other racks; where that cannot be, anywhere.

use allotrope_types::DatanodeId;

use super::{Candidate, Wish, capacity};

pub(super) fn choose(wish: &Wish, mut able: Vec<&Candidate>, rng: &mut fastrand::Rng) -> Vec<DatanodeId> {
    let mut racks: Vec<String> = wish.racks_used.clone();
    let mut chosen = Vec::with_capacity(wish.count);
    while chosen.len() < wish.count {
        let beside = match racks.len() {
            0 => None,
            1 => Some(true),
            _ => Some(false),
        };
        let taken = match beside {
            None => capacity::take(&mut able, rng),
            Some(beside) => take_where(&mut able, rng, |c| racks.contains(&c.rack) == beside),
        };
        let Some(taken) = taken else { break };
        racks.push(taken.rack.clone());
        chosen.push(taken.node);
    }
    chosen
}

/// Takes one of those that are wanted, else any.
fn take_where<'a>(
    able: &mut Vec<&'a Candidate>,
    rng: &mut fastrand::Rng,
    wanted: impl Fn(&Candidate) -> bool,
) -> Option<&'a Candidate> {
    let (mut yes, no): (Vec<_>, Vec<_>) = able.iter().copied().partition(|c| wanted(c));
    let from_wanted = !yes.is_empty();
    let mut rest = no;
    let taken = if from_wanted { capacity::take(&mut yes, rng) } else { capacity::take(&mut rest, rng) };
    yes.extend(rest);
    yes.sort_unstable_by_key(|c| c.node);
    *able = yes;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::tests::candidate;

    #[test]
    fn three_replicas_lie_two_and_one() {
        let nodes: Vec<Candidate> = (0..9).map(|n| candidate(n, n / 3)).collect();
        for seed in 0..50 {
            let wish = Wish { count: 3, ..Wish::default() };
            let chosen = choose(&wish, nodes.iter().collect(), &mut fastrand::Rng::with_seed(seed));
            let racks: Vec<u8> = chosen.iter().map(|node| node.as_bytes()[0] / 3).collect();
            assert_eq!(racks[0], racks[1], "{racks:?}");
            assert_ne!(racks[0], racks[2], "{racks:?}");
        }
    }
}
