//! The arguments and answers of container commands, each as its message has it.

use allotrope_types::{BlockId, BlockOffset, ByteCount, ContainerId, LocalId, ReplicaIndex, ReplicaState};
use bytes::Bytes;

use super::chunk::{BlockData, ChunkInfo, CommittedBlock, KeyValue};
use super::field::{At, Field};
use crate::checksum::Checksums;
use crate::container as wire;
use crate::container::read_chunk_response_proto::ResponseData;
use crate::container::{ContainerType, DataBuffers, ReadChunkVersion};
use crate::{Checked, Rope, WireError};

/// A command's arguments or answer, whose bulk bytes lie apart from its message.
pub(super) trait Payload<Message>: Sized {
    /// Takes from `bulk` as many ropes as the message has bulk fields.
    fn take(message: Message, bulk: &mut impl Iterator<Item = Rope>) -> Result<Self, WireError>;

    /// Adds its ropes to `bulk`, in the order of the message's bulk fields.
    fn give(self, bulk: &mut Vec<Rope>) -> Message;
}

impl<Message: Checked, T: Field<Message>> Payload<Message> for T {
    fn take(message: Message, _: &mut impl Iterator<Item = Rope>) -> Result<Self, WireError> {
        T::read(message, At::new(Message::RULES, ""))
    }

    fn give(self, _: &mut Vec<Rope>) -> Message {
        self.write()
    }
}

message! {
    /// Makes a container.
    CreateContainer = wire => CreateContainerRequestProto {
        metadata: Vec<KeyValue>,
        container_type: Option<ContainerType>,
        /// Absent means OPEN; RECOVERING is for a rebuild.
        state: Option<ReplicaState>,
        ;
        replica: Option<ReplicaIndex> = (replica_index),
    }
}
message! {
    /// Nothing to say.
    CreatedContainer = wire => CreateContainerResponseProto {}
}
message! {
    /// Asks what the datanode knows of a container.
    ReadContainer = wire => ReadContainerRequestProto {}
}
message! {
    /// A container as its datanode knows it.
    ContainerData = wire => ContainerDataProto {
        container_id: ContainerId,
        metadata: Vec<KeyValue>,
        container_path: Option<String>,
        bytes_used: Option<ByteCount>,
        size: Option<ByteCount>,
        block_count: Option<i64>,
        state: Option<ReplicaState>,
        container_type: Option<ContainerType>,
    }
}
message! {
    /// What the datanode knows of a container.
    ContainerRead = wire => ReadContainerResponseProto {
        container_data: Option<ContainerData>,
    }
}
message! {
    /// Replaces a container's metadata.
    UpdateContainer = wire => UpdateContainerRequestProto {
        metadata: Vec<KeyValue>,
        force_update: Option<bool>,
    }
}
message! {
    /// Nothing to say.
    UpdatedContainer = wire => UpdateContainerResponseProto {}
}
message! {
    /// Removes a container; by force even one that is open or not empty.
    DeleteContainer = wire => DeleteContainerRequestProto {
        force_delete: Option<bool>,
    }
}
message! {
    /// Nothing to say.
    DeletedContainer = wire => DeleteContainerResponseProto {}
}
message! {
    /// Lists containers; Java datanodes do not offer it.
    ListContainer = wire => ListContainerRequestProto {
        count: Option<u32>,
    }
}
message! {
    /// Some containers.
    ListedContainers = wire => ListContainerResponseProto {
        container_data: Vec<ContainerData>,
    }
}
message! {
    /// Seals a container.
    CloseContainer = wire => CloseContainerRequestProto {}
}
message! {
    /// A sealed container; Java leaves both out.
    ClosedContainer = wire => CloseContainerResponseProto {
        hash: Option<String>,
        container_id: Option<ContainerId>,
    }
}
message! {
    /// Makes chunks part of a block.
    PutBlock = wire => PutBlockRequestProto {
        block_data: BlockData,
        /// Whether this ends the block. Absent means yes.
        eof: Option<bool>,
        /// Whether a container that is not there may be made. Absent means yes.
        container_auto_create: Option<bool>,
    }
}
message! {
    /// How long the block is now.
    PutBlockAnswer = wire => PutBlockResponseProto {
        committed_block_length: CommittedBlock,
    }
}
message! {
    /// Asks what a block is made of.
    GetBlock = wire => GetBlockRequestProto {
        request_short_circuit_access: Option<bool>,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// What a block is made of.
    GetBlockAnswer = wire => GetBlockResponseProto {
        block_data: BlockData,
        short_circuit_access_granted: Option<bool>,
    }
}
message! {
    /// Removes a block; Java datanodes take this from SCM only.
    DeleteBlock = wire => DeleteBlockRequestProto {
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// Nothing to say.
    DeletedBlock = wire => DeleteBlockResponseProto {}
}
message! {
    /// Lists a container's blocks.
    ListBlock = wire => ListBlockRequestProto {
        /// Where to start, that one included.
        start_local_id: Option<LocalId>,
        count: u32,
    }
}
message! {
    /// Some blocks, in the order of their ids' decimal text.
    ListedBlocks = wire => ListBlockResponseProto {
        block_data: Vec<BlockData>,
    }
}
message! {
    /// Asks for bytes of a chunk.
    ReadChunk = wire => ReadChunkRequestProto {
        /// Its offset and length say which bytes; its checksums are those of the whole chunk.
        chunk_data: ChunkInfo,
        read_chunk_version: Option<ReadChunkVersion>,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// Removes a chunk; Java datanodes refuse.
    DeleteChunk = wire => DeleteChunkRequestProto {
        chunk_data: ChunkInfo,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// Nothing to say.
    DeletedChunk = wire => DeleteChunkResponseProto {}
}
message! {
    /// Lists a block's chunks; Java datanodes do not offer it.
    ListChunk = wire => ListChunkRequestProto {
        prev_chunk_name: String,
        count: u32,
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// Some chunks.
    ListedChunks = wire => ListChunkResponseProto {
        chunk_data: Vec<ChunkInfo>,
    }
}
message! {
    /// Asks for a small block whole.
    GetSmallFile = wire => GetSmallFileRequestProto {
        block: GetBlock,
        read_chunk_version: Option<ReadChunkVersion>,
    }
}
message! {
    /// Asks how long a block is.
    GetCommittedBlockLength = wire => GetCommittedBlockLengthRequestProto {
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// Takes no more writes to a block.
    FinalizeBlock = wire => FinalizeBlockRequestProto {
        ;
        block: BlockId = (block_id),
    }
}
message! {
    /// The block as it was put last.
    FinalizedBlock = wire => FinalizeBlockResponseProto {
        block_data: BlockData,
    }
}
message! {
    /// Measures the way to a datanode and back.
    Echo = wire => EchoRequestProto {
        payload: Option<Bytes>,
        /// Bytes wanted back.
        payload_size_resp: Option<i32>,
        sleep_time_ms: Option<i32>,
        read_only: Option<bool>,
    }
}
message! {
    /// Bytes, as many as were asked for.
    EchoAnswer = wire => EchoResponseProto {
        payload: Option<Bytes>,
    }
}
message! {
    /// Asks for a container's checksum tree.
    GetContainerChecksumInfo = wire => GetContainerChecksumInfoRequestProto {
        container_id: Option<ContainerId>,
    }
}
message! {
    /// The tree's file as it lies on the disk.
    ContainerChecksumInfo = wire => GetContainerChecksumInfoResponseProto {
        container_id: Option<ContainerId>,
        container_checksum_info: Option<Bytes>,
    }
}
message! {
    /// Asks for bytes of a block as a stream of answers.
    ReadBlock = wire => ReadBlockRequestProto {
        offset: BlockOffset,
        length: Option<ByteCount>,
        response_data_size: Option<u32>,
        ;
        block: BlockId = (block_id),
    }
}

/// Puts bytes into a block.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteChunk {
    /// The block.
    pub block: BlockId,
    /// Where in the block's file the bytes belong, how many they are, and their checksums.
    pub chunk: ChunkInfo,
    /// The bytes.
    pub data: Rope,
    /// A PutBlock to carry out right after.
    pub put_block: Option<PutBlock>,
    /// Whether a container that is not there may be made. Absent means yes.
    pub container_auto_create: Option<bool>,
}

impl Payload<wire::WriteChunkRequestProto> for WriteChunk {
    fn take(
        message: wire::WriteChunkRequestProto,
        bulk: &mut impl Iterator<Item = Rope>,
    ) -> Result<WriteChunk, WireError> {
        let at = |field| At::new(wire::WriteChunkRequestProto::RULES, field);
        let wire::WriteChunkRequestProto { block_id, chunk_data, data, block, container_auto_create } =
            message;
        let data = data.and_then(|data| rope(data, bulk)).ok_or_else(|| at("data").missing())?;
        Ok(WriteChunk {
            block: Field::read(block_id, at("block_id"))?,
            chunk: chunk_data.ok_or_else(|| at("chunk_data").missing())?.try_into()?,
            data,
            put_block: Field::read(block, at("block"))?,
            container_auto_create,
        })
    }

    fn give(self, bulk: &mut Vec<Rope>) -> wire::WriteChunkRequestProto {
        bulk.push(self.data);
        wire::WriteChunkRequestProto {
            block_id: self.block.write(),
            chunk_data: Some(self.chunk.into()),
            data: Some(Bytes::new()),
            block: self.put_block.write(),
            container_auto_create: self.container_auto_create,
        }
    }
}

/// The bytes of a bulk field: the splitter's rope, or those of a message that was decoded whole.
fn rope(data: Bytes, bulk: &mut impl Iterator<Item = Rope>) -> Option<Rope> {
    if data.is_empty() { bulk.next() } else { Some(data.into()) }
}

message! {
    /// How long the block is, if the chunk came with a PutBlock.
    WriteChunkAnswer = wire => WriteChunkResponseProto {
        committed_block_length: Option<CommittedBlock>,
    }
}

/// WriteChunk and PutBlock in one.
#[derive(Clone, Debug, PartialEq)]
pub struct PutSmallFile {
    /// The block.
    pub block: PutBlock,
    /// Its one chunk.
    pub chunk_info: ChunkInfo,
    /// The bytes.
    pub data: Rope,
}

impl Payload<wire::PutSmallFileRequestProto> for PutSmallFile {
    fn take(
        message: wire::PutSmallFileRequestProto,
        bulk: &mut impl Iterator<Item = Rope>,
    ) -> Result<PutSmallFile, WireError> {
        let wire::PutSmallFileRequestProto { block, chunk_info, data } = message;
        let at = At::new(wire::PutSmallFileRequestProto::RULES, "data");
        let data = rope(data, bulk).ok_or_else(|| at.missing())?;
        Ok(PutSmallFile { block: block.try_into()?, chunk_info: chunk_info.try_into()?, data })
    }

    fn give(self, bulk: &mut Vec<Rope>) -> wire::PutSmallFileRequestProto {
        bulk.push(self.data);
        wire::PutSmallFileRequestProto {
            block: self.block.into(),
            chunk_info: self.chunk_info.into(),
            data: Bytes::new(),
        }
    }
}

message! {
    /// How long the block is now.
    PutSmallFileAnswer = wire => PutSmallFileResponseProto {
        committed_block_length: CommittedBlock,
    }
}

/// Bytes of a chunk, as one field or in buffers; their sum is what counts.
#[derive(Clone, Debug, PartialEq)]
pub enum ChunkBytes {
    /// For readers of version V0.
    Whole(Rope),
    /// For readers of version V1; any split will do.
    Buffers(Vec<Rope>),
}

impl ChunkBytes {
    /// All of them, in order.
    pub fn rope(self) -> Rope {
        match self {
            ChunkBytes::Whole(rope) => rope,
            ChunkBytes::Buffers(buffers) => buffers.into_iter().flatten().collect(),
        }
    }
}

/// Bytes of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadChunkAnswer {
    /// The block.
    pub block: BlockId,
    /// The chunk as the request had it.
    pub chunk_data: ChunkInfo,
    /// The bytes; absent where nothing was read.
    pub data: Option<ChunkBytes>,
}

impl Payload<wire::ReadChunkResponseProto> for ReadChunkAnswer {
    fn take(
        message: wire::ReadChunkResponseProto,
        bulk: &mut impl Iterator<Item = Rope>,
    ) -> Result<ReadChunkAnswer, WireError> {
        let at = |field| At::new(wire::ReadChunkResponseProto::RULES, field);
        let wire::ReadChunkResponseProto { block_id, chunk_data, response_data } = message;
        let missing = || at("data_buffers").missing();
        let data = match response_data {
            None => None,
            Some(ResponseData::Data(data)) => Some(ChunkBytes::Whole(rope(data, bulk).ok_or_else(missing)?)),
            Some(ResponseData::DataBuffers(DataBuffers { buffers })) => {
                let ropes = buffers.into_iter().map(|data| rope(data, bulk).ok_or_else(missing));
                Some(ChunkBytes::Buffers(ropes.collect::<Result<_, _>>()?))
            }
        };
        Ok(ReadChunkAnswer {
            block: Field::read(block_id, at("block_id"))?,
            chunk_data: chunk_data.try_into()?,
            data,
        })
    }

    fn give(self, bulk: &mut Vec<Rope>) -> wire::ReadChunkResponseProto {
        let response_data = self.data.map(|data| match data {
            ChunkBytes::Whole(rope) => {
                bulk.push(rope);
                ResponseData::Data(Bytes::new())
            }
            ChunkBytes::Buffers(ropes) => {
                let buffers = vec![Bytes::new(); ropes.len()];
                bulk.extend(ropes);
                ResponseData::DataBuffers(DataBuffers { buffers })
            }
        });
        wire::ReadChunkResponseProto {
            block_id: self.block.write(),
            chunk_data: self.chunk_data.into(),
            response_data,
        }
    }
}

/// A small block whole.
#[derive(Clone, Debug, PartialEq)]
pub struct GetSmallFileAnswer {
    /// Its bytes, and its last chunk.
    pub data: ReadChunkAnswer,
}

impl Payload<wire::GetSmallFileResponseProto> for GetSmallFileAnswer {
    fn take(
        message: wire::GetSmallFileResponseProto,
        bulk: &mut impl Iterator<Item = Rope>,
    ) -> Result<GetSmallFileAnswer, WireError> {
        Ok(GetSmallFileAnswer { data: Payload::take(message.data, bulk)? })
    }

    fn give(self, bulk: &mut Vec<Rope>) -> wire::GetSmallFileResponseProto {
        wire::GetSmallFileResponseProto { data: self.data.give(bulk) }
    }
}

/// A part of a block that is read as a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadBlockAnswer {
    /// Of exactly these bytes.
    pub checksums: Checksums,
    /// Where in the block they stand.
    pub offset: BlockOffset,
    /// The bytes.
    pub data: Rope,
}

impl Payload<wire::ReadBlockResponseProto> for ReadBlockAnswer {
    fn take(
        message: wire::ReadBlockResponseProto,
        bulk: &mut impl Iterator<Item = Rope>,
    ) -> Result<ReadBlockAnswer, WireError> {
        let at = |field| At::new(wire::ReadBlockResponseProto::RULES, field);
        let wire::ReadBlockResponseProto { checksum_data, offset, data } = message;
        Ok(ReadBlockAnswer {
            checksums: checksum_data.try_into()?,
            offset: Field::read(offset, at("offset"))?,
            data: rope(data, bulk).ok_or_else(|| at("data").missing())?,
        })
    }

    fn give(self, bulk: &mut Vec<Rope>) -> wire::ReadBlockResponseProto {
        bulk.push(self.data);
        wire::ReadBlockResponseProto {
            checksum_data: self.checksums.into(),
            offset: self.offset.as_u64(),
            data: Bytes::new(),
        }
    }
}
