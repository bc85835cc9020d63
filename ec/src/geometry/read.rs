//! Which cells a ranged read needs, with all replicas there or some missing.
//!
//! Shape   a range becomes runs of bytes, each in one cell, in the group's order. Where a cell is missing, its stripe
//!         is read so that the missing columns can be decoded: the same columns of as many cells as there are data
//!         cells, of which those that are read anyway, and the padding that is known to be zeros, come first.
//! Units   bytes of the group, columns of cells.
//! Errors  a range outside the group; a stripe that too few replicas are left of.

use std::ops::Range;

use allotrope_types::{BlockOffset, ByteCount};

use crate::cells::{CellIndex, CellSet};
use crate::geometry::{GeometryError, GroupOffset, Layout, StripeIndex, StripeShape};

/// A run of stored bytes in one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRead {
    /// The stripe.
    pub stripe: StripeIndex,
    /// The cell, so the replica to read.
    pub cell: CellIndex,
    /// The columns of the cell.
    pub columns: Range<usize>,
    /// Where the run starts in the replica's block.
    pub at: BlockOffset,
}

/// The runs of a range in the group's order; see [`Layout::cells_of`].
#[derive(Clone, Debug)]
pub struct CellReads {
    layout: Layout,
    next: u64,
    end: u64,
}

/// The stripes of a range; see [`Layout::stripe_reads`].
#[derive(Clone, Debug)]
pub struct StripeReads<'a> {
    layout: Layout,
    group_len: ByteCount,
    next: u64,
    end: u64,
    available: &'a [CellIndex],
}

/// What to read of one stripe for a range, and what to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeRead {
    layout: Layout,
    shape: StripeShape,
    /// The bytes asked for, counted from the stripe's start.
    wanted: Range<u64>,
    missing: CellSet,
    sources: CellSet,
    columns: Range<usize>,
}

/// A stripe that cannot be read, as too few of its cells are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{stripe} lacks cells {missing:?}, and of the {needed} cells that could make them only {left:?} are left"
)]
pub struct Unreadable {
    /// The stripe.
    pub stripe: StripeIndex,
    /// Cells that hold wanted bytes and are not available.
    pub missing: CellSet,
    /// Cells that are available or known to be zeros.
    pub left: CellSet,
    /// Cells it takes.
    pub needed: usize,
}

impl Layout {
    /// The runs of bytes that make up `range` of a group of `group_len` bytes, each in one cell.
    pub fn cells_of(
        self,
        range: Range<GroupOffset>,
        group_len: ByteCount,
    ) -> Result<CellReads, GeometryError> {
        let (next, end) = checked(range, group_len)?;
        Ok(CellReads { layout: self, next, end })
    }

    /// What to read for `range` of a group of `group_len` bytes, stripe by stripe, from the cells of `available`,
    /// the best to read from first.
    pub fn stripe_reads(
        self,
        range: Range<GroupOffset>,
        group_len: ByteCount,
        available: &[CellIndex],
    ) -> Result<StripeReads<'_>, GeometryError> {
        let (next, end) = checked(range, group_len)?;
        let cells = self.scheme().cells();
        match available.iter().find(|cell| cell.get() >= cells) {
            Some(&cell) => Err(GeometryError::NoSuchCell { cell, cells }),
            None => Ok(StripeReads { layout: self, group_len, next, end, available }),
        }
    }

    fn cell_read(self, stripe: StripeIndex, cell: CellIndex, columns: Range<usize>) -> CellRead {
        let at =
            self.block_offset(stripe, columns.start).expect("a replica's block is no longer than its group");
        CellRead { stripe, cell, columns, at }
    }
}

fn checked(range: Range<GroupOffset>, group_len: ByteCount) -> Result<(u64, u64), GeometryError> {
    let (start, end, group_len) = (range.start.as_u64(), range.end.as_u64(), group_len.as_u64());
    match start <= end && end <= group_len {
        true => Ok((start, end)),
        false => Err(GeometryError::NotInGroup { start, end, group_len }),
    }
}

impl Iterator for CellReads {
    type Item = CellRead;

    fn next(&mut self) -> Option<CellRead> {
        if self.next == self.end {
            return None;
        }
        let place = self.layout.place_of(GroupOffset::new(self.next));
        let len = (self.end - self.next).min((self.layout.cell_len() - place.column) as u64);
        self.next += len;
        Some(self.layout.cell_read(place.stripe, place.cell, place.column..place.column + len as usize))
    }
}

impl Iterator for StripeReads<'_> {
    type Item = Result<StripeRead, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let stripe_len = self.layout.stripe_len();
        let stripe = StripeIndex(self.next / stripe_len);
        let shape = self.layout.shape(self.group_len, stripe).expect("the range lies in the group");
        let from = self.next % stripe_len;
        let to = shape.data_len().min(from + (self.end - self.next));
        self.next += to - from;
        Some(StripeRead::planned(self.layout, shape, from..to, self.available))
    }
}

impl StripeRead {
    fn planned(
        layout: Layout,
        shape: StripeShape,
        wanted: Range<u64>,
        available: &[CellIndex],
    ) -> Result<StripeRead, Unreadable> {
        let needed = layout.scheme().data();
        let mut read = StripeRead {
            layout,
            shape,
            wanted,
            missing: CellSet::EMPTY,
            sources: CellSet::EMPTY,
            columns: 0..0,
        };
        let holding: CellSet =
            layout.scheme().data_cells().iter().filter(|&cell| !read.wanted_of(cell).is_empty()).collect();
        let present: CellSet = available.iter().copied().collect();
        read.missing = holding.without(present);
        if read.missing.is_empty() {
            return Ok(read);
        }
        let left = present.union(shape.padding());
        if left.len() < needed {
            return Err(Unreadable { stripe: shape.stripe(), missing: read.missing, left, needed });
        }
        // Zeros cost nothing and wanted cells are read anyway; then whatever is best to read from.
        let free = shape.padding().union(holding.intersection(present)).lowest(needed);
        read.sources = available
            .iter()
            .copied()
            .fold(free, |sources, cell| if sources.len() < needed { sources.with(cell) } else { sources });
        let wanted = |cell: CellIndex| read.wanted_of(cell);
        read.columns = read.missing.iter().map(wanted).reduce(hull).expect("some cell is missing");
        Ok(read)
    }

    /// What the stripe holds.
    pub fn shape(&self) -> StripeShape {
        self.shape
    }

    /// The columns of data cell `cell` that were asked for.
    pub fn wanted_of(&self, cell: CellIndex) -> Range<usize> {
        let start = cell.get() as u64 * self.layout.cell_len() as u64;
        let within = |at: u64| at.saturating_sub(start).min(self.layout.cell_len() as u64) as usize;
        match cell.get() < self.layout.scheme().data() {
            true => within(self.wanted.start)..within(self.wanted.end),
            false => 0..0,
        }
    }

    /// The wanted cells that have to be decoded, over [`columns`](StripeRead::columns).
    pub fn missing(&self) -> CellSet {
        self.missing
    }

    /// The cells to decode from, as many as there are data cells; none if nothing is missing. Padding is among them,
    /// and has nothing to read.
    pub fn sources(&self) -> CellSet {
        self.sources
    }

    /// The columns to decode.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The runs to read, by cell: what was asked for of cells that are there, and the columns to decode of sources.
    /// A cell has two runs where these lie apart.
    pub fn reads(&self) -> impl Iterator<Item = CellRead> + '_ {
        self.layout.scheme().all_cells().iter().flat_map(move |cell| {
            let wanted = if self.missing.contains(cell) { 0..0 } else { self.wanted_of(cell) };
            let source = match self.sources.contains(cell) {
                true => self.shape.stored(cell, &self.columns),
                false => 0..0,
            };
            let runs = match (wanted.is_empty(), source.is_empty()) {
                (_, true) => [wanted, 0..0],
                (true, false) => [source, 0..0],
                _ if wanted.end < source.start => [wanted, source],
                _ if source.end < wanted.start => [source, wanted],
                _ => [hull(wanted, source), 0..0],
            };
            let stripe = self.shape.stripe();
            runs.into_iter()
                .filter(|columns| !columns.is_empty())
                .map(move |columns| self.layout.cell_read(stripe, cell, columns))
        })
    }
}

/// The shortest run that holds both.
fn hull(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}
