//! Chunks that share a page with bytes that are there already: a write past the page cache writes those again, and what the
//! disk says of them is verified first.

use crate::ask::*;
use crate::world::World;
use allotrope_io::{Act, SimFault};
use allotrope_types::{ContainerId, DatanodeResult, LocalId};
use std::path::PathBuf;

fn block_file(world: &World, local: u64) -> PathBuf {
    world.node().volumes()[0].paths().container(ContainerId::new(1)).block(LocalId::new(local))
}

#[test]
fn a_bit_that_a_read_gets_wrong_does_not_become_what_is_stored() {
    let mut refused = 0;
    for seed in 0..20 {
        let mut world = World::seeded(seed);
        world.boot();
        let (name, data) = (world.name(), bytes(seed, 20_000));
        let (old, new) = (data.slice(..13_000), data.slice(13_000..));
        // The put ends the block, so its last page is no longer in memory.
        world.put(1, 7, &old);
        let before = world.disk.contents(block_file(&world, 7));
        world.disk.fault(Act::Read, block_file(&world, 7), 0, SimFault::FlipBit);
        let (first, second) = (chunk(7, 0, &old), chunk(7, 13_000, &new));
        let write = || write_chunk(&name, id(1, 7), second.clone(), new.clone());
        match world.refused(write()) {
            // The bit lay behind the bytes that are shared.
            DatanodeResult::Success => {}
            result => {
                assert_eq!(result, DatanodeResult::ChecksumMismatch, "seed {seed}");
                assert!(
                    world.disk.contents(block_file(&world, 7)) == before,
                    "seed {seed}: the disk is as it was"
                );
                refused += 1;
                // The disk itself is well, so the client may try again.
                world.expect(write());
            }
        }
        world.expect(put_block(&name, id(1, 7), vec![first, second], true));
        assert!(world.read(1, 7, 0, 20_000) == data, "seed {seed}");
    }
    assert!((5..20).contains(&refused), "{refused} of 20 bits lay in the shared bytes");
}

#[test]
fn a_bit_that_is_wrong_on_the_disk_is_not_written_again() {
    let mut world = World::seeded(3);
    world.boot();
    let (name, data) = (world.name(), bytes(3, 30_000));
    world.put(1, 7, &data);
    // In the page that is shared, behind what is written, and in the same window as its other bytes.
    assert!(world.disk.flip_bit(block_file(&world, 7), 18_000, 3));
    let before = world.disk.contents(block_file(&world, 7));
    let part = data.slice(16_384..17_000);
    let write = || write_chunk(&name, id(1, 7), chunk(7, 16_384, &part), part.clone());
    assert_eq!(world.refused(write()), DatanodeResult::ChecksumMismatch);
    assert!(world.disk.contents(block_file(&world, 7)) == before);
    // The rest of the block is as good as it was.
    assert!(world.read(1, 7, 0, 16_384) == data[..16_384]);
    assert!(world.disk.flip_bit(block_file(&world, 7), 18_000, 3));
    world.expect(write());
    assert!(world.read(1, 7, 0, 30_000) == data);
}

#[test]
fn bytes_that_were_never_put_are_verified_by_the_put_that_names_them() {
    let mut refused = 0;
    for seed in 0..20 {
        let mut world = World::seeded(seed);
        world.boot();
        let (name, data) = (world.name(), bytes(seed, 12_000));
        let whole = chunk(7, 0, &data);
        world.expect(write_chunk(&name, id(1, 7), whole.clone(), data.clone()));
        // A part of it again: its page is the first, which is not the last one and so not in memory.
        world.disk.fault(Act::Read, block_file(&world, 7), 0, SimFault::FlipBit);
        let part = data.slice(1000..3000);
        world.expect(write_chunk(&name, id(1, 7), chunk(7, 1000, &part), part));
        let put = || put_block(&name, id(1, 7), vec![whole.clone()], true);
        match world.refused(put()) {
            DatanodeResult::Success => {}
            result => {
                assert_eq!(result, DatanodeResult::ChecksumMismatch, "seed {seed}");
                refused += 1;
                world.expect(write_chunk(&name, id(1, 7), whole.clone(), data.clone()));
                world.expect(put());
            }
        }
        assert!(world.read(1, 7, 0, 12_000) == data, "seed {seed}");
    }
    assert!((1..20).contains(&refused), "{refused} of 20 bits lay in the shared bytes");
}
