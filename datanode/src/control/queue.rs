//! SCM's commands between their arrival and their end: a pure queue.
//!
//! Law     nothing runs before a majority of the SCMs know this datanode; from then on a command runs only if no newer
//!         leader has been heard of, its deadline has not passed on either clock, and it was not taken before.
//! Shape   one command at a time for each [`Key`], others beside it; counts by type go into each heartbeat.
//! Errors  what does not run is said in [`Turned`]; SCM asks again if it still wants it.
//! Source  wire facts: scm.md 1.7.

use allotrope_io::Moment;
use allotrope_proto::edge::heartbeat::{CommandKind, ScmCommand, ScmOrder};
use allotrope_types::{ContainerId, Term};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Commands that may wait (`hdds.datanode.command.queue.limit`).
const WAITING_MAX: usize = 5000;
/// Commands that run at once.
const RUNNING_MAX: usize = 16;
/// Commands whose ids are remembered after they were taken.
const SEEN_MAX: usize = 8192;

/// What a command is about: two about the same thing run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A container.
    Container(ContainerId),
    /// All else of one type.
    Kind(CommandKind),
}

/// Why a command is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turned {
    /// A newer SCM leader has been heard of.
    StaleTerm,
    /// Its deadline has passed.
    Late,
    /// It was taken before, or, if it closes a container, waits already.
    Repeated,
    /// Too many wait.
    Full,
}

/// A command's name: its leader's term, its type and its number. Numbers start over with a new SCM process, and that is
/// a new term.
type Id = (Term, CommandKind, i64);

#[derive(Debug)]
struct Waiting {
    command: ScmCommand,
    key: Key,
    /// The deadline on the clock that does not jump, from what the wall clock said at arrival.
    expires: Option<Moment>,
}

/// Commands that wait and run.
#[derive(Debug, Default)]
pub struct Queue {
    scms: usize,
    knowing: BTreeSet<usize>,
    /// The newest term heard of.
    term: Term,
    waiting: VecDeque<Waiting>,
    running: BTreeMap<Key, CommandKind>,
    seen: BTreeSet<Id>,
    seen_order: VecDeque<Id>,
    /// How many commands were turned away, by reason.
    turned: BTreeMap<Turned, u64>,
}

impl Turned {
    /// Its name, as figures and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Turned::StaleTerm => "stale_term",
            Turned::Late => "late",
            Turned::Repeated => "repeated",
            Turned::Full => "queue_full",
        }
    }
}

impl Queue {
    /// An empty queue of a datanode with this many SCMs.
    pub fn new(scms: usize) -> Queue {
        Queue { scms, ..Queue::default() }
    }

    /// SCM number `scm` knows this datanode now, or does not.
    pub fn known_to(&mut self, scm: usize, knows: bool) {
        match knows {
            true => drop(self.knowing.insert(scm)),
            false => drop(self.knowing.remove(&scm)),
        }
    }

    /// How many SCMs know this datanode.
    pub fn knowing(&self) -> usize {
        self.knowing.len()
    }

    /// Whether more than half of the SCMs know this datanode.
    pub fn has_majority(&self) -> bool {
        self.knowing.len() > self.scms / 2
    }

    /// A heartbeat was answered by the leader of this term, or by a follower.
    pub fn heard_term(&mut self, term: Option<Term>) {
        self.term = self.term.max(term.unwrap_or_default());
    }

    /// Takes a command in, at `now` on the clock that does not jump and `wall_ms` on the one that may.
    pub fn push(&mut self, command: ScmCommand, now: Moment, wall_ms: u64) -> Result<(), Turned> {
        self.heard_term(command.term);
        let closes = matches!(command.call, ScmOrder::CloseContainerCommand(_));
        let id = command.call.cmd_id();
        let id = id.map(|id| (command.term.unwrap_or_default(), command.call.kind(), id));
        // Ozone numbers a closing by its container, so that one that is sent again later looks the same.
        let id = id.filter(|_| !closes);
        let expires = match deadline_ms(&command) {
            None => None,
            Some(deadline) if deadline <= wall_ms => return Err(self.turn(Turned::Late)),
            Some(deadline) => Some(now + Duration::from_millis(deadline - wall_ms)),
        };
        let key = key_of(&command.call);
        let waits = closes && self.waiting.iter().any(|one| one.key == key && one.command == command);
        if waits || id.is_some_and(|id| self.seen.contains(&id)) {
            return Err(self.turn(Turned::Repeated));
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(self.turn(Turned::Full));
        }
        if let Some(id) = id {
            self.remember(id);
        }
        self.waiting.push_back(Waiting { command, key, expires });
        Ok(())
    }

    /// The next command to run, in the order of arrival for each key. [`done`](Self::done) follows.
    pub fn next(&mut self, now: Moment, wall_ms: u64) -> Option<(Key, ScmCommand)> {
        if !self.has_majority() || self.running.len() >= RUNNING_MAX {
            return None;
        }
        let mut held: BTreeSet<Key> = self.running.keys().copied().collect();
        let mut at = 0;
        while at < self.waiting.len() {
            let one = &self.waiting[at];
            let late = one.expires.is_some_and(|end| now >= end)
                || deadline_ms(&one.command).is_some_and(|deadline| deadline <= wall_ms);
            let stale = one.command.term.is_some_and(|term| term < self.term);
            if late || stale {
                self.waiting.remove(at);
                self.turn(if stale { Turned::StaleTerm } else { Turned::Late });
                continue;
            }
            if held.insert(one.key) {
                let one = self.waiting.remove(at)?;
                self.running.insert(one.key, one.command.call.kind());
                return Some((one.key, one.command));
            }
            at += 1;
        }
        None
    }

    /// The command of this key has ended.
    pub fn done(&mut self, key: Key) {
        self.running.remove(&key);
    }

    /// How many commands of each type wait or run, for the heartbeat.
    pub fn counts(&self) -> BTreeMap<CommandKind, u32> {
        let mut counts = BTreeMap::new();
        let waiting = self.waiting.iter().map(|one| one.command.call.kind());
        for kind in waiting.chain(self.running.values().copied()) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// How many commands were turned away for `why`.
    pub fn turned(&self, why: Turned) -> u64 {
        self.turned.get(&why).copied().unwrap_or(0)
    }

    /// The newest term heard of.
    pub fn term(&self) -> Term {
        self.term
    }

    fn turn(&mut self, why: Turned) -> Turned {
        *self.turned.entry(why).or_default() += 1;
        why
    }

    fn remember(&mut self, id: Id) {
        self.seen.insert(id);
        self.seen_order.push_back(id);
        // What waits is never forgotten: there is room for more than may wait.
        while self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

/// 0, and what is before 1970, is no deadline.
fn deadline_ms(command: &ScmCommand) -> Option<u64> {
    command.deadline_ms_since_epoch.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0)
}

fn key_of(order: &ScmOrder) -> Key {
    match order {
        ScmOrder::CloseContainerCommand(close) => Key::Container(close.container_id),
        ScmOrder::DeleteContainerCommand(delete) => Key::Container(delete.container_id),
        ScmOrder::ReconcileContainerCommand(reconcile) => Key::Container(reconcile.container_id),
        other => Key::Kind(other.kind()),
    }
}
