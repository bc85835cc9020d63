//! What the client reads when datanodes are slow or silent, and how long that takes.

use std::time::{Duration, Instant};

use allotrope_proto::container::Type;

use super::world::{Fault, World, bytes, path};
use crate::{Config, Error, HedgePolicy, RetryPolicy};

const MIB: usize = 1 << 20;
/// Longest wait for one answer: a read that takes as long was not hedged.
const DEADLINE: Duration = Duration::from_secs(60);

/// A slow answer is overtaken soon, and a datanode that was slow is avoided to the end of the test.
fn hedged(config: &mut Config) {
    config.datanode_deadline = DEADLINE;
    let delay_first = Duration::from_millis(50);
    config.hedge = HedgePolicy { delay_first, avoid_for: DEADLINE * 10, ..HedgePolicy::default() };
}

/// Datanodes asked anything at all, by count of commands.
fn asked(world: &World, nodes: usize) -> Vec<usize> {
    (0..nodes).map(|at| world.node(at).log.len()).collect()
}

fn forget_the_past(world: &World, nodes: usize) {
    (0..nodes).for_each(|at| world.node(at).log.clear());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_datanode_of_a_group_is_overtaken_and_then_left_alone() {
    for silent in [[0, 1], [1, 4], [2, 3]] {
        let world = World::with("rs-3-2-1024k", 5, hedged).await;
        let data = bytes(31 * MIB + 5);
        world.put("k", &data).await.unwrap();
        forget_the_past(&world, 5);
        silent.into_iter().for_each(|at| world.node(at).fault = Some(Fault::Silent));
        let began = Instant::now();
        assert!(world.get("k").await.unwrap() == data, "{silent:?}");
        assert!(began.elapsed() < DEADLINE / 2, "{silent:?}: {:?}", began.elapsed());
        assert!(world.get("k").await.unwrap() == data, "{silent:?}, again");
        // Of eleven stripes, read twice, only those asked it that were begun before it was first overtaken.
        let asked = asked(&world, 5);
        silent.into_iter().for_each(|at| assert!(asked[at] <= 9, "{silent:?}: {asked:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_on_a_silent_datanode_is_decoded_from_its_own_columns() {
    let world = World::with("rs-3-2-1024k", 5, hedged).await;
    let data = bytes(6 * MIB);
    world.put("k", &data).await.unwrap();
    world.node(1).fault = Some(Fault::Silent);
    let range = MIB + 100_000..MIB + 200_000;
    let reader = world.client.read_range(&path("k"), range.start as u64..range.end as u64).await.unwrap();
    assert!(reader.read_all().await.unwrap() == data[range.clone()]);
    for at in [0, 2, 3, 4] {
        let reads = world.node(at).sent(Type::ReadChunk);
        let read: u64 = reads.iter().map(|request| request.read_chunk.as_ref().unwrap().chunk_data.len).sum();
        assert!(read <= range.len() as u64 + 2 * (16 << 10), "{read} bytes of cell {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_avoided_datanode_is_asked_when_the_others_do_not_suffice() {
    let mut world = World::with("rs-3-2-1024k", 5, hedged).await;
    let data = bytes(7 * MIB);
    world.put("k", &data).await.unwrap();
    world.node(0).fault = Some(Fault::Silent);
    assert!(world.get("k").await.unwrap() == data);
    world.node(0).fault = None;
    [1, 3].into_iter().for_each(|at| world.kill(at));
    assert!(
        world.get("k").await.unwrap() == data,
        "with the one that was avoided, the three left are enough"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_slow_as_a_whole_is_not_asked_twice_for_everything() {
    let saved_max = 4;
    let hedged = |config: &mut Config| {
        hedged(config);
        config.hedge = HedgePolicy { saved_max, earned: 0.0, avoid_for: Duration::ZERO, ..config.hedge };
    };
    let world = World::with("rs-3-2-1024k", 5, hedged).await;
    let data = bytes(30 * MIB);
    world.put("k", &data).await.unwrap();
    forget_the_past(&world, 5);
    (0..5).for_each(|at| world.node(at).fault = Some(Fault::Slow(Duration::from_millis(200))));
    assert!(world.get("k").await.unwrap() == data);
    let reads: usize = (0..5).map(|at| world.node(at).sent(Type::ReadChunk).len()).sum();
    assert!(reads <= 30 + saved_max as usize, "{reads} reads for 30 cells");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_silent_slow_gone_or_lies_costs_another_one() {
    for ill in ["silent", "slow", "gone", "lies"] {
        let mut world = World::with("STANDALONE/ONE", 3, hedged).await;
        let data = bytes(9 * MIB + 1);
        world.put("k", &data).await.unwrap();
        world.copy_to_all();
        match ill {
            "silent" => world.node(0).fault = Some(Fault::Silent),
            "slow" => world.node(0).fault = Some(Fault::Slow(DEADLINE / 2)),
            "gone" => world.kill(0),
            _ => world.node(0).fault = Some(Fault::Lies),
        }
        let began = Instant::now();
        assert!(world.get("k").await.unwrap() == data, "{ill}");
        assert!(began.elapsed() < DEADLINE / 3, "{ill}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_replicas_may_fail_in_different_ways_in_one_read() {
    let world = World::with("STANDALONE/ONE", 3, hedged).await;
    let data = bytes(9 * MIB);
    world.put("k", &data).await.unwrap();
    world.copy_to_all();
    world.node(0).fault = Some(Fault::Lies);
    world.node(1).fault = Some(Fault::Silent);
    assert!(world.get("k").await.unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_silent_the_time_limits_hold() {
    for (replication, nodes) in [("STANDALONE/ONE", 1), ("rs-3-2-1024k", 5)] {
        let limited = |config: &mut Config| {
            hedged(config);
            config.datanode_deadline = Duration::from_millis(300);
            let pause = Duration::from_millis(10);
            let budget = Duration::from_secs(2);
            config.read_retry = RetryPolicy { attempts_max: 3, delay_first: pause, delay_max: pause, budget };
        };
        let world = World::with(replication, nodes, limited).await;
        world.put("k", &bytes(4 * MIB)).await.unwrap();
        (0..nodes).for_each(|at| world.node(at).fault = Some(Fault::Silent));
        let began = Instant::now();
        let error = world.get("k").await.unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. } | Error::UnreadableGroup { .. }), "{error}");
        // Three rounds of two deadlines each at the most, on a machine that may be busy.
        assert!(began.elapsed() < Duration::from_secs(30), "{replication}: {:?}", began.elapsed());
    }
}
