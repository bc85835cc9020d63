//! SCM's copy and reconstruction commands between their arrival and their end: pure.
//!
//! Law     NORMAL before LOW, then in order of arrival; one command about a container at a time, an equal one is turned away
//!         while the first waits or runs; nothing starts after its deadline, on either clock, or once a newer leader has
//!         been heard of.
//! Units   limits count commands; deadlines are SCM's milliseconds since 1970.
//! Source  docs/replication.md; wire facts: scm.md 3.3, 3.5, 3.7 (points 1 to 3).

use allotrope_io::Moment;
use allotrope_proto::edge::heartbeat::{
    CommandKind, ReconstructEcContainersCommand, ReplicateContainerCommand, ReplicationCommandPriority,
};
use allotrope_types::{ContainerId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Which goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Redundancy depends on it.
    Normal,
    /// It only evens out.
    Low,
}

/// Why a command does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Turned {
    /// Its deadline has passed.
    #[error("its deadline has passed")]
    Late,
    /// A newer SCM leader has been heard of.
    #[error("a newer leader has been heard of")]
    StaleTerm,
    /// One about the same container waits or runs.
    #[error("one about this container is under way")]
    Repeated,
    /// Too many wait.
    #[error("too many wait")]
    Full,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A copy from here or to here.
    Replicate(Box<ReplicateContainerCommand>),
    /// Replicas that are computed from others.
    Reconstruct(Box<ReconstructEcContainersCommand>),
}

impl Work {
    /// Its name on the wire.
    pub fn kind(&self) -> CommandKind {
        match self {
            Work::Replicate(_) => CommandKind::ReplicateContainerCommand,
            Work::Reconstruct(_) => CommandKind::ReconstructEcContainersCommand,
        }
    }

    /// The number SCM gave it.
    pub fn cmd_id(&self) -> i64 {
        match self {
            Work::Replicate(replicate) => replicate.cmd_id,
            Work::Reconstruct(reconstruct) => reconstruct.cmd_id,
        }
    }

    fn container(&self) -> ContainerId {
        match self {
            Work::Replicate(replicate) => replicate.container_id,
            Work::Reconstruct(reconstruct) => reconstruct.container_id,
        }
    }

    fn priority(&self) -> Priority {
        match self {
            Work::Replicate(one) if one.priority == Some(ReplicationCommandPriority::Low) => Priority::Low,
            _ => Priority::Normal,
        }
    }
}

/// Whose a command is, and until when it may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// The term of the leader that gave it.
    pub term: Option<Term>,
    /// In milliseconds since 1970, as SCM sends it: 0, and what is before, is none.
    pub deadline_ms: Option<i64>,
}

impl Validity {
    fn deadline_ms(self) -> Option<u64> {
        self.deadline_ms.and_then(|deadline| u64::try_from(deadline).ok()).filter(|at| *at > 0)
    }
}

/// A command, with what its order depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The container it is about.
    pub container: ContainerId,
    /// Which goes first.
    pub priority: Priority,
    /// What is to be done.
    pub work: Work,
    /// Whether it still is.
    pub validity: Validity,
}

impl Wanted {
    /// A command as SCM sent it.
    pub fn new(work: Work, validity: Validity) -> Wanted {
        Wanted { container: work.container(), priority: work.priority(), work, validity }
    }
}

#[derive(Debug)]
struct Waiting {
    wanted: Wanted,
    /// The deadline on the clock that does not jump, from what the wall clock said at arrival.
    expires: Option<Moment>,
}

/// What the queue hands over.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// A command to run; [`Queue::done`] follows.
    Run(Wanted),
    /// A command that will not run.
    Dropped(Wanted, Turned),
}

/// Commands that wait and run.
#[derive(Debug)]
pub struct Queue {
    waiting: BTreeMap<(Priority, u64), Waiting>,
    /// Containers of commands that wait or run.
    known: BTreeSet<ContainerId>,
    /// The types of those that run.
    running: BTreeMap<ContainerId, CommandKind>,
    arrived: u64,
    term: Term,
    waiting_max: usize,
    running_max: usize,
}

impl Queue {
    /// An empty queue in which so many may wait, and of which so many may run at once.
    pub fn new(waiting_max: usize, running_max: usize) -> Queue {
        Queue {
            waiting: BTreeMap::new(),
            known: BTreeSet::new(),
            running: BTreeMap::new(),
            arrived: 0,
            term: Term::default(),
            waiting_max,
            running_max: running_max.max(1),
        }
    }

    /// Changes how many may run at once; those that run go on.
    pub fn set_running_max(&mut self, running_max: usize) {
        self.running_max = running_max.max(1);
    }

    /// Changes how many may wait; those that wait stay.
    pub fn set_waiting_max(&mut self, waiting_max: usize) {
        self.waiting_max = waiting_max;
    }

    /// How many wait, and how many run.
    pub fn len(&self) -> (usize, usize) {
        (self.waiting.len(), self.running.len())
    }

    /// Whether none waits and none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// How many of each type wait or run, for the heartbeat.
    pub fn counts(&self) -> BTreeMap<CommandKind, u32> {
        let mut counts = BTreeMap::new();
        let waiting = self.waiting.values().map(|one| one.wanted.work.kind());
        for kind in waiting.chain(self.running.values().copied()) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// Takes a command in, at `now` on the clock that does not jump and `wall_ms` on the one that may.
    pub fn offer(&mut self, wanted: Wanted, now: Moment, wall_ms: u64) -> Result<(), Turned> {
        let term = wanted.validity.term.unwrap_or(self.term);
        if term < self.term {
            return Err(Turned::StaleTerm);
        }
        self.term = term;
        let expires = match wanted.validity.deadline_ms() {
            None => None,
            Some(deadline) if deadline <= wall_ms => return Err(Turned::Late),
            Some(deadline) => Some(now + Duration::from_millis(deadline - wall_ms)),
        };
        if self.waiting.len() >= self.waiting_max {
            return Err(Turned::Full);
        }
        if !self.known.insert(wanted.container) {
            return Err(Turned::Repeated);
        }
        self.arrived += 1;
        self.waiting.insert((wanted.priority, self.arrived), Waiting { wanted, expires });
        Ok(())
    }

    /// The next command to run or to drop, if there is one and it may run now.
    pub fn next(&mut self, now: Moment, wall_ms: u64) -> Option<Next> {
        if self.running.len() >= self.running_max {
            return None;
        }
        let (_, Waiting { wanted, expires }) = self.waiting.pop_first()?;
        let late = expires.is_some_and(|end| now >= end)
            || wanted.validity.deadline_ms().is_some_and(|deadline| deadline <= wall_ms);
        let stale = wanted.validity.term.is_some_and(|term| term < self.term);
        if late || stale {
            self.known.remove(&wanted.container);
            return Some(Next::Dropped(wanted, if stale { Turned::StaleTerm } else { Turned::Late }));
        }
        self.running.insert(wanted.container, wanted.work.kind());
        Some(Next::Run(wanted))
    }

    /// The command about this container has ended.
    pub fn done(&mut self, container: ContainerId) {
        self.known.remove(&container);
        self.running.remove(&container);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_io::Clock;

    const WALL: u64 = 1_800_000_000_000;

    fn wanted(container: u64, priority: Priority, deadline_in: Option<i64>, term: u64) -> Wanted {
        let replicate = ReplicateContainerCommand {
            container_id: ContainerId::new(container),
            sources: Vec::new(),
            cmd_id: 1,
            target: None,
            priority: (priority == Priority::Low).then_some(ReplicationCommandPriority::Low),
            replica: None,
        };
        let deadline_ms = deadline_in.map(|by| WALL as i64 + by);
        let validity = Validity { term: Some(Term::new(term)), deadline_ms };
        let wanted = Wanted::new(Work::Replicate(Box::new(replicate)), validity);
        assert_eq!((wanted.container, wanted.priority), (ContainerId::new(container), priority));
        wanted
    }

    fn ids(queue: &mut Queue, now: Moment, wall: u64) -> Vec<(u64, Option<Turned>)> {
        std::iter::from_fn(|| queue.next(now, wall))
            .map(|next| match next {
                Next::Run(one) => (one.container.as_u64(), None),
                Next::Dropped(one, why) => (one.container.as_u64(), Some(why)),
            })
            .collect()
    }

    fn now() -> Moment {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(async { Clock::tokio().now() })
    }

    #[test]
    fn what_redundancy_depends_on_goes_first_then_what_came_first() {
        let (mut queue, at) = (Queue::new(10, 10), now());
        for (id, priority) in
            [(1, Priority::Low), (2, Priority::Normal), (3, Priority::Low), (4, Priority::Normal)]
        {
            queue.offer(wanted(id, priority, None, 1), at, WALL).unwrap();
        }
        let order: Vec<u64> = ids(&mut queue, at, WALL).into_iter().map(|(id, _)| id).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn a_limit_holds_and_may_change_while_commands_run() {
        let (mut queue, at) = (Queue::new(3, 2), now());
        for id in 1..=3 {
            queue.offer(wanted(id, Priority::Normal, None, 1), at, WALL).unwrap();
        }
        assert_eq!(queue.offer(wanted(4, Priority::Normal, None, 1), at, WALL), Err(Turned::Full));
        assert_eq!(ids(&mut queue, at, WALL).len(), 2);
        assert_eq!(queue.len(), (1, 2));
        let counts = BTreeMap::from([(CommandKind::ReplicateContainerCommand, 3)]);
        assert_eq!(queue.counts(), counts, "SCM is told of what waits and of what runs");
        queue.set_running_max(3);
        assert_eq!(ids(&mut queue, at, WALL), [(3, None)]);
        queue.set_running_max(1);
        queue.offer(wanted(5, Priority::Normal, None, 1), at, WALL).unwrap();
        queue.done(ContainerId::new(1));
        assert_eq!(queue.next(at, WALL), None);
        queue.done(ContainerId::new(2));
        queue.done(ContainerId::new(3));
        assert_eq!(ids(&mut queue, at, WALL), [(5, None)]);
        queue.set_waiting_max(1);
        queue.offer(wanted(6, Priority::Normal, None, 1), at, WALL).unwrap();
        assert_eq!(queue.offer(wanted(7, Priority::Normal, None, 1), at, WALL), Err(Turned::Full));
    }

    #[test]
    fn a_repeated_command_is_turned_away_until_the_first_has_ended() {
        let (mut queue, at) = (Queue::new(9, 9), now());
        let one = || wanted(7, Priority::Normal, None, 1);
        queue.offer(one(), at, WALL).unwrap();
        assert_eq!(queue.offer(one(), at, WALL), Err(Turned::Repeated));
        ids(&mut queue, at, WALL);
        assert_eq!(queue.offer(one(), at, WALL), Err(Turned::Repeated));
        queue.done(ContainerId::new(7));
        queue.offer(one(), at, WALL).unwrap();
    }

    #[test]
    fn a_command_that_has_waited_beyond_its_deadline_never_runs_whichever_clock_says_so() {
        let at = now();
        let offered = || {
            let mut queue = Queue::new(9, 9);
            queue.offer(wanted(1, Priority::Normal, Some(1000), 1), at, WALL).unwrap();
            queue
        };
        assert_eq!(ids(&mut offered(), at + Duration::from_millis(999), WALL + 999), [(1, None)]);
        let late = [(1, Some(Turned::Late))];
        assert_eq!(ids(&mut offered(), at, WALL + 1000), late);
        // The wall clock was set back.
        assert_eq!(ids(&mut offered(), at + Duration::from_secs(1), WALL - 5000), late);
        let mut queue = Queue::new(9, 9);
        assert_eq!(queue.offer(wanted(1, Priority::Normal, Some(0), 1), at, WALL), Err(Turned::Late));
        // What was dropped may come again.
        let mut queue = offered();
        ids(&mut queue, at, WALL + 1000);
        queue.offer(wanted(1, Priority::Normal, Some(9000), 1), at, WALL).unwrap();
    }

    #[test]
    fn an_old_leaders_commands_are_dropped_once_a_new_one_is_heard_of() {
        let (mut queue, at) = (Queue::new(9, 9), now());
        queue.offer(wanted(1, Priority::Normal, None, 3), at, WALL).unwrap();
        queue.offer(wanted(2, Priority::Low, None, 4), at, WALL).unwrap();
        assert_eq!(queue.offer(wanted(3, Priority::Normal, None, 3), at, WALL), Err(Turned::StaleTerm));
        assert_eq!(ids(&mut queue, at, WALL), [(1, Some(Turned::StaleTerm)), (2, None)]);
    }
}
