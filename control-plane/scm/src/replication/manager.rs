//! What the replication manager remembers between two looks: what has changed, what ails which container, who waits.
//!
//! Shape   a container is `changed` until it is checked, then `queued` by its weight if it wants something, then planned.
//!         What could not be ordered is looked at again `later`, or at once when a datanode comes.
//! Units   times are milliseconds of the clock that only runs forward.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{ContainerId, DatanodeId};

use super::pending::Pending;
use super::plan::Short;
use super::{Condition, Verdict};

/// What ails a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ill {
    /// What it is.
    pub conditions: Vec<Condition>,
    /// Why it is not mended yet, if something is in the way.
    pub why: Option<Short>,
}

/// How long a container that could not be mended waits, at first and at most.
const WAIT_MS: u64 = 2_000;
const WAIT_MS_MAX: u64 = 300_000;
/// How long a datanode that failed to take a replica is not asked to take that one.
const REFUSED_MS: u64 = 60_000;

/// The replication manager's memory.
#[derive(Debug)]
pub struct Manager {
    /// Whether an administrator lets it run.
    pub on: bool,
    /// What is under way.
    pub pending: Pending,
    /// Since when this SCM leads and is out of safe mode, as far as has been seen; `None` while it does not or is not.
    ready_since_ms: Option<u64>,
    /// Whether it has begun: what changes before that is seen by the first walk.
    begun: bool,
    changed: BTreeSet<ContainerId>,
    queue: BTreeSet<(u32, ContainerId)>,
    weights: BTreeMap<ContainerId, u32>,
    later: BTreeSet<(u64, ContainerId)>,
    /// How often each has failed since it last got on.
    tries: BTreeMap<ContainerId, u32>,
    refused: BTreeMap<(ContainerId, DatanodeId), u64>,
    ills: BTreeMap<ContainerId, Ill>,
    counts: [usize; Condition::ALL.len()],
    /// Where the walk over all containers goes on; `None` when none is under way.
    pub(crate) walk_from: Option<ContainerId>,
    /// When the last walk ended, or began if none has.
    pub(crate) walked_at_ms: Option<u64>,
    /// When the last walk ended, in ms since 1970.
    pub(crate) walked_unix_ms: u64,
}

impl Default for Manager {
    fn default() -> Manager {
        Manager {
            on: true,
            pending: Pending::default(),
            ready_since_ms: None,
            begun: false,
            changed: BTreeSet::new(),
            queue: BTreeSet::new(),
            weights: BTreeMap::new(),
            later: BTreeSet::new(),
            tries: BTreeMap::new(),
            refused: BTreeMap::new(),
            ills: BTreeMap::new(),
            counts: [0; Condition::ALL.len()],
            walk_from: None,
            walked_at_ms: None,
            walked_unix_ms: 0,
        }
    }
}

impl Manager {
    /// Forgets all but whether it may run: leadership has changed.
    pub fn forget(&mut self) {
        *self = Manager { on: self.on, ..Manager::default() };
    }

    /// This SCM leads and is out of safe mode. Whether that has been so for `wait_ms`, so that repairs may begin.
    pub fn is_ready(&mut self, now_ms: u64, wait_ms: u64) -> bool {
        let since_ms = *self.ready_since_ms.get_or_insert(now_ms);
        let ready = self.on && now_ms.saturating_sub(since_ms) >= wait_ms;
        self.begun |= ready;
        ready
    }

    /// Whether it has begun to repair.
    pub fn collects(&self) -> bool {
        self.begun
    }

    /// Something about the container has changed. False if it has not begun yet, or knows that already.
    pub fn changed(&mut self, container: ContainerId) -> bool {
        self.begun && self.changed.insert(container)
    }

    /// A datanode can take replicas that could not before: what waits for one is looked at again.
    pub fn wake(&mut self) {
        let waiting = std::mem::take(&mut self.later);
        self.changed.extend(waiting.into_iter().map(|(_, container)| container));
    }

    /// Whether something waits to be checked or ordered at `now_ms`.
    pub fn has_work(&self, now_ms: u64) -> bool {
        let due = self.later.first().is_some_and(|(at, _)| *at <= now_ms);
        !self.changed.is_empty() || !self.queue.is_empty() || due || self.walk_from.is_some()
    }

    /// The containers to check now, `max` of them at most.
    pub fn take_changed(&mut self, now_ms: u64, max: usize) -> Vec<ContainerId> {
        while let Some((at, container)) = self.later.first().copied()
            && at <= now_ms
        {
            self.later.pop_first();
            self.changed.insert(container);
        }
        let mut taken = Vec::with_capacity(self.changed.len().min(max));
        while taken.len() < max
            && let Some(container) = self.changed.pop_first()
        {
            taken.push(container);
        }
        taken
    }

    /// The container was checked: what ails it is noted, and it is queued if it wants something.
    pub fn checked(&mut self, container: ContainerId, verdict: &Verdict) {
        self.note(container, &verdict.conditions);
        if let Some(weight) = self.weights.remove(&container) {
            self.queue.remove(&(weight, container));
        }
        if verdict.conditions.is_empty() {
            self.tries.remove(&container);
        }
        if !verdict.wants.is_empty() {
            let weight = verdict.weight();
            self.weights.insert(container, weight);
            self.queue.insert((weight, container));
        }
    }

    fn note(&mut self, container: ContainerId, conditions: &[Condition]) {
        let before = self.ills.get(&container);
        if before.map_or(&[][..], |ill| ill.conditions.as_slice()) == conditions {
            return;
        }
        for condition in before.iter().flat_map(|ill| &ill.conditions) {
            self.counts[*condition as usize] -= 1;
        }
        for condition in conditions {
            self.counts[*condition as usize] += 1;
        }
        match conditions.is_empty() {
            true => self.ills.remove(&container),
            false => self.ills.insert(container, Ill { conditions: conditions.to_vec(), why: None }),
        };
    }

    /// The next container to plan for: the one that bears the fewest losses.
    pub fn take_queued(&mut self) -> Option<ContainerId> {
        let (_, container) = self.queue.pop_first()?;
        self.weights.remove(&container);
        Some(container)
    }

    /// The container was planned for. What is short is tried again later, each time after a longer wait, if it is not only a
    /// question of turns. True if nothing can be done, and could when it was last planned for.
    pub fn planned(&mut self, container: ContainerId, short: Option<Short>, now_ms: u64) -> bool {
        let stops = |short: &Short| *short != Short::Busy;
        // The reason stays noted while the container's conditions are what they were.
        let known = self.ills.get(&container).and_then(|ill| ill.why.as_ref()).is_some_and(stops);
        let news = short.as_ref().is_some_and(stops) && !known;
        match &short {
            None => {}
            Some(Short::Busy) => self.again(container, now_ms + WAIT_MS / 2),
            Some(_) => self.wait(container, now_ms),
        }
        if let Some(ill) = self.ills.get_mut(&container) {
            ill.why = short;
        }
        news
    }

    fn again(&mut self, container: ContainerId, at_ms: u64) {
        self.later.insert((at_ms, container));
    }

    fn wait(&mut self, container: ContainerId, now_ms: u64) {
        let tries = self.tries.entry(container).or_default();
        let wait_ms = (WAIT_MS << (*tries).min(16)).min(WAIT_MS_MAX);
        *tries += 1;
        self.again(container, now_ms.saturating_add(wait_ms));
    }

    /// A datanode says that it could not carry out a command: the container waits a while, and the targets that failed are
    /// left out for longer.
    pub fn failed(&mut self, command: i64, now_ms: u64) -> Option<ContainerId> {
        let (container, targets) = self.pending.failed(command)?;
        for target in targets {
            self.refused.insert((container, target), now_ms + REFUSED_MS);
        }
        self.wait(container, now_ms);
        Some(container)
    }

    /// Whether `node` has just failed to take a replica of the container.
    pub fn has_refused(&self, container: ContainerId, node: DatanodeId, now_ms: u64) -> bool {
        self.refused.get(&(container, node)).is_some_and(|until| *until > now_ms)
    }

    /// Forgets refusals that are old.
    pub fn prune(&mut self, now_ms: u64) {
        self.refused.retain(|_, until| *until > now_ms);
    }

    /// How many containers have that condition.
    pub fn count(&self, condition: Condition) -> usize {
        self.counts[condition as usize]
    }

    /// What ails that container.
    pub fn ill(&self, container: ContainerId) -> Option<&Ill> {
        self.ills.get(&container)
    }

    /// All containers that something ails.
    pub fn ills(&self) -> impl Iterator<Item = (ContainerId, &Ill)> {
        self.ills.iter().map(|(id, ill)| (*id, ill))
    }

    /// How many containers wait to be checked, and how many wait for orders.
    pub fn waiting(&self) -> (usize, usize) {
        (self.changed.len(), self.queue.len() + self.later.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::NotEnough;
    use crate::replication::Want;
    use allotrope_types::ReplicaIndex;

    fn id(n: u64) -> ContainerId {
        ContainerId::new(n)
    }

    fn lost(redundancy: usize) -> Verdict {
        let wants = vec![Want::Rebuild(vec![ReplicaIndex::new(1).unwrap()])];
        Verdict { conditions: vec![Condition::UnderReplicated], wants, redundancy, ..Verdict::default() }
    }

    #[test]
    fn what_bears_the_fewest_losses_comes_first() {
        let mut manager = Manager::default();
        manager.checked(id(1), &lost(2));
        manager.checked(id(2), &lost(0));
        manager.checked(id(3), &Verdict { only_leaving: true, ..lost(0) });
        manager.checked(id(4), &lost(1));
        manager.checked(id(1), &lost(1)); // it has lost another one
        let order: Vec<u64> = std::iter::from_fn(|| manager.take_queued()).map(ContainerId::as_u64).collect();
        assert_eq!(order, [2, 1, 4, 3]);
        assert_eq!(manager.count(Condition::UnderReplicated), 4);
        manager.checked(id(2), &Verdict::default());
        assert_eq!((manager.count(Condition::UnderReplicated), manager.ill(id(2))), (3, None));
    }

    #[test]
    fn what_has_no_target_waits_longer_each_time_and_is_woken_by_a_new_datanode() {
        let mut manager = Manager::default();
        let few = NotEnough { wanted: 1, found: 0, registered: 5, excluded: 5, full: 0 };
        manager.checked(id(1), &lost(1));
        let mut now_ms = 0;
        let mut waits = Vec::new();
        for _ in 0..3 {
            assert_eq!(manager.take_queued(), Some(id(1)));
            let news = manager.planned(id(1), Some(Short::NoTarget(few.clone())), now_ms);
            assert_eq!(news, waits.is_empty(), "it is said once");
            let since_ms = now_ms;
            while manager.take_changed(now_ms, 10).is_empty() {
                now_ms += 500;
            }
            waits.push(now_ms - since_ms);
            manager.checked(id(1), &lost(1));
        }
        assert_eq!(waits, [2_000, 4_000, 8_000]);
        assert!(manager.ill(id(1)).unwrap().why.is_some(), "the report says why");
        manager.take_queued();
        manager.planned(id(1), Some(Short::NoTarget(few)), now_ms);
        assert!(manager.take_changed(now_ms, 10).is_empty());
        manager.wake();
        assert_eq!(manager.take_changed(now_ms, 10), [id(1)]);
    }

    #[test]
    fn nothing_is_repaired_before_the_wait_is_over_or_while_it_is_stopped() {
        let mut manager = Manager::default();
        assert!(!manager.is_ready(1_000, 5_000));
        assert!(!manager.is_ready(5_999, 5_000));
        assert!(manager.is_ready(6_000, 5_000));
        manager.on = false;
        assert!(!manager.is_ready(9_000, 5_000));
        manager.on = true;
        manager.forget();
        assert!(!manager.is_ready(9_000, 5_000), "a new term waits anew");
    }
}
