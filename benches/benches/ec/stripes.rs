//! Memory for contests: stripes of aligned cells, one after the other.

/// More than a core's share of any cache: a stripe that was left behind one lap ago comes from memory.
const COLD_LEN: usize = 1 << 30;

/// Cells start at multiples of this, as the datanode's buffers do.
const ALIGNMENT: usize = 4096;

/// Length of a cell in Ozone's default layouts.
pub(crate) const COLD_CELL_LEN: usize = 1 << 20;

/// Length of a cell in hot contests: a 10-4 stripe takes 448 KiB.
pub(crate) const HOT_CELL_LEN: usize = 32 << 10;

/// Stripes of `cells` cells each, one after the other, filled with bytes that look random.
pub(crate) struct Ring {
    slab: Vec<u8>,
    start: usize,
    cells: usize,
    cell_len: usize,
}

impl Ring {
    /// Enough stripes of 1 MiB cells that a lap empties every cache.
    pub(crate) fn cold(cells: usize) -> Ring {
        Ring::new(cells, COLD_CELL_LEN, COLD_LEN / (cells * COLD_CELL_LEN))
    }

    /// One stripe that stays in the second-level cache.
    pub(crate) fn hot(cells: usize) -> Ring {
        Ring::new(cells, HOT_CELL_LEN, 1)
    }

    fn new(cells: usize, cell_len: usize, stripes: usize) -> Ring {
        let mut slab = vec![0; stripes * cells * cell_len + ALIGNMENT];
        let start = slab.as_ptr().align_offset(ALIGNMENT);
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for word in slab.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        Ring { slab, start, cells, cell_len }
    }

    pub(crate) fn stripes(&self) -> usize {
        (self.slab.len() - self.start) / (self.cells * self.cell_len)
    }

    pub(crate) fn cell_len(&self) -> usize {
        self.cell_len
    }

    /// The cells of stripe `index`.
    pub(crate) fn stripe(&mut self, index: usize) -> Vec<&mut [u8]> {
        let len = self.cells * self.cell_len;
        let from = self.start + index * len;
        self.slab[from..from + len].chunks_exact_mut(self.cell_len).collect()
    }
}

/// The data cells for reading and the parity cells for writing.
pub(crate) fn split(mut stripe: Vec<&mut [u8]>, data: usize) -> (Vec<&[u8]>, Vec<&mut [u8]>) {
    let parity = stripe.split_off(data);
    (stripe.into_iter().map(|cell| &*cell).collect(), parity)
}
