//! Blocks' chunk lists as readers see them, kept in memory, and the word that a list is still what they see.
//!
//! Shape   a list that is kept has a [`Lease`], which ends when the list is replaced, let go of or forgotten. What was read of a
//!         block while its lease held may be answered to others, from any shard, for as long as it holds.
//! Law     whoever changes what readers see of a block ends its lease before the change is acknowledged.

use allotrope_proto::container::BlockData;
use allotrope_types::{ContainerId, LocalId};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lists that a shard keeps.
const LISTS_MAX: usize = 1024;

type Name = (ContainerId, LocalId);

/// Whether a block is still as it was when this was given. `Send`: it goes with an answer to another shard.
#[derive(Clone, Debug)]
pub(crate) struct Lease(Arc<AtomicBool>);

impl Lease {
    /// Whether the block is still as it was.
    pub(crate) fn holds(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A list that is kept. Its lease ends with it, however it goes.
#[derive(Debug)]
struct Kept {
    list: Rc<BlockData>,
    lease: Lease,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.lease.0.store(false, Ordering::Release);
    }
}

/// The lists that one shard keeps of its containers' blocks.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    kept: BTreeMap<Name, Kept>,
    order: VecDeque<Name>,
}

impl Lists {
    /// The list, if it is kept.
    pub(crate) fn get(&self, container: ContainerId, local: LocalId) -> Option<Rc<BlockData>> {
        self.kept.get(&(container, local)).map(|kept| kept.list.clone())
    }

    /// The word that the block stays as it is, if its list is kept.
    pub(crate) fn lease(&self, container: ContainerId, local: LocalId) -> Option<Lease> {
        self.kept.get(&(container, local)).map(|kept| kept.lease.clone())
    }

    /// Keeps a list, in the place of the one before it and perhaps of the oldest.
    pub(crate) fn keep(&mut self, container: ContainerId, local: LocalId, list: Rc<BlockData>) {
        let kept = Kept { list, lease: Lease(Arc::new(AtomicBool::new(true))) };
        if self.kept.insert((container, local), kept).is_none() {
            self.order.push_back((container, local));
            if self.order.len() > LISTS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.kept.remove(&oldest);
            }
        }
    }

    /// Lets go of a list.
    pub(crate) fn let_go(&mut self, container: ContainerId, local: LocalId) {
        if self.kept.remove(&(container, local)).is_some() {
            self.order.retain(|name| *name != (container, local));
        }
    }

    /// Lets go of all lists of a container.
    pub(crate) fn forget(&mut self, container: ContainerId) {
        self.kept.retain(|(of, _), _| *of != container);
        self.order.retain(|(of, _)| *of != container);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ContainerId = ContainerId::new(1);

    fn keep(lists: &mut Lists, local: u64) -> Lease {
        lists.keep(C, LocalId::new(local), Rc::default());
        lists.lease(C, LocalId::new(local)).unwrap()
    }

    #[test]
    fn a_lease_ends_with_its_list_however_that_goes() {
        let mut lists = Lists::default();
        let replaced = keep(&mut lists, 1);
        assert!(replaced.holds());
        let let_go = keep(&mut lists, 1);
        assert!(!replaced.holds() && let_go.holds());
        lists.let_go(C, LocalId::new(1));
        assert!(!let_go.holds() && lists.lease(C, LocalId::new(1)).is_none());
        let forgotten = keep(&mut lists, 2);
        lists.forget(ContainerId::new(2));
        assert!(forgotten.holds());
        lists.forget(C);
        assert!(!forgotten.holds() && lists.order.is_empty());
        let (first, mut last) = (keep(&mut lists, 1), None);
        for local in 0..LISTS_MAX as u64 {
            last = Some(keep(&mut lists, 2 + local));
        }
        assert!(!first.holds() && last.is_some_and(|last| last.holds()));
        assert_eq!((lists.kept.len(), lists.order.len()), (LISTS_MAX, LISTS_MAX));
        let dropped = keep(&mut lists, 9);
        drop(lists);
        assert!(!dropped.holds());
    }
}
