//! Stripe geometry: which byte of a block group lies in which cell of which replica.
//!
//! Shape   a block group is rows of `data + parity` cells; one row is one stripe. The replica at place i of a stripe
//!         holds the i-th cells of all stripes, one after the other, as its block.
//! Units   offsets count bytes: of the group, of one replica's block, or columns within a cell. Cells are `cell_len`
//!         long; in the last stripe the data may end early.
//! Errors  [`GeometryError`] for places that are not in the group. A parity cell has no byte of the group.
//! Source  Ozone's `ECKeyOutputStream` and `ECBlockInputStream`.
//!
//! ```text
//! stripe 0 | d0: cell 0 | d1: cell 1 | d2: cell 2      | p0 | p1 |
//! stripe 1 | d0: cell 3 | d1: cell 4 | d2: (no bytes)  | p0 | p1 |   parity is as long as d0's cell
//! ```

mod arrival;
mod read;
mod shape;

pub use arrival::{Arrival, StripeOverflow};
pub use read::{CellRead, CellReads, StripeRead, StripeReads, Unreadable};
pub use shape::StripeShape;

use std::fmt;

use allotrope_types::{BlockOffset, ByteCount, EcConfig};

use crate::cells::{CellIndex, CellSet};
use crate::scheme::Scheme;

/// A place in a block group, in bytes from the group's start. Parity does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupOffset(u64);

impl GroupOffset {
    /// The place this many bytes from the start.
    pub const fn new(bytes: u64) -> GroupOffset {
        GroupOffset(bytes)
    }

    /// Bytes from the start.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for GroupOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of the group", self.0)
    }
}

/// A stripe's number in its block group, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StripeIndex(u64);

impl StripeIndex {
    /// The stripe with this number.
    pub const fn new(number: u64) -> StripeIndex {
        StripeIndex(number)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StripeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stripe {}", self.0)
    }
}

/// Where a byte of the group lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The stripe.
    pub stripe: StripeIndex,
    /// The data cell, so the replica.
    pub cell: CellIndex,
    /// Which byte of the cell.
    pub column: usize,
}

/// A place or length that the group does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A range that ends behind the group's last byte, or before it starts.
    #[error("bytes {start} to {end} do not lie in a group of {group_len} bytes")]
    NotInGroup {
        /// First byte asked for.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// Bytes of the group.
        group_len: u64,
    },
    /// A cell that the scheme does not have.
    #[error("cell {cell} is not one of the {cells} cells of a stripe")]
    NoSuchCell {
        /// The cell.
        cell: CellIndex,
        /// Cells of a stripe.
        cells: usize,
    },
}

/// How the bytes of block groups are laid out under one erasure coding config.
///
/// ```
/// use allotrope_ec::{CellIndex, GroupOffset, Layout};
/// use allotrope_types::ByteCount;
///
/// let layout = Layout::new("rs-3-2-1024k".parse()?);
/// let place = layout.place_of(GroupOffset::new(4 << 20));
/// assert_eq!((place.stripe.as_u64(), place.cell, place.column), (1, CellIndex::new(1), 0));
///
/// // 4.5 MiB: replica 1 holds two cells, replica 2 one and a half, replica 3 one; parity is as long as replica 1.
/// let group = ByteCount::kib(4608);
/// let kib = |cell| layout.block_len(group, CellIndex::new(cell)).as_u64() >> 10;
/// assert_eq!([kib(0), kib(1), kib(2), kib(3), kib(4)], [2048, 1536, 1024, 2048, 2048]);
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    scheme: Scheme,
    cell_len: u32,
}

impl Layout {
    /// The layout of `config`.
    pub fn new(config: EcConfig) -> Layout {
        let cell_len =
            u32::try_from(config.cell_len().as_u64()).expect("a config's cells are shorter than 2 GiB");
        Layout { scheme: Scheme::from(config), cell_len }
    }

    /// The code and its numbers of cells.
    pub const fn scheme(self) -> Scheme {
        self.scheme
    }

    /// Bytes of a whole cell.
    pub const fn cell_len(self) -> usize {
        self.cell_len as usize
    }

    /// Data bytes of a whole stripe.
    pub const fn stripe_len(self) -> u64 {
        self.cell_len as u64 * self.scheme.data() as u64
    }

    /// Where byte `at` of the group lies.
    pub const fn place_of(self, at: GroupOffset) -> Place {
        let cell_number = at.0 / self.cell_len as u64;
        let data = self.scheme.data() as u64;
        Place {
            stripe: StripeIndex(cell_number / data),
            cell: CellIndex::new((cell_number % data) as usize),
            column: (at.0 % self.cell_len as u64) as usize,
        }
    }

    /// Which byte of the group lies at `place`; `None` if it is in a parity cell, behind a cell's end or past the last
    /// offset there is.
    pub fn offset_of(self, place: Place) -> Option<GroupOffset> {
        if place.cell.get() >= self.scheme.data() || place.column >= self.cell_len() {
            return None;
        }
        let cell_number =
            place.stripe.0.checked_mul(self.scheme.data() as u64)?.checked_add(place.cell.get() as u64)?;
        cell_number.checked_mul(u64::from(self.cell_len))?.checked_add(place.column as u64).map(GroupOffset)
    }

    /// Where column `column` of stripe `stripe` lies in the block of every replica; `None` past the last offset there
    /// is.
    pub fn block_offset(self, stripe: StripeIndex, column: usize) -> Option<BlockOffset> {
        stripe.0.checked_mul(u64::from(self.cell_len))?.checked_add(column as u64).map(BlockOffset::new)
    }

    /// How many stripes hold `group_len` bytes; the last may be short.
    pub const fn stripes(self, group_len: ByteCount) -> u64 {
        group_len.as_u64().div_ceil(self.stripe_len())
    }

    /// What stripe `stripe` of a group of `group_len` bytes holds; `None` if the group ends before it.
    pub fn shape(self, group_len: ByteCount, stripe: StripeIndex) -> Option<StripeShape> {
        let start = stripe.0.checked_mul(self.stripe_len())?;
        let data_len = group_len.as_u64().checked_sub(start)?.min(self.stripe_len());
        (data_len > 0).then(|| StripeShape::new(self, stripe, data_len))
    }

    /// Bytes that the block of the replica at place `cell` holds in a group of `group_len` bytes.
    pub fn block_len(self, group_len: ByteCount, cell: CellIndex) -> ByteCount {
        let full = group_len.as_u64() / self.stripe_len();
        let last = self.shape(group_len, StripeIndex(full)).map_or(0, |shape| shape.cell_len(cell));
        if cell.get() >= self.scheme.cells() {
            return ByteCount::ZERO;
        }
        // The stripes' cells of one replica are no more bytes than the group, so this fits.
        ByteCount::new(full * u64::from(self.cell_len) + last as u64)
    }

    /// The data replicas whose blocks hold bytes of a group of `group_len` bytes. The others' cells are padding.
    pub fn data_cells_held(self, group_len: ByteCount) -> CellSet {
        let cells = group_len.as_u64().div_ceil(u64::from(self.cell_len));
        CellSet::first(cells.min(self.scheme.data() as u64) as usize)
    }
}
