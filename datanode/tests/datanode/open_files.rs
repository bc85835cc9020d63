//! Files of blocks that are written: few are open, however many blocks a container has and however their writers end.

use crate::ask::*;
use crate::world::World;
use allotrope_datanode::Durability;
use allotrope_datanode::container::{OPEN_BLOCKS_MAX, UNPUT_BLOCKS_MAX};

#[test]
fn a_block_that_is_put_to_its_end_is_closed_whatever_an_answer_promises() {
    for durability in [Durability::Disk, Durability::PageCache] {
        let mut world = World::seeded(21);
        world.config.durability = durability;
        world.boot();
        let (before, data) = (world.disk.files_open(), bytes(1, 100));
        (1..=50).for_each(|local| world.put(1, local, &data));
        assert_eq!(world.disk.files_open(), before, "{durability:?}");
        assert_eq!(world.read(1, 7, 0, 100), data);
    }
}

#[test]
fn blocks_that_are_put_and_not_ended_are_let_go_one_for_one() {
    for durability in [Durability::Disk, Durability::PageCache] {
        let mut world = World::seeded(22);
        world.config.durability = durability;
        world.boot();
        let (name, before, data) = (world.name(), world.disk.files_open(), bytes(2, 100));
        for local in 1..=OPEN_BLOCKS_MAX as i64 + 40 {
            world.expect(write_chunk(&name, id(1, local), chunk(local, 0, &data), data.clone()));
            world.expect(put_block(&name, id(1, local), vec![chunk(local, 0, &data)], false));
        }
        let open = world.disk.files_open() - before;
        assert!(open <= OPEN_BLOCKS_MAX, "{durability:?}: {open} files are open");
        // Its writer goes on.
        let whole = bytes(2, 200);
        let more = whole.slice(100..);
        world.expect(write_chunk(&name, id(1, 1), chunk(1, 100, &more), more.clone()));
        world.expect(put_block(&name, id(1, 1), vec![chunk(1, 0, &data), chunk(1, 100, &more)], true));
        assert_eq!(world.read(1, 1, 0, 200), whole);
    }
}

#[test]
fn writers_that_go_away_leave_a_bounded_number_of_files_open() {
    let mut world = World::seeded(23);
    world.boot();
    let (name, before, data) = (world.name(), world.disk.files_open(), bytes(3, 100));
    for local in 1..=UNPUT_BLOCKS_MAX as i64 + 40 {
        world.expect(write_chunk(&name, id(1, local), chunk(local, 0, &data), data.clone()));
    }
    let open = world.disk.files_open() - before;
    assert!(open <= UNPUT_BLOCKS_MAX, "{open} files are open");
    // One was away for so long that its file was closed, and puts now: what it wrote is shown again, and safe.
    world.expect(put_block(&name, id(1, 1), vec![chunk(1, 0, &data)], true));
    world.crash();
    world.boot();
    assert_eq!(world.read(1, 1, 0, 100), data);
}
