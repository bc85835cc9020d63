//! What the client reads when replicas are gone, slow or lie.

use allotrope_proto::container::{ChunkInfo, Type};
use bytes::Bytes;

use super::world::{Fault, World, bytes, path};
use crate::Error;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_range_reads_only_its_windows() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let data = bytes(9 * MIB);
    world.put("k", &data).await.unwrap();
    for range in [0..1, 100..70_000, 4 * MIB - 1..4 * MIB + 1, 9 * MIB - 1..9 * MIB, 5..5] {
        world.node(0).log.clear();
        let reader = world.client.read_range(&path("k"), range.start as u64..range.end as u64).await.unwrap();
        assert!(reader.read_all().await.unwrap() == data[range.clone()], "{range:?}");
        let reads = world.node(0).sent(Type::ReadChunk);
        let read: u64 = reads.iter().map(|request| request.read_chunk.as_ref().unwrap().chunk_data.len).sum();
        assert!(read <= range.len() as u64 + 4 * (16 << 10), "{read} bytes for {range:?}");
    }
    let outside = world.client.read_range(&path("k"), 0..9 * MIB as u64 + 1).await;
    assert!(matches!(outside, Err(Error::NotInKey { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_never_given_out() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.put("k", &bytes(MIB)).await.unwrap();
    world.node(0).fault = Some(Fault::Lies);
    let error = world.get("k").await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("not those written"), "{error}: {source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_chunks_that_cannot_be_is_refused_by_message_and_field() {
    let world = World::new("STANDALONE/ONE", 1).await;
    world.put("k", &bytes(MIB)).await.unwrap();
    let good = world.node(0).blocks.clone();
    let damaged = |damage: fn(&mut ChunkInfo)| {
        let mut blocks = good.clone();
        blocks.values_mut().for_each(|block| damage(&mut block.chunks[0]));
        world.node(0).blocks = blocks;
    };
    damaged(|chunk| chunk.checksum_data.checksums[0] = Bytes::from_static(&[1, 2, 3]));
    let why = causes(&world.get("k").await.unwrap_err());
    assert!(why.contains("ChecksumData.checksums holds 3 bytes where Crc32 has 4"), "{why}");
    damaged(|chunk| chunk.checksum_data.r#type = 99);
    let why = causes(&world.get("k").await.unwrap_err());
    assert!(why.contains("ChecksumData.type is 99, which names nothing"), "{why}");
    damaged(|chunk| chunk.len = u64::MAX);
    let why = causes(&world.get("k").await.unwrap_err());
    assert!(why.contains("ChunkInfo.len is 18446744073709551615, beyond 63 bits"), "{why}");
}

/// An error with all its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|error| format!("{error}; ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datanode_that_comes_back_is_read_after_all() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let data = bytes(3 * MIB);
    world.put("k", &data).await.unwrap();
    world.node(0).fault = Some(Fault::Lies);
    let healed = async {
        while world.node(0).sent(Type::ReadChunk).is_empty() {
            tokio::task::yield_now().await;
        }
        world.node(0).fault = None;
    };
    let (read, ()) = tokio::join!(world.get("k"), healed);
    assert!(read.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_replicas_of_five_may_be_gone() {
    for gone in [[0, 1], [0, 4], [1, 2], [2, 3], [3, 4]] {
        let mut world = World::new("rs-3-2-1024k", 5).await;
        let data = bytes(7 * MIB + 99);
        world.put("k", &data).await.unwrap();
        gone.into_iter().for_each(|at| world.kill(at));
        assert!(world.get("k").await.unwrap() == data, "{gone:?}");
        let range = 2 * MIB - 10..4 * MIB + 10;
        let reader = world.client.read_range(&path("k"), range.start as u64..range.end as u64).await.unwrap();
        assert!(reader.read_all().await.unwrap() == data[range], "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_om_does_not_know_are_decoded() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(5 * MIB);
    world.put("k", &data).await.unwrap();
    world.om().forgotten = [0, 2].into();
    assert!(world.get("k").await.unwrap() == data);
    assert!(world.node(0).sent(Type::ReadChunk).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_and_a_silent_replica_are_decoded_around() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(6 * MIB + 1);
    world.put("k", &data).await.unwrap();
    world.node(0).fault = Some(Fault::Lies);
    world.node(2).fault = Some(Fault::Silent);
    assert!(world.get("k").await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_lost_of_five_is_an_error_that_names_the_cells() {
    let mut world = World::new("rs-3-2-1024k", 5).await;
    world.put("k", &bytes(6 * MIB)).await.unwrap();
    [0, 1, 3].into_iter().for_each(|at| world.kill(at));
    let error = world.get("k").await.unwrap_err();
    assert!(matches!(error, Error::UnreadableGroup { .. }), "{error}");
    let why = std::error::Error::source(&error).unwrap();
    assert!(why.to_string().contains("stripe 0"), "{why}");
    assert!(why.source().is_some(), "it says why the last cell is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_a_stripe_reads_only_the_cells_it_needs() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(6 * MIB);
    world.put("k", &data).await.unwrap();
    let range = MIB + 5..MIB + 50;
    let reader = world.client.read_range(&path("k"), range.start as u64..range.end as u64).await.unwrap();
    assert!(reader.read_all().await.unwrap() == data[range]);
    let reads: Vec<usize> = (0..5).map(|at| world.node(at).sent(Type::ReadChunk).len()).collect();
    assert_eq!(reads, [0, 1, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_also_a_reader_of_tokios() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(4 * MIB + 3);
    world.put("k", &data).await.unwrap();
    let mut reader = world.client.read_key(&path("k")).await.unwrap().into_async_read();
    let mut read = vec![];
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut read).await.unwrap();
    assert!(read == data);
}
