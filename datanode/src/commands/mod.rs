//! What clients ask of containers: one file a command, and the rules that all of them share.
//!
//! Shape   a request has been read into a [`Request`]; each command is an async function of the home shard's [`Store`]
//!         from its own message to its own answer; [`carry_out`] is the one door.
//! Errors  [`CommandError`]: a result code and a sentence. The gRPC status stays OK.
//! Source  docs/formats/datanode-commands.md.

mod checksum_info;
mod close_container;
mod committed_length;
pub(crate) mod create_container;
mod delete_container;
mod echo;
mod finalize_block;
mod get_block;
mod list_block;
mod put_block;
mod put_small_file;
mod read_block;
mod read_chunk;
mod read_container;
mod write_chunk;

use crate::block::records::RecordError;
use crate::container::Container;
use crate::store::Store;
use allotrope_io::{Class, DiskError};
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::{
    ContainerCommandRequestProto, ContainerCommandResponseProto, DatanodeBlockId, Result as WireResult, Type,
};
use allotrope_types::DatanodeResult::{self, *};
use allotrope_types::{ContainerId, LocalId, ReplicaIndex};
use std::rc::Rc;
use tracing::{Instrument, Span};

/// A command as it was received, with its bulk bytes apart.
pub type Request = Bulky<ContainerCommandRequestProto>;
/// An answer, with its bulk bytes apart.
pub type Response = Bulky<ContainerCommandResponseProto>;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{result}: {why}")]
pub struct CommandError {
    /// The code the client is answered.
    pub result: DatanodeResult,
    /// The sentence beside it.
    pub why: String,
}

impl CommandError {
    /// An error with its code and sentence.
    pub fn new(result: DatanodeResult, why: impl Into<String>) -> CommandError {
        CommandError { result, why: why.into() }
    }
}

impl From<DiskError> for CommandError {
    fn from(e: DiskError) -> CommandError {
        let result = if e.is_out_of_space() { DiskOutOfSpace } else { IoException };
        CommandError::new(result, format!("{e}: {}", e.source))
    }
}

impl From<RecordError> for CommandError {
    fn from(e: RecordError) -> CommandError {
        match e {
            RecordError::Metadata(e) => e.into(),
            RecordError::Damaged { .. } => CommandError::new(UnableToReadMetadataDb, e.to_string()),
        }
    }
}

impl From<crate::metadata::MetadataError> for CommandError {
    fn from(e: crate::metadata::MetadataError) -> CommandError {
        CommandError::new(IoException, e.to_string())
    }
}

/// Carries a command out on the home shard of its container; what it reads and writes of chunks takes turns as `class` does.
pub async fn carry_out(store: &Rc<Store>, request: Request, class: Class) -> Response {
    let (cmd_type, trace_id) = (request.message.cmd_type, request.message.trace_id.clone());
    let container = request.message.container_id;
    // What is logged on the way carries the trace that the client sent.
    let span = match trace_id.as_deref() {
        None | Some("") => Span::none(),
        Some(trace) => tracing::info_span!("command", trace),
    };
    match dispatch(store, request, class).instrument(span).await {
        Ok(mut response) => {
            response.message.cmd_type = cmd_type;
            response.message.trace_id = trace_id;
            response.message.result = WireResult::Success.into();
            response
        }
        Err(e) => {
            tracing::debug!(container, cmd_type, result = %e.result, trace = trace_id, why = %e.why, "refused");
            refused(cmd_type, trace_id, &e).into()
        }
    }
}

/// The block that a read asks for whose answer depends on the block alone; none for other commands.
pub(crate) fn block_read(message: &ContainerCommandRequestProto) -> Option<(ContainerId, LocalId)> {
    let id = match Type::try_from(message.cmd_type).ok()? {
        Type::GetBlock => &message.get_block.as_ref()?.block_id,
        Type::ReadChunk => &message.read_chunk.as_ref()?.block_id,
        Type::GetSmallFile => &message.get_small_file.as_ref()?.block.block_id,
        _ => return None,
    };
    Some((ContainerId::try_from(id.container_id).ok()?, LocalId::try_from(id.local_id).ok()?))
}

/// The answer that says why not.
pub fn refused(cmd_type: i32, trace_id: Option<String>, e: &CommandError) -> ContainerCommandResponseProto {
    ContainerCommandResponseProto {
        cmd_type,
        trace_id,
        result: e.result.number(),
        message: Some(e.why.clone()),
        ..Default::default()
    }
}

async fn dispatch(store: &Rc<Store>, request: Request, class: Class) -> Result<Response, CommandError> {
    let Bulky { message, mut bulk } = request;
    let kind = Type::try_from(message.cmd_type).map_err(|_| {
        CommandError::new(UnsupportedRequest, format!("command {} is not known", message.cmd_type))
    })?;
    let container = ContainerId::try_from(message.container_id)
        .map_err(|e| CommandError::new(MalformedRequest, format!("containerID: {e}")))?;
    let pipeline = message.pipeline_id.clone().unwrap_or_default();
    let context = Context { container, pipeline, class };
    // An EC replica answers only what was meant for this datanode: its neighbour's bytes are other bytes.
    if let Some(found) = store.find(container)
        && found.replica().is_some()
        && message.datanode_uuid != store.node().id.to_string()
    {
        let why =
            format!("this is datanode {}, the request is for {}", store.node().id, message.datanode_uuid);
        return Err(CommandError::new(InvalidArgument, why));
    }
    macro_rules! payload {
        ($field:ident) => {
            message.$field.ok_or_else(|| {
                let why = format!("{} comes without its payload", kind.as_str_name());
                CommandError::new(MalformedRequest, why)
            })?
        };
    }
    macro_rules! answer {
        ($field:ident, $value:expr) => {{
            let $field = Some($value);
            Response::from(ContainerCommandResponseProto { $field, ..Default::default() })
        }};
    }
    Ok(match kind {
        Type::CreateContainer => {
            answer!(
                create_container,
                create_container::run(store, &context, payload!(create_container)).await?
            )
        }
        Type::ReadContainer => {
            payload!(read_container);
            answer!(read_container, read_container::run(store, &context)?)
        }
        Type::CloseContainer => {
            payload!(close_container);
            answer!(close_container, close_container::run(store, &context).await?)
        }
        Type::DeleteContainer => {
            answer!(
                delete_container,
                delete_container::run(store, &context, payload!(delete_container)).await?
            )
        }
        Type::PutBlock => {
            answer!(put_block, put_block::run(store, &context, payload!(put_block), bulk).await?)
        }
        Type::GetBlock => answer!(get_block, get_block::run(store, &context, payload!(get_block)).await?),
        Type::ListBlock => answer!(list_block, list_block::run(store, &context, payload!(list_block)).await?),
        Type::WriteChunk => {
            let data = if bulk.is_empty() { Default::default() } else { bulk.swap_remove(0) };
            answer!(write_chunk, write_chunk::run(store, &context, payload!(write_chunk), data).await?)
        }
        Type::ReadChunk => return read_chunk::run(store, &context, payload!(read_chunk)).await,
        Type::ReadBlock => return read_block::run(store, &context, payload!(read_block)).await,
        Type::PutSmallFile => {
            let data = if bulk.is_empty() { Default::default() } else { bulk.swap_remove(0) };
            answer!(
                put_small_file,
                put_small_file::put(store, &context, payload!(put_small_file), data).await?
            )
        }
        Type::GetSmallFile => return put_small_file::get(store, &context, payload!(get_small_file)).await,
        Type::GetCommittedBlockLength => {
            let request = payload!(get_committed_block_length);
            answer!(get_committed_block_length, committed_length::run(store, &context, request).await?)
        }
        Type::FinalizeBlock => {
            answer!(finalize_block, finalize_block::run(store, &context, payload!(finalize_block)).await?)
        }
        Type::Echo => answer!(echo, echo::run(store, &context, payload!(echo)).await?),
        Type::GetContainerChecksumInfo => {
            payload!(get_container_checksum_info);
            answer!(get_container_checksum_info, checksum_info::run(store, &context).await?)
        }
        Type::UpdateContainer
        | Type::ListContainer
        | Type::DeleteBlock
        | Type::DeleteChunk
        | Type::ListChunk
        | Type::CompactChunk
        | Type::StreamInit
        | Type::StreamWrite
        | Type::StreamInitWithPutBlock => {
            let why = format!("{} is not served by datanodes", kind.as_str_name());
            return Err(CommandError::new(UnsupportedRequest, why));
        }
    })
}

/// What every command knows of its request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The container that is asked for.
    pub(crate) container: ContainerId,
    /// The pipeline that is named, as text; may be empty.
    pub(crate) pipeline: String,
    /// Whose turn its reads and writes of chunks take.
    pub(crate) class: Class,
}

/// A block's id from the wire, held against the container of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockAsked {
    pub(crate) local: LocalId,
    pub(crate) bcsid: u64,
    pub(crate) replica: Option<ReplicaIndex>,
}

impl Context {
    fn block(&self, id: &DatanodeBlockId) -> Result<BlockAsked, CommandError> {
        let malformed = |why: String| CommandError::new(MalformedRequest, why);
        if id.container_id != self.container.to_wire() {
            let why = format!(
                "the block is in container {}, the request is for {}",
                id.container_id, self.container
            );
            return Err(malformed(why));
        }
        Ok(BlockAsked {
            local: LocalId::try_from(id.local_id).map_err(|e| malformed(format!("localID: {e}")))?,
            bcsid: id.block_commit_sequence_id(),
            replica: ReplicaIndex::from_wire(id.replica_index()).map_err(|e| malformed(e.to_string()))?,
        })
    }

    fn existing(&self, store: &Store) -> Result<Rc<Container>, CommandError> {
        store.find(self.container).ok_or_else(|| {
            CommandError::new(
                ContainerNotFound,
                format!("container {} is not on this datanode", self.container),
            )
        })
    }

    /// The container of a read, with the checks that all block reads share.
    fn readable(&self, store: &Store, block: BlockAsked) -> Result<Rc<Container>, CommandError> {
        let container = self.existing(store)?;
        if let (Some(here), Some(asked)) = (container.replica(), block.replica)
            && here != asked
        {
            let why =
                format!("container {} here is replica {here}, the request is for {asked}", self.container);
            return Err(CommandError::new(ContainerNotFound, why));
        }
        let bcsid = container.facts().bcsid;
        if bcsid < block.bcsid {
            let why = format!("container {} has BCSID {bcsid}, {} is asked for", self.container, block.bcsid);
            return Err(CommandError::new(UnknownBcsid, why));
        }
        Ok(container)
    }

    /// The container of a write: made if it is not there and the writer lets us.
    async fn writable(
        &self,
        store: &Rc<Store>,
        block: BlockAsked,
        auto_create: bool,
    ) -> Result<Rc<Container>, CommandError> {
        let container = match store.find(self.container) {
            Some(found) => found,
            None => {
                store.check_not_missing(self.container)?;
                if !auto_create {
                    let why = format!("container {} is not here and shall not be made", self.container);
                    return Err(CommandError::new(ContainerNotFound, why));
                }
                create_container::for_write(store, self, block.replica).await?
            }
        };
        if let (Some(here), Some(asked)) = (container.replica(), block.replica)
            && here != asked
        {
            let why =
                format!("container {} here is replica {here}, the write is for {asked}", self.container);
            return Err(CommandError::new(InvalidArgument, why));
        }
        container.check_writable()?;
        container.volume().check_takes_writes()?;
        Ok(container)
    }
}
