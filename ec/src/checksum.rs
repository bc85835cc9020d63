//! The checksums of a chunk: CRC32 or CRC32C of each window of its bytes.
//!
//! Shape   windows of `bytesPerChecksum` start at the chunk's first byte; the last may be short. Each has one CRC.
//! Units   bytes; a CRC is its value, the wire carries it as four bytes big-endian.
//! Errors  a window of no bytes is refused by the type.
//! Source  Ozone's `Checksum` and `ChecksumByteBuffer`; CRC32 is zlib's polynomial, CRC32C Castagnoli's.

use std::num::NonZeroUsize;

use crc_fast::{CrcAlgorithm, Digest};

/// Which CRC a chunk carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Crc {
    /// zlib's CRC32, the default of Ozone's clients.
    Crc32,
    /// CRC32C.
    Crc32c,
}

impl Crc {
    /// The CRC of bytes whose CRC is `before`, followed by `bytes`. The CRC of no bytes is 0.
    // Not inlined, so that the instruction counts can leave it out by its name.
    #[inline(never)]
    pub fn extended(self, before: u32, bytes: &[u8]) -> u32 {
        match self {
            Crc::Crc32 => {
                let mut hasher = crc32fast::Hasher::new_with_initial(before);
                hasher.update(bytes);
                hasher.finalize()
            }
            Crc::Crc32c => {
                // The digest's state is the CRC before its last step, which inverts it.
                let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!before));
                digest.update(bytes);
                digest.finalize() as u32
            }
        }
    }
}

/// The windows a chunk is summed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    crc: Crc,
    len: NonZeroUsize,
}

impl Windows {
    /// Ozone's default for `bytesPerChecksum`.
    pub const LEN_DEFAULT: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("16 KiB are not zero");

    /// Windows of `len` bytes, each summed with `crc`.
    pub const fn new(crc: Crc, len: NonZeroUsize) -> Windows {
        Windows { crc, len }
    }

    /// Bytes of a whole window.
    pub const fn window_len(self) -> usize {
        self.len.get()
    }

    /// How many windows `len` bytes have.
    pub const fn count(self, len: usize) -> usize {
        len.div_ceil(self.len.get())
    }

    /// Sums `bytes`, which stand at `at` in their chunk, into the chunk's `sums`. A window that began before `at` goes
    /// on from the sum it has, so a chunk may come in pieces of any length, in order.
    ///
    /// # Panics
    /// If `sums` has no place for a window that `bytes` reach.
    pub fn sum(self, mut bytes: &[u8], mut at: usize, sums: &mut [u32]) {
        while !bytes.is_empty() {
            let (index, begun) = (at / self.len, at % self.len);
            let (now, rest) = bytes.split_at(bytes.len().min(self.window_len() - begun));
            let before = if begun == 0 { 0 } else { sums[index] };
            sums[index] = self.crc.extended(before, now);
            at += now.len();
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_are_the_catalogues() {
        assert_eq!(Crc::Crc32.extended(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(Crc::Crc32c.extended(0, b"123456789"), 0xe306_9283);
        assert_eq!(Crc::Crc32.extended(0, b""), 0);
        assert_eq!(Crc::Crc32c.extended(0, b""), 0);
    }

    #[test]
    fn a_crc_goes_on_where_it_stopped() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        for crc in [Crc::Crc32, Crc::Crc32c] {
            for cut in [0, 1, 63, 64, 65, 4096, 99_999, 100_000] {
                let (a, b) = bytes.split_at(cut);
                assert_eq!(
                    crc.extended(crc.extended(0, a), b),
                    crc.extended(0, &bytes),
                    "{crc:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn windows_summed_in_pieces_are_the_windows_summed_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| ((i * 7) >> 2) as u8).collect();
        let windows = Windows::new(Crc::Crc32c, NonZeroUsize::new(700).unwrap());
        let whole: Vec<u32> = bytes.chunks(700).map(|window| Crc::Crc32c.extended(0, window)).collect();
        assert_eq!(windows.count(bytes.len()), whole.len());
        for piece in [1, 699, 700, 701, 1400, 9_999] {
            let mut sums = vec![0xdead_beef; whole.len()];
            for (i, piece_bytes) in bytes.chunks(piece).enumerate() {
                windows.sum(piece_bytes, i * piece, &mut sums);
            }
            assert_eq!(sums, whole, "pieces of {piece}");
        }
    }
}
