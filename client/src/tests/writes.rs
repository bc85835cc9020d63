//! What the client writes, and what it does when datanodes fail under it.

use allotrope_proto::{container, om};
use allotrope_types::OmStatus;

use super::world::{Fault, World, bytes, path};
use crate::{Error, PutOptions};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_one_datanode_is_read_as_it_was_written() {
    let world = World::new("STANDALONE/ONE", 1).await;
    for len in [0, 1, 16 << 10, 4 * MIB, 9 * MIB + 77, 33 * MIB] {
        let data = bytes(len);
        let written = world.put("k", &data).await.unwrap();
        assert_eq!((written.len, written.failures), (len as u64, 0));
        assert!(world.get("k").await.unwrap() == data, "{len} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_puts_are_ozones() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.put("k", &bytes(18 * MIB)).await.unwrap();
    let node = world.node(0);
    let chunks: Vec<_> = node
        .sent(container::Type::WriteChunk)
        .into_iter()
        .map(|request| request.write_chunk.unwrap().chunk_data.unwrap())
        .collect();
    let (local, block) = node.blocks.first_key_value().unwrap();
    for (number, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.chunk_name, format!("{local}_chunk_{}", number + 1));
        assert_eq!(chunk.offset, (number * 4 * MIB) as u64);
        assert_eq!(chunk.checksum_data.bytes_per_checksum, 16 << 10);
        assert_eq!(chunk.checksum_data.checksums.len(), (chunk.len as usize).div_ceil(16 << 10));
    }
    assert_eq!(chunks.len(), 5);
    assert_eq!(block.chunks, chunks, "the last put lists every chunk");
    assert_eq!(block.metadata[0].key, "TYPE");
    let eofs: Vec<_> =
        node.sent(container::Type::PutBlock).iter().map(|r| r.put_block.as_ref().unwrap().eof).collect();
    assert_eq!(eofs, [Some(false), Some(true)], "a put after 16 MiB, and one at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_end_where_om_says_even_within_a_chunk() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.om().block_len = 3 * MIB as u64;
    let data = bytes(8 * MIB);
    assert_eq!(world.put("k", &data).await.unwrap().blocks, 3);
    assert!(world.get("k").await.unwrap() == data);
    let lens: Vec<u64> =
        world.om().keys["k"].key_location_list[0].key_locations.iter().map(|l| l.length).collect();
    assert_eq!(lens, [3 * MIB as u64, 3 * MIB as u64, 2 * MIB as u64]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_a_new_block_elsewhere_and_no_byte() {
    let world = World::new("STANDALONE/ONE", 2).await;
    world.node(0).fault = Some(Fault::FullAfter(6));
    let data = bytes(40 * MIB + 5);
    let written = world.put("k", &data).await.unwrap();
    assert_eq!((written.failures, written.blocks), (1, 2));
    assert!(world.get("k").await.unwrap() == data);
    let asked = world.om().sent(om::Type::AllocateBlock);
    let exclude = asked.last().unwrap().allocate_block_request.clone().unwrap().exclude_list.unwrap();
    assert_eq!(exclude.datanodes, ["00000000-0000-4000-8000-000000000001"]);
    assert_eq!(exclude.pipeline_ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_container_leaves_its_datanode_in_use() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.node(0).fault = Some(Fault::ClosedAfter(0));
    let data = bytes(MIB);
    let mut writer = world.client.write_key(&path("k"), PutOptions::default()).await.unwrap();
    writer.write(data.clone().into()).await.unwrap();
    let reopened = async {
        while world.om().sent(om::Type::AllocateBlock).len() < 2 {
            tokio::task::yield_now().await;
        }
        world.node(0).fault = None;
    };
    let (written, ()) = tokio::join!(writer.finish(), reopened);
    assert!(written.unwrap().failures >= 1);
    assert!(world.get("k").await.unwrap() == data);
    let asked = world.om().sent(om::Type::AllocateBlock);
    let exclude = asked[1].allocate_block_request.clone().unwrap().exclude_list.unwrap();
    assert_eq!((exclude.datanodes.len(), exclude.container_ids.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_gives_up_when_no_datanode_is_left() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.node(0).fault = Some(Fault::FullAfter(0));
    let error = world.put("k", &bytes(10)).await.unwrap_err();
    assert_eq!(error.om_status(), Some(OmStatus::InternalError), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("DISK_OUT_OF_SPACE"), "{cause}");
    assert!(!world.om().keys.contains_key("k"), "nothing was committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_length_than_announced_is_not_committed() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let options = || PutOptions { len: Some(10), ..PutOptions::default() };
    let mut writer = world.client.write_key(&path("k"), options()).await.unwrap();
    writer.write("short".into()).await.unwrap();
    assert!(matches!(writer.finish().await, Err(Error::Length { announced: 10, written: 5, .. })));
    let mut writer = world.client.write_key(&path("k"), options()).await.unwrap();
    assert!(matches!(writer.write("eleven byte".into()).await, Err(Error::Length { written: 11, .. })));
    assert!(matches!(writer.finish().await, Err(Error::GivenUp { .. })));
    assert!(!world.om().keys.contains_key("k"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_refused_with_what_can() {
    let world = World::new("STANDALONE/THREE", 3).await;
    let error = world.put("k", b"x").await.unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, Error::Unsupported { .. }) && words.contains("RATIS/THREE"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_three_copies_is_never_written_to_one_member_alone() {
    // Its locations do not say that a Ratis pipeline keeps them.
    let world = World::new("RATIS/THREE", 3).await;
    let error = world.put("k", b"x").await.unwrap_err();
    assert!(error.to_string().contains("comes without a Ratis pipeline"), "{error}");
    assert!((0..3).all(|node| world.node(node).sent(container::Type::WriteChunk).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_coded_key_is_read_as_it_was_written() {
    let world = World::new("rs-3-2-1024k", 5).await;
    for len in [0, 1, MIB, 2 * MIB + 7, 3 * MIB, 10 * MIB + 12_345, 30 * MIB] {
        let data = bytes(len);
        assert_eq!(world.put("k", &data).await.unwrap().failures, 0);
        assert!(world.get("k").await.unwrap() == data, "{len} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_stripe_is_put_as_ozones_client_puts_it() {
    // The captured put of 2.5 MiB: cells of 1, 1 and 0.5 MiB, two parity cells of 1 MiB.
    let world = World::new("rs-3-2-1024k", 5).await;
    world.put("k25", &bytes(5 * MIB / 2)).await.unwrap();
    let lens = [MIB, MIB, MIB / 2, MIB, MIB];
    for (cell, len) in lens.into_iter().enumerate() {
        let node = world.node(cell);
        let write = node.sent(container::Type::WriteChunk).pop().unwrap().write_chunk.unwrap();
        let put = node.sent(container::Type::PutBlock).pop().unwrap().put_block.unwrap();
        assert_eq!(write.block_id.replica_index, Some(cell as i32 + 1));
        assert_eq!(put.block_data.metadata[1].key, "blockGroupLen");
        assert_eq!(put.block_data.metadata[1].value.as_deref(), Some("2621440"));
        assert_eq!(put.eof, Some(true));
        let chunk = &put.block_data.chunks[0];
        assert_eq!((chunk.len, chunk.offset), (len as u64, 0));
        assert_eq!(Some(&chunk.chunk_name), write.chunk_data.as_ref().map(|chunk| &chunk.chunk_name));
        // 64 + 64 + 32 + 64 + 64 checksums of 4 bytes, on the first replica and on parity.
        let keeps = cell == 0 || cell >= 3;
        assert_eq!(chunk.stripe_checksum.as_ref().map(|joined| joined.len()), keeps.then_some(288 * 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_shorter_than_a_cell_is_put_on_all_replicas_and_written_to_three() {
    let world = World::new("rs-3-2-1024k", 5).await;
    world.put("k", &bytes(1000)).await.unwrap();
    let count = |kind| (0..5).map(|at| world.node(at).sent(kind).len()).collect::<Vec<_>>();
    assert_eq!(count(container::Type::WriteChunk), [1, 0, 0, 1, 1]);
    assert_eq!(count(container::Type::PutBlock), [1; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stripe_that_fails_goes_whole_to_a_new_group() {
    for failing in [0, 2, 4] {
        let world = World::new("rs-3-2-1024k", 6).await;
        world.node(failing).fault = Some(Fault::FullAfter(2));
        let data = bytes(14 * MIB + 3);
        let written = world.put("k", &data).await.unwrap();
        assert_eq!((written.failures, written.blocks), (1, 2));
        assert!(world.get("k").await.unwrap() == data, "replica {failing} failed");
        let stripe = 3 * MIB as u64;
        let first = world.om().keys["k"].key_location_list[0].key_locations[0].length;
        assert!(first <= 2 * stripe && first.is_multiple_of(stripe), "{first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_datanode_in_the_first_stripe_costs_no_byte() {
    let mut world = World::new("rs-3-2-1024k", 7).await;
    world.kill(1);
    world.kill(3);
    let data = bytes(7 * MIB);
    let written = world.put("k", &data).await.unwrap();
    assert_eq!((written.failures, written.blocks), (1, 1), "both are excluded at once");
    assert!(world.get("k").await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_end_with_their_last_whole_stripe() {
    let world = World::new("rs-3-2-1024k", 5).await;
    world.om().block_len = 2 * MIB as u64 + 5;
    let data = bytes(13 * MIB);
    assert_eq!(world.put("k", &data).await.unwrap().blocks, 3);
    assert!(world.get("k").await.unwrap() == data);
    let lens: Vec<u64> =
        world.om().keys["k"].key_location_list[0].key_locations.iter().map(|l| l.length).collect();
    assert_eq!(lens, [6, 6, 1].map(|n| n * MIB as u64));
}
