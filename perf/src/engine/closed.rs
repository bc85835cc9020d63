//! The closed loop: an operation begins when one has ended.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::turn::Turn;

/// Keeps `at_once` operations going until no number is left. Nothing was due that has not begun: 0.
///
/// Cancel safety: dropped early, operations in flight are given up.
pub(super) async fn run(turn: &Arc<Turn>, at_once: usize) -> u64 {
    let mut loops = JoinSet::new();
    for _ in 0..at_once.max(1) {
        let turn = turn.clone();
        loops.spawn(async move {
            while let Some(number) = turn.next_number() {
                turn.operate(number, Instant::now()).await;
            }
        });
    }
    loops.join_all().await;
    0
}
