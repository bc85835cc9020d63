//! The checksum of a whole key, as Ozone's clients compare files by.
//!
//! Shape   the CRC of the key's bytes by the function that guards its chunks. Ozone composes it from the chunks' own checksums and
//!         gets the same number; here the bytes are read, and so verified, on the way.
//! Source  `ozone sh key checksum`, with which a test compares.

use allotrope_ec::Crc;
use allotrope_proto::checksum::ChecksumKind;

use crate::client::Client;
use crate::datanode::BlockAt;
use crate::error::Error;
use crate::om::Key;
use crate::path::KeyPath;

/// The checksum of a whole key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChecksum {
    /// Its name among Hadoop's file checksums.
    pub algorithm: &'static str,
    /// The CRC.
    pub crc: u32,
}

impl Client {
    /// The checksum of a key's bytes, which are read and verified for it; `None` for a key without bytes.
    ///
    /// # Errors
    /// As reading the key, and [`Error::Unsupported`] for a key that no CRC guards.
    pub async fn key_checksum(&self, path: &KeyPath) -> Result<Option<KeyChecksum>, Error> {
        let key = self.key(path).await?;
        if key.len == 0 {
            return Ok(None);
        }
        let (crc, algorithm) = match self.guard_of(path, &key).await? {
            Some(ChecksumKind::Crc32) => (Crc::Crc32, "COMPOSITE-CRC32"),
            Some(ChecksumKind::Crc32c) => (Crc::Crc32c, "COMPOSITE-CRC32C"),
            _ => {
                return Err(Error::Unsupported {
                    what: format!("the checksum of {path}, which no CRC guards"),
                    instead: "read the key and sum its bytes",
                });
            }
        };
        let (len, mut sum) = (key.len, 0);
        let mut reader = self.read_found(key, 0..len)?;
        while let Some(bytes) = reader.next().await? {
            sum = crc.extended(sum, &bytes);
        }
        Ok(Some(KeyChecksum { algorithm, crc: sum }))
    }

    /// What guards the chunks of the first block, by the first of its replicas that has chunks.
    async fn guard_of(&self, path: &KeyPath, key: &Key) -> Result<Option<ChecksumKind>, Error> {
        let Some(location) = key.locations.first() else { return Ok(None) };
        let mut failure = None;
        for member in &location.members {
            let at = BlockAt { block: location.block, member: member.clone() };
            match self.datanodes().get_block(&at).await {
                Ok(chunks) => {
                    if let Some(chunk) = chunks.first() {
                        return Ok(Some(chunk.checksums.spec().kind()));
                    }
                }
                Err(error) => failure = Some(Box::new(error)),
            }
        }
        let (key, block, replicas) = (path.clone(), location.block, location.members.len());
        Err(Error::Unreadable { key, block, replicas, source: failure })
    }
}
