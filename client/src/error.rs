//! What can go wrong for a caller of the client.

use allotrope_types::{Advice, BlockId, OmStatus};

use crate::channel::CallError;
use crate::config::ConfigError;
use crate::datanode::DatanodeError;
use crate::path::KeyPath;
use crate::read::UnreadableStripe;
use crate::retry::Failure;

/// Why an act of the client failed. The message names the act; the cause is in `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's settings do not do.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// OM understood and refused.
    #[error("cannot {act}: {} ({message})", status.name())]
    Refused {
        /// What was asked for.
        act: String,
        /// OM's status.
        status: OmStatus,
        /// OM's words.
        message: String,
    },
    /// No OM answered.
    #[error("cannot {act}: OM gives no answer after {attempts} attempts")]
    OmSilent {
        /// What was asked for.
        act: String,
        /// How often it was asked.
        attempts: u32,
        /// The last failure.
        source: Box<CallError>,
    },
    /// OM's answer makes no sense.
    #[error("cannot {act}: OM's answer is unusable: {why}")]
    OmAnswer {
        /// What was asked for.
        act: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// Something that Ozone has and this client does not.
    #[error("{what} is not there yet; {instead}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What does work.
        instead: &'static str,
    },
    /// A block could not be written anywhere.
    #[error("cannot write {key}: {attempts} blocks failed one after the other")]
    Unwritable {
        /// The key.
        key: KeyPath,
        /// Blocks that failed without one that worked between them.
        attempts: u32,
        /// The last failure.
        source: Box<DatanodeError>,
    },
    /// A block failed, and OM gives no other.
    #[error("cannot write {key}: a block failed and OM gives no other: {} ({message})", status.name())]
    NoBlock {
        /// The key.
        key: KeyPath,
        /// OM's status.
        status: OmStatus,
        /// OM's words.
        message: String,
        /// Why the block before failed.
        source: Box<DatanodeError>,
    },
    /// No replica of a block gives its bytes.
    #[error("cannot read block {block} of {key}: none of its {replicas} replicas gives it")]
    Unreadable {
        /// The key.
        key: KeyPath,
        /// The block.
        block: BlockId,
        /// Replicas that were asked.
        replicas: usize,
        /// The last failure; `None` if OM names no replica.
        source: Option<Box<DatanodeError>>,
    },
    /// Too few replicas of a block group give their bytes.
    #[error("cannot read block group {block} of {key}")]
    UnreadableGroup {
        /// The key.
        key: KeyPath,
        /// The group.
        block: BlockId,
        /// Which cells are missing, and why the last one is.
        source: Box<UnreadableStripe>,
    },
    /// A range that the key does not have.
    #[error("bytes {start} to {end} do not lie in {key}, which has {len} bytes")]
    NotInKey {
        /// The key.
        key: KeyPath,
        /// First byte asked for.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// Bytes of the key.
        len: u64,
    },
    /// Fewer or more bytes were written than were announced.
    #[error("{key} was announced with {announced} bytes and got {written}")]
    Length {
        /// The key.
        key: KeyPath,
        /// Bytes announced.
        announced: u64,
        /// Bytes written.
        written: u64,
    },
    /// The stream that a key's bytes were to come from failed.
    #[error("the bytes for {key} ended early; the key was not written")]
    Source {
        /// The key.
        key: KeyPath,
        /// What the stream failed with.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writer failed before; its key was not committed.
    #[error("{key} was given up after an earlier failure")]
    GivenUp {
        /// The key.
        key: KeyPath,
    },
}

impl Error {
    /// OM's status, if OM refused.
    pub fn om_status(&self) -> Option<OmStatus> {
        match self {
            Error::Refused { status, .. } | Error::NoBlock { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What whoever meets this error should do next.
    pub fn advice(&self) -> Advice {
        match self {
            Error::Refused { status, .. } => status.advice(),
            Error::OmSilent { source, .. } => match source.failure() {
                Failure::Final => Advice::FixRequest,
                _ => Advice::RetryLater,
            },
            Error::OmAnswer { .. } => Advice::CallOperator,
            Error::NoBlock { .. }
            | Error::Unwritable { .. }
            | Error::Unreadable { .. }
            | Error::UnreadableGroup { .. } => Advice::RetryLater,
            Error::Config(_)
            | Error::Unsupported { .. }
            | Error::NotInKey { .. }
            | Error::Length { .. }
            | Error::Source { .. }
            | Error::GivenUp { .. } => Advice::FixRequest,
        }
    }
}
