//! Any nodes, each as likely as another.

use allotrope_types::DatanodeId;

use super::Candidate;

pub(super) fn choose(count: usize, mut able: Vec<&Candidate>, rng: &mut fastrand::Rng) -> Vec<DatanodeId> {
    rng.shuffle(&mut able);
    able.into_iter().take(count).map(|c| c.node).collect()
}
