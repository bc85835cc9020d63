//! The cells of one stripe by number: one of them, and a set of them.
//!
//! Shape   cells are numbered from 0: the data cells first, then the parity cells. Ozone's replica index is one more.
//! Units   none; a stripe has at most 32 cells, so a set is one word.
//! Errors  none; whoever takes a cell number from outside checks it against its scheme.

use std::fmt;

use allotrope_types::ReplicaIndex;

/// The most cells a stripe can have: data and parity together.
pub const CELLS_MAX: usize = 32;

/// A cell's place in its stripe, from 0: data cells first, then parity cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellIndex(u8);

impl CellIndex {
    /// The cell at place `index`.
    ///
    /// # Panics
    /// If `index` is not below [`CELLS_MAX`]: a set could not hold it.
    pub const fn new(index: usize) -> CellIndex {
        assert!(index < CELLS_MAX, "a stripe has at most 32 cells");
        CellIndex(index as u8)
    }

    /// The index of the replica that holds this cell of every stripe.
    pub fn replica(self) -> ReplicaIndex {
        ReplicaIndex::new(self.0 + 1).expect("a stripe has at most 32 cells")
    }

    /// The place as an index into a slice of cells.
    #[inline]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl From<ReplicaIndex> for CellIndex {
    fn from(replica: ReplicaIndex) -> CellIndex {
        CellIndex::new(replica.position())
    }
}

impl fmt::Display for CellIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Some of the cells of a stripe. Iterates in ascending order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellSet(u32);

impl CellSet {
    /// No cell.
    pub const EMPTY: CellSet = CellSet(0);

    /// The cells `0..count`.
    ///
    /// # Panics
    /// If `count` is above [`CELLS_MAX`].
    pub const fn first(count: usize) -> CellSet {
        assert!(count <= CELLS_MAX, "a stripe has at most 32 cells");
        if count == CELLS_MAX { CellSet(u32::MAX) } else { CellSet((1 << count) - 1) }
    }

    /// The cells `from..to`.
    pub const fn range(from: usize, to: usize) -> CellSet {
        CellSet(CellSet::first(to).0 & !CellSet::first(from).0)
    }

    /// These cells and `cell`.
    #[inline]
    #[must_use]
    pub const fn with(self, cell: CellIndex) -> CellSet {
        CellSet(self.0 | 1 << cell.0)
    }

    /// The cells of either set.
    #[must_use]
    pub const fn union(self, other: CellSet) -> CellSet {
        CellSet(self.0 | other.0)
    }

    /// The cells in both sets.
    #[must_use]
    pub const fn intersection(self, other: CellSet) -> CellSet {
        CellSet(self.0 & other.0)
    }

    /// These cells but for those of `other`.
    #[must_use]
    pub const fn without(self, other: CellSet) -> CellSet {
        CellSet(self.0 & !other.0)
    }

    /// The set as a word, cell 0 in its lowest bit.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The `count` lowest of these cells, or all of them if there are fewer.
    #[must_use]
    pub const fn lowest(self, count: usize) -> CellSet {
        let mut bits = self.0;
        // There are mostly few cells too many.
        while bits.count_ones() as usize > count {
            bits &= !(1 << bits.ilog2());
        }
        CellSet(bits)
    }

    /// Whether `cell` is in the set.
    #[inline]
    pub const fn contains(self, cell: CellIndex) -> bool {
        self.0 >> cell.0 & 1 == 1
    }

    /// How many cells the set has.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// How many cells of the set come before `cell`.
    #[inline]
    pub const fn rank(self, cell: CellIndex) -> usize {
        (self.0 & ((1 << cell.0) - 1)).count_ones() as usize
    }

    /// Whether the set has no cell.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The cells, ascending.
    pub fn iter(self) -> Cells {
        Cells(self.0)
    }
}

impl FromIterator<CellIndex> for CellSet {
    fn from_iter<I: IntoIterator<Item = CellIndex>>(cells: I) -> CellSet {
        cells.into_iter().fold(CellSet::EMPTY, CellSet::with)
    }
}

impl IntoIterator for CellSet {
    type Item = CellIndex;
    type IntoIter = Cells;

    fn into_iter(self) -> Cells {
        self.iter()
    }
}

impl fmt::Debug for CellSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(CellIndex::get)).finish()
    }
}

/// The cells of a [`CellSet`], ascending.
#[derive(Clone, Debug)]
pub struct Cells(u32);

impl Iterator for Cells {
    type Item = CellIndex;

    #[inline]
    fn next(&mut self) -> Option<CellIndex> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros() as u8;
        self.0 &= self.0 - 1;
        Some(CellIndex(lowest))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.count_ones() as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Cells {}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cells: &[usize]) -> CellSet {
        cells.iter().map(|&cell| CellIndex::new(cell)).collect()
    }

    #[test]
    fn a_set_lists_its_cells_in_ascending_order() {
        let cells: Vec<usize> = set(&[31, 0, 7]).iter().map(CellIndex::get).collect();
        assert_eq!(cells, [0, 7, 31]);
        assert_eq!(set(&[31, 0, 7]).iter().len(), 3);
    }

    #[test]
    fn the_set_of_all_cells_holds_thirty_two() {
        assert_eq!(CellSet::first(CELLS_MAX).len(), CELLS_MAX);
        assert!(CellSet::first(0).is_empty());
        assert_eq!(CellSet::range(3, 5), set(&[3, 4]));
    }

    #[test]
    fn a_cells_rank_is_its_place_in_the_list() {
        let cells = set(&[0, 3, 30, 31]);
        let ranks: Vec<usize> = cells.iter().map(|cell| cells.rank(cell)).collect();
        assert_eq!(ranks, [0, 1, 2, 3]);
    }

    #[test]
    fn the_lowest_cells_are_taken_first() {
        assert_eq!(set(&[9, 2, 4]).lowest(2), set(&[2, 4]));
        assert_eq!(set(&[9, 2, 4]).lowest(7), set(&[2, 4, 9]));
    }
}
