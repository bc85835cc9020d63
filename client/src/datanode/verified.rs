//! Reading bytes of a block that are proven to be those that were written.
//!
//! Shape   checksums guard windows, so whole windows are read, verified and then cut to what was asked for.

use std::ops::Range;

use allotrope_proto::Rope;
use allotrope_proto::checksum::{ChecksumError, ChecksumKind, Checksums};
use allotrope_proto::container::Type;
use allotrope_proto::edge::chunk::ChunkInfo;
use allotrope_types::{BlockOffset, ByteCount};

use super::{BlockAt, DatanodeError, Datanodes, extent};

/// Reads the bytes `range` of a block whose chunks are `chunks`, verified.
///
/// # Errors
/// [`DatanodeError`]; the block not reaching to the range's end is one.
pub(crate) async fn read_verified(
    datanodes: &Datanodes,
    at: &BlockAt,
    chunks: &[ChunkInfo],
    range: Range<u64>,
) -> Result<Rope, DatanodeError> {
    let mut read = Rope::new();
    let first = chunks.partition_point(|chunk| extent(chunk).end <= range.start);
    for chunk in &chunks[first..] {
        let holds = extent(chunk);
        let wanted = range.start.max(holds.start)..range.end.min(holds.end);
        if wanted.is_empty() {
            break;
        }
        read.append(read_part(datanodes, at, chunk, wanted).await?);
    }
    if read.len() as u64 != range.end - range.start {
        let end = chunks.last().map_or(0, |chunk| extent(chunk).end);
        let why = format!("its {end} bytes do not reach to byte {}", range.end);
        return Err(DatanodeError::Answer { datanode: at.member.datanode, command: Type::GetBlock, why });
    }
    Ok(read)
}

/// Reads `wanted`, bytes of the block that lie in `chunk`.
async fn read_part(
    datanodes: &Datanodes,
    at: &BlockAt,
    chunk: &ChunkInfo,
    wanted: Range<u64>,
) -> Result<Rope, DatanodeError> {
    let nonsense = |why| DatanodeError::Answer { datanode: at.member.datanode, command: Type::GetBlock, why };
    let (guard, chunk_start) = (Guard(&chunk.checksums), chunk.offset.as_u64());
    let in_chunk = wanted.start - chunk_start..wanted.end - chunk_start;
    let whole = guard.windows_around(&in_chunk, chunk.len.as_u64());
    let part = ChunkInfo {
        offset: BlockOffset::new(chunk_start + whole.start),
        len: ByteCount::new(whole.end - whole.start),
        ..chunk.clone()
    };
    let mut data = datanodes.read_chunk(at, part).await?;
    guard.verify(whole.start, &data).map_err(|error| match error {
        Unverified::Damaged(source) => {
            DatanodeError::Damaged { datanode: at.member.datanode, block: at.block, source }
        }
        Unverified::Unguarded(why) => nonsense(why),
    })?;
    let skipped = usize::try_from(in_chunk.start - whole.start).expect("a chunk's part fits memory");
    data.split_to(skipped).expect("the part starts at or before what is wanted");
    let len = usize::try_from(in_chunk.end - in_chunk.start).expect("a chunk's part fits memory");
    Ok(data.split_to(len).expect("the part ends at or behind what is wanted"))
}

/// What guards a chunk's bytes.
struct Guard<'a>(&'a Checksums);

enum Unverified {
    Damaged(ChecksumError),
    Unguarded(String),
}

impl Guard<'_> {
    /// The windows that hold `part`, cut at the chunk's end.
    fn windows_around(&self, part: &Range<u64>, chunk_len: u64) -> Range<u64> {
        let spec = self.0.spec();
        if spec.kind() == ChecksumKind::None {
            return part.clone();
        }
        let window = u64::from(spec.bytes_per_checksum());
        part.start / window * window..part.end.div_ceil(window).saturating_mul(window).min(chunk_len)
    }

    /// Holds `data`, which stands at `start` of the chunk, against the windows' values.
    fn verify(&self, start: u64, data: &Rope) -> Result<(), Unverified> {
        let spec = self.0.spec();
        if spec.kind() == ChecksumKind::None {
            return Ok(());
        }
        let first = usize::try_from(start / u64::from(spec.bytes_per_checksum())).unwrap_or(usize::MAX);
        let end = first.checked_add(spec.windows(data.len())).filter(|&end| end <= self.0.len());
        let end = end.ok_or_else(|| {
            Unverified::Unguarded(format!("{} checksums do not cover the chunk", self.0.len()))
        })?;
        let value_len = spec.kind().value_len();
        let values = self.0.joined().slice(first * value_len..end * value_len);
        let checksums = Checksums::from_joined(spec, values).expect("whole values were taken");
        checksums.verify_rope(data).map_err(Unverified::Damaged)
    }
}
