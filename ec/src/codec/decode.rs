//! Missing cells from any `data` cells that survive.
//!
//! Shape   a [`Decoder`] belongs to one pattern: it reads the lowest survivors, ascending, and writes the missing
//!         cells, ascending. Data and parity cells may be missing alike.
//! Units   bytes; cells by their place in the stripe.
//! Errors  [`CodecError`]; nothing was written then.

use std::sync::Arc;

use super::checksummed::{ChecksumsOut, column_slices, sum_columns};
use super::tables::Pattern;
use super::{Codec, CodecError, Sources, Targets, check_len, check_len_padded, padded_slices};
use crate::cells::{CellIndex, CellSet};
use crate::checksum::Windows;
use crate::kernel::Kernel;

/// Makes the same missing cells from the same survivors, stripe after stripe.
#[derive(Debug)]
pub struct Decoder<K> {
    sources: CellSet,
    targets: CellSet,
    kernel: K,
}

impl<K: Kernel> Codec<K> {
    /// The decoder that makes `missing` from the lowest cells of `survivors`. It is cached by that pattern.
    pub fn decoder(&self, survivors: CellSet, missing: CellSet) -> Result<Arc<Decoder<K>>, CodecError> {
        let sources = || survivors.lowest(self.scheme.data());
        self.tables.get(
            Pattern::new(survivors, missing),
            || {
                self.check_pattern(survivors, missing)?;
                Ok(Pattern::new(sources(), missing))
            },
            || {
                let sources = sources();
                let rows = self
                    .scheme
                    .rows_from(sources, missing)
                    .expect("any `data` rows of a Cauchy or XOR generator matrix are independent");
                Decoder { sources, targets: missing, kernel: K::new(&rows, self.scheme.data()) }
            },
        )
    }

    fn check_pattern(&self, survivors: CellSet, missing: CellSet) -> Result<(), CodecError> {
        let scheme = self.scheme;
        if let Some(cell) = survivors.union(missing).without(scheme.all_cells()).iter().next() {
            return Err(CodecError::NoSuchCell { cell, cells: scheme.cells() });
        }
        if let Some(cell) = survivors.intersection(missing).iter().next() {
            return Err(CodecError::CellTwice { cell });
        }
        if survivors.len() < scheme.data() {
            return Err(CodecError::TooFewSurvivors { survivors, needed: scheme.data() });
        }
        Ok(())
    }

    /// Writes the cells of `missing` from those of `survivors`, named in any order. All slices have the same length.
    pub fn decode(
        &self,
        survivors: &[(CellIndex, &[u8])],
        missing: &mut [(CellIndex, &mut [u8])],
    ) -> Result<(), CodecError> {
        self.decode_checked(survivors, missing, check_len)
    }

    /// Like [`decode`](Codec::decode), where survivors may be short: what they lack up to the missing cells' length
    /// counts as zeros. A data cell that the last stripe does not reach survives as an empty slice.
    pub fn decode_padded(
        &self,
        survivors: &[(CellIndex, &[u8])],
        missing: &mut [(CellIndex, &mut [u8])],
    ) -> Result<(), CodecError> {
        self.decode_checked(survivors, missing, check_len_padded)
    }

    #[inline]
    fn decode_checked(
        &self,
        survivors: &[(CellIndex, &[u8])],
        missing: &mut [(CellIndex, &mut [u8])],
        check: impl Fn(CellIndex, usize, usize) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut present = CellSet::EMPTY;
        for &(cell, _) in survivors {
            present = with_new(present, cell)?;
        }
        let mut wanted = CellSet::EMPTY;
        for (cell, _) in missing.iter() {
            wanted = with_new(wanted, *cell)?;
        }
        let decoder = self.decoder(present, wanted)?;
        let Some(len) = missing.first().map(|(_, bytes)| bytes.len()) else { return Ok(()) };
        let mut sources = Sources::new();
        for &(cell, bytes) in survivors {
            check(cell, bytes.len(), len)?;
            sources.0[cell.get()] = bytes;
        }
        missing.iter().try_for_each(|(cell, bytes)| check_len(*cell, bytes.len(), len))?;

        // Sources move down to their places in line; a place is never above its cell's number.
        for (place, cell) in decoder.sources.iter().enumerate() {
            sources.0[place] = sources.0[cell.get()];
        }
        let (mut targets, count) = (Targets::new(), missing.len());
        for (cell, bytes) in missing.iter_mut() {
            targets.0[wanted.rank(*cell)] = bytes;
        }
        decoder.run(sources.as_slice(self.scheme.data()), &mut targets.0[..count], len);
        Ok(())
    }
}

/// `cells` and one that is not among them yet.
#[inline]
fn with_new(cells: CellSet, cell: CellIndex) -> Result<CellSet, CodecError> {
    if cells.contains(cell) { Err(CodecError::CellTwice { cell }) } else { Ok(cells.with(cell)) }
}

impl<K: Kernel> Decoder<K> {
    /// The cells it reads: slices are passed in their ascending order.
    pub fn sources(&self) -> CellSet {
        self.sources
    }

    /// The cells it writes: slices are passed in their ascending order.
    pub fn targets(&self) -> CellSet {
        self.targets
    }

    /// Writes all targets. Every slice has the same length.
    pub fn decode(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]) -> Result<(), CodecError> {
        if self.check(sources, targets, check_len)?.is_some() {
            self.kernel.product(sources, targets);
        }
        Ok(())
    }

    /// Like [`decode`](Decoder::decode), where sources may be short: what they lack counts as zeros.
    pub fn decode_padded(&self, sources: &[&[u8]], targets: &mut [&mut [u8]]) -> Result<(), CodecError> {
        let Some(len) = self.check(sources, targets, check_len_padded)? else { return Ok(()) };
        self.run(sources, targets, len);
        Ok(())
    }

    /// Writes all targets and the checksums of their windows, one run a target, in one pass over column slices.
    /// Sources may be short as in [`decode_padded`](Decoder::decode_padded).
    pub fn decode_with_checksums(
        &self,
        sources: &[&[u8]],
        targets: &mut [&mut [u8]],
        windows: Windows,
        checksums: &mut [&mut [u32]],
    ) -> Result<(), CodecError> {
        let Some(len) = self.check(sources, targets, check_len_padded)? else { return Ok(()) };
        let lens = self.targets.iter().map(|cell| (cell, len));
        let mut checksums = ChecksumsOut::new(windows, checksums, self.targets.len(), lens)?;
        for slice in column_slices(windows, len) {
            let ends = sources.iter().map(|source| source.len().saturating_sub(slice.start));
            for part in padded_slices(ends, slice.len()) {
                let columns = slice.start + part.start..slice.start + part.end;
                let mut to = Targets::new();
                self.kernel.product(
                    Sources::columns(sources, &columns).as_slice(sources.len()),
                    to.columns(targets.iter_mut().map(|cell| &mut **cell), &columns),
                );
            }
            for (i, target) in targets.iter().enumerate() {
                sum_columns(&mut checksums, i, target, &slice);
            }
        }
        Ok(())
    }

    fn run(&self, sources: &[&[u8]], targets: &mut [&mut [u8]], len: usize) {
        if sources.iter().all(|source| source.len() == len) {
            return self.kernel.product(sources, targets);
        }
        for columns in padded_slices(sources.iter().map(|source| source.len()), len) {
            let mut to = Targets::new();
            self.kernel.product(
                Sources::columns(sources, &columns).as_slice(sources.len()),
                to.columns(targets.iter_mut().map(|cell| &mut **cell), &columns),
            );
        }
    }

    /// The length of the targets, or `None` if there are none.
    fn check(
        &self,
        sources: &[&[u8]],
        targets: &[&mut [u8]],
        check_source: impl Fn(CellIndex, usize, usize) -> Result<(), CodecError>,
    ) -> Result<Option<usize>, CodecError> {
        if sources.len() != self.sources.len() {
            return Err(CodecError::SourceCells { given: sources.len(), needed: self.sources.len() });
        }
        if targets.len() != self.targets.len() {
            return Err(CodecError::TargetCells { given: targets.len(), needed: self.targets.len() });
        }
        let Some(len) = targets.first().map(|target| target.len()) else { return Ok(None) };
        for (cell, target) in self.targets.iter().zip(targets) {
            check_len(cell, target.len(), len)?;
        }
        for (cell, source) in self.sources.iter().zip(sources) {
            check_source(cell, source.len(), len)?;
        }
        Ok(Some(len))
    }
}
