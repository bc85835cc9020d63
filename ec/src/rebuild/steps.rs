//! The steps of rebuilding a block: column slices, in order, each with its reads and writes.

use std::ops::Range;

use allotrope_types::{BlockOffset, ByteCount};

use super::block::BlockPlan;
use crate::cells::{CellIndex, CellSet};
use crate::geometry::{StripeIndex, StripeShape};

/// One column slice of one stripe: read it of the sources, decode, write it to the targets.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    plan: &'a BlockPlan,
    shape: StripeShape,
    columns: Range<usize>,
}

/// A run of bytes in one replica's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRun {
    /// The cell, so the replica.
    pub cell: CellIndex,
    /// Where the run starts in the replica's block.
    pub at: BlockOffset,
    /// Its length; shorter than the slice where the stripe's data ends in it, which then counts as zeros.
    pub len: usize,
}

impl BlockPlan {
    /// The steps in order, in slices of `slice_len` columns. Writes of one target are in the order of its block,
    /// without a gap.
    ///
    /// # Panics
    /// If `slice_len` is zero.
    pub fn steps(&self, slice_len: usize) -> impl Iterator<Item = Step<'_>> {
        let shapes = (0..self.layout.stripes(self.group_len()))
            .filter_map(move |stripe| self.layout.shape(self.group_len(), StripeIndex::new(stripe)));
        shapes.flat_map(move |shape| {
            shape.slices(slice_len).map(move |columns| Step { plan: self, shape, columns })
        })
    }

    /// Bytes that all steps read from all sources together, for the progress that is shown.
    pub fn bytes_to_read(&self) -> ByteCount {
        let len = |cell| self.layout.block_len(self.group_len(), cell).as_u64();
        // At most 31 blocks that are no longer than the group: only a group of exbibytes could overflow.
        ByteCount::new(self.read().iter().map(len).fold(0, u64::saturating_add))
    }
}

impl Step<'_> {
    /// The stripe.
    pub fn stripe(&self) -> StripeIndex {
        self.shape.stripe()
    }

    /// The columns: the length to decode.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// What to read of each source, ascending; runs of no bytes are left out.
    pub fn reads(&self) -> impl Iterator<Item = CellRun> + '_ {
        self.runs(self.plan.read())
    }

    /// What to write to each target, ascending; runs of no bytes are left out.
    pub fn writes(&self) -> impl Iterator<Item = CellRun> + '_ {
        self.runs(self.plan.targets())
    }

    fn runs(&self, cells: CellSet) -> impl Iterator<Item = CellRun> + '_ {
        let at = self
            .plan
            .layout
            .block_offset(self.shape.stripe(), self.columns.start)
            .expect("a replica's block is no longer than its group");
        cells
            .iter()
            .map(move |cell| CellRun { cell, at, len: self.shape.stored(cell, &self.columns).len() })
            .filter(|run| run.len > 0)
    }
}
