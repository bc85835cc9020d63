//! Encoding and checksums in one pass.
//!
//! Shape   the cells are walked in column slices that stay in cache: a slice of each cell is coded, then summed.
//!         Checksum windows start at each cell's first byte, as a cell becomes a chunk.
//! Units   bytes; a checksum is the CRC's value, which the wire carries big-endian.
//! Errors  [`CodecError`]; nothing was written then.
//! Source  docs/performance/ec.md for the choice of the slice.

use std::ops::Range;

use super::{Codec, CodecError, Sources, Targets, padded_slices};
use crate::cells::CellIndex;
use crate::checksum::Windows;
use crate::kernel::Kernel;

/// Bytes of each cell that are coded and summed before the next. Shorter slices let the memory fetch ahead while a
/// slice is summed, longer ones save calls; at one default window the cold and the hot case are both near their best.
pub const COLUMN_SLICE_LEN: usize = 16 * 1024;

impl<K: Kernel> Codec<K> {
    /// Writes all parity cells of `data` and the checksums of every cell's windows. Data cells may be short as in
    /// [`encode_padded`](Codec::encode_padded); `checksums` has a run for each cell, data cells first, with
    /// [`Windows::count`] of that cell's length. Column slices that start at a window's first byte can be coded one by
    /// one, each with its part of the checksums.
    pub fn encode_with_checksums(
        &self,
        data: &[&[u8]],
        parity: &mut [&mut [u8]],
        windows: Windows,
        checksums: &mut [&mut [u32]],
    ) -> Result<(), CodecError> {
        self.encode_with_checksums_sliced(data, parity, windows, checksums, COLUMN_SLICE_LEN)
    }

    /// Like [`encode_with_checksums`](Codec::encode_with_checksums) with another column slice, for the bench that
    /// finds the best.
    pub fn encode_with_checksums_sliced(
        &self,
        data: &[&[u8]],
        parity: &mut [&mut [u8]],
        windows: Windows,
        checksums: &mut [&mut [u32]],
        slice_len: usize,
    ) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data_padded(data, len)?;
        let lens = data.iter().map(|cell| cell.len()).chain(parity.iter().map(|cell| cell.len()));
        let cells = lens.enumerate().map(|(i, len)| (CellIndex::new(i), len));
        let mut checksums = ChecksumsOut::new(windows, checksums, self.scheme.cells(), cells)?;
        for slice in slices(windows, slice_len, len) {
            let ends = data.iter().map(|cell| cell.len().saturating_sub(slice.start));
            for part in padded_slices(ends, slice.len()) {
                let columns = slice.start + part.start..slice.start + part.end;
                let mut targets = Targets::new();
                self.parity.product(
                    Sources::columns(data, &columns).as_slice(data.len()),
                    targets.columns(parity.iter_mut().map(|cell| &mut **cell), &columns),
                );
            }
            for (i, cell) in data.iter().enumerate() {
                sum_columns(&mut checksums, i, cell, &slice);
            }
            for (i, cell) in parity.iter().enumerate() {
                sum_columns(&mut checksums, data.len() + i, cell, &slice);
            }
        }
        Ok(())
    }
}

/// Column slices of `0..len` for a pass that sums `windows`.
pub(super) fn column_slices(windows: Windows, len: usize) -> impl Iterator<Item = Range<usize>> {
    slices(windows, COLUMN_SLICE_LEN, len)
}

/// Slices hold whole windows where a window fits a slice; else a window's sum goes on from slice to slice.
fn slices(windows: Windows, slice_len: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    let window = windows.window_len();
    let slice_len = if window <= slice_len { slice_len / window * window } else { slice_len };
    (0..len).step_by(slice_len).map(move |start| start..len.min(start + slice_len))
}

/// Where the checksums of each cell go, checked against the cells' lengths.
pub(super) struct ChecksumsOut<'a, 'b> {
    windows: Windows,
    out: &'a mut [&'b mut [u32]],
}

impl<'a, 'b> ChecksumsOut<'a, 'b> {
    pub(super) fn new(
        windows: Windows,
        out: &'a mut [&'b mut [u32]],
        needed: usize,
        cells: impl Iterator<Item = (CellIndex, usize)>,
    ) -> Result<Self, CodecError> {
        if out.len() != needed {
            return Err(CodecError::ChecksumCells { given: out.len(), needed });
        }
        for ((cell, len), out) in cells.zip(out.iter()) {
            if out.len() != windows.count(len) {
                return Err(CodecError::Checksums { cell, given: out.len(), needed: windows.count(len) });
            }
        }
        Ok(ChecksumsOut { windows, out })
    }
}

/// Sums what `cell`, the `i`th with checksums, has of `columns`.
pub(super) fn sum_columns(checksums: &mut ChecksumsOut, i: usize, cell: &[u8], columns: &Range<usize>) {
    let end = columns.end.min(cell.len());
    if columns.start < end {
        checksums.windows.sum(&cell[columns.start..end], columns.start, checksums.out[i]);
    }
}
