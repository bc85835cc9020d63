//! A command of a pipeline on one member: what it touches, the mark of its index, and what its result means for the epoch.
//!
//! Shape   `touches` and `verdict` are pure; `carry_out` asks the container's home shard.

use super::lanes::Touches;
use crate::commands::{CommandError, Request, Response};
use crate::server::ask_home;
use crate::store::Node;
use allotrope_io::Shard;
use allotrope_proto::container::{ContainerCommandRequestProto, DatanodeBlockId, Type};
use allotrope_types::DatanodeResult::{self, *};
use allotrope_types::{ContainerId, LocalId};

/// What all members' same result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer goes to the client as it is.
    Answer,
    /// The client is told why not; the pipeline goes on.
    Refuse,
    /// A member cannot go on.
    End,
}

/// What a result means that all members came to.
pub(super) fn verdict(result: DatanodeResult) -> Verdict {
    match result {
        Success | ChunkFileInconsistency => Verdict::Answer,
        // What the client sent, or when.
        ContainerNotOpen
        | ClosedContainerIo
        | ContainerUnhealthy
        | InvalidContainerState
        | ChecksumMismatch
        | InvalidWriteSize
        | MalformedRequest
        | InvalidArgument
        | UnsupportedRequest
        | NoSuchBlock
        | NoSuchAlgorithm
        | ContainerNotFound
        | ContainerMissing
        | ContainerAlreadyExists
        | BlockAlreadyFinalized
        | UnableToFindChunk
        | UnknownContainerType
        | DeleteOnOpenContainer
        | DeleteOnNonEmptyContainer
        | PutSmallFileError => Verdict::Refuse,
        _ => Verdict::End,
    }
}

fn malformed(why: String) -> CommandError {
    CommandError::new(MalformedRequest, why)
}

fn block(id: &DatanodeBlockId) -> Result<LocalId, CommandError> {
    LocalId::try_from(id.local_id).map_err(|e| malformed(format!("localID: {e}")))
}

/// What a command touches, or why it has no place in a pipeline.
pub(super) fn touches(
    message: &ContainerCommandRequestProto,
) -> Result<(ContainerId, Touches), CommandError> {
    let container = ContainerId::try_from(message.container_id);
    let container = container.map_err(|e| malformed(format!("containerID: {e}")))?;
    let kind = Type::try_from(message.cmd_type).map_err(|_| {
        CommandError::new(UnsupportedRequest, format!("command {} is not known", message.cmd_type))
    })?;
    let bare = || malformed(format!("{} comes without its payload", kind.as_str_name()));
    let touches = match kind {
        Type::WriteChunk => {
            let write = message.write_chunk.as_ref().ok_or_else(bare)?;
            let block = block(&write.block_id)?;
            if write.block.is_some() { Touches::Put(block) } else { Touches::Chunk(block) }
        }
        Type::PutBlock => {
            Touches::Put(block(&message.put_block.as_ref().ok_or_else(bare)?.block_data.block_id)?)
        }
        Type::PutSmallFile => {
            let put = message.put_small_file.as_ref().ok_or_else(bare)?;
            Touches::Put(block(&put.block.block_data.block_id)?)
        }
        Type::CreateContainer | Type::CloseContainer | Type::FinalizeBlock => Touches::All,
        _ => {
            let why = format!("{} is no command of a pipeline", kind.as_str_name());
            return Err(CommandError::new(UnsupportedRequest, why));
        }
    };
    Ok((container, touches))
}

/// Whether a command only reads: it gets no index.
pub(super) fn only_reads(message: &ContainerCommandRequestProto) -> bool {
    use Type::{Echo, GetBlock, GetCommittedBlockLength, GetSmallFile, ListBlock, ReadChunk, ReadContainer};
    let reads = [GetBlock, ReadChunk, ListBlock, GetCommittedBlockLength, GetSmallFile, ReadContainer, Echo];
    reads.iter().any(|kind| *kind as i32 == message.cmd_type)
}

/// Whether data stands behind the command.
pub(super) fn has_data(message: &ContainerCommandRequestProto) -> bool {
    message.write_chunk.is_some() || message.put_small_file.is_some()
}

/// Marks a command with its index: the BCSID of what it puts. What only the leader looks at goes.
pub(super) fn stamp(message: &mut ContainerCommandRequestProto, index: u64) {
    let puts = [
        message.put_block.as_mut(),
        message.write_chunk.as_mut().and_then(|write| write.block.as_mut()),
        message.put_small_file.as_mut().map(|put| &mut put.block),
    ];
    for put in puts.into_iter().flatten() {
        put.block_data.block_id.block_commit_sequence_id = Some(index);
    }
    message.encoded_token = None;
}

/// Carries a command out on this member.
pub(super) async fn carry_out(shard: &Shard, node: &Node, request: Request) -> Response {
    ask_home(shard, node, request).await
}

/// A response's result. A code that is none is this release's own mistake, and a reason to end.
pub(super) fn result_of(response: &Response) -> DatanodeResult {
    DatanodeResult::from_number(response.message.result).unwrap_or(ContainerInternalError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::container::{BlockData, PutBlockRequestProto, WriteChunkRequestProto};

    fn id(local: i64) -> DatanodeBlockId {
        DatanodeBlockId { container_id: 1, local_id: local, ..Default::default() }
    }

    fn put(local: i64) -> PutBlockRequestProto {
        let block_data = BlockData { block_id: id(local), ..Default::default() };
        PutBlockRequestProto { block_data, ..Default::default() }
    }

    fn message(kind: Type) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto { cmd_type: kind.into(), container_id: 1, ..Default::default() }
    }

    #[test]
    fn every_put_gets_the_index_as_its_bcsid() {
        let mut one = message(Type::PutBlock);
        one.put_block = Some(put(5));
        one.encoded_token = Some("t".into());
        stamp(&mut one, 9);
        assert_eq!(one.put_block.as_ref().unwrap().block_data.block_id.block_commit_sequence_id, Some(9));
        assert_eq!(one.encoded_token, None);
        assert_eq!(touches(&one).unwrap().1, Touches::Put(LocalId::new(5)));
        let mut both = message(Type::WriteChunk);
        both.write_chunk = Some(WriteChunkRequestProto { block_id: id(6), ..Default::default() });
        assert_eq!(touches(&both).unwrap().1, Touches::Chunk(LocalId::new(6)));
        both.write_chunk.as_mut().unwrap().block = Some(put(6));
        stamp(&mut both, 10);
        let stamped = both.write_chunk.as_ref().unwrap().block.as_ref().unwrap();
        assert_eq!(stamped.block_data.block_id.block_commit_sequence_id, Some(10));
        assert_eq!(touches(&both).unwrap().1, Touches::Put(LocalId::new(6)));
    }

    #[test]
    fn what_has_no_place_in_a_pipeline_is_refused() {
        for kind in [Type::DeleteContainer, Type::ReadChunk, Type::StreamInit] {
            assert_eq!(touches(&message(kind)).unwrap_err().result, UnsupportedRequest);
        }
        assert_eq!(touches(&message(Type::PutBlock)).unwrap_err().result, MalformedRequest, "no payload");
        let mut far = message(Type::CloseContainer);
        assert_eq!(touches(&far).unwrap().1, Touches::All);
        far.container_id = -1;
        assert_eq!(touches(&far).unwrap_err().result, MalformedRequest);
    }

    #[test]
    fn a_disk_that_fails_ends_the_epoch_and_a_client_that_errs_does_not() {
        assert_eq!(verdict(Success), Verdict::Answer);
        assert_eq!(verdict(ChecksumMismatch), Verdict::Refuse);
        for result in [IoException, DiskOutOfSpace, ContainerInternalError, UnableToReadMetadataDb] {
            assert_eq!(verdict(result), Verdict::End);
        }
    }
}
