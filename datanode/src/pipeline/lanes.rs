//! Which command waits for which: the order in which a pipeline's commands are carried out.
//!
//! Law     of one block all commands run in the order of their indexes; of one container the PutBlocks do, so that a
//!         container whose BCSID is n has everything below n that it will ever have. What closes or changes a container
//!         runs alone in it. Everything else runs beside each other.
//! Shape   a command takes a [`Turn`] when it gets its index, without waiting; the turn ends when it is dropped.

use allotrope_types::{ContainerId, LocalId};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Blocks of a container, and containers, after which those that nobody waits for are forgotten.
const FORGET_AT: usize = 64;

/// What a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    /// A block's bytes.
    Chunk(LocalId),
    /// A block's list, with or without bytes: the container's BCSID goes up.
    Put(LocalId),
    /// The container.
    All,
}

/// Ends when the command before has ended: its sender is dropped.
type Wait = watch::Receiver<()>;

/// A command's place in the order.
#[derive(Debug)]
pub(super) struct Turn {
    waits: Vec<Wait>,
    /// Dropped with the turn, which lets the next ones run.
    _holds: watch::Sender<()>,
}

impl Turn {
    /// Waits until all that comes before has ended.
    pub(super) async fn come(&mut self) {
        for mut wait in self.waits.drain(..) {
            while wait.changed().await.is_ok() {}
        }
    }
}

/// The order of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    containers: BTreeMap<ContainerId, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    blocks: BTreeMap<LocalId, Wait>,
    put: Option<Wait>,
    alone: Option<Wait>,
}

fn is_over(wait: &Wait) -> bool {
    wait.has_changed().is_err()
}

impl Lane {
    fn tidy(&mut self) {
        self.blocks.retain(|_, wait| !is_over(wait));
        self.put.take_if(|wait| is_over(wait));
        self.alone.take_if(|wait| is_over(wait));
    }

    fn is_idle(&self) -> bool {
        self.blocks.is_empty() && self.put.is_none() && self.alone.is_none()
    }
}

impl Lanes {
    /// The place of a command that comes behind all that came before.
    pub(super) fn enter(&mut self, container: ContainerId, touches: Touches) -> Turn {
        if self.containers.len() >= FORGET_AT {
            self.containers.values_mut().for_each(Lane::tidy);
            self.containers.retain(|_, lane| !lane.is_idle());
        }
        let lane = self.containers.entry(container).or_default();
        if lane.blocks.len() >= FORGET_AT {
            lane.tidy();
        }
        let (holds, me) = watch::channel(());
        let mut waits: Vec<Wait> = lane.alone.iter().cloned().collect();
        match touches {
            Touches::Chunk(block) => waits.extend(lane.blocks.insert(block, me)),
            Touches::Put(block) => {
                waits.extend(lane.blocks.insert(block, me.clone()));
                waits.extend(lane.put.replace(me));
            }
            Touches::All => {
                waits.extend(std::mem::take(&mut lane.blocks).into_values());
                waits.extend(lane.put.take());
                lane.alone = Some(me);
            }
        }
        waits.retain(|wait| !is_over(wait));
        Turn { waits, _holds: holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const C: ContainerId = ContainerId::new(1);

    fn block(id: u64) -> LocalId {
        LocalId::new(id)
    }

    fn may_run(turn: &mut Turn) -> bool {
        turn.waits.retain(|wait| !is_over(wait));
        turn.waits.is_empty()
    }

    #[test]
    fn chunks_of_one_block_queue_and_those_of_two_do_not() {
        let mut lanes = Lanes::default();
        let mut first = lanes.enter(C, Touches::Chunk(block(1)));
        let mut second = lanes.enter(C, Touches::Chunk(block(1)));
        let mut other = lanes.enter(C, Touches::Chunk(block(2)));
        assert!(may_run(&mut first) && !may_run(&mut second) && may_run(&mut other));
        assert!(second.come().now_or_never().is_none());
        drop(first);
        let mut third = lanes.enter(C, Touches::Chunk(block(1)));
        assert!(!may_run(&mut third), "the second has not run");
    }

    #[test]
    fn puts_of_a_container_queue_whatever_their_blocks() {
        let mut lanes = Lanes::default();
        let chunk = lanes.enter(C, Touches::Chunk(block(1)));
        let mut put = lanes.enter(C, Touches::Put(block(1)));
        let mut other = lanes.enter(C, Touches::Put(block(2)));
        let mut elsewhere = lanes.enter(ContainerId::new(2), Touches::Put(block(3)));
        assert!(!may_run(&mut put) && !may_run(&mut other) && may_run(&mut elsewhere));
        drop(chunk);
        assert!(may_run(&mut put) && !may_run(&mut other));
        drop(put);
        assert!(may_run(&mut other));
    }

    #[test]
    fn a_close_waits_for_all_and_all_that_follow_wait_for_it() {
        let mut lanes = Lanes::default();
        let turns = [lanes.enter(C, Touches::Chunk(block(1))), lanes.enter(C, Touches::Put(block(2)))];
        let mut close = lanes.enter(C, Touches::All);
        let mut late = lanes.enter(C, Touches::Chunk(block(3)));
        assert!(!may_run(&mut close) && !may_run(&mut late));
        drop(turns);
        assert!(may_run(&mut close) && !may_run(&mut late));
        drop(close);
        assert!(may_run(&mut late));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut lanes = Lanes::default();
        for id in 0..10_000 {
            drop(lanes.enter(C, Touches::Put(block(id))));
            drop(lanes.enter(ContainerId::new(id), Touches::All));
        }
        assert!(lanes.containers.len() <= FORGET_AT);
        assert!(lanes.containers.values().all(|lane| lane.blocks.len() <= FORGET_AT));
    }
}
