//! The four commands of reads and writes.
//!
//! Source  what Ozone's client sends, field by field: trace id empty, version 3, no pipeline id; a replicated block
//!         has no replica index.

use std::ops::Range;

use allotrope_proto::container::{ReadChunkVersion, Type};
use allotrope_proto::edge::chunk::{BlockData, ChunkInfo, KeyValue};
use allotrope_proto::edge::command::{Answer, Command, CommandRequest, CommandResponse};
use allotrope_proto::edge::payload::{ChunkBytes, GetBlock, PutBlock, ReadChunk, WriteChunk};
use allotrope_proto::{Rope, WireError};
use allotrope_types::{Bcsid, BlockId, BlockOffset, ByteCount};

use super::{DatanodeError, Datanodes, RatisPipeline};
use crate::location::Member;

/// A block on one of its datanodes.
#[derive(Clone, Debug)]
pub(crate) struct BlockAt {
    pub(crate) block: BlockId,
    pub(crate) member: Member,
}

/// The name of a block's `number`th chunk, counted from 1.
pub(crate) fn chunk_name(block: BlockId, number: usize) -> String {
    format!("{}_chunk_{number}", block.local)
}

/// The bytes of the block that a chunk holds.
pub(crate) fn extent(chunk: &ChunkInfo) -> Range<u64> {
    let start = chunk.offset.as_u64();
    // Neither has more than 63 bits.
    start..start + chunk.len.as_u64()
}

impl BlockAt {
    pub(crate) fn id(&self) -> BlockId {
        BlockId { replica: self.member.replica, ..self.block }
    }

    fn request(&self, command: Command) -> CommandRequest {
        CommandRequest {
            command,
            container: self.block.container,
            datanode: self.member.datanode,
            pipeline: None,
            trace_id: Some(String::new()),
            encoded_token: None,
            version: Some(3),
            client_id: None,
            call_id: None,
        }
    }

    fn nonsense(&self, command: Type, why: impl Into<String>) -> DatanodeError {
        DatanodeError::Answer { datanode: self.member.datanode, command, why: why.into() }
    }

    /// The answer lacks what was asked for, its `field`.
    fn lacks(&self, command: Type, field: &'static str) -> DatanodeError {
        let missing = WireError::Missing { message: "ContainerCommandResponseProto", field };
        self.nonsense(command, missing.to_string())
    }
}

impl Datanodes {
    /// Writes a chunk's bytes into the block file; they are part of the block once it is put.
    pub(crate) async fn write_chunk(
        &self,
        at: &BlockAt,
        chunk: ChunkInfo,
        data: Rope,
    ) -> Result<(), DatanodeError> {
        self.write_chunk_by(at, None, chunk, data).await
    }

    /// As [`Datanodes::write_chunk`], on all members of a pipeline if one is given.
    pub(crate) async fn write_chunk_by(
        &self,
        at: &BlockAt,
        pipeline: Option<&RatisPipeline>,
        chunk: ChunkInfo,
        data: Rope,
    ) -> Result<(), DatanodeError> {
        let write = WriteChunk { block: at.id(), chunk, data, put_block: None, container_auto_create: None };
        self.carry(at, pipeline, at.request(Command::WriteChunk(write))).await.map(drop)
    }

    async fn carry(
        &self,
        at: &BlockAt,
        pipeline: Option<&RatisPipeline>,
        command: CommandRequest,
    ) -> Result<CommandResponse, DatanodeError> {
        match pipeline {
            Some(pipeline) => self.submit(pipeline, command).await,
            None => self.send(&at.member, command).await,
        }
    }

    /// Makes `chunks`, the whole list, the block. Gives back the block's commit sequence id.
    pub(crate) async fn put_block(
        &self,
        at: &BlockAt,
        metadata: Vec<(&'static str, String)>,
        chunks: Vec<ChunkInfo>,
        eof: bool,
    ) -> Result<Bcsid, DatanodeError> {
        self.put_block_by(at, None, metadata, chunks, eof).await
    }

    /// As [`Datanodes::put_block`], on all members of a pipeline if one is given.
    pub(crate) async fn put_block_by(
        &self,
        at: &BlockAt,
        pipeline: Option<&RatisPipeline>,
        metadata: Vec<(&'static str, String)>,
        chunks: Vec<ChunkInfo>,
        eof: bool,
    ) -> Result<Bcsid, DatanodeError> {
        let len: u64 = chunks.iter().map(|chunk| chunk.len.as_u64()).sum();
        let pair = |(key, value): (&str, String)| KeyValue { key: key.to_owned(), value: Some(value) };
        let metadata = std::iter::once(("TYPE", "KEY".to_owned())).chain(metadata).map(pair).collect();
        let block_data = BlockData { flags: None, metadata, chunks, size: None, block: at.id() };
        let put = PutBlock { block_data, eof: Some(eof), container_auto_create: None };
        let answer = self.carry(at, pipeline, at.request(Command::PutBlock(put))).await?;
        let Some(Answer::PutBlock(put)) = answer.answer else {
            return Err(at.lacks(Type::PutBlock, "putBlock"));
        };
        let committed = put.committed_block_length;
        if committed.block_length != ByteCount::new(len) {
            let why = format!("it put {} bytes instead of {len}", committed.block_length.as_u64());
            return Err(at.nonsense(Type::PutBlock, why));
        }
        Ok(committed.block.bcsid)
    }

    /// The chunks of a block, in order and without gaps.
    pub(crate) async fn get_block(&self, at: &BlockAt) -> Result<Vec<ChunkInfo>, DatanodeError> {
        let get = GetBlock { request_short_circuit_access: None, block: at.id() };
        let answer = self.send(&at.member, at.request(Command::GetBlock(get))).await?;
        let Some(Answer::GetBlock(got)) = answer.answer else {
            return Err(at.lacks(Type::GetBlock, "getBlock"));
        };
        let chunks = got.block_data.chunks;
        let mut end = BlockOffset::ZERO;
        for chunk in &chunks {
            if chunk.offset != end {
                let why = format!("chunk {} starts at {} and not at {end}", chunk.chunk_name, chunk.offset);
                return Err(at.nonsense(Type::GetBlock, why));
            }
            let next = end.plus(chunk.len).filter(|end| end.as_u64() <= i64::MAX as u64);
            end =
                next.ok_or_else(|| at.nonsense(Type::GetBlock, "its chunks are longer than a block can be"))?;
        }
        Ok(chunks)
    }

    /// The bytes of `part`, a chunk as the datanode knows it but for offset and length.
    pub(crate) async fn read_chunk(&self, at: &BlockAt, part: ChunkInfo) -> Result<Rope, DatanodeError> {
        let len = part.len;
        let read =
            ReadChunk { chunk_data: part, read_chunk_version: Some(ReadChunkVersion::V1), block: at.id() };
        let answer = self.send(&at.member, at.request(Command::ReadChunk(read))).await?;
        let Some(Answer::ReadChunk(read)) = answer.answer else {
            return Err(at.lacks(Type::ReadChunk, "readChunk"));
        };
        let data = read.data.map_or_else(Rope::new, ChunkBytes::rope);
        if data.len() as u64 != len.as_u64() {
            let why = format!("it gives {} bytes instead of {}", data.len(), len.as_u64());
            return Err(at.nonsense(Type::ReadChunk, why));
        }
        Ok(data)
    }
}
