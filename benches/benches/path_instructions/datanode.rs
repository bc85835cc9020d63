//! What a datanode does with a command before and after the disk.

use allotrope_datanode::block::put::{Decision, Stored, decide};
use allotrope_datanode::block::records;
use allotrope_datanode::commands::{CommandError, refused};
use allotrope_datanode::metadata::Batch;
use allotrope_datanode::node::home_of;
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, SplitLimits, split_request, weave};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{
    BlockData, ChunkInfo, ContainerCommandRequestProto, DatanodeBlockId, GetBlockRequestProto,
    PutBlockRequestProto, ReadChunkRequestProto, Type, WriteChunkRequestProto,
};
use allotrope_proto::edge::command::CommandRequest;
use allotrope_types::{ContainerId, DatanodeId, DatanodeResult, LocalId};
use bytes::Bytes;

use crate::counted_region;

/// What a Java client's HTTP/2 sends in one frame.
const FRAME_LEN: usize = 16 << 10;
const CHUNK_LEN: usize = 1 << 20;
/// Chunks of a block that grows.
const CHUNKS: u64 = 64;

fn block_id() -> DatanodeBlockId {
    DatanodeBlockId { container_id: 7, local_id: 11, block_commit_sequence_id: None, replica_index: None }
}

fn chunk(number: u64, data: &[u8]) -> ChunkInfo {
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, 16 << 10).expect("the window is not empty");
    ChunkInfo {
        chunk_name: format!("11_chunk_{number}"),
        offset: number * CHUNK_LEN as u64,
        len: data.len() as u64,
        checksum_data: Checksums::compute(spec, data).into(),
        ..Default::default()
    }
}

fn command(kind: Type) -> ContainerCommandRequestProto {
    ContainerCommandRequestProto {
        cmd_type: kind as i32,
        trace_id: Some(String::new()),
        container_id: 7,
        datanode_uuid: "5f33b1be-9f83-4993-ac7b-c6189ad16c19".into(),
        version: Some(3),
        ..Default::default()
    }
}

/// A message as it is received: in frames.
fn received(message: ContainerCommandRequestProto, data: Option<Bytes>) -> Rope {
    let bulk = data.into_iter().map(Rope::from).collect();
    let whole = weave(Bulky { message, bulk }).join();
    (0..whole.len()).step_by(FRAME_LEN).map(|at| whole.slice(at..whole.len().min(at + FRAME_LEN))).collect()
}

fn write_chunk() -> Rope {
    let data = Bytes::from(vec![7; CHUNK_LEN]);
    let mut message = command(Type::WriteChunk);
    message.write_chunk = Some(WriteChunkRequestProto {
        block_id: block_id(),
        chunk_data: Some(chunk(0, &data)),
        data: Some(Bytes::new()),
        ..Default::default()
    });
    received(message, Some(data))
}

/// Ten WriteChunks of 1 MiB, taken apart from frames of 16 KiB.
pub(crate) fn chunk_message_split() {
    let frames = write_chunk();
    counted_region(|| {
        for _ in 0..10 {
            let split = split_request(std::hint::black_box(&frames).clone(), SplitLimits::default());
            std::hint::black_box(split.expect("a WriteChunk"));
        }
    });
}

/// Ten commands of each of four kinds, checked field by field and sent to the home of their container, as far as the queue; and the
/// answer of a container that is not there.
pub(crate) fn container_dispatch() {
    let data = vec![7; CHUNK_LEN];
    let mut read = command(Type::ReadChunk);
    read.read_chunk = Some(ReadChunkRequestProto {
        block_id: block_id(),
        chunk_data: chunk(0, &data),
        read_chunk_version: Some(1),
    });
    let mut get = command(Type::GetBlock);
    get.get_block = Some(GetBlockRequestProto { block_id: block_id(), request_short_circuit_access: None });
    let mut put = command(Type::PutBlock);
    put.put_block = Some(put_block(4));
    let all = [received(read, None), received(get, None), received(put, None), write_chunk()];
    let node = DatanodeId::from_random_bytes([7; 16]);
    counted_region(|| {
        for frames in all.iter().cycle().take(40) {
            let command = CommandRequest::read(std::hint::black_box(frames).clone(), SplitLimits::default());
            let command = command.expect("each is a command");
            let home = home_of(node, ContainerId::new(std::hint::black_box(7)), 16);
            let why = CommandError::new(DatanodeResult::ContainerNotFound, "container 7 is not here");
            std::hint::black_box((refused(command.command.kind() as i32, None, &why), command, home));
        }
    });
}

fn put_block(chunks: u64) -> PutBlockRequestProto {
    let data = vec![7; CHUNK_LEN];
    let chunks = (0..chunks).map(|number| chunk(number, &data)).collect();
    PutBlockRequestProto {
        block_data: BlockData { block_id: block_id(), chunks, ..Default::default() },
        eof: Some(false),
        ..Default::default()
    }
}

/// What a PutBlock changes in the metadata: its batch, and the block as it is then.
fn batch_of(request: PutBlockRequestProto, same: usize, stored: &mut Stored) {
    let decision = decide(request, same, stored, 0).expect("the list is whole");
    let Decision::Apply(put) = decision else { unreachable!("no PutBlock came before") };
    let mut batch = Batch::new();
    let records = match &put.list {
        Some(change) => records::add(&mut batch, ContainerId::new(7), LocalId::new(11), stored, change),
        None => stored.records.clone(),
    };
    std::hint::black_box(&batch);
    stored.apply(*put, records);
}

/// The first PutBlock of a block of 64 chunks.
pub(crate) fn put_block_first_batch() {
    let request = put_block(CHUNKS);
    let mut stored = Stored::default();
    counted_region(|| batch_of(request, 0, &mut stored));
}

/// PutBlocks of a block that grows from 4 to 64 chunks by four, each with the list's new end, as the datanode holds it.
pub(crate) fn put_block_growing_batch() {
    let mut stored = Stored::default();
    batch_of(put_block(4), 0, &mut stored);
    let requests: Vec<(usize, PutBlockRequestProto)> = (8..=CHUNKS)
        .step_by(4)
        .map(|chunks| {
            let mut request = put_block(chunks);
            let same = chunks as usize - 4;
            request.block_data.chunks.drain(..same);
            (same, request)
        })
        .collect();
    counted_region(|| {
        for (same, request) in requests {
            batch_of(request, same, &mut stored);
        }
    });
}
