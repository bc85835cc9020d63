//! What one stripe of a group of known length holds.
//!
//! Shape   data cells are filled in order: whole ones, at most one short, then none. Parity cells are as long as the
//!         first. Up to that length the others count as zeros when they are coded, and only then.
//! Units   bytes, columns.

use std::ops::Range;

use crate::cells::{CellIndex, CellSet};
use crate::geometry::{Layout, StripeIndex};

/// The lengths of a stripe's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StripeShape {
    layout: Layout,
    stripe: StripeIndex,
    data_len: u64,
}

impl StripeShape {
    /// A stripe that holds `data_len` bytes: at least one and at most a whole stripe's.
    pub(super) fn new(layout: Layout, stripe: StripeIndex, data_len: u64) -> StripeShape {
        StripeShape { layout, stripe, data_len }
    }

    /// The stripe.
    pub fn stripe(self) -> StripeIndex {
        self.stripe
    }

    /// Bytes of the group that lie in this stripe.
    pub fn data_len(self) -> u64 {
        self.data_len
    }

    /// Columns that are coded: the length of the parity cells and of the first data cell.
    pub fn coded_len(self) -> usize {
        self.data_len.min(self.layout.cell_len() as u64) as usize
    }

    /// Bytes that are stored of cell `cell`.
    pub fn cell_len(self, cell: CellIndex) -> usize {
        if cell.get() >= self.layout.scheme().data() {
            return self.coded_len();
        }
        let before = cell.get() as u64 * self.layout.cell_len() as u64;
        self.data_len.saturating_sub(before).min(self.layout.cell_len() as u64) as usize
    }

    /// The part of `columns` that is stored of cell `cell`; the rest is padding. Starts where `columns` starts.
    pub fn stored(self, cell: CellIndex, columns: &Range<usize>) -> Range<usize> {
        columns.start..columns.end.min(self.cell_len(cell)).max(columns.start)
    }

    /// The data cells without a byte in this stripe: they are all zeros, and nobody needs to read them.
    pub fn padding(self) -> CellSet {
        let held = self.data_len.div_ceil(self.layout.cell_len() as u64) as usize;
        CellSet::range(held, self.layout.scheme().data())
    }

    /// Cuts the coded columns into slices of `slice_len`, the last perhaps short.
    ///
    /// # Panics
    /// If `slice_len` is zero.
    pub fn slices(self, slice_len: usize) -> impl Iterator<Item = Range<usize>> {
        let len = self.coded_len();
        (0..len).step_by(slice_len).map(move |start| start..len.min(start + slice_len))
    }
}
