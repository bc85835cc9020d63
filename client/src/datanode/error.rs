//! Why a command to a datanode failed.

use allotrope_proto::checksum::ChecksumError;
use allotrope_proto::container::Type;
use allotrope_types::{Advice, BlockId, DatanodeId, DatanodeResult};

use crate::channel::CallError;

/// Why a command to a datanode failed.
#[derive(Debug, thiserror::Error)]
pub enum DatanodeError {
    /// No answer came.
    #[error("datanode {datanode} does not answer {}", command.as_str_name())]
    Call {
        /// The datanode.
        datanode: DatanodeId,
        /// The command.
        command: Type,
        /// Why.
        source: CallError,
    },
    /// The datanode understood and refused.
    #[error("datanode {datanode} refuses {}: {} ({message})", command.as_str_name(), result.name())]
    Refused {
        /// The datanode.
        datanode: DatanodeId,
        /// The command.
        command: Type,
        /// Its result code.
        result: DatanodeResult,
        /// Its words.
        message: String,
    },
    /// The answer makes no sense.
    #[error("datanode {datanode} answers {} with nonsense: {why}", command.as_str_name())]
    Answer {
        /// The datanode.
        datanode: DatanodeId,
        /// The command.
        command: Type,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes are not those that were written.
    #[error("datanode {datanode} gives bytes of block {block} that are not those written")]
    Damaged {
        /// The datanode.
        datanode: DatanodeId,
        /// The block.
        block: BlockId,
        /// Which window differs.
        source: ChecksumError,
    },
}

impl DatanodeError {
    /// The datanode it came from.
    pub fn datanode(&self) -> DatanodeId {
        match self {
            DatanodeError::Call { datanode, .. }
            | DatanodeError::Refused { datanode, .. }
            | DatanodeError::Answer { datanode, .. }
            | DatanodeError::Damaged { datanode, .. } => *datanode,
        }
    }

    /// Whether the container was closed to writes, which is nobody's fault: the datanode stays in use.
    pub fn container_closed(&self) -> bool {
        use DatanodeResult::{ClosedContainerIo, ContainerNotOpen};
        matches!(self, DatanodeError::Refused { result: ClosedContainerIo | ContainerNotOpen, .. })
    }

    /// Whether the datanode as a whole is to be kept away from. One that answers that a pipeline has ended is well.
    pub(crate) fn blames_datanode(&self, pipeline: bool) -> bool {
        !(pipeline && matches!(self, DatanodeError::Call { source: CallError::Status { .. }, .. }))
    }

    /// What to do next.
    pub fn advice(&self) -> Advice {
        match self {
            DatanodeError::Refused { result, .. } => result.advice(),
            DatanodeError::Call { .. } | DatanodeError::Answer { .. } | DatanodeError::Damaged { .. } => {
                Advice::ReadElsewhere
            }
        }
    }
}
