//! Checksums of chunk data, as Ozone's clients compute them and its datanodes keep them.
//!
//! Shape   a chunk is cut into windows of `bytes_per_checksum` bytes from its start (not the block's); each has one
//!         value, the last window may be short. CRCs are 4 bytes, big-endian; digests are raw.
//! Units   bytes; a window's number counts from the chunk's start.
//! Errors  [`ChecksumError`] says which window differs. Sizes that do not fit are errors, never panics.
//! Source  docs/formats/checksum.md.
//!
//! [`Checksums::copy_and_verify`] and [`Checksums::copy_and_compute`] are the datanode's one pass over received data:
//! a step is copied from the rope to its aligned place and checksummed there while it is in the cache.

mod hasher;

use bytes::{Bytes, BytesMut};

use crate::Rope;
use hasher::Hasher;

/// Bytes copied before they are checksummed: a quarter of a common 128 KiB share of the second-level cache.
const STEP_LEN: usize = 32 * 1024;

/// Which function guards the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumKind {
    /// No checksums at all.
    None,
    /// CRC-32 as in zlib.
    Crc32,
    /// CRC-32 with Castagnoli's polynomial.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

/// Which kernel computes CRC-32C on this machine, for operators.
pub fn crc_kernel() -> String {
    crc_fast::get_calculator_target(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

impl ChecksumKind {
    /// Length of one value in bytes.
    pub const fn value_len(self) -> usize {
        match self {
            ChecksumKind::None => 0,
            ChecksumKind::Crc32 | ChecksumKind::Crc32c => 4,
            ChecksumKind::Sha256 => 32,
            ChecksumKind::Md5 => 16,
        }
    }
}

/// How data is checksummed: the function and the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChecksumSpec {
    kind: ChecksumKind,
    bytes_per_checksum: u32,
}

impl ChecksumSpec {
    /// A spec; `None` if windows would be empty. Without checksums the window says nothing and may be 0.
    pub const fn new(kind: ChecksumKind, bytes_per_checksum: u32) -> Option<ChecksumSpec> {
        if bytes_per_checksum == 0 && !matches!(kind, ChecksumKind::None) {
            return None;
        }
        Some(ChecksumSpec { kind, bytes_per_checksum })
    }

    /// The function.
    pub const fn kind(self) -> ChecksumKind {
        self.kind
    }

    /// Length of a window in bytes.
    pub const fn bytes_per_checksum(self) -> u32 {
        self.bytes_per_checksum
    }

    /// How many windows `len` bytes have: none without checksums.
    pub fn windows(self, len: usize) -> usize {
        match self.kind {
            ChecksumKind::None => 0,
            _ => len.div_ceil(self.window_len()),
        }
    }

    /// A window's length, or all there is where nothing is checksummed.
    fn window_len(self) -> usize {
        match self.kind {
            ChecksumKind::None => usize::MAX,
            _ => self.bytes_per_checksum as usize,
        }
    }
}

/// The values of consecutive windows.
///
/// ```
/// use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
///
/// let spec = ChecksumSpec::new(ChecksumKind::Crc32, 16 * 1024).unwrap();
/// let checksums = Checksums::compute(spec, b"123456789");
/// assert_eq!(checksums.joined().as_ref(), [0xcb, 0xf4, 0x39, 0x26]);
/// assert!(checksums.verify(b"123456780").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksums {
    spec: ChecksumSpec,
    /// All values one after the other, each `spec.kind.value_len()` long.
    joined: Bytes,
}

/// Data and checksums do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// A window's bytes are not those that were checksummed.
    #[error("checksum {window} differs, for the {len} bytes from {at} of the chunk")]
    Differs {
        /// The window's number in the chunk.
        window: usize,
        /// Where it starts in the chunk, in bytes.
        at: u64,
        /// How many bytes it has.
        len: usize,
    },
    /// There are more or fewer checksums than the data has windows.
    #[error("{len} bytes have {windows} windows, and there are {checksums} checksums for them")]
    Count {
        /// Length of the data in bytes.
        len: usize,
        /// Windows the data has.
        windows: usize,
        /// Checksums there are.
        checksums: usize,
    },
    /// Part of a chunk is verified from a place where no window starts.
    #[error("no window of {bytes_per_checksum} bytes starts at {at} of the chunk")]
    Unaligned {
        /// The place in the chunk, in bytes.
        at: u64,
        /// Length of a window in bytes.
        bytes_per_checksum: u32,
    },
    /// The buffer is shorter than the data to be copied there.
    #[error("{len} bytes do not fit a buffer of {buffer_len}")]
    NoRoom {
        /// Length of the data in bytes.
        len: usize,
        /// Length of the buffer in bytes.
        buffer_len: usize,
    },
}

impl Checksums {
    /// Checksums someone else computed; `None` if `joined` is not a whole number of values.
    pub fn from_joined(spec: ChecksumSpec, joined: Bytes) -> Option<Checksums> {
        let whole = match spec.kind.value_len() {
            0 => joined.is_empty(),
            value_len => joined.len().is_multiple_of(value_len),
        };
        whole.then_some(Checksums { spec, joined })
    }

    /// The checksums of a chunk's whole `data`.
    pub fn compute(spec: ChecksumSpec, data: &[u8]) -> Checksums {
        let mut values = Values::with_room(spec, data.len());
        for window in data.chunks(spec.window_len()) {
            values.push(window);
        }
        values.finish()
    }

    /// The checksums of a chunk's whole `data`, without joining it.
    pub fn compute_rope(spec: ChecksumSpec, data: &Rope) -> Checksums {
        let mut values = Values::with_room(spec, data.len());
        values.push_rope(data);
        values.finish()
    }

    /// Copies a chunk's whole `data` to the start of `buffer`, checksumming on the way.
    ///
    /// # Errors
    /// [`ChecksumError::NoRoom`], with nothing copied, if `buffer` is shorter than `data`.
    pub fn copy_and_compute(
        spec: ChecksumSpec,
        data: &Rope,
        buffer: &mut [u8],
    ) -> Result<Checksums, ChecksumError> {
        let mut values = Values::with_room(spec, data.len());
        values.copy_rope(data, buffer)?;
        Ok(values.finish())
    }

    /// Holds a chunk's whole `data` against these checksums.
    ///
    /// # Errors
    /// [`ChecksumError`] at the first window that differs, or if the number of checksums is not that of the windows.
    pub fn verify(&self, data: &[u8]) -> Result<(), ChecksumError> {
        self.count_fits(data.len())?;
        self.agrees(&Checksums::compute(self.spec, data), data.len(), 0)
    }

    /// As [`Checksums::verify`], without joining the data.
    ///
    /// # Errors
    /// As [`Checksums::verify`].
    pub fn verify_rope(&self, data: &Rope) -> Result<(), ChecksumError> {
        self.count_fits(data.len())?;
        self.agrees(&Checksums::compute_rope(self.spec, data), data.len(), 0)
    }

    /// As [`Checksums::verify`], and copies `data` to the start of `buffer` in the same pass.
    ///
    /// # Errors
    /// As [`Checksums::verify`], and [`ChecksumError::NoRoom`]. After an error the buffer holds no promise.
    pub fn copy_and_verify(&self, data: &Rope, buffer: &mut [u8]) -> Result<(), ChecksumError> {
        self.count_fits(data.len())?;
        self.agrees(&Checksums::copy_and_compute(self.spec, data, buffer)?, data.len(), 0)
    }

    /// Holds part of a chunk, `data` from byte `at` on, against these checksums of the whole chunk. The part must
    /// start where a window starts, and end where one ends or with the chunk.
    ///
    /// # Errors
    /// [`ChecksumError`] at the first window that differs, or if the part does not lie on windows that have checksums.
    pub fn verify_part(&self, at: u64, data: &[u8]) -> Result<(), ChecksumError> {
        if self.spec.kind == ChecksumKind::None || data.is_empty() {
            return Ok(());
        }
        let window_len = u64::from(self.spec.bytes_per_checksum);
        if !at.is_multiple_of(window_len) {
            let bytes_per_checksum = self.spec.bytes_per_checksum;
            return Err(ChecksumError::Unaligned { at, bytes_per_checksum });
        }
        let windows = self.spec.windows(data.len());
        let too_few = ChecksumError::Count { len: data.len(), windows, checksums: self.len() };
        let first = usize::try_from(at / window_len).map_err(|_| too_few.clone())?;
        let value_len = self.spec.kind.value_len();
        let range = first.checked_add(windows).and_then(|last| {
            Some(first.checked_mul(value_len)?..last.checked_mul(value_len)?)
                .filter(|r| r.end <= self.joined.len())
        });
        let part = Checksums { spec: self.spec, joined: self.joined.slice(range.ok_or(too_few)?) };
        part.agrees(&Checksums::compute(self.spec, data), data.len(), first)
    }

    /// How the data was checksummed.
    pub fn spec(&self) -> ChecksumSpec {
        self.spec
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.joined.len().checked_div(self.spec.kind.value_len()).unwrap_or(0)
    }

    /// Whether there are no values: nothing was checksummed, or there was no data.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    /// The values, window by window, sharing memory.
    pub fn values(&self) -> impl Iterator<Item = Bytes> + '_ {
        let value_len = self.spec.kind.value_len();
        (0..self.len()).map(move |window| self.joined.slice(window * value_len..(window + 1) * value_len))
    }

    /// All values one after the other, as an erasure-coded stripe's checksum joins them.
    pub fn joined(&self) -> &Bytes {
        &self.joined
    }

    fn count_fits(&self, len: usize) -> Result<(), ChecksumError> {
        let windows = self.spec.windows(len);
        if windows == self.len() {
            Ok(())
        } else {
            Err(ChecksumError::Count { len, windows, checksums: self.len() })
        }
    }

    /// Compares window by window; `first` is the number of the first window.
    fn agrees(&self, found: &Checksums, data_len: usize, first: usize) -> Result<(), ChecksumError> {
        if self.joined == found.joined {
            return Ok(());
        }
        let value_len = self.spec.kind.value_len();
        let pairs = self.joined.chunks(value_len).zip(found.joined.chunks(value_len));
        let index = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        let window_len = self.spec.window_len();
        let len = window_len.min(data_len.saturating_sub(index.saturating_mul(window_len)));
        let at = (first as u64 + index as u64).saturating_mul(window_len as u64);
        Err(ChecksumError::Differs { window: first + index, at, len })
    }
}

/// Values being collected.
struct Values {
    spec: ChecksumSpec,
    joined: BytesMut,
}

impl Values {
    fn with_room(spec: ChecksumSpec, data_len: usize) -> Values {
        Values { spec, joined: BytesMut::with_capacity(spec.windows(data_len) * spec.kind.value_len()) }
    }

    fn push(&mut self, window: &[u8]) {
        let mut hasher = Hasher::new(self.spec.kind);
        hasher.update(window);
        hasher.finish(&mut self.joined);
    }

    fn push_rope(&mut self, data: &Rope) {
        if self.spec.kind == ChecksumKind::None {
            return;
        }
        let mut hasher = Hasher::new(self.spec.kind);
        let mut open = self.spec.window_len();
        for piece in data.pieces() {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(open.min(rest.len()));
                hasher.update(now);
                open -= now.len();
                if open == 0 {
                    hasher.finish(&mut self.joined);
                    hasher = Hasher::new(self.spec.kind);
                    open = self.spec.window_len();
                }
                rest = later;
            }
        }
        if open < self.spec.window_len() {
            hasher.finish(&mut self.joined);
        }
    }

    /// Copies step by step; a step ends with its window at the latest, and is checksummed where it was copied to.
    fn copy_rope(&mut self, data: &Rope, buffer: &mut [u8]) -> Result<(), ChecksumError> {
        let buffer_len = buffer.len();
        let buffer =
            buffer.get_mut(..data.len()).ok_or(ChecksumError::NoRoom { len: data.len(), buffer_len })?;
        let mut pieces = data.pieces();
        let mut piece: &[u8] = &[];
        for window in buffer.chunks_mut(self.spec.window_len()) {
            let mut hasher = Hasher::new(self.spec.kind);
            for step in window.chunks_mut(STEP_LEN) {
                let mut filled = 0;
                while filled < step.len() {
                    if piece.is_empty() {
                        piece = pieces.next().expect("a rope has as many bytes as it says");
                    }
                    let (now, later) = piece.split_at(piece.len().min(step.len() - filled));
                    step[filled..filled + now.len()].copy_from_slice(now);
                    filled += now.len();
                    piece = later;
                }
                hasher.update(step);
            }
            hasher.finish(&mut self.joined);
        }
        Ok(())
    }

    fn finish(self) -> Checksums {
        Checksums { spec: self.spec, joined: self.joined.freeze() }
    }
}

#[cfg(test)]
mod tests;
