//! Blocks go as SCM's transactions say: all of them, none besides, whatever crashes in between.

use crate::ask::*;
use crate::world::World;
use allotrope_datanode::container::delete_blocks::{DeletionPace, Transaction};
use allotrope_datanode::metadata::Family;
use allotrope_datanode::store::ShardMessage;
use allotrope_io::{Act, SimFault};
use allotrope_proto::container::ContainerChecksumInfo;
use allotrope_proto::edge::heartbeat;
use allotrope_proto::heartbeat::DeletedBlocksTransaction;
use allotrope_types::{ContainerId, DatanodeResult, LocalId, ReplicaState};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const ROUND: Duration = Duration::from_secs(10);
const LEN: usize = 9_000;

fn world(seed: u64, blocks_max: u64) -> World {
    let mut world = World::seeded(seed);
    world.config.deletion = DeletionPace { every: ROUND, blocks_max };
    world.config.scan.enabled = false;
    world.boot();
    world
}

fn transaction(id: i64, container: i64, blocks: &[i64]) -> DeletedBlocksTransaction {
    DeletedBlocksTransaction {
        tx_id: id,
        container_id: container,
        local_id: blocks.to_vec(),
        ..Default::default()
    }
}

fn read(wire: DeletedBlocksTransaction) -> Result<Transaction, String> {
    heartbeat::DeletedBlocksTransaction::try_from(wire).map_err(|e| e.to_string())?.try_into()
}

/// Hands transactions in as the control thread does. The numbers of those that are remembered.
fn mark(world: &World, transactions: &[DeletedBlocksTransaction]) -> BTreeSet<i64> {
    let mut marked = BTreeSet::new();
    for one in transactions {
        let one = read(one.clone()).unwrap();
        let (node, home) = (world.node(), world.node().home_of(one.container));
        let asked = world.sim().run(async move {
            node.mesh.ask(home, |reply| ShardMessage::DeleteBlocks { transactions: vec![one], reply }).await
        });
        marked.extend(asked.unwrap().into_iter().map(|(id, _)| id));
    }
    marked
}

fn fill(world: &World, container: i64, blocks: std::ops::RangeInclusive<i64>) {
    for local in blocks {
        world.put(container, local, &bytes((container * 100 + local) as u64, LEN));
    }
    world.expect(close_container(&world.name(), container));
}

fn file(world: &World, container: i64, local: i64) -> Option<Vec<u8>> {
    let paths = world.node().volumes()[0].paths().container(ContainerId::new(container as u64));
    world.disk.contents(paths.block(LocalId::new(local as u64)))
}

/// The block is there, whole; or gone, with its file.
fn is_live(world: &World, container: i64, local: i64) -> bool {
    match world.refused(get_block(&world.name(), id(container, local))) {
        DatanodeResult::Success => {
            let whole = bytes((container * 100 + local) as u64, LEN);
            assert_eq!(world.read(container, local, 0, LEN as u64), whole, "seed {}", world.seed);
            true
        }
        _ => {
            assert!(
                file(world, container, local).is_none(),
                "seed {}: block {local}'s file stays",
                world.seed
            );
            false
        }
    }
}

#[test]
fn blocks_go_in_the_background_and_their_neighbours_stay() {
    let world = world(1, 20_000);
    fill(&world, 1, 1..=5);
    let tree = world.node().volumes()[0].paths().container(ContainerId::new(1)).tree();
    let before = ContainerChecksumInfo::decode(&world.disk.contents(&tree).unwrap()[..]).unwrap();
    assert_eq!(mark(&world, &[transaction(7, 1, &[2, 4])]), BTreeSet::from([7]));
    assert!((1..=5).all(|local| is_live(&world, 1, local)), "marked is not gone");
    world.sim().run_for(2 * ROUND);
    let live: Vec<i64> = (1..=5).filter(|local| is_live(&world, 1, *local)).collect();
    assert_eq!(live, [1, 3, 5]);
    let container = world.expect(read_container(&world.name(), 1)).message.read_container.unwrap();
    let container = container.container_data.unwrap();
    assert_eq!((container.block_count, container.bytes_used), (Some(3), Some(3 * LEN as i64)));
    assert!(world.metadata(Family::DeleteTransactions).is_empty());
    let after = ContainerChecksumInfo::decode(&world.disk.contents(&tree).unwrap()[..]).unwrap();
    let root = |info: &ContainerChecksumInfo| info.container_merkle_tree.as_ref().unwrap().data_checksum;
    assert_eq!(root(&after), root(&before), "deleted blocks keep their sums");
    let replica = world.replicas().remove(0);
    assert_eq!(replica.counters.delete_transaction, 7);
    // The last ones make it empty, which SCM is told at once.
    mark(&world, &[transaction(8, 1, &[1, 3, 5])]);
    world.told();
    world.sim().run_for(2 * ROUND);
    assert!(world.told().iter().any(|one| one.counters.blocks == 0 && one.state == ReplicaState::Closed));
}

#[test]
fn an_open_container_keeps_its_blocks_until_it_is_closed() {
    let world = world(2, 20_000);
    world.put(1, 1, &bytes(101, LEN));
    world.put(1, 2, &bytes(102, LEN));
    assert_eq!(mark(&world, &[transaction(1, 1, &[1])]).len(), 1);
    world.sim().run_for(3 * ROUND);
    assert!(is_live(&world, 1, 1));
    world.expect(close_container(&world.name(), 1));
    world.sim().run_for(2 * ROUND);
    assert!(!is_live(&world, 1, 1) && is_live(&world, 1, 2));
}

#[test]
fn a_transaction_that_cannot_be_remembered_is_not_acknowledged() {
    let world = world(3, 20_000);
    fill(&world, 1, 1..=1);
    assert!(mark(&world, &[transaction(1, 99, &[1])]).is_empty(), "the container is not here");
    assert!(read(transaction(-1, 1, &[1])).is_err());
    assert!(read(transaction(1, -1, &[1])).is_err());
    assert!(read(transaction(1, 1, &[-1])).is_err());
    // Blocks that are not there and repeated ones are acknowledged: they are gone.
    for _ in 0..3 {
        assert_eq!(
            mark(&world, &[transaction(2, 1, &[1, 50]), transaction(3, 1, &[])]),
            BTreeSet::from([2, 3])
        );
    }
    world.sim().run_for(2 * ROUND);
    assert!(!is_live(&world, 1, 1));
    assert_eq!(mark(&world, &[transaction(2, 1, &[1, 50])]).len(), 1, "asked again after it was done");
    world.sim().run_for(2 * ROUND);
    assert!(world.metadata(Family::DeleteTransactions).is_empty());
}

#[test]
fn a_transaction_without_blocks_is_acknowledged_and_leaves_nothing_behind() {
    let world = world(5, 20_000);
    fill(&world, 1, 1..=1);
    assert_eq!(mark(&world, &[transaction(4, 1, &[])]), BTreeSet::from([4]));
    world.sim().run_for(2 * ROUND);
    assert!(world.metadata(Family::DeleteTransactions).is_empty());
    assert!(is_live(&world, 1, 1));
    assert_eq!(world.replicas()[0].counters.delete_transaction, 4);
}

#[test]
fn a_round_deletes_no_more_than_its_limit() {
    let mut world = world(6, 12); // one shard
    fill(&world, 1, 1..=40);
    mark(&world, &[transaction(1, 1, &(1..=40).collect::<Vec<_>>())]);
    let mut left = 40;
    for _ in 0..6 {
        world.sim().run_for(ROUND);
        let now = (1..=40).filter(|local| file(&world, 1, *local).is_some()).count();
        assert!(left - now <= 12, "{left} {now}");
        left = now;
    }
    assert_eq!(left, 0);
    world.kill();
}

#[test]
fn an_unlink_that_fails_leaves_the_block_to_the_next_round() {
    let world = world(4, 20_000);
    fill(&world, 1, 1..=3);
    let paths = world.node().volumes()[0].paths().container(ContainerId::new(1));
    world.disk.fault(Act::Remove, paths.block(LocalId::new(2)), 0, SimFault::Error);
    mark(&world, &[transaction(1, 1, &[1, 2])]);
    world.sim().run_for(ROUND + Duration::from_secs(1));
    assert_eq!(world.refused(get_block(&world.name(), id(1, 2))), DatanodeResult::Success);
    world.sim().run_for(2 * ROUND);
    assert!(!is_live(&world, 1, 2) && is_live(&world, 1, 3));
}

#[test]
fn a_scan_beside_a_deletion_condemns_nobody_whatever_crashes() {
    let seeds = match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..100).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let mut world = World::seeded(seed);
        world.config.deletion = DeletionPace { every: ROUND, blocks_max: 20_000 };
        let (scan, second) = (&mut world.config.scan, Duration::from_secs(1));
        (scan.data_every, scan.metadata_every, scan.gap_min) = (second, second, Duration::ZERO);
        (scan.bytes_per_second, scan.demand_bytes_per_second) = (1 << 30, 1 << 30);
        world.boot();
        (1..=3).for_each(|container| fill(&world, container, 1..=6));
        for round in 0..3 {
            for container in 1..=3 {
                mark(
                    &world,
                    &[transaction(round * 10 + container, container, &[2 * round + 1, 2 * round + 2])],
                );
            }
            let within = Duration::from_micros(world.rng.below(6_000));
            world.sim().run_for(ROUND - Duration::from_millis(3) + within);
            world.crash();
            world.boot();
            world.sim().run_for(Duration::from_secs(3));
        }
        world.sim().run_for(3 * ROUND);
        for replica in world.replicas() {
            let (id, state) = (replica.container, replica.state);
            assert_eq!(state, ReplicaState::Closed, "seed {seed}: container {id}");
            assert_eq!(replica.counters.blocks, 0, "seed {seed}: container {id}");
        }
    }
}

#[test]
fn a_crash_at_any_moment_loses_no_acknowledged_deletion_and_no_live_block() {
    let seeds = match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..300).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let mut world = world(seed, 1 + seed % 300);
        let mut live: BTreeSet<(i64, i64)> = BTreeSet::new();
        let mut doomed: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        for container in 1..=3 {
            fill(&world, container, 1..=6);
            live.extend((1..=6).map(|local| (container, local)));
        }
        let mut next = 1;
        for _ in 0..4 {
            for _ in 0..world.rng.below(4) {
                let container = 1 + world.rng.below(3) as i64;
                let blocks: Vec<i64> = (1..=6).filter(|_| world.rng.chance(1, 3)).collect();
                let one = transaction(next, container, &blocks);
                next += 1;
                let acked = !mark(&world, &[one]).is_empty();
                assert!(acked, "seed {seed}");
                doomed.insert(next - 1, blocks.iter().map(|local| (container, *local)).collect());
            }
            // Anywhere in a round: before it, between its steps, after it.
            world
                .sim()
                .run_for(ROUND - Duration::from_millis(2) + Duration::from_micros(world.rng.below(8_000)));
            if world.rng.chance(1, 2) {
                world.crash();
            } else {
                world.kill();
            }
            world.boot();
            let gone: BTreeSet<_> = doomed.values().flatten().copied().collect();
            for (container, local) in live.difference(&gone) {
                assert!(
                    is_live(&world, *container, *local),
                    "seed {seed}: live block {container}/{local} is gone"
                );
            }
        }
        world.sim().run_for(ROUND * 60);
        for (container, local) in doomed.values().flatten() {
            assert!(!is_live(&world, *container, *local), "seed {seed}: block {container}/{local} stays");
        }
        assert!(world.metadata(Family::DeleteTransactions).is_empty(), "seed {seed}");
        for replica in world.replicas() {
            let container = replica.container.as_u64() as i64;
            live.retain(|block| !doomed.values().flatten().any(|gone| gone == block));
            let blocks = live.iter().filter(|(of, _)| *of == container).count() as u64;
            assert_eq!(replica.counters.blocks, blocks, "seed {seed}: container {container}");
            assert_eq!(
                replica.counters.bytes_used,
                blocks * LEN as u64,
                "seed {seed}: container {container}"
            );
        }
    }
}
