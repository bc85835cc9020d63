//! Parity of a stripe that changes or arrives a cell at a time.
//!
//! Shape   parity is linear: what a change of one data cell adds to each parity cell depends on that change alone.
//! Units   bytes; any run of columns, the same in every slice.
//! Errors  [`CodecError`]; nothing was written then.

use super::{Codec, CodecError, Targets, check_len};
use crate::cells::CellIndex;
use crate::kernel::Kernel;

/// The change is worked out in pieces of this many bytes, on the stack.
const CHANGE_LEN: usize = 4096;

impl<K: Kernel> Codec<K> {
    /// Adds the contribution of data cell `cell` to all parity cells. Parity that started as zeros is complete when
    /// each data cell was added once: that encodes a stripe from cells that arrive one by one and are not kept.
    pub fn add_cell(
        &self,
        cell: CellIndex,
        bytes: &[u8],
        parity: &mut [&mut [u8]],
    ) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data_cell(cell)?;
        check_len(cell, bytes.len(), len)?;
        self.parity.add_product(cell.get(), bytes, parity);
        Ok(())
    }

    /// Brings all parity cells up to date after data cell `cell` changed from `old` to `new`.
    pub fn update(
        &self,
        cell: CellIndex,
        old: &[u8],
        new: &[u8],
        parity: &mut [&mut [u8]],
    ) -> Result<(), CodecError> {
        let len = self.check_parity(parity)?;
        self.check_data_cell(cell)?;
        check_len(cell, old.len(), len)?;
        check_len(cell, new.len(), len)?;
        let mut change = [0; CHANGE_LEN];
        for start in (0..len).step_by(CHANGE_LEN) {
            let columns = start..len.min(start + CHANGE_LEN);
            let change = &mut change[..columns.len()];
            for ((change, old), new) in
                change.iter_mut().zip(&old[columns.clone()]).zip(&new[columns.clone()])
            {
                *change = old ^ new;
            }
            let mut targets = Targets::new();
            let targets = targets.columns(parity.iter_mut().map(|cell| &mut **cell), &columns);
            self.parity.add_product(cell.get(), change, targets);
        }
        Ok(())
    }
}
