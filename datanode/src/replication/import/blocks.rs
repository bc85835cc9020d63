//! Which bytes of a block's file belong to which checksums: pure.
//!
//! Shape   a file is cut into [`Piece`]s as it arrives: whole windows of one chunk, or bytes that no chunk names.
//! Errors  a chunk list that cannot be: overlapping chunks, windows beyond any buffer.

use crate::block::checksums;
use crate::commands::CommandError;
use allotrope_proto::checksum::Checksums;
use allotrope_proto::container::{BlockData, ChunkInfo};
use allotrope_types::DatanodeResult::ChecksumMismatch;

/// The longest piece, unless a window is longer.
const PIECE: u64 = 1 << 20;
/// The longest window: no chunk is longer.
const WINDOW_MAX: u64 = 32 << 20;

/// Bytes that are verified at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// How many.
    pub(super) len: u64,
    /// Which chunk they are of, if they have checksums.
    pub(super) chunk: Option<usize>,
}

/// A block's chunks by their places.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<ChunkInfo>,
    /// The end of the last, in bytes.
    pub(super) end: u64,
}

impl Chunks {
    /// The chunks of a list.
    pub(super) fn of(block: BlockData) -> Result<Chunks, CommandError> {
        let mut chunks = block.chunks;
        chunks.sort_by_key(|chunk| chunk.offset);
        let mut end = 0;
        for chunk in &chunks {
            let ends = chunk.offset.checked_add(chunk.len).filter(|ends| i64::try_from(*ends).is_ok());
            end = ends.filter(|_| chunk.offset >= end).ok_or_else(|| {
                let why = format!("chunk {} overlaps another or is endless", chunk.chunk_name);
                CommandError::new(ChecksumMismatch, why)
            })?;
        }
        chunks.retain(|chunk| chunk.len > 0);
        Ok(Chunks { chunks, end })
    }

    /// The piece that begins at `at`.
    pub(super) fn piece_at(&self, at: u64) -> Result<Piece, CommandError> {
        let next = self.chunks.partition_point(|chunk| chunk.offset + chunk.len <= at);
        let Some(chunk) = self.chunks.get(next) else { return Ok(Piece { len: PIECE, chunk: None }) };
        if at < chunk.offset {
            return Ok(Piece { len: PIECE.min(chunk.offset - at), chunk: None });
        }
        let left = chunk.offset + chunk.len - at;
        let window = checksums::window(&checksums::of_chunk(chunk)?);
        match window {
            0 => Ok(Piece { len: PIECE.min(left), chunk: None }),
            _ if window.min(chunk.len) > WINDOW_MAX => {
                let why = format!("chunk {} has windows of {window} bytes", chunk.chunk_name);
                Err(CommandError::new(ChecksumMismatch, why))
            }
            _ => Ok(Piece { len: ((PIECE / window).max(1) * window).min(left), chunk: Some(next) }),
        }
    }

    /// Refuses bytes that are not those of the piece at `at`.
    pub(super) fn verify(&self, piece: Piece, at: u64, bytes: &[u8]) -> Result<(), CommandError> {
        let Some(chunk) = piece.chunk.and_then(|chunk| self.chunks.get(chunk)) else { return Ok(()) };
        let sums: Checksums = checksums::of_chunk(chunk)?;
        sums.verify_part(at - chunk.offset, bytes).map_err(|e| {
            let why = format!("chunk {} at byte {at}: {e}", chunk.chunk_name);
            CommandError::new(ChecksumMismatch, why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec};
    use allotrope_proto::container::{ChecksumData, ChecksumType};
    use proptest::prelude::*;

    fn chunk(offset: u64, bytes: &[u8], window: u32) -> ChunkInfo {
        let spec = ChecksumSpec::new(ChecksumKind::Crc32, window).unwrap();
        let checksum_data = ChecksumData {
            r#type: ChecksumType::Crc32.into(),
            bytes_per_checksum: window,
            checksums: Checksums::compute(spec, bytes).values().collect(),
        };
        let len = bytes.len() as u64;
        ChunkInfo { chunk_name: format!("c{offset}"), offset, len, checksum_data, ..Default::default() }
    }

    proptest! {
        #[test]
        fn every_byte_that_a_chunk_names_is_verified(
            lens in prop::collection::vec((0usize..3_000_000, 1u32..200_000), 0..4),
            gap in 0u64..5000,
            flip in 0usize..9_000_000,
        ) {
            let mut file: Vec<u8> = Vec::new();
            let mut chunks = Vec::new();
            for (len, window) in lens {
                file.resize(file.len() + gap as usize, 0xee);
                let bytes: Vec<u8> = (0..len).map(|n| (n * 7 + len) as u8).collect();
                chunks.push(chunk(file.len() as u64, &bytes, window));
                file.extend(bytes);
            }
            let named = |at: u64| chunks.iter().any(|one: &ChunkInfo| one.offset <= at && at < one.offset + one.len);
            let list = Chunks::of(BlockData { chunks: chunks.clone(), ..Default::default() }).unwrap();
            let check = |file: &[u8]| {
                let mut at = 0;
                while at < file.len() as u64 {
                    let piece = list.piece_at(at)?;
                    let end = (at + piece.len).min(file.len() as u64);
                    list.verify(piece, at, &file[at as usize..end as usize])?;
                    at = end;
                }
                Ok::<_, CommandError>(())
            };
            prop_assert_eq!(check(&file), Ok(()));
            if !file.is_empty() {
                let at = flip % file.len();
                file[at] ^= 1;
                prop_assert_eq!(check(&file).is_err(), named(at as u64));
            }
        }
    }

    #[test]
    fn chunks_that_overlap_are_no_list() {
        let chunks = vec![chunk(0, b"abcdef", 4), chunk(5, b"x", 4)];
        assert!(Chunks::of(BlockData { chunks, ..Default::default() }).is_err());
        let endless = ChunkInfo { offset: 9, len: u64::MAX - 3, ..Default::default() };
        assert!(Chunks::of(BlockData { chunks: vec![endless], ..Default::default() }).is_err());
    }
}
