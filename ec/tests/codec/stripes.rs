//! Vocabulary of the codec's tests: stripes of repeatable bytes, encoded, with cells taken away.

use allotrope_ec::{CellIndex, CellSet, Codec, Kernel, Scheme};

/// A whole stripe: data cells, then parity cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stripe {
    pub(crate) scheme: Scheme,
    pub(crate) cells: Vec<Vec<u8>>,
}

/// Bytes that look random and are the same for the same seed.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn cell(index: usize) -> CellIndex {
    CellIndex::new(index)
}

pub(crate) fn refs(cells: &[Vec<u8>]) -> Vec<&[u8]> {
    cells.iter().map(Vec::as_slice).collect()
}

pub(crate) fn muts(cells: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    cells.iter_mut().map(Vec::as_mut_slice).collect()
}

impl Stripe {
    /// A stripe of `codec` with cells of `len` bytes that depend on `seed`.
    pub(crate) fn encoded<K: Kernel>(codec: &Codec<K>, seed: u64, len: usize) -> Stripe {
        let scheme = codec.scheme();
        let data: Vec<Vec<u8>> = (0..scheme.data()).map(|i| bytes(seed * 64 + i as u64, len)).collect();
        let mut parity = vec![vec![0xa5; len]; scheme.parity()];
        codec.encode(&refs(&data), &mut muts(&mut parity)).unwrap();
        Stripe { scheme, cells: [data, parity].concat() }
    }

    pub(crate) fn data(&self) -> Vec<&[u8]> {
        refs(&self.cells[..self.scheme.data()])
    }

    pub(crate) fn parity(&self) -> Vec<&[u8]> {
        refs(&self.cells[self.scheme.data()..])
    }

    /// The cells of `set` as survivors.
    pub(crate) fn survivors(&self, set: CellSet) -> Vec<(CellIndex, &[u8])> {
        set.iter().map(|cell| (cell, self.cells[cell.get()].as_slice())).collect()
    }

    /// Asserts that `codec` makes every cell that is not in `survivors` from those that are.
    pub(crate) fn assert_decodes_from<K: Kernel>(&self, codec: &Codec<K>, survivors: CellSet) {
        let missing = self.scheme.all_cells().without(survivors);
        let len = self.cells[0].len();
        let mut made = vec![vec![0x5a; len]; missing.len()];
        let mut targets: Vec<_> = missing.iter().zip(made.iter_mut().map(Vec::as_mut_slice)).collect();
        codec.decode(&self.survivors(survivors), &mut targets).unwrap();
        for (cell, made) in missing.iter().zip(&made) {
            assert!(*made == self.cells[cell.get()], "cell {cell} from {survivors:?}, {len} bytes");
        }
    }
}

/// Every set of `count` of the cells of `scheme`.
pub(crate) fn sets_of(count: usize, scheme: Scheme) -> impl Iterator<Item = CellSet> {
    let all = scheme.all_cells();
    (0u64..1 << scheme.cells())
        .filter(move |bits| bits.count_ones() as usize == count)
        .map(move |bits| all.iter().filter(|cell| bits >> cell.get() & 1 == 1).collect())
}
