//! Sets of byte ranges.
//!
//! Units   offsets and lengths in bytes; a range is half open.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes, as ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds the bytes from `from` up to `to`.
    pub fn insert(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        while let Some((&start, &end)) = self.0.range(..=to).next_back()
            && end >= from
        {
            (from, to) = (from.min(start), to.max(end));
            self.0.remove(&start);
        }
        self.0.insert(from, to);
    }

    /// Takes the bytes from `from` up to `to` out.
    pub fn remove(&mut self, from: u64, to: u64) {
        while let Some((&start, &end)) = self.0.range(..to).next_back()
            && end > from
            && from < to
        {
            self.0.remove(&start);
            if start < from {
                self.0.insert(start, from);
            }
            if end > to {
                self.0.insert(to, end);
            }
        }
    }

    /// Whether all bytes from `from` up to `to` are in the set.
    pub fn covers(&self, from: u64, to: u64) -> bool {
        from >= to || self.0.range(..=from).next_back().is_some_and(|(_, &end)| end >= to)
    }

    /// The ranges, from the lowest on.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(&from, &to)| from..to)
    }

    /// How many ranges there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_of_ranges_is_the_set_of_its_bytes(
            changes in prop::collection::vec((prop::bool::weighted(0.7), 0u64..40, 0u64..12), 0..12),
            asked in (0u64..40, 0u64..12),
        ) {
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 64]);
            for (is_in, from, len) in changes {
                match is_in {
                    true => ranges.insert(from, from + len),
                    false => ranges.remove(from, from + len),
                }
                (from..from + len).for_each(|at| bytes[at as usize] = is_in);
            }
            let (from, to) = (asked.0, asked.0 + asked.1);
            prop_assert_eq!(ranges.covers(from, to), (from..to).all(|at| bytes[at as usize]));
            let inside = |at: u64| ranges.iter().any(|range| range.contains(&at));
            prop_assert!((0..64).all(|at| inside(at) == bytes[at as usize]));
            let edges = (0..63).filter(|&at| !bytes[at] && bytes[at + 1]).count() + usize::from(bytes[0]);
            prop_assert_eq!(ranges.count(), edges);
        }
    }
}
