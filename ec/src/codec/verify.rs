//! Whether parity still belongs to its data.
//!
//! Shape   parity is encoded anew, some columns at a time, and compared.
//! Units   bytes.
//! Errors  [`CodecError`] for slices that do not fit; a mismatch is an answer, not an error.

use super::{Codec, CodecError, Sources, Targets};
use crate::cells::{CellIndex, CellSet};
use crate::kernel::Kernel;

/// Bytes of parity made at a time, on the stack, for all parity cells together.
const SCRATCH_LEN: usize = 16 * 1024;

impl<K: Kernel> Codec<K> {
    /// The parity cells that do not belong to `data`; none if the stripe is whole. One damaged data cell makes all
    /// parity cells differ, one damaged parity cell only itself. Every slice has the same length.
    pub fn verify(&self, data: &[&[u8]], parity: &[&[u8]]) -> Result<CellSet, CodecError> {
        if parity.len() != self.scheme.parity() {
            return Err(CodecError::ParityCells { given: parity.len(), needed: self.scheme.parity() });
        }
        let len = parity[0].len();
        for (i, cell) in parity.iter().enumerate() {
            super::check_len(CellIndex::new(self.scheme.data() + i), cell.len(), len)?;
        }
        self.check_data(data, len)?;

        let mut scratch = [0; SCRATCH_LEN];
        let slice_len = SCRATCH_LEN / parity.len();
        let mut differing = CellSet::EMPTY;
        for start in (0..len).step_by(slice_len) {
            let columns = start..len.min(start + slice_len);
            let mut made = Targets::new();
            let made =
                made.columns(scratch.chunks_exact_mut(slice_len).take(parity.len()), &(0..columns.len()));
            self.parity.product(Sources::columns(data, &columns).as_slice(data.len()), made);
            for (i, (made, stored)) in made.iter().zip(parity).enumerate() {
                if **made != stored[columns.clone()] {
                    differing = differing.with(CellIndex::new(self.scheme.data() + i));
                }
            }
        }
        Ok(differing)
    }
}
