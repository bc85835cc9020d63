//! Which parts of blocks were read lately: whether a read goes through the page cache or past it.
//!
//! Shape   a part is [`PART`] bytes of a block's file. One that is read for the first time is read past the page cache, which
//!         costs no copy and pushes nothing out of it; one that was read lately is read through it, and is there the next time.
//!         Short reads always go through it: the system reads ahead for them.
//! Source  docs/performance/datanode.md, 'Reads' and 'Second reads': the choice was measured.

use super::files::Way;
use allotrope_types::{ContainerId, LocalId};
use std::collections::{BTreeSet, VecDeque};

/// Bytes of a part.
const PART: u64 = 1 << 20;
/// The shortest read that goes past the page cache, in bytes.
const DIRECT_MIN: u64 = 256 << 10;
/// Parts that a shard remembers. What is read again after that many others were read is as good as new.
const PARTS_MAX: usize = 512;

type Part = (ContainerId, LocalId, u64);

/// The parts that one shard's reads have touched lately.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    known: BTreeSet<Part>,
    order: VecDeque<Part>,
}

impl Heat {
    /// How `len` bytes from `at` of a block are to be read now.
    pub(crate) fn way(&mut self, container: ContainerId, local: LocalId, at: u64, len: u64) -> Way {
        let part = (container, local, at / PART);
        if len < DIRECT_MIN || self.known.contains(&part) {
            return Way::Cached;
        }
        self.known.insert(part);
        self.order.push_back(part);
        if self.order.len() > PARTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Way::Direct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: ContainerId = ContainerId::new(1);
    const L: LocalId = LocalId::new(1);

    #[test]
    fn a_long_read_goes_past_the_page_cache_once() {
        let mut heat = Heat::default();
        assert_eq!(heat.way(C, L, 0, 4096), Way::Cached);
        assert_eq!(heat.way(C, L, 0, PART), Way::Direct);
        assert_eq!(heat.way(C, L, 0, PART), Way::Cached);
        assert_eq!(heat.way(C, L, PART, PART), Way::Direct);
        assert_eq!(heat.way(C, LocalId::new(2), 0, PART), Way::Direct);
    }

    #[test]
    fn what_was_read_long_ago_is_as_good_as_new() {
        let mut heat = Heat::default();
        for part in 0..=PARTS_MAX as u64 {
            assert_eq!(heat.way(C, L, part * PART, PART), Way::Direct);
        }
        assert_eq!(heat.way(C, L, PART, PART), Way::Cached);
        assert_eq!(heat.way(C, L, 0, PART), Way::Direct);
        assert_eq!(heat.known.len(), PARTS_MAX);
    }
}
