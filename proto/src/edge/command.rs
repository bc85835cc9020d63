//! Commands on containers, blocks and chunks, and their answers.
//!
//! A [`CommandRequest`] comes from received frames by [`CommandRequest::read`] and an answer goes out by
//! [`CommandResponse::frames`]; chunk bytes are ropes all the way.
//!
//! Errors  a command without its arguments is [`WireError::Missing`], which a server answers MALFORMED_REQUEST.

use allotrope_types::{ContainerId, DatanodeId, DatanodeResult, PipelineId};
use bytes::Bytes;

use super::chunk::CommittedBlock;
use super::field::{At, Field, codes, enums};
use super::payload::*;
use crate::bulk::{self, Bulky, SplitLimits};
use crate::container::{ContainerCommandRequestProto, ContainerCommandResponseProto, Type};
use crate::{Checked, Rope, WireError};

enums!(Type);
codes!(DatanodeResult);

/// A command with its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRequest {
    /// What is to be done, with its arguments.
    pub command: Command,
    /// The container it concerns.
    pub container: ContainerId,
    /// The datanode that is meant.
    pub datanode: DatanodeId,
    /// The pipeline the sender believes in; the Ratis group's id on 9858.
    pub pipeline: Option<PipelineId>,
    /// An exported tracing span; may be empty.
    pub trace_id: Option<String>,
    /// The token, in Hadoop's text form; empty is as absent.
    pub encoded_token: Option<String>,
    /// What the client can do: 3 knows bucket layouts.
    pub version: Option<u32>,
    /// Newer clients only.
    pub client_id: Option<Bytes>,
    /// Newer clients only.
    pub call_id: Option<u64>,
}

/// An answer with its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandResponse {
    /// The command that is answered.
    pub kind: Type,
    /// The request's.
    pub trace_id: Option<String>,
    /// How it went.
    pub result: DatanodeResult,
    /// Why, if it did not go well.
    pub message: Option<String>,
    /// What was asked for; some commands have nothing to say, and a failed one never has.
    pub answer: Option<Answer>,
    /// The request's.
    pub client_id: Option<Bytes>,
    /// The request's.
    pub call_id: Option<u64>,
}

macro_rules! commands {
    ($($(#[$about:meta])* $kind:ident $request:ident: $arguments:ty => $response:ident: $answer:ty,)*) => {
        /// What a datanode can be asked to do.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Command {
            $($(#[$about])* $kind($arguments),)*
            /// A command whose arguments are not read here, because nobody carries it out over this protocol:
            /// CompactChunk and those of the data stream. It does not write back what it came with.
            Other(Type),
        }

        /// What a datanode can answer.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Answer {
            $(#[doc = concat!("To ", stringify!($kind), ".")] $kind($answer),)*
        }

        impl Command {
            /// The command's name on the wire.
            pub fn kind(&self) -> Type {
                match self {
                    $(Command::$kind(_) => Type::$kind,)*
                    Command::Other(kind) => *kind,
                }
            }

            fn take(
                message: &mut ContainerCommandRequestProto,
                bulk: &mut impl Iterator<Item = Rope>,
            ) -> Result<Command, WireError> {
                let at = |field| At::new(ContainerCommandRequestProto::RULES, field);
                match Type::read(message.cmd_type, at("cmd_type"))? {
                    $(Type::$kind => {
                        let arguments = message.$request.take();
                        let arguments = arguments.ok_or_else(|| at(stringify!($request)).missing())?;
                        Payload::take(arguments, bulk).map(Command::$kind)
                    })*
                    kind => Ok(Command::Other(kind)),
                }
            }

            fn give(self, message: &mut ContainerCommandRequestProto, bulk: &mut Vec<Rope>) {
                match self {
                    $(Command::$kind(arguments) => message.$request = Some(arguments.give(bulk)),)*
                    Command::Other(_) => {}
                }
            }
        }

        impl Answer {
            /// The command that is answered.
            pub fn kind(&self) -> Type {
                match self {
                    $(Answer::$kind(_) => Type::$kind,)*
                }
            }

            fn take(
                message: &mut ContainerCommandResponseProto,
                kind: Type,
                bulk: &mut impl Iterator<Item = Rope>,
            ) -> Result<Option<Answer>, WireError> {
                match kind {
                    $(Type::$kind => {
                        let answer = message.$response.take().map(|answer| Payload::take(answer, bulk));
                        Ok(answer.transpose()?.map(Answer::$kind))
                    })*
                    _ => Ok(None),
                }
            }

            fn give(self, message: &mut ContainerCommandResponseProto, bulk: &mut Vec<Rope>) {
                match self {
                    $(Answer::$kind(answer) => message.$response = Some(answer.give(bulk)),)*
                }
            }
        }
    };
}

commands! {
    /// Makes a container.
    CreateContainer create_container: CreateContainer => create_container: CreatedContainer,
    /// Shows a container.
    ReadContainer read_container: ReadContainer => read_container: ContainerRead,
    /// Changes a container's metadata.
    UpdateContainer update_container: UpdateContainer => update_container: UpdatedContainer,
    /// Removes a container.
    DeleteContainer delete_container: DeleteContainer => delete_container: DeletedContainer,
    /// Lists containers.
    ListContainer list_container: ListContainer => list_container: ListedContainers,
    /// Seals a container.
    CloseContainer close_container: CloseContainer => close_container: ClosedContainer,
    /// Makes chunks part of a block.
    PutBlock put_block: PutBlock => put_block: PutBlockAnswer,
    /// Shows a block.
    GetBlock get_block: GetBlock => get_block: GetBlockAnswer,
    /// Removes a block.
    DeleteBlock delete_block: DeleteBlock => delete_block: DeletedBlock,
    /// Lists a container's blocks.
    ListBlock list_block: ListBlock => list_block: ListedBlocks,
    /// Reads bytes of a chunk.
    ReadChunk read_chunk: ReadChunk => read_chunk: ReadChunkAnswer,
    /// Removes a chunk.
    DeleteChunk delete_chunk: DeleteChunk => delete_chunk: DeletedChunk,
    /// Writes bytes into a block.
    WriteChunk write_chunk: WriteChunk => write_chunk: WriteChunkAnswer,
    /// Lists a block's chunks.
    ListChunk list_chunk: ListChunk => list_chunk: ListedChunks,
    /// Writes a small block whole.
    PutSmallFile put_small_file: PutSmallFile => put_small_file: PutSmallFileAnswer,
    /// Reads a small block whole.
    GetSmallFile get_small_file: GetSmallFile => get_small_file: GetSmallFileAnswer,
    /// Shows a block's length.
    GetCommittedBlockLength get_committed_block_length: GetCommittedBlockLength =>
        get_committed_block_length: CommittedBlock,
    /// Takes no more writes to a block.
    FinalizeBlock finalize_block: FinalizeBlock => finalize_block: FinalizedBlock,
    /// Measures the way there and back.
    Echo echo: Echo => echo: EchoAnswer,
    /// Shows a container's checksum tree.
    GetContainerChecksumInfo get_container_checksum_info: GetContainerChecksumInfo =>
        get_container_checksum_info: ContainerChecksumInfo,
    /// Streams bytes of a block.
    ReadBlock read_block: ReadBlock => read_block: ReadBlockAnswer,
}

impl CommandRequest {
    /// Reads a request of which `frames` is the whole.
    ///
    /// # Errors
    /// [`WireError`] if it is no request, or exceeds `limits`.
    pub fn read(frames: Rope, limits: SplitLimits) -> Result<CommandRequest, WireError> {
        bulk::split(frames, limits)?.try_into()
    }

    /// The request as it goes on the wire.
    pub fn frames(self) -> Rope {
        bulk::weave(Bulky::<ContainerCommandRequestProto>::from(self))
    }

    /// The answer to this request: everything the envelope repeats.
    pub fn answer(
        &self,
        result: DatanodeResult,
        message: Option<String>,
        answer: Option<Answer>,
    ) -> CommandResponse {
        CommandResponse {
            kind: self.command.kind(),
            trace_id: self.trace_id.clone(),
            result,
            message,
            answer,
            client_id: self.client_id.clone(),
            call_id: self.call_id,
        }
    }
}

impl CommandResponse {
    /// Reads an answer of which `frames` is the whole.
    ///
    /// # Errors
    /// [`WireError`] if it is no answer, or exceeds `limits`.
    pub fn read(frames: Rope, limits: SplitLimits) -> Result<CommandResponse, WireError> {
        bulk::split(frames, limits)?.try_into()
    }

    /// The answer as it goes on the wire: header and data side by side.
    pub fn frames(self) -> Rope {
        bulk::weave(Bulky::<ContainerCommandResponseProto>::from(self))
    }
}

/// All bulk bytes must have found their place.
fn used_up(mut bulk: impl Iterator<Item = Rope>, at: At) -> Result<(), WireError> {
    match bulk.next() {
        None => Ok(()),
        Some(_) => Err(at.invalid("does not name the command whose data is there")),
    }
}

impl TryFrom<Bulky<ContainerCommandRequestProto>> for CommandRequest {
    type Error = WireError;

    fn try_from(bulky: Bulky<ContainerCommandRequestProto>) -> Result<CommandRequest, WireError> {
        let at = |field| At::new(ContainerCommandRequestProto::RULES, field);
        let Bulky { mut message, bulk } = bulky;
        let mut bulk = bulk.into_iter();
        let command = Command::take(&mut message, &mut bulk)?;
        if !matches!(command, Command::Other(_)) {
            used_up(bulk, at("cmd_type"))?;
        }
        let pipeline = message.pipeline_id.filter(|text| !text.is_empty());
        Ok(CommandRequest {
            command,
            container: Field::read(message.container_id, at("container_id"))?,
            datanode: Field::read(message.datanode_uuid, at("datanode_uuid"))?,
            pipeline: Field::read(pipeline, at("pipeline_id"))?,
            trace_id: message.trace_id,
            encoded_token: message.encoded_token,
            version: message.version,
            client_id: message.client_id,
            call_id: message.call_id,
        })
    }
}

impl From<CommandRequest> for Bulky<ContainerCommandRequestProto> {
    fn from(request: CommandRequest) -> Bulky<ContainerCommandRequestProto> {
        let mut message = ContainerCommandRequestProto {
            cmd_type: request.command.kind() as i32,
            trace_id: request.trace_id,
            container_id: request.container.to_wire(),
            datanode_uuid: request.datanode.to_string(),
            pipeline_id: request.pipeline.write(),
            encoded_token: request.encoded_token,
            version: request.version,
            client_id: request.client_id,
            call_id: request.call_id,
            ..Default::default()
        };
        let mut bulk = Vec::new();
        request.command.give(&mut message, &mut bulk);
        Bulky { message, bulk }
    }
}

impl TryFrom<Bulky<ContainerCommandResponseProto>> for CommandResponse {
    type Error = WireError;

    fn try_from(bulky: Bulky<ContainerCommandResponseProto>) -> Result<CommandResponse, WireError> {
        let at = |field| At::new(ContainerCommandResponseProto::RULES, field);
        let Bulky { mut message, bulk } = bulky;
        let mut bulk = bulk.into_iter();
        let kind = Type::read(message.cmd_type, at("cmd_type"))?;
        let answer = Answer::take(&mut message, kind, &mut bulk)?;
        used_up(bulk, at("cmd_type"))?;
        Ok(CommandResponse {
            kind,
            trace_id: message.trace_id,
            result: Field::read(message.result, at("result"))?,
            message: message.message,
            answer,
            client_id: message.client_id,
            call_id: message.call_id,
        })
    }
}

impl From<CommandResponse> for Bulky<ContainerCommandResponseProto> {
    fn from(response: CommandResponse) -> Bulky<ContainerCommandResponseProto> {
        let mut message = ContainerCommandResponseProto {
            cmd_type: response.kind as i32,
            trace_id: response.trace_id,
            result: response.result.number(),
            message: response.message,
            client_id: response.client_id,
            call_id: response.call_id,
            ..Default::default()
        };
        let mut bulk = Vec::new();
        if let Some(answer) = response.answer {
            answer.give(&mut message, &mut bulk);
        }
        Bulky { message, bulk }
    }
}
