//! Each command's row of docs/formats/datanode-commands.md: what it does, what it does again, and all it refuses.

mod containers;
mod reading;
mod writing;

use crate::ask::*;
use crate::world::World;
use allotrope_datanode::commands::Request;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::*;
use allotrope_types::DatanodeResult::{self, *};
use bytes::Bytes;

pub(crate) fn world() -> World {
    let mut world = World::seeded(31);
    world.boot();
    world
}

/// A command with its payload, as `fill` sets it.
fn with(
    node: &str,
    kind: Type,
    container: i64,
    fill: impl FnOnce(&mut ContainerCommandRequestProto),
) -> Request {
    let mut message = command(kind, container, node);
    fill(&mut message);
    message.into()
}

fn block_with(block: DatanodeBlockId, bcsid: u64) -> DatanodeBlockId {
    DatanodeBlockId { block_commit_sequence_id: Some(bcsid), ..block }
}

pub(crate) fn read_block(node: &str, block: DatanodeBlockId, offset: u64, length: u64) -> Request {
    with(node, Type::ReadBlock, block.container_id, |message| {
        message.read_block = Some(ReadBlockRequestProto {
            block_id: block,
            offset,
            length: Some(length),
            response_data_size: None,
        });
    })
}

fn get_small(node: &str, block: DatanodeBlockId) -> Request {
    with(node, Type::GetSmallFile, block.container_id, |message| {
        let block = GetBlockRequestProto { block_id: block, request_short_circuit_access: None };
        message.get_small_file = Some(GetSmallFileRequestProto { block, read_chunk_version: None });
    })
}

fn put_small(node: &str, block: DatanodeBlockId, chunk: ChunkInfo, data: Bytes) -> Request {
    let mut message = command(Type::PutSmallFile, block.container_id, node);
    message.put_small_file = Some(PutSmallFileRequestProto {
        block: PutBlockRequestProto { block_data: block_data(block, vec![]), ..Default::default() },
        chunk_info: chunk,
        data: Bytes::new(),
    });
    Bulky { message, bulk: vec![data.into()] }
}

fn committed_length(node: &str, block: DatanodeBlockId) -> Request {
    with(node, Type::GetCommittedBlockLength, block.container_id, |message| {
        message.get_committed_block_length = Some(GetCommittedBlockLengthRequestProto { block_id: block });
    })
}

fn finalize(node: &str, block: DatanodeBlockId) -> Request {
    with(node, Type::FinalizeBlock, block.container_id, |message| {
        message.finalize_block = Some(FinalizeBlockRequestProto { block_id: block });
    })
}

fn list(node: &str, container: i64, start: Option<i64>, count: u32) -> Request {
    with(node, Type::ListBlock, container, |message| {
        message.list_block = Some(ListBlockRequestProto { start_local_id: start, count });
    })
}

fn checksum_info(node: &str, container: i64) -> Request {
    with(node, Type::GetContainerChecksumInfo, container, |message| {
        message.get_container_checksum_info =
            Some(GetContainerChecksumInfoRequestProto { container_id: Some(container) });
    })
}

fn echo(node: &str, container: i64, len: i32) -> Request {
    with(node, Type::Echo, container, |message| {
        message.echo = Some(EchoRequestProto { payload_size_resp: Some(len), ..Default::default() });
    })
}

/// Every command that reads a block, for `block`.
fn block_reads(node: &str, block: DatanodeBlockId) -> Vec<(Type, Request)> {
    vec![
        (Type::GetBlock, get_block(node, block)),
        (Type::ReadChunk, read_chunk(node, block, 0, 10)),
        (Type::ReadBlock, read_block(node, block, 0, 10)),
        (Type::GetSmallFile, get_small(node, block)),
        (Type::GetCommittedBlockLength, committed_length(node, block)),
        (Type::FinalizeBlock, finalize(node, block)),
    ]
}

/// Every command that writes a block, for `block`.
fn block_writes(node: &str, block: DatanodeBlockId) -> Vec<(Type, Request)> {
    let data = bytes(1, 100);
    let one = chunk(block.local_id, 0, &data);
    vec![
        (Type::WriteChunk, write_chunk(node, block, one.clone(), data.clone())),
        (Type::PutBlock, put_block(node, block, vec![], true)),
        (Type::PutSmallFile, put_small(node, block, one, data)),
    ]
}

/// All are answered with `wanted`.
fn all_refused(world: &World, requests: Vec<(Type, Request)>, wanted: DatanodeResult) {
    for (kind, request) in requests {
        assert_eq!(world.refused(request), wanted, "{kind:?}");
    }
}

#[test]
fn a_container_that_is_not_here_is_not_found_by_any_command_that_needs_it() {
    let world = world();
    let node = world.name();
    // The highest id there is, as a cluster of another age might have it, and a small one.
    for container in [9, i64::MAX] {
        all_refused(&world, block_reads(&node, id(container, 1)), ContainerNotFound);
        let others = vec![
            (Type::ReadContainer, read_container(&node, container)),
            (Type::CloseContainer, close_container(&node, container)),
            (Type::DeleteContainer, delete_container(&node, container, true)),
            (Type::ListBlock, list(&node, container, None, 1)),
            (Type::Echo, echo(&node, container, 1)),
            (Type::GetContainerChecksumInfo, checksum_info(&node, container)),
        ];
        all_refused(&world, others, ContainerNotFound);
    }
}

#[test]
fn a_command_without_its_payload_or_for_another_containers_block_is_malformed() {
    let world = world();
    let node = world.name();
    world.put(1, 7, &bytes(1, 100));
    for kind in [
        Type::CreateContainer,
        Type::ReadContainer,
        Type::CloseContainer,
        Type::DeleteContainer,
        Type::PutBlock,
        Type::GetBlock,
        Type::ListBlock,
        Type::ReadChunk,
        Type::WriteChunk,
        Type::PutSmallFile,
        Type::GetSmallFile,
        Type::GetCommittedBlockLength,
        Type::FinalizeBlock,
        Type::Echo,
        Type::GetContainerChecksumInfo,
        Type::ReadBlock,
    ] {
        assert_eq!(world.refused(command(kind, 1, &node).into()), MalformedRequest, "{kind:?}");
    }
    let elsewhere = |requests: Vec<(Type, Request)>| {
        let moved = |(kind, mut request): (Type, Request)| {
            request.message.container_id = 1;
            (kind, request)
        };
        requests.into_iter().map(moved).collect::<Vec<_>>()
    };
    all_refused(&world, elsewhere(block_reads(&node, id(2, 7))), MalformedRequest);
    all_refused(&world, elsewhere(block_writes(&node, id(2, 7))), MalformedRequest);
    // Ids that cannot be.
    all_refused(&world, block_reads(&node, id(1, -1)), MalformedRequest);
    all_refused(&world, block_writes(&node, id(1, -1)), MalformedRequest);
    all_refused(&world, block_writes(&node, id(-1, 1)), MalformedRequest);
    let replica = DatanodeBlockId { replica_index: Some(99), ..id(1, 7) };
    all_refused(&world, block_reads(&node, replica), MalformedRequest);
    all_refused(&world, block_writes(&node, replica), MalformedRequest);
}

#[test]
fn a_replica_with_an_index_answers_only_this_datanodes_requests_for_it() {
    let world = world();
    let (node, data) = (world.name(), bytes(7, 5000));
    let block = DatanodeBlockId { replica_index: Some(2), ..id(3, 1) };
    world.expect(write_chunk(&node, block, chunk(1, 0, &data), data.clone()));
    world.expect(put_block(&node, block, vec![chunk(1, 0, &data)], true));
    let other = DatanodeBlockId { replica_index: Some(3), ..block };
    all_refused(&world, block_reads(&node, other), ContainerNotFound);
    all_refused(&world, block_writes(&node, other), InvalidArgument);
    let elsewhere = "00000000-0000-4000-8000-000000000000";
    all_refused(&world, block_reads(elsewhere, block), InvalidArgument);
    all_refused(&world, block_writes(elsewhere, block), InvalidArgument);
    all_refused(&world, block_reads("with\0nul", block), InvalidArgument);
    for (_, request) in block_reads(&node, block) {
        world.expect(request);
    }
}

#[test]
fn a_reader_that_asks_for_a_later_commit_is_told_so() {
    let world = world();
    let (node, data) = (world.name(), bytes(2, 1000));
    let put = |local: i64, bcsid: u64| {
        let block = block_with(id(1, local), bcsid);
        world.expect(write_chunk(&node, id(1, local), chunk(local, 0, &data), data.clone()));
        world.expect(put_block(&node, block, vec![chunk(local, 0, &data)], true));
    };
    put(7, 5);
    put(8, 9);
    all_refused(&world, block_reads(&node, block_with(id(1, 7), 10)), UnknownBcsid);
    all_refused(&world, block_reads(&node, block_with(id(1, 7), 9)), BcsidMismatch);
    all_refused(&world, block_reads(&node, id(1, 77)), NoSuchBlock);
    for (_, request) in block_reads(&node, block_with(id(1, 8), 9)) {
        world.expect(request);
    }
}
