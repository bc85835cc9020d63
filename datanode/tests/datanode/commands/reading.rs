//! GetBlock, ReadChunk, ReadBlock, GetSmallFile, ListBlock, GetCommittedBlockLength.

use super::*;
use crate::ask;
use allotrope_datanode::metadata::Family;
use allotrope_proto::container::read_chunk_response_proto::ResponseData;
use prost::Message;

#[test]
fn every_read_answers_the_same_each_time() {
    let world = world();
    let (node, data) = (world.name(), bytes(1, 50_000));
    world.put(1, 7, &data);
    for _ in 0..2 {
        let block = world.expect(get_block(&node, id(1, 7))).message.get_block.unwrap().block_data;
        assert_eq!((block.size, block.chunks), (Some(50_000), vec![chunk(7, 0, &data)]));
        assert_eq!(world.read(1, 7, 16_384, 100), data[16_384..16_484]);
        assert_eq!(ask::data(&world.expect(get_small(&node, id(1, 7)))), data);
        assert_eq!(ask::data(&world.expect(read_block(&node, id(1, 7), 0, 50_000))), data);
        let length = world.expect(committed_length(&node, id(1, 7))).message.get_committed_block_length;
        assert_eq!(length.unwrap().block_length, 50_000);
        let listed = world.expect(list(&node, 1, None, 10)).message.list_block.unwrap().block_data;
        assert_eq!((listed.len(), listed[0].size), (1, Some(50_000)));
    }
}

#[test]
fn an_old_reader_gets_one_field_and_a_new_one_buffers() {
    let world = world();
    let (node, data) = (world.name(), bytes(2, 20_000));
    world.put(1, 7, &data);
    for (version, old) in
        [(None, true), (Some(ReadChunkVersion::V0), true), (Some(ReadChunkVersion::V1), false)]
    {
        let mut request = read_chunk(&node, id(1, 7), 0, 20_000);
        request.message.read_chunk.as_mut().unwrap().read_chunk_version = version.map(Into::into);
        let answer = world.expect(request);
        assert_eq!(ask::data(&answer), data);
        let kind = answer.message.read_chunk.unwrap().response_data.unwrap();
        assert_eq!(matches!(kind, ResponseData::Data(_)), old, "{version:?}");
    }
}

#[test]
fn bytes_outside_the_block_are_not_found_and_too_many_are_not_asked_for() {
    let world = world();
    let node = world.name();
    world.put(1, 7, &bytes(3, 1000));
    for (offset, len) in [(1000, 1), (999, 2), (1 << 62, 1), (u64::MAX, 1), (1 << 63, 5)] {
        assert_eq!(world.refused(read_chunk(&node, id(1, 7), offset, len)), UnableToFindChunk, "{offset}");
    }
    assert_eq!(world.refused(read_chunk(&node, id(1, 7), 0, (32 << 20) + 1)), UnsupportedRequest);
    assert_eq!(world.refused(read_chunk(&node, id(1, 7), 0, u64::MAX)), UnsupportedRequest);
    for offset in [1000, u64::MAX] {
        assert_eq!(world.refused(read_block(&node, id(1, 7), offset, 1)), InvalidArgument);
    }
}

#[test]
fn a_block_that_is_no_small_file_is_not_read_as_one() {
    let world = world();
    let node = world.name();
    world.expect(put_block(&node, id(1, 7), vec![], true));
    assert_eq!(world.refused(get_small(&node, id(1, 7))), GetSmallFileError);
    // As if it had been written in many chunks: 33 MiB.
    let long = BlockData {
        size: Some(33 << 20),
        ..block_data(id(1, 8), vec![ChunkInfo { len: 33 << 20, ..chunk(8, 0, &[]) }])
    };
    world.set_metadata(Family::BlockData, b"\0\0\0\0\0\0\0\x01|8", long.encode_to_vec().into());
    assert_eq!(world.refused(get_small(&node, id(1, 8))), GetSmallFileError);
}

#[test]
fn a_list_that_fits_no_message_is_refused_with_the_count_that_fits() {
    let world = world();
    let node = world.name();
    world.expect(create_container(&node, 1, None));
    for local in 10..50 {
        let mut one = chunk(local, 0, &[]);
        one.stripe_checksum = Some(vec![7; 1 << 20].into());
        let value = block_data(id(1, local), vec![one]).encode_to_vec();
        let key = [b"\0\0\0\0\0\0\0\x01|", local.to_string().as_bytes()].concat();
        world.set_metadata(Family::BlockData, &key, value.into());
    }
    let all = world.ask(list(&node, 1, None, i32::MAX as u32));
    assert_eq!(ask::result(&all), UnsupportedRequest);
    assert!(all.message.message.unwrap().contains("at most 31 blocks"));
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let start = seen.last().copied();
        let page = world.expect(list(&node, 1, start, 31)).message.list_block.unwrap().block_data;
        assert!(!page.is_empty());
        // The first of a further page is the last of the one before, as Ozone's clients know it.
        seen.extend(page.iter().map(|block| block.block_id.local_id).skip(usize::from(start.is_some())));
    }
    assert_eq!(seen, (10..50).collect::<Vec<_>>());
    assert_eq!(world.refused(list(&node, 1, None, 0)), MalformedRequest);
    assert_eq!(world.refused(list(&node, 1, Some(-5), 1)), MalformedRequest);
}
