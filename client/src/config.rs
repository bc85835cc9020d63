//! What a client needs to know, each value with its reason.

use std::time::Duration;

use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec};
use allotrope_types::ByteCount;

use crate::channel::Address;
use crate::pace::HedgePolicy;
use crate::retry::RetryPolicy;

/// A client's settings. [`Config::at`] gives the defaults for one OM.
///
/// ```
/// use allotrope_client::Config;
///
/// let config = Config { user: "alice".to_owned(), ..Config::at("om1", 8981) };
/// assert_eq!(config.om[0].to_string(), "om1:8981");
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// gRPC addresses of the OMs, all of one service. Whichever leads is found by asking.
    pub om: Vec<Address>,
    /// Name that OM sees as the caller's. Default: the user `anonymous`.
    pub user: String,
    /// Longest wait for one answer of OM. Default 30 s.
    pub om_deadline: Duration,
    /// How calls to OM are repeated.
    pub om_retry: RetryPolicy,
    /// Longest wait for a connection. Default 5 s.
    pub connect_deadline: Duration,
    /// Longest wait for one answer of a datanode, its bytes included. Default 30 s.
    pub datanode_deadline: Duration,
    /// How a block that no datanode gives is asked for again: between rounds OM is asked where it is now.
    pub read_retry: RetryPolicy,
    /// When a slow read is asked for elsewhere too.
    pub hedge: HedgePolicy,
    /// Consecutive blocks that may fail before a write gives up. Default 10.
    pub write_attempts_max: u32,
    /// Whether datanodes are reached by host name instead of address (`hdds.datanode.use.datanode.hostname`).
    pub use_datanode_hostname: bool,
    /// How the chunks of new keys are checksummed. Default CRC32 over 16 KiB.
    pub checksum: ChecksumSpec,
    /// Longest chunk of a replicated block. Default 4 MiB, at most 32 MiB.
    pub chunk_len: ByteCount,
    /// Data after which a replicated block is made safe by a PutBlock, and so the most that is kept to be sent again.
    /// Default 16 MiB.
    pub flush_len: ByteCount,
    /// Bytes, parity included, that one writer of an erasure-coded key holds until they are safe: what is on its way to the
    /// datanodes, and is sent again when one of them fails. Two stripes at the least. Default 32 MiB.
    pub write_window: ByteCount,
    /// Bytes that one reader asks for ahead. Default 16 MiB.
    pub read_ahead: ByteCount,
    /// Start of the random numbers that spread retries; with the same seed they are the same. Drawn by default.
    pub seed: u64,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client setting {name} {why}")]
pub struct ConfigError {
    /// The field of [`Config`].
    pub name: &'static str,
    /// What is wrong with it, and what would do; to be read after the name.
    pub why: &'static str,
}

impl Config {
    /// The defaults, for one OM that serves gRPC at `host` and `port`.
    pub fn at(host: impl Into<String>, port: u16) -> Config {
        Config {
            om: vec![Address::new(host, port)],
            user: "anonymous".to_owned(),
            om_deadline: Duration::from_secs(30),
            om_retry: RetryPolicy::default(),
            connect_deadline: Duration::from_secs(5),
            datanode_deadline: Duration::from_secs(30),
            read_retry: RetryPolicy {
                attempts_max: 4,
                delay_first: Duration::from_secs(1),
                delay_max: Duration::from_secs(1),
                budget: Duration::from_secs(120),
            },
            hedge: HedgePolicy::default(),
            write_attempts_max: 10,
            use_datanode_hostname: false,
            checksum: ChecksumSpec::new(ChecksumKind::Crc32, 16 * 1024).expect("16 KiB are not zero"),
            chunk_len: ByteCount::mib(4),
            flush_len: ByteCount::mib(16),
            write_window: ByteCount::mib(32),
            read_ahead: ByteCount::mib(16),
            seed: fastrand::u64(..),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let refused = |name, why| Err(ConfigError { name, why });
        let chunk_len = self.chunk_len.as_u64();
        if self.om.is_empty() {
            return refused("om", "is empty; name at least one OM");
        }
        if chunk_len == 0 || chunk_len > 32 << 20 {
            return refused("chunk_len", "must be from 1 byte to 32 MiB; 4 MiB is usual");
        }
        if self.flush_len < self.chunk_len {
            return refused("flush_len", "is shorter than a chunk; 16 MiB is usual");
        }
        if self.write_attempts_max == 0 {
            return refused("write_attempts_max", "is zero, so nothing would be written; 10 is usual");
        }
        if !matches!(self.checksum.kind(), ChecksumKind::Crc32 | ChecksumKind::Crc32c) {
            return refused(
                "checksum",
                "must be CRC32 or CRC32C: a key without either cannot be verified by all readers",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named() {
        let named = |config: Config| config.check().unwrap_err().name;
        let at = || Config::at("om", 1);
        assert_eq!(at().check(), Ok(()));
        assert_eq!(named(Config { om: vec![], ..at() }), "om");
        assert_eq!(named(Config { chunk_len: ByteCount::ZERO, ..at() }), "chunk_len");
        assert_eq!(named(Config { chunk_len: ByteCount::mib(33), ..at() }), "chunk_len");
        assert_eq!(named(Config { flush_len: ByteCount::mib(3), ..at() }), "flush_len");
        assert_eq!(named(Config { write_attempts_max: 0, ..at() }), "write_attempts_max");
        let none = ChecksumSpec::new(ChecksumKind::None, 0).unwrap();
        assert_eq!(named(Config { checksum: none, ..at() }), "checksum");
    }
}
