//! Stored checksums of a stripe: which of them are those of a rebuilt cell. Pure.
//!
//! Shape   the first replica's chunk of a stripe, and those of the parity replicas, carry the checksums of all cells of the
//!         stripe that have bytes, one after the other in the order of the cells.
//! Source  docs/formats/ec-block.md; wire facts: datapath.md 3.2.

use allotrope_ec::{CellIndex, Layout, StripeIndex};
use allotrope_proto::checksum::ChecksumSpec;
use allotrope_types::ByteCount;
use bytes::Bytes;

/// The checksums of `cell` in a stripe's `joined` ones; `None` if those are not of a stripe of this shape.
pub(super) fn of_cell(
    layout: Layout,
    group_len: ByteCount,
    stripe: StripeIndex,
    spec: ChecksumSpec,
    joined: &Bytes,
    cell: CellIndex,
) -> Option<Bytes> {
    let shape = layout.shape(group_len, stripe)?;
    let (mut at, mut found) = (0, None);
    for one in layout.scheme().all_cells().iter() {
        let len = spec.windows(shape.cell_len(one)) * spec.kind().value_len();
        if one == cell {
            found = Some(at..at + len);
        }
        at += len;
    }
    let found = found.filter(|range| !range.is_empty() && at == joined.len())?;
    Some(joined.slice(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::checksum::ChecksumKind;

    #[test]
    fn a_cells_checksums_are_found_in_whole_and_in_short_stripes() {
        let layout = Layout::new("rs-3-2-1024k".parse().unwrap());
        let spec = ChecksumSpec::new(ChecksumKind::Crc32, 16 << 10).unwrap();
        // One whole stripe, then one of 1.5 cells: 64 windows a cell, then 64 and 32, none, 64 and 64.
        let group = ByteCount::kib(3 * 1024 + 1536);
        let joined =
            |windows: usize| Bytes::from((0..windows * 4).map(|at| (at / 4) as u8).collect::<Vec<_>>());
        let first = |stripe, windows, cell| {
            of_cell(layout, group, StripeIndex::new(stripe), spec, &joined(windows), CellIndex::new(cell))
                .map(|sums| (sums[0], sums.len() / 4))
        };
        assert_eq!(first(0, 320, 0), Some((0, 64)));
        assert_eq!(first(0, 320, 3), Some((192, 64)));
        assert_eq!(first(1, 224, 1), Some((64, 32)));
        assert_eq!(first(1, 224, 2), None);
        assert_eq!(first(1, 224, 4), Some((160, 64)));
        // Not of this shape: it says nothing.
        assert_eq!(first(1, 320, 4), None);
    }
}
