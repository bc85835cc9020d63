//! WriteChunk, PutBlock, PutSmallFile, FinalizeBlock.

use super::*;

#[test]
fn a_chunk_without_bytes_is_taken_and_changes_nothing() {
    let world = world();
    let node = world.name();
    world.put(1, 7, &bytes(1, 1000));
    world.expect(write_chunk(&node, id(1, 7), chunk(7, 0, &[]), Bytes::new()));
    world.expect(write_chunk(&node, id(1, 7), chunk(7, 1 << 40, &[]), Bytes::new()));
    assert_eq!(world.read(1, 7, 0, 1000), bytes(1, 1000));
}

#[test]
fn chunks_and_lists_may_come_twice() {
    let world = world();
    let (node, data) = (world.name(), bytes(2, 40_000));
    let one = chunk(7, 0, &data);
    for _ in 0..3 {
        world.expect(write_chunk(&node, id(1, 7), one.clone(), data.clone()));
        let answer =
            world.expect(put_block(&node, id(1, 7), vec![one.clone()], true)).message.put_block.unwrap();
        assert_eq!(answer.committed_block_length.block_length, 40_000);
        assert_eq!(answer.committed_block_length.block_id, block_with(id(1, 7), 0));
    }
    let small = put_small(&node, id(1, 8), chunk(8, 0, &data), data.clone());
    for _ in 0..2 {
        let answer = world.expect(small.clone()).message.put_small_file.unwrap();
        assert_eq!(answer.committed_block_length.block_length, 40_000);
    }
    let container = world.expect(read_container(&node, 1)).message.read_container.unwrap();
    let container = container.container_data.unwrap();
    assert_eq!((container.block_count, container.bytes_used), (Some(2), Some(80_000)));
    assert_eq!((world.read(1, 7, 0, 40_000), world.read(1, 8, 0, 40_000)), (data.to_vec(), data.to_vec()));
}

#[test]
fn a_commit_that_was_seen_before_does_nothing() {
    let world = world();
    let (node, data) = (world.name(), bytes(3, 500));
    let one = chunk(7, 0, &data);
    world.expect(write_chunk(&node, id(1, 7), one.clone(), data.clone()));
    world.expect(put_block(&node, block_with(id(1, 7), 5), vec![one.clone()], true));
    // An older one comes late: answered, and nothing of it is stored.
    world.expect(put_block(&node, block_with(id(1, 7), 4), vec![], true));
    assert_eq!(world.read(1, 7, 0, 500), data);
}

#[test]
fn wrong_chunks_are_refused_by_write_chunk_and_put_small_file_alike() {
    let world = world();
    let (node, data) = (world.name(), bytes(3, 20_000));
    world.put(1, 7, &data);
    let good = chunk(9, 0, &data);
    type Damage = dyn Fn(&mut ChunkInfo);
    let rows: [(DatanodeResult, &Damage); 8] = [
        (InvalidWriteSize, &|one| one.len = 19_999),
        (ChunkFileInconsistency, &|one| one.offset = 4096),
        (ChunkFileInconsistency, &|one| one.offset = 1 << 62),
        (MalformedRequest, &|one| one.offset = (1 << 63) - 5),
        (MalformedRequest, &|one| one.offset = u64::MAX),
        (ChecksumMismatch, &|one| drop(one.checksum_data.checksums.pop())),
        (NoSuchAlgorithm, &|one| one.checksum_data.r#type = 77),
        (MalformedRequest, &|one| one.checksum_data.bytes_per_checksum = 0),
    ];
    for (wanted, change) in rows {
        let mut one = good.clone();
        change(&mut one);
        assert_eq!(world.refused(write_chunk(&node, id(1, 9), one.clone(), data.clone())), wanted);
        assert_eq!(world.refused(put_small(&node, id(1, 9), one, data.clone())), wanted);
    }
    let other = bytes(4, 20_000);
    assert_eq!(world.refused(write_chunk(&node, id(1, 9), good.clone(), other.clone())), ChecksumMismatch);
    assert_eq!(world.refused(put_small(&node, id(1, 9), good.clone(), other)), ChecksumMismatch);
    // Nothing of all that is there, the neighbour is as it was, and so is the container.
    assert_eq!(world.refused(get_block(&node, id(1, 9))), NoSuchBlock);
    assert_eq!(world.read(1, 7, 0, 20_000), data);
    // A name is a name, whatever is in it.
    let mut named = good;
    named.chunk_name = "a\0b/../c".into();
    world.expect(write_chunk(&node, id(1, 9), named.clone(), data.clone()));
    world.expect(put_block(&node, id(1, 9), vec![named.clone()], true));
    let block = world.expect(get_block(&node, id(1, 9))).message.get_block.unwrap().block_data;
    assert_eq!(block.chunks, [named]);
}

#[test]
fn write_chunk_refuses_what_does_not_belong_together() {
    let world = world();
    let (node, data) = (world.name(), bytes(5, 100));
    let mut bare = write_chunk(&node, id(1, 7), chunk(7, 0, &data), data.clone());
    bare.message.write_chunk.as_mut().unwrap().chunk_data = None;
    assert_eq!(world.refused(bare), MalformedRequest);
    let mut other = write_chunk(&node, id(1, 7), chunk(7, 0, &data), data);
    let put = PutBlockRequestProto { block_data: block_data(id(1, 8), vec![]), ..Default::default() };
    other.message.write_chunk.as_mut().unwrap().block = Some(put);
    assert_eq!(world.refused(other), MalformedRequest);
    assert_eq!(world.refused(get_block(&node, id(1, 8))), ContainerNotFound);
}

#[test]
fn lists_that_cannot_be_are_refused_and_the_block_stays() {
    let mut world = world();
    let (node, data) = (world.name(), bytes(5, 9000));
    world.put(1, 7, &data);
    // Nothing is known any more of what was written.
    world.kill();
    world.boot();
    let one = chunk(7, 0, &data);
    let put = |chunks: Vec<ChunkInfo>| put_block(&node, id(1, 7), chunks, true);
    let never = chunk(7, 9000, &data);
    assert_eq!(world.refused(put(vec![one.clone(), never])), UnableToFindChunk);
    let mut sums = one.clone();
    sums.len = 8999;
    sums.checksum_data = chunk(7, 0, &bytes(6, 8999)).checksum_data;
    assert_eq!(world.refused(put(vec![sums])), ChecksumMismatch);
    for (offset, len) in [(1 << 63, 1), (u64::MAX, 1), (1, u64::MAX)] {
        assert_eq!(world.refused(put(vec![ChunkInfo { offset, len, ..one.clone() }])), MalformedRequest);
    }
    let mut sized = put(vec![one.clone()]);
    sized.message.put_block.as_mut().unwrap().block_data.size = Some(1);
    assert_eq!(world.refused(sized), MalformedRequest);
    assert_eq!(world.read(1, 7, 0, 9000), data);
    let mut small = put_small(&node, id(1, 9), chunk(9, 0, &data), data.clone());
    small.message.put_small_file.as_mut().unwrap().block.block_data.size = Some(1);
    assert_eq!(world.refused(small), MalformedRequest);
}

#[test]
fn a_block_is_finalized_with_its_partial_chunk_and_again() {
    let world = world();
    let (node, data) = (world.name(), bytes(6, 3000));
    let mut put = put_block(&node, id(1, 7), vec![chunk(7, 0, &data)], false);
    let words = vec![KeyValue { key: "incremental".into(), value: Some(String::new()) }];
    put.message.put_block.as_mut().unwrap().block_data.metadata = words;
    world.expect(write_chunk(&node, id(1, 7), chunk(7, 0, &data), data.clone()));
    world.expect(put);
    for _ in 0..2 {
        let answer = world.expect(finalize(&node, id(1, 7))).message.finalize_block.unwrap();
        assert_eq!(answer.block_data.size, Some(3000));
        assert_eq!(world.read(1, 7, 0, 3000), data);
    }
    world.expect(close_container(&node, 1));
    assert_eq!(world.refused(finalize(&node, id(1, 7))), ClosedContainerIo);
}
