//! Damage is planted and found: in data, descriptors, trees and records; nothing that is whole is condemned.

use crate::ask::{self, *};
use crate::world::World;
use allotrope_datanode::metadata::Family;
use allotrope_datanode::scan::serve::Kind;
use allotrope_datanode::scan::{Damage, ScanConfig};
use allotrope_io::{Act, SimFault};
use allotrope_types::{ContainerId, DatanodeResult, LocalId, ReplicaState};
use bytes::Bytes;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Bytes of each block, and blocks of each container.
const LEN: usize = 200_000;
const BLOCKS: i64 = 3;

/// Four closed containers of three blocks each, scanned every hour at 100 kB a second.
fn world(seed: u64, change: impl FnOnce(&mut ScanConfig)) -> World {
    let mut world = World::seeded(seed);
    let scan = &mut world.config.scan;
    (scan.metadata_every, scan.data_every) = (HOUR, HOUR);
    (scan.bytes_per_second, scan.demand_bytes_per_second) = (100_000, 100_000);
    scan.gap_min = Duration::from_secs(60);
    change(scan);
    world.boot();
    for container in 1..=4 {
        for local in 1..=BLOCKS {
            world.put(container, local, &bytes((container * 10 + local) as u64, LEN));
        }
        world.expect(close_container(&world.name(), container));
    }
    world
}

fn paths(world: &World, container: u64) -> allotrope_datanode::format::layout::ContainerPaths {
    world.node().volumes()[0].paths().container(ContainerId::new(container))
}

fn state(world: &World, container: u64) -> ReplicaState {
    world.replicas().into_iter().find(|one| one.container.as_u64() == container).unwrap().state
}

/// Only `damaged` is condemned, and SCM was told so.
fn only(world: &mut World, damaged: u64, damage: Damage) {
    for container in 1..=4 {
        let expected = if container == damaged { ReplicaState::Unhealthy } else { ReplicaState::Closed };
        assert_eq!(state(world, container), expected, "seed {}: container {container}", world.seed);
    }
    let told = world.told();
    assert!(
        told.iter().any(|one| one.container.as_u64() == damaged && one.state == ReplicaState::Unhealthy),
        "SCM was not told of container {damaged}"
    );
    assert!(world.node().metrics.damage_found(damage) > 0, "{damage:?} is not counted");
}

#[test]
fn a_flipped_bit_in_a_block_is_found_within_the_budget_and_condemns_its_container_alone() {
    for seed in 0..8 {
        let mut world = world(seed, |_| {});
        let block = paths(&world, 3).block(LocalId::new(2));
        assert!(world.disk.flip_bit(&block, 4096 * seed + 77, (seed % 8) as u8));
        let total = 4 * BLOCKS as u64 * LEN as u64;
        let began = world.sim().clock().now();
        world.sim().run_for(Duration::from_secs(60));
        let read = world.node().metrics.scanned_bytes(Kind::Data);
        let took = world.sim().clock().now().since(began).as_secs_f64() + 60.0;
        assert!(read as f64 <= 100_000.0 * took + LEN as f64 * 2.0, "seed {seed}: {read} bytes in {took} s");
        // All is read once, the damaged block once more, and a look a minute finds what is due.
        world.sim().run_for(Duration::from_secs(total / 100_000 + 180));
        only(&mut world, 3, Damage::CorruptChunk);
        let path = paths(&world, 3).container_file();
        let text = String::from_utf8(world.disk.contents(&path).unwrap()).unwrap();
        assert!(text.contains("state: UNHEALTHY"), "{text}");
    }
}

#[test]
fn what_was_scanned_is_not_scanned_again_before_its_time() {
    let world = world(1, |_| {});
    let read = || world.node().metrics.scanned_bytes(Kind::Data);
    let total = 4 * BLOCKS as u64 * LEN as u64;
    world.sim().run_for(Duration::from_secs(300));
    assert_eq!(read(), total);
    world.sim().run_for(HOUR - Duration::from_secs(400));
    assert_eq!(read(), total);
    world.sim().run_for(Duration::from_secs(600));
    assert_eq!(read(), 2 * total);
    let path = paths(&world, 1).container_file();
    let text = String::from_utf8(world.disk.contents(&path).unwrap()).unwrap();
    assert!(text.contains("dataScanTimestamp: "), "{text}");
}

#[test]
fn a_damaged_container_is_read_no_more_often_than_a_whole_one() {
    let mut world = world(12, |_| {});
    assert!(world.disk.flip_bit(paths(&world, 3).block(LocalId::new(2)), 77, 1));
    world.sim().run_for(Duration::from_secs(400));
    only(&mut world, 3, Damage::CorruptChunk);
    let read = world.node().metrics.scanned_bytes(Kind::Data);
    world.sim().run_for(HOUR - Duration::from_secs(500));
    assert_eq!(world.node().metrics.scanned_bytes(Kind::Data), read);
}

#[test]
fn a_flipped_bit_in_a_descriptor_condemns_its_container() {
    let mut world = world(2, |scan| scan.data_every = 1000 * HOUR);
    world.sim().run_for(Duration::from_secs(300));
    assert!(world.disk.flip_bit(paths(&world, 2).container_file(), 90, 3));
    world.sim().run_for(HOUR);
    only(&mut world, 2, Damage::CorruptContainerFile);
}

#[test]
fn a_descriptor_that_is_gone_condemns_its_container() {
    let mut world = world(3, |_| {});
    world.remove(&paths(&world, 2).container_file());
    world.sim().run_for(HOUR + Duration::from_secs(10));
    only(&mut world, 2, Damage::MissingContainerFile);
}

#[test]
fn a_block_file_that_is_gone_or_short_condemns_its_container() {
    let mut gone = world(4, |_| {});
    gone.remove(&paths(&gone, 1).block(LocalId::new(3)));
    gone.sim().run_for(Duration::from_secs(400));
    only(&mut gone, 1, Damage::MissingDataFile);
    let mut short = world(5, |_| {});
    short.truncate(&paths(&short, 1).block(LocalId::new(3)), 199_999);
    short.sim().run_for(Duration::from_secs(400));
    only(&mut short, 1, Damage::InconsistentChunkLength);
}

#[test]
fn damaged_records_of_blocks_condemn_their_container() {
    let mut world = world(6, |_| {});
    let key = allotrope_datanode::format::keys::block(ContainerId::new(4), LocalId::new(1));
    world.set_metadata(Family::BlockData, &key, Bytes::from_static(b"\xff\xff\xff"));
    world.sim().run_for(HOUR + Duration::from_secs(10));
    only(&mut world, 4, Damage::InaccessibleDb);
}

#[test]
fn a_damaged_tree_is_found_and_built_anew_and_condemns_nobody() {
    for (byte, bit) in [(0, 7), (9, 1), (40, 0)] {
        let world = world(7, |_| {});
        let tree = paths(&world, 2).tree();
        let whole = world.disk.contents(&tree).unwrap();
        world.told();
        assert!(world.disk.flip_bit(&tree, byte, bit));
        world.sim().run_for(Duration::from_secs(400));
        assert!((1..=4).all(|container| state(&world, container) == ReplicaState::Closed));
        assert!(world.disk.contents(&tree).unwrap() == whole, "byte {byte}");
        assert!(world.node().metrics.damage_found(Damage::CorruptTree) > 0);
        assert!(world.told().iter().any(|one| one.container.as_u64() == 2), "SCM hears of the tree");
    }
}

#[test]
fn a_read_that_goes_wrong_once_condemns_nobody() {
    for fault in [SimFault::FlipBit, SimFault::Error] {
        let world = world(8, |_| {});
        for container in 1..=4 {
            world.disk.fault(Act::Read, paths(&world, container).block(LocalId::new(1)), 0, fault);
        }
        world.sim().run_for(Duration::from_secs(400));
        assert!((1..=4).all(|container| state(&world, container) == ReplicaState::Closed), "{fault:?}");
        assert!(world.node().metrics.scanned_bytes(Kind::Data) >= 12 * LEN as u64, "{fault:?}");
    }
}

#[test]
fn a_read_that_meets_damage_is_refused_and_the_container_scanned_at_once() {
    let mut world = world(9, |scan| (scan.metadata_every, scan.data_every) = (1000 * HOUR, 1000 * HOUR));
    world.sim().run_for(Duration::from_secs(300));
    let block = paths(&world, 2).block(LocalId::new(1));
    assert!(world.disk.flip_bit(&block, 100_000, 5));
    let (name, block) = (world.name(), id(2, 1));
    // The other half is whole and served.
    assert_eq!(world.read(2, 1, 0, 16_384), bytes(21, LEN)[..16_384]);
    assert_eq!(world.refused(read_chunk(&name, block, 98_304, 16_384)), DatanodeResult::ChecksumMismatch);
    world.sim().run_for(Duration::from_secs(60));
    only(&mut world, 2, Damage::CorruptChunk);
    assert!(world.node().metrics.scanned_bytes(Kind::OnDemand) > 0);
}

#[test]
fn an_open_container_with_a_damaged_block_is_closed_and_then_condemned() {
    let world = world(10, |scan| scan.data_every = 1000 * HOUR);
    world.put(9, 1, &bytes(1, LEN));
    let block = paths(&world, 9).block(LocalId::new(1));
    assert!(world.disk.flip_bit(&block, 5, 5));
    let name = world.name();
    assert_eq!(world.refused(read_chunk(&name, id(9, 1), 0, 100)), DatanodeResult::ChecksumMismatch);
    world.sim().run_for(Duration::from_secs(10));
    assert!(world.close_wanted().contains(&ContainerId::new(9)), "SCM is asked to close it");
    world.expect(close_container(&name, 9));
    world.sim().run_for(Duration::from_secs(120));
    assert_eq!(state(&world, 9), ReplicaState::Unhealthy);
    assert_eq!(
        ask::result(&world.ask(write_chunk(&name, id(9, 2), chunk(2, 0, b"x"), Bytes::from_static(b"x")))),
        DatanodeResult::ContainerUnhealthy
    );
}

#[test]
fn a_write_that_meets_damage_is_refused_and_has_the_container_closed_and_scanned() {
    let world = world(13, |scan| scan.data_every = 1000 * HOUR);
    world.put(9, 1, &bytes(1, LEN));
    let (name, block) = (world.name(), id(9, 1));
    // A chunk whose own bytes are wrong is its client's mistake: nothing here is damaged.
    let good = bytes(2, 616);
    let wrong = chunk(1, 16_384, &bytes(3, 616));
    assert_eq!(
        world.refused(write_chunk(&name, block, wrong, good.clone())),
        DatanodeResult::ChecksumMismatch
    );
    world.sim().run_for(Duration::from_secs(1));
    assert!(world.close_wanted().is_empty());
    // Behind the chunk, in the page that it shares.
    assert!(world.disk.flip_bit(paths(&world, 9).block(LocalId::new(1)), 18_000, 3));
    let sharing = write_chunk(&name, block, chunk(1, 16_384, &good), good);
    assert_eq!(world.refused(sharing), DatanodeResult::ChecksumMismatch);
    world.sim().run_for(Duration::from_secs(1));
    assert!(world.close_wanted().contains(&ContainerId::new(9)), "SCM is asked to close it");
    world.expect(close_container(&name, 9));
    world.sim().run_for(Duration::from_secs(120));
    assert_eq!(state(&world, 9), ReplicaState::Unhealthy);
    assert!(world.node().metrics.scanned_bytes(Kind::OnDemand) > 0);
}

#[test]
fn a_scan_that_is_switched_off_reads_nothing() {
    let world = world(11, |scan| scan.enabled = false);
    world.sim().run_for(HOUR);
    assert_eq!(world.node().metrics.scanned_bytes(Kind::Data), 0);
}
