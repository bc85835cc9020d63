//! A block that was read before is read again without being opened; its file is let go with the block.

use crate::ask::*;
use crate::world::World;
use allotrope_datanode::block::files::FILES_MAX;
use allotrope_io::{Act, SimFault};
use allotrope_types::{ContainerId, DatanodeResult, LocalId};
use std::time::Duration;

/// Whether an open of the block's file would be noticed now: the next one is made to fail.
fn opens_to_read(world: &World, container: i64, local: i64, data: &[u8]) -> bool {
    let paths = world.node().volumes()[0].paths().container(ContainerId::new(container as u64));
    world.disk.fault(Act::Open, paths.block(LocalId::new(local as u64)), 0, SimFault::Error);
    let len = data.len() as u64;
    let answer = world.ask(read_chunk(&world.name(), id(container, local), 0, len));
    world.disk.clear_faults();
    match result(&answer) {
        DatanodeResult::Success => {
            assert!(crate::ask::data(&answer) == data);
            false
        }
        result => {
            assert_eq!(result, DatanodeResult::IoException);
            true
        }
    }
}

#[test]
fn a_second_read_opens_nothing_until_the_block_is_let_go() {
    let mut world = World::seeded(3);
    world.boot();
    let (name, data) = (world.name(), bytes(1, 30_000));
    world.put(1, 7, &data);
    assert!(opens_to_read(&world, 1, 7, &data));
    assert_eq!(world.read(1, 7, 0, 30_000), data);
    assert!(!opens_to_read(&world, 1, 7, &data));
    // A block that grows is the same file, and its readers see what was put.
    let (whole, more) = (bytes(1, 50_000), bytes(1, 50_000).slice(30_000..));
    world.expect(write_chunk(&name, id(1, 7), chunk(7, 30_000, &more), more.clone()));
    world.expect(put_block(&name, id(1, 7), vec![chunk(7, 0, &data), chunk(7, 30_000, &more)], true));
    assert!(!opens_to_read(&world, 1, 7, &whole));
    // Closing gives files their length; a closed container's blocks are opened once again.
    world.expect(close_container(&name, 1));
    assert!(opens_to_read(&world, 1, 7, &whole));
    assert_eq!(world.read(1, 7, 0, 50_000), whole);
    assert!(!opens_to_read(&world, 1, 7, &whole));
}

#[test]
fn a_read_that_failed_opens_the_file_again() {
    let mut world = World::seeded(4);
    world.boot();
    let data = bytes(2, 10_000);
    world.put(1, 7, &data);
    assert_eq!(world.read(1, 7, 0, 10_000), data);
    world.disk.fault(Act::Read, "/disk1", 0, SimFault::Error);
    assert_eq!(world.refused(read_chunk(&world.name(), id(1, 7), 0, 10_000)), DatanodeResult::IoException);
    assert!(opens_to_read(&world, 1, 7, &data));
}

#[test]
fn a_deleted_containers_files_are_closed() {
    let mut world = World::seeded(5);
    world.boot();
    let (name, data) = (world.name(), bytes(3, 1 << 20));
    let before = world.disk.files_open();
    world.put(1, 7, &data);
    assert_eq!(world.disk.files_open(), before);
    assert_eq!(world.read(1, 7, 0, 1 << 20), data);
    assert_eq!(world.disk.files_open(), before + 1);
    world.expect(delete_container(&name, 1, true));
    assert_eq!(world.disk.files_open(), before, "an open file keeps its space although its name is gone");
}

#[test]
fn many_blocks_are_read_with_few_files_open() {
    let mut world = World::seeded(6);
    world.boot();
    let before = world.disk.files_open();
    let (count, data) = (FILES_MAX as i64 + 40, bytes(4, 100));
    for local in 1..=count {
        world.put(1, local, &data);
        assert_eq!(world.read(1, local, 0, 100), data);
    }
    assert!(opens_to_read(&world, 1, 1, &data), "the one unused longest was closed");
    assert!(!opens_to_read(&world, 1, count, &data));
    // The read that failed has the disk checked, with a file of its own.
    world.sim().run_for(Duration::from_secs(1));
    let open = world.disk.files_open() - before;
    assert!(open <= FILES_MAX, "{open} files are open");
}
