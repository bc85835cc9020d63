//! Classes of work: what a client waits for goes first, copying and scrubbing take what is left.
//!
//! Shape   the CPU is shared by queues, one a class, with static shares: glommio's, or those of `back::shares` on the portable
//!         back. The disk is shared by a gate that lets each class have so many operations under way: few while the
//!         foreground is at work, many while it is not. Those few are short ones: a file's reads and writes go on where a
//!         short one ended.
//! Units   shares are relative; the gate counts operations of one shard.
//!
//! Under simulation nothing takes CPU: there is the gate alone.

use crate::clock::{Clock, Moment};
use crate::mesh::Reply;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What work is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Somebody waits for it.
    #[default]
    Foreground,
    /// Copying and rebuilding containers.
    Replication,
    /// Reading everything again to see that it is intact.
    Scrub,
}

impl Class {
    /// The class's part of the CPU, relative to the others.
    pub(crate) const fn shares(self) -> usize {
        match self {
            Class::Foreground => 1000,
            Class::Replication => 250,
            Class::Scrub => 50,
        }
    }

    /// Operations the class may have under way.
    const fn at_once(self, foreground_at_work: bool) -> usize {
        match (self, foreground_at_work) {
            (Class::Foreground, _) => usize::MAX,
            (Class::Replication, true) => 4,
            (Class::Scrub, true) => 1,
            (Class::Replication, false) => 64,
            (Class::Scrub, false) => 16,
        }
    }
}

/// Bytes of one operation of another class while the foreground is at work: a device that is busy with more keeps the
/// foreground's next one waiting for all of it.
const PIECE: usize = 128 << 10;

/// How long after its last operation the foreground still counts as at work.
const QUIET: Duration = Duration::from_millis(10);

/// Lets one shard's disk operations pass, by class.
pub(crate) struct Gate {
    clock: Clock,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    under_way: [usize; 3],
    waiting: [VecDeque<Reply<Passed>>; 3],
    /// Operations of the foreground so far. It reads no clock itself: the others see by this that it was at work.
    foreground: u64,
    /// What `foreground` was when another class last looked, and when it last had changed.
    seen: (u64, Option<Moment>),
}

impl Gate {
    pub(crate) fn new(clock: Clock) -> Rc<Gate> {
        Rc::new(Gate { clock, state: RefCell::default() })
    }

    /// How much of an operation of `len` bytes the class may start at once; what is left is another operation, with a turn
    /// of its own.
    pub(crate) fn piece(&self, class: Class, len: usize) -> usize {
        match class {
            Class::Foreground => len,
            _ if self.state.borrow_mut().at_work(self.clock.now()) => len.min(PIECE),
            _ => len,
        }
    }

    /// Waits for the class's turn. The foreground never waits.
    pub(crate) async fn pass(self: &Rc<Self>, class: Class) -> Passed {
        let n = class as usize;
        let answer = {
            let mut state = self.state.borrow_mut();
            let at_once = match class {
                Class::Foreground => usize::MAX,
                _ => class.at_once(state.at_work(self.clock.now())),
            };
            if state.waiting[n].is_empty() && state.under_way[n] < at_once {
                state.under_way[n] += 1;
                None
            } else {
                let (reply, answer) = Reply::new();
                state.waiting[n].push_back(reply);
                Some(answer)
            }
        };
        match answer {
            // The one who lets it pass has counted it. A gate that is gone lets everybody pass.
            Some(answer) => answer.await.unwrap_or(Passed { gate: None, class }),
            None => Passed { gate: Some(self.clone()), class },
        }
    }
}

impl State {
    fn at_work(&mut self, now: Moment) -> bool {
        if self.under_way[0] > 0 || self.foreground != self.seen.0 {
            self.seen = (self.foreground, Some(now));
        }
        self.seen.1.is_some_and(|last| now.since(last) < QUIET)
    }
}

/// One operation under way; dropping it ends it and lets the next pass.
pub(crate) struct Passed {
    gate: Option<Rc<Gate>>,
    class: Class,
}

impl Drop for Passed {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        let mut state = gate.state.borrow_mut();
        let n = self.class as usize;
        state.under_way[n] -= 1;
        if self.class == Class::Foreground {
            state.foreground += 1;
            return;
        }
        // There is always one of a waiting class under way, so this is where its next ones are let in.
        let at_once = self.class.at_once(state.at_work(gate.clock.now()));
        let mut let_in = Vec::new();
        while state.under_way[n] < at_once {
            let Some(next) = state.waiting[n].pop_front() else { break };
            if !next.is_abandoned() {
                state.under_way[n] += 1;
                let_in.push(next);
            }
        }
        drop(state);
        for next in let_in {
            // If it has left in between, its pass is dropped here and lets in another.
            next.send(Passed { gate: Some(gate.clone()), class: self.class });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Sim, SimConfig};
    use futures_util::FutureExt;

    #[test]
    fn an_operation_is_cut_into_pieces_only_while_the_foreground_works_and_is_not_its_own() {
        let sim = Sim::new(SimConfig::seeded(1, 1));
        let gate = Gate::new(sim.clock());
        assert_eq!(gate.piece(Class::Scrub, 1 << 20), 1 << 20, "nobody waits");
        let client = gate.pass(Class::Foreground).now_or_never().expect("the foreground never waits");
        assert_eq!(gate.piece(Class::Foreground, 1 << 20), 1 << 20);
        assert_eq!(gate.piece(Class::Scrub, 1 << 20), PIECE);
        assert_eq!(gate.piece(Class::Replication, 5000), 5000);
        drop(client);
        assert_eq!(gate.piece(Class::Replication, 1 << 20), PIECE, "it was at work a moment ago");
        sim.run_for(QUIET);
        assert_eq!(gate.piece(Class::Replication, 1 << 20), 1 << 20, "it rests");
    }

    #[test]
    fn a_scrub_has_one_operation_while_the_foreground_works_and_many_when_it_rests() {
        let sim = Sim::new(SimConfig::seeded(1, 1));
        let gate = Gate::new(sim.clock());
        let client = gate.pass(Class::Foreground).now_or_never().expect("the foreground never waits");
        let scrub = gate.pass(Class::Scrub).now_or_never().expect("one is always let in");
        let mut next: Vec<_> = (0..20).map(|_| Box::pin(gate.pass(Class::Scrub))).collect();
        assert!(next.iter_mut().all(|pass| pass.now_or_never().is_none()));
        let copies = (0..6).filter_map(|_| gate.pass(Class::Replication).now_or_never()).collect::<Vec<_>>();
        assert_eq!(copies.len(), 4);
        drop(client);
        drop(scrub);
        let scrub = (&mut next[0]).now_or_never().expect("the one place is free again");
        assert!((&mut next[1]).now_or_never().is_none(), "the foreground was at work a moment ago");
        sim.run_for(QUIET);
        drop(next.remove(3)); // a wait that was given up keeps no place
        drop(scrub);
        let passed: Vec<_> = next.iter_mut().skip(1).filter_map(|pass| pass.now_or_never()).collect();
        assert_eq!(passed.len(), 16);
        drop(passed);
        assert_eq!(
            gate.state.borrow().under_way[2],
            2,
            "the last two were let in, and nobody has looked yet"
        );
        drop(next);
        assert_eq!(gate.state.borrow().under_way[2], 0, "a pass that nobody took is given back");
    }
}
