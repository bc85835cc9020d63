//! A chunk's checksums from the wire.

use crate::commands::CommandError;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{ChecksumData, ChecksumType, ChunkInfo};
use allotrope_types::DatanodeResult::{ChecksumMismatch, MalformedRequest, NoSuchAlgorithm};
use bytes::{Bytes, BytesMut};

/// The checksums of `chunk`.
pub fn of_chunk(chunk: &ChunkInfo) -> Result<Checksums, CommandError> {
    from_wire(&chunk.checksum_data, &chunk.chunk_name)
}

fn from_wire(data: &ChecksumData, chunk: &str) -> Result<Checksums, CommandError> {
    let kind = match ChecksumType::try_from(data.r#type) {
        Ok(ChecksumType::None) => ChecksumKind::None,
        Ok(ChecksumType::Crc32) => ChecksumKind::Crc32,
        Ok(ChecksumType::Crc32c) => ChecksumKind::Crc32c,
        Ok(ChecksumType::Sha256) => ChecksumKind::Sha256,
        Ok(ChecksumType::Md5) => ChecksumKind::Md5,
        Err(_) => {
            let why = format!("chunk {chunk}: checksum type {} is not known", data.r#type);
            return Err(CommandError::new(NoSuchAlgorithm, why));
        }
    };
    let spec = ChecksumSpec::new(kind, data.bytes_per_checksum).ok_or_else(|| {
        CommandError::new(MalformedRequest, format!("chunk {chunk}: bytesPerChecksum is 0"))
    })?;
    let joined = match data.checksums.as_slice() {
        _ if kind == ChecksumKind::None => Bytes::new(),
        [one] => one.clone(),
        many => many
            .iter()
            .fold(BytesMut::new(), |mut joined, one| {
                joined.extend_from_slice(one);
                joined
            })
            .freeze(),
    };
    let whole = data.checksums.iter().all(|one| one.len() == kind.value_len() || kind == ChecksumKind::None);
    let checksums = Checksums::from_joined(spec, joined).filter(|_| whole);
    checksums.ok_or_else(|| {
        CommandError::new(
            ChecksumMismatch,
            format!("chunk {chunk}: a checksum does not have {} bytes", kind.value_len()),
        )
    })
}

/// Gives the chunk bytes of its own: as received they are parts of a message, which they keep whole.
pub fn detach(chunk: &mut ChunkInfo) {
    let sums = &mut chunk.checksum_data.checksums;
    let mut joined = BytesMut::with_capacity(sums.iter().map(Bytes::len).sum());
    sums.iter().for_each(|sum| joined.extend_from_slice(sum));
    let mut joined = joined.freeze();
    sums.iter_mut().for_each(|sum| *sum = joined.split_to(sum.len()));
    if let Some(stripe) = &mut chunk.stripe_checksum {
        *stripe = Bytes::copy_from_slice(stripe);
    }
}

/// Bytes of a window; 0 where nothing is checksummed.
pub fn window(checksums: &Checksums) -> u64 {
    match checksums.spec().kind() {
        ChecksumKind::None => 0,
        _ => u64::from(checksums.spec().bytes_per_checksum()),
    }
}
