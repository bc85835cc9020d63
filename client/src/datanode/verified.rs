//! Reading bytes of a block that are proven to be those that were written.
//!
//! Shape   checksums guard windows, so whole windows are read, verified and then cut to what was asked for.

use std::ops::Range;

use allotrope_proto::Rope;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{ChecksumType, ChunkInfo, Type};
use bytes::BytesMut;

use super::{BlockAt, DatanodeError, Datanodes};

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
    let first = chunks.partition_point(|chunk| chunk.offset + chunk.len <= range.start);
    for chunk in &chunks[first..] {
        let wanted = range.start.max(chunk.offset)..range.end.min(chunk.offset + chunk.len);
        if wanted.is_empty() {
            break;
        }
        read.append(read_part(datanodes, at, chunk, wanted).await?);
    }
    if read.len() as u64 != range.end - range.start {
        let end = chunks.last().map_or(0, |chunk| chunk.offset + chunk.len);
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
    let guard = Guard::of(chunk).map_err(nonsense)?;
    let in_chunk = wanted.start - chunk.offset..wanted.end - chunk.offset;
    let whole = guard.windows_around(&in_chunk, chunk.len);
    let part =
        ChunkInfo { offset: chunk.offset + whole.start, len: whole.end - whole.start, ..chunk.clone() };
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
struct Guard<'a> {
    spec: ChecksumSpec,
    values: &'a [bytes::Bytes],
}

enum Unverified {
    Damaged(allotrope_proto::checksum::ChecksumError),
    Unguarded(String),
}

impl Guard<'_> {
    fn of(chunk: &ChunkInfo) -> Result<Guard<'_>, String> {
        let data = &chunk.checksum_data;
        let kind = match ChecksumType::try_from(data.r#type) {
            Ok(ChecksumType::None) => ChecksumKind::None,
            Ok(ChecksumType::Crc32) => ChecksumKind::Crc32,
            Ok(ChecksumType::Crc32c) => ChecksumKind::Crc32c,
            Ok(ChecksumType::Sha256) => ChecksumKind::Sha256,
            Ok(ChecksumType::Md5) => ChecksumKind::Md5,
            Err(_) => return Err(format!("checksum type {} is unknown", data.r#type)),
        };
        let spec = ChecksumSpec::new(kind, data.bytes_per_checksum);
        let spec = spec.ok_or_else(|| format!("the windows of chunk {} are empty", chunk.chunk_name))?;
        Ok(Guard { spec, values: &data.checksums })
    }

    /// The windows that hold `part`, cut at the chunk's end.
    fn windows_around(&self, part: &Range<u64>, chunk_len: u64) -> Range<u64> {
        if self.spec.kind() == ChecksumKind::None {
            return part.clone();
        }
        let window = u64::from(self.spec.bytes_per_checksum());
        part.start / window * window..part.end.div_ceil(window).saturating_mul(window).min(chunk_len)
    }

    /// Holds `data`, which stands at `start` of the chunk, against the windows' values.
    fn verify(&self, start: u64, data: &Rope) -> Result<(), Unverified> {
        if self.spec.kind() == ChecksumKind::None {
            return Ok(());
        }
        let first = usize::try_from(start / u64::from(self.spec.bytes_per_checksum())).unwrap_or(usize::MAX);
        let count = self.spec.windows(data.len());
        let values = first.checked_add(count).and_then(|end| self.values.get(first..end));
        let values = values.ok_or_else(|| {
            Unverified::Unguarded(format!("{} checksums do not cover the chunk", self.values.len()))
        })?;
        let mut joined = BytesMut::with_capacity(values.len() * self.spec.kind().value_len());
        values.iter().for_each(|value| joined.extend_from_slice(value));
        let checksums = Checksums::from_joined(self.spec, joined.freeze())
            .ok_or_else(|| Unverified::Unguarded("a checksum has the wrong length".to_owned()))?;
        checksums.verify_rope(data).map_err(Unverified::Damaged)
    }
}
