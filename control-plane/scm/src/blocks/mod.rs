//! Blocks: where the next one goes.
//!
//! Owns    [`choose`] (the decision, pure but for the generator) and what an allocation answers.
//! Source  wire facts: scm.md 2.2, 2.3.

pub mod choose;
pub(crate) mod choose_ratis;

use allotrope_types::{ByteCount, ReplicationConfig, ScmStatus};

use crate::placement::NotEnough;

/// Blocks one request may ask for.
pub const BLOCKS_MAX: usize = 1_000;

/// Why no block was allocated. Nothing has changed, apart from a container that may have been opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// Not enough of the cluster has been heard.
    #[error("SCM is in safe mode and allocates no blocks yet: {rules}")]
    SafeMode {
        /// The rules that do not hold.
        rules: String,
    },
    /// The size cannot be a block's.
    #[error("a block of {size} does not fit a container of {container_size}; ask for less")]
    Size {
        /// What was asked for.
        size: ByteCount,
        /// What a container holds.
        container_size: ByteCount,
    },
    /// Too many at once.
    #[error("{asked} blocks in one request; ask for 1 to {BLOCKS_MAX}")]
    Count {
        /// How many were asked for.
        asked: u32,
    },
    /// The replication config makes no sense.
    #[error("the replication of the block cannot be read: {0}")]
    Replication(crate::wire::NotOurs),
    /// The replication config is one that this SCM has no pipelines for.
    #[error(
        "{config} has no pipelines on this cluster; use RATIS/THREE, RATIS/ONE, STANDALONE/ONE or an EC config such as rs-3-2-1024k"
    )]
    Unsupported {
        /// What was asked for.
        config: ReplicationConfig,
    },
    /// No pipeline is open.
    #[error("no pipeline of {config} is open; its datanodes may still be starting")]
    NoPipeline {
        /// What was asked for.
        config: ReplicationConfig,
    },
    /// Too few datanodes.
    #[error("no datanodes for a block of {config}: {source}")]
    Nodes {
        /// What was asked for.
        config: ReplicationConfig,
        /// Who was there.
        source: NotEnough,
    },
    /// Every open container is excluded or has no room, and there are as many as there may be.
    #[error("no open container of {config} takes {size} more, and {open} are open already; try again")]
    NoRoom {
        /// What was asked for.
        config: ReplicationConfig,
        /// How large the block is.
        size: ByteCount,
        /// How many containers are open.
        open: usize,
    },
    /// The exclude list does not read.
    #[error("the exclude list cannot be read: {0}")]
    Exclude(crate::wire::NotOurs),
    /// The log refused the new container.
    #[error("the new container was not accepted: {0}")]
    Refused(String),
}

impl AllocateError {
    /// What the wire calls it.
    pub fn status(&self) -> ScmStatus {
        match self {
            AllocateError::SafeMode { .. } => ScmStatus::SafeModeException,
            AllocateError::Size { .. } => ScmStatus::InvalidBlockSize,
            AllocateError::Count { .. } | AllocateError::NoRoom { .. } => {
                ScmStatus::FailedToAllocateEnoughBlocks
            }
            AllocateError::Replication(_) | AllocateError::Exclude(_) | AllocateError::Unsupported { .. } => {
                ScmStatus::UnsupportedOperation
            }
            AllocateError::Nodes { .. } => ScmStatus::FailedToFindSuitableNode,
            AllocateError::NoPipeline { .. } => ScmStatus::FailedToFindActivePipeline,
            AllocateError::Refused(_) => ScmStatus::FailedToAllocateContainer,
        }
    }
}
