//! One window's checksum in the making, whichever function it is.

use bytes::{BufMut, BytesMut};
use crc_fast::CrcAlgorithm;
use sha2::Digest;

use super::ChecksumKind;

pub(super) enum Hasher {
    None,
    Crc32(crc32fast::Hasher),
    Crc32c(crc_fast::Digest),
    Sha256(sha2::Sha256),
    Md5(md5::Md5),
}

impl Hasher {
    pub(super) fn new(kind: ChecksumKind) -> Hasher {
        match kind {
            ChecksumKind::None => Hasher::None,
            ChecksumKind::Crc32 => Hasher::Crc32(crc32fast::Hasher::new()),
            ChecksumKind::Crc32c => Hasher::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumKind::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            ChecksumKind::Md5 => Hasher::Md5(md5::Md5::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::None => {}
            Hasher::Crc32(crc) => crc.update(bytes),
            Hasher::Crc32c(crc) => crc.update(bytes),
            Hasher::Sha256(digest) => digest.update(bytes),
            Hasher::Md5(digest) => digest.update(bytes),
        }
    }

    /// Writes the value behind `values`.
    pub(super) fn finish(self, values: &mut BytesMut) {
        match self {
            Hasher::None => {}
            Hasher::Crc32(crc) => values.put_u32(crc.finalize()),
            // The library widens every CRC to 64 bits; this one has 32.
            Hasher::Crc32c(crc) => values.put_u32(crc.finalize() as u32),
            Hasher::Sha256(digest) => values.put_slice(&digest.finalize()),
            Hasher::Md5(digest) => values.put_slice(&digest.finalize()),
        }
    }
}
