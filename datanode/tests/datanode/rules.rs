//! What each command does, does again, and refuses.

use crate::ask::{self, *};
use crate::world::World;
use allotrope_proto::container::container_data_proto::State;
use allotrope_proto::container::*;
use allotrope_types::DatanodeResult::{self, *};
use bytes::Bytes;

fn world() -> World {
    let mut world = World::seeded(11);
    world.boot();
    world
}

#[test]
fn a_block_that_was_put_is_read_back_whole_and_in_parts() {
    let world = world();
    let data = bytes(1, 100_000);
    world.put(1, 7, &data);
    assert_eq!(world.read(1, 7, 0, 100_000), data);
    for (offset, len) in [(0, 1), (16_384, 16_384), (16_383, 2), (99_999, 1), (50_000, 50_000)] {
        assert_eq!(world.read(1, 7, offset, len), data[offset as usize..(offset + len) as usize]);
    }
    let block = world.expect(get_block(&world.name(), id(1, 7))).message.get_block.unwrap().block_data;
    assert_eq!((block.size, block.chunks.len()), (Some(100_000), 1));
}

#[test]
fn a_block_grows_chunk_by_chunk_at_any_length() {
    let world = world();
    let node = world.name();
    let (mut chunks, mut whole) = (Vec::new(), Vec::new());
    for (n, len) in [5000, 1, 70_000, 4096, 333].into_iter().enumerate() {
        let data = bytes(n as u64 + 9, len);
        let next = chunk(8, whole.len() as u64, &data);
        world.expect(write_chunk(&node, id(1, 8), next.clone(), data.clone()));
        chunks.push(next);
        whole.extend_from_slice(&data);
        world.expect(put_block(&node, id(1, 8), chunks.clone(), false));
    }
    assert_eq!(world.read(1, 8, 0, whole.len() as u64), whole);
    assert_eq!(world.read(1, 8, 4999, 3), whole[4999..5002]);
}

#[test]
fn writing_and_putting_again_changes_nothing() {
    let world = world();
    let (node, data) = (world.name(), bytes(2, 40_000));
    let one = chunk(7, 0, &data);
    for _ in 0..3 {
        world.expect(write_chunk(&node, id(1, 7), one.clone(), data.clone()));
        world.expect(put_block(&node, id(1, 7), vec![one.clone()], true));
    }
    assert_eq!(world.read(1, 7, 0, 40_000), data);
    let container = world.expect(read_container(&node, 1)).message.read_container.unwrap();
    let container = container.container_data.unwrap();
    assert_eq!((container.block_count, container.bytes_used), (Some(1), Some(40_000)));
}

#[test]
fn a_new_datanode_that_several_scms_answer_at_once_keeps_what_it_acknowledges() {
    for seed in 0..20 {
        let mut world = World::seeded(seed);
        world.openers = 3;
        world.boot();
        let data = bytes(seed, 40_000);
        world.put(1, 7, &data);
        world.crash();
        world.boot();
        assert_eq!(world.read(1, 7, 0, 40_000), data, "seed {seed}");
    }
}

#[test]
fn room_is_kept_for_a_container_as_long_as_it_takes_writes() {
    let mut world = world();
    let room = |world: &World| world.node().volumes()[0].space().committed;
    let whole = 256 << 20;
    for container in 1..=3 {
        world.put(container, 7, &bytes(2, 40_000));
    }
    assert_eq!(room(&world), 3 * (whole - 40_000));
    world.expect(close_container(&world.name(), 1));
    assert_eq!(room(&world), 2 * (whole - 40_000));
    world.expect(delete_container(&world.name(), 2, true));
    assert_eq!(room(&world), whole - 40_000);
    // A start keeps what is still needed, and no more.
    world.crash();
    world.boot();
    assert_eq!(room(&world), whole - 40_000);
    world.put(3, 8, &bytes(3, 5000));
    assert_eq!(room(&world), whole - 45_000);
    world.expect(delete_container(&world.name(), 1, true));
    world.expect(delete_container(&world.name(), 3, true));
    assert_eq!(room(&world), 0);
}

#[test]
fn wrong_chunks_are_refused_and_harm_no_one_else() {
    let world = world();
    let (node, data) = (world.name(), bytes(3, 20_000));
    world.put(1, 7, &data);
    let good = chunk(9, 0, &data);
    let mut short = good.clone();
    short.len = 19_999;
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), short, data.clone())), InvalidWriteSize);
    let other = bytes(4, 20_000);
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), good.clone(), other)), ChecksumMismatch);
    let gap = chunk(9, 4096, &data);
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), gap, data.clone())), ChunkFileInconsistency);
    let mut far = good.clone();
    far.offset = (1 << 63) - 5;
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), far, data.clone())), MalformedRequest);
    let mut sums = good.clone();
    sums.checksum_data.checksums.pop();
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), sums, data.clone())), ChecksumMismatch);
    let mut kind = good.clone();
    kind.checksum_data.r#type = 77;
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), kind, data.clone())), NoSuchAlgorithm);
    let mut window = good;
    window.checksum_data.bytes_per_checksum = 0;
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), window, data.clone())), MalformedRequest);
    // The neighbour is as it was, and so is the container.
    assert_eq!(world.read(1, 7, 0, 20_000), data);
    world.put(1, 9, &data);
}

#[test]
fn a_put_of_bytes_that_never_came_is_refused() {
    let world = world();
    let (node, data) = (world.name(), bytes(5, 9000));
    let never = chunk(7, 0, &data);
    assert_eq!(world.refused(put_block(&node, id(1, 7), vec![never], true)), UnableToFindChunk);
    assert_eq!(world.refused(get_block(&node, id(1, 7))), NoSuchBlock);
}

#[test]
fn a_container_answers_by_its_rules() {
    let world = world();
    let (node, data) = (world.name(), bytes(6, 5000));
    assert_eq!(world.refused(read_container(&node, 5)), ContainerNotFound);
    assert_eq!(world.refused(get_block(&node, id(5, 1))), ContainerNotFound);
    world.expect(create_container(&node, 5, None));
    assert_eq!(world.refused(create_container(&node, 5, None)), ContainerAlreadyExists);
    assert_eq!(world.refused(create_container(&node, 6, Some(State::Closed))), InvalidArgument);
    world.put(5, 1, &data);
    assert_eq!(world.refused(delete_container(&node, 5, false)), DeleteOnOpenContainer);
    world.expect(close_container(&node, 5));
    world.expect(close_container(&node, 5));
    assert_eq!(
        world.refused(write_chunk(&node, id(5, 2), chunk(2, 0, &data), data.clone())),
        ClosedContainerIo
    );
    assert_eq!(world.refused(put_block(&node, id(5, 2), vec![], true)), ClosedContainerIo);
    assert_eq!(world.read(5, 1, 0, 5000), data);
    assert_eq!(world.refused(delete_container(&node, 5, false)), DeleteOnNonEmptyContainer);
    world.expect(delete_container(&node, 5, true));
    assert_eq!(world.refused(get_block(&node, id(5, 1))), ContainerNotFound);
    // It was here: no write brings it back, and CreateContainer only to rebuild it.
    assert_eq!(
        world.refused(write_chunk(&node, id(5, 2), chunk(2, 0, &data), data.clone())),
        ContainerMissing
    );
    assert_eq!(world.refused(create_container(&node, 5, None)), ContainerMissing);
    world.expect(create_container(&node, 5, Some(State::Recovering)));
}

#[test]
fn an_erasure_coded_replica_answers_only_what_is_meant_for_it() {
    let world = world();
    let (node, data) = (world.name(), bytes(7, 5000));
    let mut block = id(3, 1);
    block.replica_index = Some(2);
    let one = chunk(1, 0, &data);
    world.expect(write_chunk(&node, block, one.clone(), data.clone()));
    world.expect(put_block(&node, block, vec![one.clone()], true));
    world.expect(get_block(&node, block));
    let mut other = block;
    other.replica_index = Some(3);
    assert_eq!(world.refused(get_block(&node, other)), ContainerNotFound);
    let elsewhere = "00000000-0000-4000-8000-000000000000";
    assert_eq!(world.refused(get_block(elsewhere, block)), InvalidArgument);
}

#[test]
fn a_piggybacked_put_makes_the_block_at_once() {
    let world = world();
    let (node, data) = (world.name(), bytes(8, 30_000));
    let one = chunk(4, 0, &data);
    let mut request = write_chunk(&node, id(1, 4), one.clone(), data.clone());
    let block_data = block_data(id(1, 4), vec![one]);
    let put = PutBlockRequestProto { block_data, eof: None, container_auto_create: None };
    request.message.write_chunk.as_mut().unwrap().block = Some(put);
    let answer = world.expect(request).message.write_chunk.unwrap().committed_block_length.unwrap();
    assert_eq!(answer.block_length, 30_000);
    assert_eq!(world.read(1, 4, 0, 30_000), data);
}

#[test]
fn a_flipped_bit_on_the_disk_is_an_error_and_never_data() {
    let world = world();
    let data = bytes(9, 50_000);
    world.put(1, 7, &data);
    let paths = world.node().volumes()[0].paths().container(allotrope_types::ContainerId::new(1));
    assert!(world.disk.flip_bit(paths.block(allotrope_types::LocalId::new(7)), 20_000, 3));
    let node = world.name();
    assert_eq!(world.refused(read_chunk(&node, id(1, 7), 0, 50_000)), ChecksumMismatch);
    assert_eq!(world.refused(read_chunk(&node, id(1, 7), 17_000, 10)), ChecksumMismatch);
    assert_eq!(world.read(1, 7, 32_768, 100), data[32_768..32_868]);
}

#[test]
fn small_files_go_in_one_round_trip_each_way() {
    let world = world();
    let (node, data) = (world.name(), bytes(10, 4096));
    let mut message = command(Type::PutSmallFile, 2, &node);
    message.put_small_file = Some(PutSmallFileRequestProto {
        block: PutBlockRequestProto { block_data: block_data(id(2, 3), vec![]), ..Default::default() },
        chunk_info: chunk(3, 0, &data),
        data: Bytes::new(),
    });
    world.expect(allotrope_proto::bulk::Bulky { message, bulk: vec![data.clone().into()] });
    let mut message = command(Type::GetSmallFile, 2, &node);
    message.get_small_file = Some(GetSmallFileRequestProto {
        block: GetBlockRequestProto { block_id: id(2, 3), request_short_circuit_access: None },
        read_chunk_version: None,
    });
    assert_eq!(ask::data(&world.expect(message.into())), data);
}

#[test]
fn blocks_are_listed_in_the_order_of_their_keys_with_pages() {
    let world = world();
    let node = world.name();
    for local in [10, 9, 100, 1] {
        world.expect(put_block(&node, id(1, local), vec![], true));
    }
    let list = |start: Option<i64>, count: u32| -> Vec<i64> {
        let mut message = command(Type::ListBlock, 1, &node);
        message.list_block = Some(ListBlockRequestProto { start_local_id: start, count });
        let answer = world.expect(message.into()).message.list_block.unwrap();
        answer.block_data.iter().map(|block| block.block_id.local_id).collect()
    };
    assert_eq!(list(None, 100), [1, 10, 100, 9]);
    assert_eq!(list(Some(10), 2), [10, 100]);
    assert!(list(Some(11), 2).is_empty());
}

#[test]
fn a_sealed_container_has_its_merkle_tree() {
    let world = world();
    let node = world.name();
    world.put(1, 7, &bytes(1, 1000));
    let info = || {
        let mut message = command(Type::GetContainerChecksumInfo, 1, &node);
        message.get_container_checksum_info =
            Some(GetContainerChecksumInfoRequestProto { container_id: Some(1) });
        message
    };
    assert_eq!(world.refused(info().into()), UnclosedContainerIo);
    world.expect(close_container(&node, 1));
    let answer = world.expect(info().into()).message.get_container_checksum_info.unwrap();
    let tree: ContainerChecksumInfo =
        allotrope_proto::decode(answer.container_checksum_info.unwrap()).unwrap();
    assert_eq!(tree.container_merkle_tree.unwrap().block_merkle_tree.len(), 1);
}

#[test]
fn what_ozone_itself_refuses_is_unsupported_and_a_missing_payload_is_malformed() {
    let world = world();
    let node = world.name();
    for kind in
        [Type::StreamInit, Type::StreamWrite, Type::ListContainer, Type::DeleteBlock, Type::DeleteChunk]
    {
        assert_eq!(world.refused(command(kind, 1, &node).into()), UnsupportedRequest);
    }
    let mut unknown = command(Type::Echo, 1, &node);
    unknown.cmd_type = 99;
    assert_eq!(world.refused(unknown.into()), UnsupportedRequest);
    for kind in [Type::GetBlock, Type::WriteChunk, Type::PutBlock, Type::CloseContainer, Type::ReadBlock] {
        assert_eq!(world.refused(command(kind, 1, &node).into()), MalformedRequest);
    }
    let wrong: [(DatanodeResult, i64); 1] = [(MalformedRequest, -5)];
    for (expected, container) in wrong {
        assert_eq!(world.refused(get_block(&node, id(container, 1))), expected);
    }
}
