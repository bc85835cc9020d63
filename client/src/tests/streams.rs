//! Keys as tokio's readers and writers, and as streams; what a writer holds while a datanode is silent.

use std::time::Duration;

use allotrope_proto::container::Type;
use allotrope_types::ByteCount;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{Fault, World, bytes, path};
use crate::{Error, PutOptions};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_also_a_writer_of_tokios() {
    let world = World::new("rs-3-2-1024k", 5).await;
    for len in [0, 5, 3 * MIB + 1, 11 * MIB] {
        let data = bytes(len);
        let writer = world.client.write_key(&path("k"), PutOptions::default()).await.unwrap();
        let mut writer = writer.into_async_write();
        tokio::io::copy(&mut &data[..], &mut writer).await.unwrap();
        assert!(writer.written().is_none(), "nothing is written before the shutdown");
        writer.shutdown().await.unwrap();
        assert_eq!(writer.written().unwrap().len, len as u64);
        writer.shutdown().await.unwrap();
        assert!(writer.write_all(b"late").await.is_err(), "a finished key takes no more");
        let mut read = vec![];
        let mut reader = world.client.read_key(&path("k")).await.unwrap().into_async_read();
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == data, "{len} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_tokios_that_is_dropped_or_fails_writes_no_key() {
    let world = World::new("STANDALONE/ONE", 1).await;
    let key = path("k");
    let begin = || world.client.write_key(&key, PutOptions::default());
    let mut dropped = begin().await.unwrap().into_async_write();
    dropped.write_all(&bytes(5 * MIB)).await.unwrap();
    dropped.flush().await.unwrap();
    drop(dropped);
    assert!(!world.om().keys.contains_key("k"));
    let mut failing = begin().await.unwrap().into_async_write();
    world.node(0).fault = Some(Fault::FullAfter(0));
    failing.write_all(&bytes(5 * MIB)).await.unwrap();
    let error = failing.shutdown().await.unwrap_err();
    let inner = error.get_ref().unwrap().downcast_ref::<Error>();
    assert!(matches!(inner, Some(Error::NoBlock { .. })), "{error}");
    assert!(failing.shutdown().await.is_err() && failing.write_all(b"x").await.is_err());
    assert!(!world.om().keys.contains_key("k"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_written_from_a_stream_and_read_as_one() {
    let world = World::new("rs-3-2-1024k", 5).await;
    let data = bytes(7 * MIB);
    let pieces = |data: &[u8]| data.chunks(100_003).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let mut writer = world.client.write_key(&path("k"), PutOptions::default()).await.unwrap();
    let good = stream::iter(pieces(&data).into_iter().map(Ok::<_, std::io::Error>));
    assert_eq!(writer.write_stream(good).await.unwrap(), data.len() as u64);
    writer.finish().await.unwrap();
    let read: Vec<Bytes> =
        world.client.read_key(&path("k")).await.unwrap().into_stream().try_collect().await.unwrap();
    assert!(read.concat() == data);

    let mut writer = world.client.write_key(&path("torn"), PutOptions::default()).await.unwrap();
    let torn = stream::iter([Ok(Bytes::from_static(b"one")), Err("the cable was pulled")]);
    let error = writer.write_stream(torn).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the cable was pulled");
    assert!(matches!(writer.finish().await, Err(Error::GivenUp { .. })));
    assert!(!world.om().keys.contains_key("torn"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_stripes_are_in_flight_and_no_more_than_the_window_holds() {
    // Stripes of five cells of 1 MiB: four of them fit.
    let window = |config: &mut crate::Config| {
        config.write_window = ByteCount::mib(20);
        config.datanode_deadline = Duration::from_secs(60);
    };
    let world = World::with("rs-3-2-1024k", 7, window).await;
    world.node(1).fault = Some(Fault::Silent);
    let data = bytes(40 * MIB);
    let mut writer = world.client.write_key(&path("k"), PutOptions::default()).await.unwrap();
    let mut taken = 0;
    for piece in data.chunks(MIB) {
        let write = writer.write(Bytes::copy_from_slice(piece));
        if tokio::time::timeout(Duration::from_secs(2), write).await.is_err() {
            break;
        }
        taken += piece.len();
    }
    assert!(
        (12 * MIB..=15 * MIB).contains(&taken),
        "four stripes and a part of the next, and not {taken} bytes"
    );
    let ahead = world.node(0).sent(Type::WriteChunk).len();
    assert!((4..=5).contains(&ahead), "the others ran {ahead} cells ahead");
    assert_eq!(
        world.node(1).sent(Type::WriteChunk).len(),
        1,
        "a datanode gets its cells one after the other"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stripes_in_flight_go_whole_to_the_next_group_when_one_of_them_fails() {
    for good in 0..6 {
        let world = World::new("rs-3-2-1024k", 7).await;
        world.node(3).fault = Some(Fault::FullAfter(good));
        let data = bytes(31 * MIB + 7);
        let written = world.put("k", &data).await.unwrap();
        assert_eq!(written.failures, 1, "after {good} cells");
        assert!(world.get("k").await.unwrap() == data, "after {good} cells");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_checksum_is_the_crc_of_its_bytes_by_the_function_that_guards_them() {
    for replication in ["STANDALONE/ONE", "rs-3-2-1024k"] {
        let mut world = World::new(replication, 5).await;
        world.put("k", b"123456789").await.unwrap();
        let sum = world.client.key_checksum(&path("k")).await.unwrap().unwrap();
        // The check value of this CRC, as every table of CRCs has it.
        assert_eq!((sum.algorithm, sum.crc), ("COMPOSITE-CRC32", 0xcbf4_3926));
        world.put("empty", b"").await.unwrap();
        assert_eq!(world.client.key_checksum(&path("empty")).await.unwrap(), None);
        if replication != "STANDALONE/ONE" {
            [0, 3].into_iter().for_each(|at| world.kill(at));
            assert_eq!(world.client.key_checksum(&path("k")).await.unwrap(), Some(sum), "with two gone");
        }
    }
}
