//! Which pages of a pool are free: a buddy allocator over page numbers, without memory of its own.
//!
//! Shape   runs of pages; a free run has a power-of-two length and lies at a multiple of it.
//! Units   pages of [`PAGE`](crate::PAGE) bytes.
//! Errors  `take` answers `None` when no run is long enough.

use std::collections::BTreeSet;

/// The free pages of one pool.
#[derive(Debug)]
pub(crate) struct FreePages {
    /// `free[k]` holds the first pages of free runs of `1 << k` pages.
    free: Vec<BTreeSet<u32>>,
    /// Pages not handed out.
    pub(crate) left: u32,
}

impl FreePages {
    /// All of `pages` pages free; no run is longer than `run_max` pages (a power of two).
    pub(crate) fn new(pages: u32, run_max: u32) -> FreePages {
        assert!(run_max.is_power_of_two(), "runs are powers of two");
        let mut all = FreePages { free: vec![BTreeSet::new(); run_max.ilog2() as usize + 1], left: 0 };
        all.give(0, pages);
        all
    }

    /// Takes `pages` pages that lie side by side and answers the first. The rest of the run they were cut from
    /// stays free.
    pub(crate) fn take(&mut self, pages: u32) -> Option<u32> {
        let order = pages.checked_next_power_of_two()?.ilog2() as usize;
        let from = (order..self.free.len()).find(|&k| !self.free[k].is_empty())?;
        let first = self.free[from].pop_first()?;
        self.left -= 1 << from;
        self.give(first + pages, (1 << from) - pages);
        Some(first)
    }

    /// Gives back the pages from `first` on, in the largest runs that fit, joined with their free neighbours.
    pub(crate) fn give(&mut self, mut first: u32, mut pages: u32) {
        self.left += pages;
        let top = self.free.len() - 1;
        while pages > 0 {
            let aligned = if first == 0 { top as u32 } else { first.trailing_zeros() };
            let order = (aligned.min(pages.ilog2()) as usize).min(top);
            self.join(first, order);
            first += 1 << order;
            pages -= 1 << order;
        }
    }

    fn join(&mut self, mut first: u32, mut order: usize) {
        while order + 1 < self.free.len() && self.free[order].remove(&(first ^ (1 << order))) {
            first &= !(1 << order);
            order += 1;
        }
        self.free[order].insert(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_cut_off_a_run_stays_free() {
        let mut pages = FreePages::new(64, 16);
        assert_eq!(pages.take(9), Some(0));
        assert_eq!(pages.left, 55);
        assert_eq!(pages.take(4), Some(12), "the rest of the cut run serves the next");
        assert_eq!(pages.take(17), None, "longer than the longest run");
    }

    proptest! {
        #[test]
        fn no_page_is_handed_out_twice_and_all_come_back(sizes in proptest::collection::vec(1u32..17, 1..80)) {
            let mut pages = FreePages::new(100, 16);
            let mut held: Vec<(u32, u32)> = Vec::new();
            for (i, size) in sizes.iter().enumerate() {
                if let Some(first) = pages.take(*size) {
                    prop_assert!(first + size <= 100);
                    prop_assert!(held.iter().all(|(f, n)| first + size <= *f || f + n <= first));
                    held.push((first, *size));
                }
                if i % 3 == 2 && !held.is_empty() {
                    let (first, n) = held.swap_remove(i % held.len());
                    pages.give(first, n);
                }
            }
            for (first, n) in held {
                pages.give(first, n);
            }
            prop_assert_eq!(pages.left, 100);
            for run in 0..6 {
                prop_assert_eq!(pages.take(16), Some(run * 16), "everything joined again");
            }
        }
    }
}
