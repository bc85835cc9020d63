//! Requests as clients make them.

use allotrope_datanode::commands::{Request, Response};
use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::*;
use allotrope_types::DatanodeResult;
use bytes::Bytes;

pub(crate) const WINDOW: u32 = 16 << 10;

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = vec![0; len];
    for word in data.chunks_mut(8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        word.copy_from_slice(&x.to_be_bytes()[..word.len()]);
    }
    data.into()
}

pub(crate) fn id(container: i64, local: i64) -> DatanodeBlockId {
    DatanodeBlockId {
        container_id: container,
        local_id: local,
        block_commit_sequence_id: None,
        replica_index: None,
    }
}

pub(crate) fn chunk(local: i64, offset: u64, data: &[u8]) -> ChunkInfo {
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, WINDOW).unwrap();
    ChunkInfo {
        chunk_name: format!("{local}_chunk_{offset}"),
        offset,
        len: data.len() as u64,
        checksum_data: ChecksumData {
            r#type: ChecksumType::Crc32.into(),
            bytes_per_checksum: WINDOW,
            checksums: Checksums::compute(spec, data).values().collect(),
        },
        ..Default::default()
    }
}

pub(crate) fn command(kind: Type, container: i64, node: &str) -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: kind.into(),
        container_id: container,
        datanode_uuid: node.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn write_chunk(node: &str, block: DatanodeBlockId, chunk: ChunkInfo, data: Bytes) -> Request {
    let mut message = command(Type::WriteChunk, block.container_id, node);
    message.write_chunk = Some(WriteChunkRequestProto {
        block_id: block,
        chunk_data: Some(chunk),
        data: Some(Bytes::new()),
        ..Default::default()
    });
    Bulky { message, bulk: vec![Rope::from(data)] }
}

pub(crate) fn block_data(block: DatanodeBlockId, chunks: Vec<ChunkInfo>) -> BlockData {
    BlockData { block_id: block, chunks, ..Default::default() }
}

pub(crate) fn put_block(node: &str, block: DatanodeBlockId, chunks: Vec<ChunkInfo>, eof: bool) -> Request {
    let mut message = command(Type::PutBlock, block.container_id, node);
    let block_data = block_data(block, chunks);
    message.put_block =
        Some(PutBlockRequestProto { block_data, eof: Some(eof), container_auto_create: None });
    message.into()
}

pub(crate) fn get_block(node: &str, block: DatanodeBlockId) -> Request {
    let mut message = command(Type::GetBlock, block.container_id, node);
    message.get_block = Some(GetBlockRequestProto { block_id: block, request_short_circuit_access: None });
    message.into()
}

pub(crate) fn read_chunk(node: &str, block: DatanodeBlockId, offset: u64, len: u64) -> Request {
    let mut message = command(Type::ReadChunk, block.container_id, node);
    let mut chunk_data = chunk(block.local_id, offset, &[]);
    chunk_data.len = len;
    message.read_chunk = Some(ReadChunkRequestProto {
        block_id: block,
        chunk_data,
        read_chunk_version: Some(ReadChunkVersion::V1.into()),
    });
    message.into()
}

pub(crate) fn close_container(node: &str, container: i64) -> Request {
    let mut message = command(Type::CloseContainer, container, node);
    message.close_container = Some(CloseContainerRequestProto {});
    message.into()
}

pub(crate) fn delete_container(node: &str, container: i64, force: bool) -> Request {
    let mut message = command(Type::DeleteContainer, container, node);
    message.delete_container = Some(DeleteContainerRequestProto { force_delete: Some(force) });
    message.into()
}

pub(crate) fn create_container(
    node: &str,
    container: i64,
    state: Option<container_data_proto::State>,
) -> Request {
    let mut message = command(Type::CreateContainer, container, node);
    message.create_container =
        Some(CreateContainerRequestProto { state: state.map(Into::into), ..Default::default() });
    message.into()
}

pub(crate) fn read_container(node: &str, container: i64) -> Request {
    let mut message = command(Type::ReadContainer, container, node);
    message.read_container = Some(ReadContainerRequestProto {});
    message.into()
}

pub(crate) fn result(response: &Response) -> DatanodeResult {
    DatanodeResult::from_number(response.message.result).unwrap()
}

pub(crate) fn data(response: &Response) -> Vec<u8> {
    response.bulk.iter().flat_map(|rope| rope.clone().join().to_vec()).collect()
}
