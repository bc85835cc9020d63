//! What is dropped in the middle leaves nothing behind: no task, no call on its way, no key; and nothing waits for ever.

use std::time::Duration;

use allotrope_proto::om::Type;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::world::{Fault, World, bytes, path};
use crate::{Config, Error, PutOptions};

const MIB: usize = 1 << 20;
const FORMS: [(&str, usize); 2] = [("STANDALONE/ONE", 1), ("rs-3-2-1024k", 5)];

/// Tasks that live when nothing more ends by itself: the servers' and those of the connections.
async fn settled() -> usize {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let mut seen = alive();
    loop {
        sleep(Duration::from_millis(300)).await;
        if alive() == seen {
            return seen;
        }
        seen = alive();
    }
}

/// Waits until no more tasks live than `before`.
async fn back_to(before: usize, what: &str) {
    let began = Instant::now();
    loop {
        let alive = Handle::current().metrics().num_alive_tasks();
        if alive <= before {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{what}: {alive} tasks live, before it {before}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_dropped_ends_at_once_and_leaves_no_key() {
    for (replication, nodes) in FORMS {
        // Nothing ends by its deadline.
        let long = |config: &mut Config| config.datanode_deadline = Duration::from_secs(300);
        let world = World::with(replication, nodes, long).await;
        world.put("warm", &bytes(5 * MIB)).await.unwrap();
        let commits = world.om().sent(Type::CommitKey).len();
        let before = settled().await;
        for silent in [false, true] {
            if silent {
                (0..nodes).for_each(|at| world.node(at).fault = Some(Fault::Silent));
            }
            let mut writer = world.client.write_key(&path("k"), PutOptions::default()).await.unwrap();
            // Where nobody answers, the write is dropped in its middle; else between two.
            let data = bytes::Bytes::from(bytes(64 * MIB));
            let cut = timeout(Duration::from_millis(300), writer.write(data)).await;
            assert!(!silent || cut.is_err(), "{replication}: it went on with nobody answering");
            drop(writer);
            back_to(before, &format!("{replication}, silent {silent}")).await;
        }
        assert!(!world.om().keys.contains_key("k"));
        assert_eq!(world.om().sent(Type::CommitKey).len(), commits, "nothing was committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_dropped_ends_at_once() {
    for (replication, nodes) in FORMS {
        let long = |config: &mut Config| config.datanode_deadline = Duration::from_secs(300);
        let world = World::with(replication, nodes, long).await;
        let data = bytes(20 * MIB);
        world.put("k", &data).await.unwrap();
        assert!(world.get("k").await.unwrap() == data);
        let before = settled().await;
        let mut reader = world.client.read_key(&path("k")).await.unwrap();
        reader.next().await.unwrap().unwrap();
        drop(reader);
        back_to(before, &format!("{replication}, after the first bytes")).await;
        let mut reader = world.client.read_key(&path("k")).await.unwrap();
        (0..nodes).for_each(|at| world.node(at).fault = Some(Fault::Silent));
        assert!(timeout(Duration::from_millis(100), reader.next()).await.is_err());
        drop(reader);
        back_to(before, &format!("{replication}, with nobody answering")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_bytes_that_is_dropped_loses_none_of_them() {
    for (replication, nodes) in FORMS {
        let world = World::new(replication, nodes).await;
        let data = bytes(9 * MIB + 5);
        world.put("k", &data).await.unwrap();
        (0..nodes).for_each(|at| world.node(at).fault = Some(Fault::Slow(Duration::from_millis(40))));
        let mut reader = world.client.read_key(&path("k")).await.unwrap();
        let (mut read, mut dropped) = (vec![], 0);
        // Each wait begins anew, and a short one may never be long enough: they grow until something comes.
        let shortest = Duration::from_millis(5);
        let mut patience = shortest;
        loop {
            match timeout(patience, reader.next()).await {
                Ok(next) => {
                    let Some(piece) = next.unwrap() else { break };
                    read.extend_from_slice(&piece);
                    patience = shortest;
                }
                Err(_) => {
                    dropped += 1;
                    patience *= 2;
                }
            }
        }
        assert!(read == data && dropped > 0, "{replication}: {dropped} waits dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_datanodes_that_are_all_silent_ends_within_its_limits() {
    for (replication, nodes) in FORMS {
        let limited = |config: &mut Config| {
            config.datanode_deadline = Duration::from_millis(200);
            config.write_attempts_max = 3;
        };
        let world = World::with(replication, nodes, limited).await;
        (0..nodes).for_each(|at| world.node(at).fault = Some(Fault::Silent));
        let began = Instant::now();
        let error = world.put("k", &bytes(9 * MIB)).await.unwrap_err();
        assert!(matches!(error, Error::Unwritable { .. } | Error::NoBlock { .. }), "{error}");
        // Three blocks of a deadline each, and the pauses between, on a machine that may be busy.
        assert!(began.elapsed() < Duration::from_secs(30), "{replication}: {:?}", began.elapsed());
        assert!(!world.om().keys.contains_key("k"));
    }
}
