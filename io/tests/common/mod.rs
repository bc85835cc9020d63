//! What the tests of shards share: a pool of each back that this machine can run.
#![allow(dead_code, reason = "each test target uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use allotrope_io::{Shard, ShardId, Shards, ShardsConfig};
use std::future::Future;
use std::time::Duration;

/// A pool of `shards` on each back.
pub(crate) fn backs(shards: usize) -> Vec<Shards> {
    let small = |config: ShardsConfig| ShardsConfig {
        memory_per_shard: 2 << 20,
        buffer_max: 1 << 20,
        disk_depth: 16,
        ..config
    };
    let uring = Shards::start(small(ShardsConfig::uring(shards))).unwrap();
    let portable = Shards::start(small(ShardsConfig::portable(shards))).unwrap();
    vec![uring, portable]
}

/// Runs one task on shard 0 of each back and stops the pool; every task must have ended.
pub(crate) fn on_each_back<F>(make: impl Fn(Shard) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for shards in backs(1) {
        let make = make.clone();
        let done = shards.run_on(ShardId(0), "test", make).unwrap().wait();
        assert!(done.is_ok(), "the test's task panicked on {}", shards.back());
        assert!(shards.stop(Duration::from_secs(10)).is_clean(), "{}", shards.back());
    }
}
