//! Which of several replicas goes: always the same one for the same facts, and never one whose loss places the rest worse
//! than the loss of another.

use std::collections::BTreeMap;

use allotrope_types::{ContainerId, ReplicaState};

use super::Held;

/// A number drawn from the two names (FNV-1a): whoever chooses, chooses the same.
fn lot(container: ContainerId, held: &Held<'_>) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let start = container.as_u64().to_be_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    held.node().as_bytes().iter().fold(start, step)
}

/// Which of `may_go` goes, where `staying` are all replicas that count, these among them.
///
/// One that is not closed yet first; then one whose rack has the most; then by lot.
pub(super) fn which<'a, 'f>(
    container: ContainerId,
    may_go: &[&'a Held<'f>],
    staying: &[&Held<'_>],
) -> Option<&'a Held<'f>> {
    let mut on: BTreeMap<&str, usize> = BTreeMap::new();
    for held in staying {
        *on.entry(held.rack).or_default() += 1;
    }
    let rank = |held: &Held<'_>| {
        let sealed = matches!(held.replica.state, ReplicaState::Closed | ReplicaState::QuasiClosed);
        let beside = on.get(held.rack).copied().unwrap_or(0);
        (sealed, usize::MAX - beside, lot(container, held))
    };
    may_go.iter().copied().min_by_key(|held| rank(held))
}
