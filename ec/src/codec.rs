//! The codec of one scheme: parity from data, and any cells from enough others.
//!
//! Shape   a stripe is `data` cells followed by `parity` cells; a call codes a run of columns, which is whole cells or
//!         the same slice of each. Column i of every cell makes one code word, so slices can be coded in any order.
//! Units   bytes; cells by their place in the stripe, from 0.
//! Errors  [`CodecError`] for slices that do not fit the scheme or each other; nothing was written then.
//! Source  docs/performance/ec.md for the speeds; the bytes are Ozone's.
//!
//! No call allocates but the first decode of an erasure pattern, which makes its table.

mod checksummed;
mod decode;
mod error;
mod tables;
mod update;
mod verify;

pub use checksummed::COLUMN_SLICE_LEN;
pub use decode::Decoder;
pub use error::CodecError;

use std::ops::Range;

use crate::cells::{CELLS_MAX, CellIndex};
use crate::kernel::{DefaultKernel, Kernel};
use crate::scheme::Scheme;
use tables::DecodeTables;

/// Zeros that stand in for the padding of short cells, so that nobody has to clear a buffer for it.
static PADDING: [u8; COLUMN_SLICE_LEN] = [0; COLUMN_SLICE_LEN];

/// Encodes and decodes the stripes of one scheme. It may be shared; what it caches is bounded.
///
/// ```
/// use allotrope_ec::{CellIndex, Codec, Scheme};
///
/// let codec = Codec::new(Scheme::reed_solomon(3, 2)?);
/// let data: [&[u8]; 3] = [b"every", b"lost ", b"cell "];
/// let (mut p0, mut p1) = ([0; 5], [0; 5]);
/// codec.encode(&data, &mut [&mut p0, &mut p1])?;
///
/// let cell = CellIndex::new;
/// let survivors: [(CellIndex, &[u8]); 3] = [(cell(1), data[1]), (cell(3), &p0), (cell(4), &p1)];
/// let (mut d0, mut d2) = ([0; 5], [0; 5]);
/// codec.decode(&survivors, &mut [(cell(0), &mut d0), (cell(2), &mut d2)])?;
/// assert_eq!((&d0, &d2), (b"every", b"cell "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Codec<K: Kernel = DefaultKernel> {
    scheme: Scheme,
    parity: K,
    tables: DecodeTables<K>,
}

impl Codec {
    /// The codec of `scheme` on the fastest kernel that was built.
    pub fn new(scheme: Scheme) -> Codec {
        Codec::with_kernel(scheme)
    }
}

impl<K: Kernel> Codec<K> {
    /// The codec of `scheme` on kernel `K`.
    pub fn with_kernel(scheme: Scheme) -> Codec<K> {
        Codec {
            scheme,
            parity: K::new(&scheme.rows(scheme.parity_cells()), scheme.data()),
            tables: DecodeTables::default(),
        }
    }

    /// The scheme this codec serves.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Writes all parity cells of `data`. Every slice has the same length: whole cells, or one column slice of each.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data(data, len)?;
        self.parity.product(data, parity);
        Ok(())
    }

    /// Writes `columns` of all parity cells, for a stripe whose bytes are still arriving: these columns are complete
    /// in every data cell, the others are left alone. The slices are whole cells of one length.
    pub fn encode_columns(
        &self,
        data: &[&[u8]],
        columns: Range<usize>,
        parity: &mut [&mut [u8]],
    ) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data(data, len)?;
        if columns.start > columns.end || columns.end > len {
            return Err(CodecError::NoSuchColumns { columns, cell_len: len });
        }
        let mut targets = Targets::new();
        self.parity.product(
            Sources::columns(data, &columns).as_slice(data.len()),
            targets.columns(parity.iter_mut().map(|cell| &mut **cell), &columns),
        );
        Ok(())
    }

    /// Writes all parity cells of a stripe whose data cells may be short: what they lack up to the parity cells'
    /// length counts as zeros, as in the last stripe of a block group.
    pub fn encode_padded(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data_padded(data, len)?;
        if data.iter().all(|cell| cell.len() == len) {
            self.parity.product(data, parity);
            return Ok(());
        }
        for columns in padded_slices(data.iter().map(|cell| cell.len()), len) {
            let mut targets = Targets::new();
            self.parity.product(
                Sources::columns(data, &columns).as_slice(data.len()),
                targets.columns(parity.iter_mut().map(|cell| &mut **cell), &columns),
            );
        }
        Ok(())
    }

    /// The one length of all parity cells.
    fn check_parity(&self, parity: &[&mut [u8]]) -> Result<usize, CodecError> {
        if parity.len() != self.scheme.parity() {
            return Err(CodecError::ParityCells { given: parity.len(), needed: self.scheme.parity() });
        }
        let len = parity[0].len();
        for (i, cell) in parity.iter().enumerate() {
            check_len(CellIndex::new(self.scheme.data() + i), cell.len(), len)?;
        }
        Ok(len)
    }

    fn check_data(&self, data: &[&[u8]], len: usize) -> Result<(), CodecError> {
        self.check_data_count(data)?;
        data.iter().enumerate().try_for_each(|(i, cell)| check_len(CellIndex::new(i), cell.len(), len))
    }

    fn check_data_padded(&self, data: &[&[u8]], len: usize) -> Result<(), CodecError> {
        self.check_data_count(data)?;
        data.iter().enumerate().try_for_each(|(i, cell)| check_len_padded(CellIndex::new(i), cell.len(), len))
    }

    fn check_data_count(&self, data: &[&[u8]]) -> Result<(), CodecError> {
        match data.len() == self.scheme.data() {
            true => Ok(()),
            false => Err(CodecError::DataCells { given: data.len(), needed: self.scheme.data() }),
        }
    }

    fn check_data_cell(&self, cell: CellIndex) -> Result<(), CodecError> {
        match cell.get() < self.scheme.data() {
            true => Ok(()),
            false => Err(CodecError::NoSuchCell { cell, cells: self.scheme.data() }),
        }
    }
}

#[inline]
fn check_len(cell: CellIndex, len: usize, needed: usize) -> Result<(), CodecError> {
    if len == needed { Ok(()) } else { Err(CodecError::CellLen { cell, len, needed }) }
}

#[inline]
fn check_len_padded(cell: CellIndex, len: usize, len_max: usize) -> Result<(), CodecError> {
    if len <= len_max { Ok(()) } else { Err(CodecError::CellTooLong { cell, len, len_max }) }
}

/// Cuts `0..len` into column ranges in which each cell is either whole or absent, so that padding needs no copy. A
/// range that some cell lacks is at most as long as the zeros that stand in for it.
fn padded_slices(
    cell_lens: impl Iterator<Item = usize> + Clone,
    len: usize,
) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == len {
            return None;
        }
        // From a cell's end on it is absent: the next range goes to the nearest end ahead.
        let end = cell_lens.clone().filter(|&end| end > start).min().unwrap_or(len).min(len);
        let whole = cell_lens.clone().all(|end| end > start);
        let end = if whole { end } else { end.min(start + PADDING.len()) };
        let columns = start..end;
        start = end;
        Some(columns)
    })
}

/// The same columns of several cells to read, gathered without allocation.
struct Sources<'a>([&'a [u8]; CELLS_MAX]);

impl<'a> Sources<'a> {
    fn new() -> Self {
        Sources([&[]; CELLS_MAX])
    }

    /// `columns` of each cell, zeros for a cell that ends before them.
    fn columns(cells: &[&'a [u8]], columns: &Range<usize>) -> Self {
        let mut sources = Sources::new();
        for (slot, cell) in sources.0.iter_mut().zip(cells) {
            *slot = Self::columns_of(cell, columns);
        }
        sources
    }

    fn columns_of(cell: &'a [u8], columns: &Range<usize>) -> &'a [u8] {
        match cell.get(columns.clone()) {
            Some(bytes) => bytes,
            None => &PADDING[..columns.len()],
        }
    }

    fn as_slice(&self, count: usize) -> &[&'a [u8]] {
        &self.0[..count]
    }
}

/// The same columns of several cells to write, gathered without allocation.
struct Targets<'a>([&'a mut [u8]; CELLS_MAX]);

impl<'a> Targets<'a> {
    fn new() -> Self {
        Targets(std::array::from_fn(|_| &mut [][..]))
    }

    fn columns(
        &mut self,
        cells: impl Iterator<Item = &'a mut [u8]>,
        columns: &Range<usize>,
    ) -> &mut [&'a mut [u8]] {
        let mut count = 0;
        for (slot, cell) in self.0.iter_mut().zip(cells) {
            *slot = &mut cell[columns.clone()];
            count += 1;
        }
        &mut self.0[..count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(lens: &[usize], len: usize) -> Vec<Range<usize>> {
        padded_slices(lens.iter().copied(), len).collect()
    }

    #[test]
    fn a_full_stripe_is_one_slice() {
        assert_eq!(slices(&[1 << 20; 3], 1 << 20), vec![Range { start: 0, end: 1 << 20 }]);
        assert_eq!(slices(&[0; 3], 0), []);
    }

    #[test]
    fn slices_end_where_a_cell_ends_and_where_the_zeros_end() {
        let pad = PADDING.len();
        assert_eq!(slices(&[10, 4, 0], 10), [0..4, 4..10]);
        assert_eq!(slices(&[3 * pad, pad / 2, pad / 2], 3 * pad), {
            let half = pad / 2;
            [0..half, half..half + pad, half + pad..half + 2 * pad, half + 2 * pad..3 * pad]
        });
    }
}
