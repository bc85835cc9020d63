//! The four commands of reads and writes.
//!
//! Source  what Ozone's client sends, field by field: trace id empty, version 3, no pipeline id; a replicated block
//!         has no replica index.

use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::checksum::{ChecksumKind, Checksums};
use allotrope_proto::container::{
    BlockData, ChecksumData, ChecksumType, ChunkInfo, ContainerCommandRequestProto,
    ContainerCommandResponseProto, DatanodeBlockId, GetBlockRequestProto, PutBlockRequestProto,
    ReadChunkRequestProto, ReadChunkVersion, Type, WriteChunkRequestProto,
};
use allotrope_types::{Bcsid, BlockId};
use bytes::Bytes;

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

/// Checksums as a chunk carries them.
pub(crate) fn checksum_data(checksums: &Checksums) -> ChecksumData {
    let kind = match checksums.spec().kind() {
        ChecksumKind::None => ChecksumType::None,
        ChecksumKind::Crc32 => ChecksumType::Crc32,
        ChecksumKind::Crc32c => ChecksumType::Crc32c,
        ChecksumKind::Sha256 => ChecksumType::Sha256,
        ChecksumKind::Md5 => ChecksumType::Md5,
    };
    ChecksumData {
        r#type: kind as i32,
        bytes_per_checksum: checksums.spec().bytes_per_checksum(),
        checksums: checksums.values().collect(),
    }
}

impl BlockAt {
    pub(crate) fn id(&self) -> DatanodeBlockId {
        DatanodeBlockId {
            container_id: self.block.container.to_wire(),
            local_id: self.block.local.to_wire(),
            block_commit_sequence_id: Some(self.block.bcsid.as_u64()),
            replica_index: self.member.replica.map(|index| i32::from(index.number())),
        }
    }

    fn request(&self, command: Type) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: command as i32,
            trace_id: Some(String::new()),
            container_id: self.block.container.to_wire(),
            datanode_uuid: self.member.datanode.to_string(),
            version: Some(3),
            ..Default::default()
        }
    }

    fn nonsense(&self, command: Type, why: impl Into<String>) -> DatanodeError {
        DatanodeError::Answer { datanode: self.member.datanode, command, why: why.into() }
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
        let mut message = at.request(Type::WriteChunk);
        message.write_chunk = Some(WriteChunkRequestProto {
            block_id: at.id(),
            chunk_data: Some(chunk),
            data: Some(Bytes::new()),
            ..Default::default()
        });
        self.carry(at, pipeline, Bulky { message, bulk: vec![data] }).await.map(drop)
    }

    async fn carry(
        &self,
        at: &BlockAt,
        pipeline: Option<&RatisPipeline>,
        command: Bulky<ContainerCommandRequestProto>,
    ) -> Result<Bulky<ContainerCommandResponseProto>, DatanodeError> {
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
        let len: u64 = chunks.iter().map(|chunk| chunk.len).sum();
        let pair = |(key, value): (&str, String)| allotrope_proto::container::KeyValue {
            key: key.to_owned(),
            value: Some(value),
        };
        let metadata = std::iter::once(("TYPE", "KEY".to_owned())).chain(metadata).map(pair).collect();
        let mut message = at.request(Type::PutBlock);
        message.put_block = Some(PutBlockRequestProto {
            block_data: BlockData { block_id: at.id(), metadata, chunks, ..Default::default() },
            eof: Some(eof),
            ..Default::default()
        });
        let answer = self.carry(at, pipeline, message.into()).await?;
        let put = answer.message.put_block.ok_or_else(|| at.nonsense(Type::PutBlock, "it lacks putBlock"))?;
        let committed = put.committed_block_length;
        if committed.block_length != len.cast_signed() {
            let why = format!("it put {} bytes instead of {len}", committed.block_length);
            return Err(at.nonsense(Type::PutBlock, why));
        }
        Ok(Bcsid::new(committed.block_id.block_commit_sequence_id.unwrap_or(0)))
    }

    /// The chunks of a block, in order and without gaps.
    pub(crate) async fn get_block(&self, at: &BlockAt) -> Result<Vec<ChunkInfo>, DatanodeError> {
        let mut message = at.request(Type::GetBlock);
        message.get_block = Some(GetBlockRequestProto { block_id: at.id(), ..Default::default() });
        let answer = self.send(&at.member, message.into()).await?;
        let got = answer.message.get_block.ok_or_else(|| at.nonsense(Type::GetBlock, "it lacks getBlock"))?;
        let chunks = got.block_data.chunks;
        let mut end = 0u64;
        for chunk in &chunks {
            if chunk.offset != end {
                let why = format!("chunk {} starts at {} and not at {end}", chunk.chunk_name, chunk.offset);
                return Err(at.nonsense(Type::GetBlock, why));
            }
            let next = end.checked_add(chunk.len).filter(|&end| end <= i64::MAX as u64);
            end =
                next.ok_or_else(|| at.nonsense(Type::GetBlock, "its chunks are longer than a block can be"))?;
        }
        Ok(chunks)
    }

    /// The bytes of `part`, a chunk as the datanode knows it but for offset and length.
    pub(crate) async fn read_chunk(&self, at: &BlockAt, part: ChunkInfo) -> Result<Rope, DatanodeError> {
        let len = part.len;
        let mut message = at.request(Type::ReadChunk);
        message.read_chunk = Some(ReadChunkRequestProto {
            block_id: at.id(),
            chunk_data: part,
            read_chunk_version: Some(ReadChunkVersion::V1 as i32),
        });
        let answer = self.send(&at.member, message.into()).await?;
        let mut data = Rope::new();
        answer.bulk.into_iter().for_each(|piece| data.append(piece));
        if data.len() as u64 != len {
            return Err(
                at.nonsense(Type::ReadChunk, format!("it gives {} bytes instead of {len}", data.len()))
            );
        }
        Ok(data)
    }
}
