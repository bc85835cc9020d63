//! Chunks and blocks as datanodes record them.

use allotrope_types::{BlockId, BlockOffset, ByteCount};
use bytes::{Bytes, BytesMut};

use super::field::{At, enums};
use crate::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use crate::container as wire;
use crate::container::{ChecksumData, ChecksumType, ReadChunkVersion};
use crate::{Checked, WireError};

enums!(ReadChunkVersion, wire::ContainerType);

impl From<ChecksumType> for ChecksumKind {
    fn from(wire: ChecksumType) -> ChecksumKind {
        match wire {
            ChecksumType::None => ChecksumKind::None,
            ChecksumType::Crc32 => ChecksumKind::Crc32,
            ChecksumType::Crc32c => ChecksumKind::Crc32c,
            ChecksumType::Sha256 => ChecksumKind::Sha256,
            ChecksumType::Md5 => ChecksumKind::Md5,
        }
    }
}

impl From<ChecksumKind> for ChecksumType {
    fn from(kind: ChecksumKind) -> ChecksumType {
        match kind {
            ChecksumKind::None => ChecksumType::None,
            ChecksumKind::Crc32 => ChecksumType::Crc32,
            ChecksumKind::Crc32c => ChecksumType::Crc32c,
            ChecksumKind::Sha256 => ChecksumType::Sha256,
            ChecksumKind::Md5 => ChecksumType::Md5,
        }
    }
}

impl TryFrom<ChecksumData> for Checksums {
    type Error = WireError;

    fn try_from(message: ChecksumData) -> Result<Checksums, WireError> {
        let at = |field| At::new(ChecksumData::RULES, field);
        let kind = ChecksumType::try_from(message.r#type).map_err(|_| at("type").unknown(message.r#type))?;
        let kind = ChecksumKind::from(kind);
        let spec = ChecksumSpec::new(kind, message.bytes_per_checksum)
            .ok_or_else(|| at("bytes_per_checksum").invalid("is 0, so windows would be empty"))?;
        let mut joined = BytesMut::with_capacity(message.checksums.len() * kind.value_len());
        for value in &message.checksums {
            if value.len() != kind.value_len() {
                let (len, wanted) = (value.len(), kind.value_len());
                return Err(at("checksums").invalid(format!("holds {len} bytes where {kind:?} has {wanted}")));
            }
            joined.extend_from_slice(value);
        }
        Checksums::from_joined(spec, joined.freeze())
            .ok_or_else(|| at("checksums").invalid("is there without a type"))
    }
}

impl From<Checksums> for ChecksumData {
    fn from(checksums: Checksums) -> ChecksumData {
        ChecksumData {
            r#type: ChecksumType::from(checksums.spec().kind()) as i32,
            bytes_per_checksum: checksums.spec().bytes_per_checksum(),
            checksums: checksums.values().collect(),
        }
    }
}

through_try_from!(Checksums, ChecksumData);

message! {
    /// A name and, perhaps, a value, in datanodes' messages.
    KeyValue = wire => KeyValue {
        key: String,
        value: Option<String>,
    }
}

message! {
    /// One chunk of a block: where it lies and what guards it.
    ChunkInfo = wire => ChunkInfo {
        /// `<local id>_chunk_<number>` from Ozone's clients.
        chunk_name: String,
        /// In the block file.
        offset: BlockOffset,
        metadata: Vec<KeyValue>,
        /// All values of the chunks of one erasure-coded stripe, on replica 1 and the parity replicas.
        stripe_checksum: Option<Bytes>,
        len: ByteCount,
        ;
        checksums: Checksums = (checksum_data),
    }
}

message! {
    /// A block as PutBlock records it and GetBlock shows it.
    BlockData = wire => BlockData {
        flags: Option<i64>,
        metadata: Vec<KeyValue>,
        chunks: Vec<ChunkInfo>,
        /// The sum of the chunks' lengths; clients leave it out.
        size: Option<ByteCount>,
        ;
        block: BlockId = (block_id),
    }
}

message! {
    /// How long a block is, as its replica says.
    CommittedBlock = wire => GetCommittedBlockLengthResponseProto {
        block_length: ByteCount,
        ;
        block: BlockId = (block_id),
    }
}
