//! What a crash leaves: a scripted life, cut off at a moment the seed chooses, and everything acknowledged checked.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode faults`; a longer
//! search takes `ALLOTROPE_SEEDS=FROM..TO` in place of each test's own.

use crate::ask::{self, *};
use crate::world::{World, send};
use allotrope_datanode::store::Node;
use allotrope_io::{Act, SimFault, SimRng};
use allotrope_types::{ContainerId, DatanodeResult, LocalId};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the client was told.
#[derive(Default)]
struct Told {
    /// Chunks by block, of acknowledged PutBlocks.
    put: BTreeMap<(i64, i64), Vec<Bytes>>,
    /// The list a PutBlock under way carries.
    pending: BTreeMap<(i64, i64), Vec<Bytes>>,
    closed: Vec<i64>,
    /// Deletions that were asked for; acknowledged if true.
    deleted: BTreeMap<i64, bool>,
}

/// The seeds below `count`, or those that are asked for.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let asked = |name: &str| std::env::var(name).ok();
    match (asked("ALLOTROPE_SEED"), asked("ALLOTROPE_SEEDS")) {
        (Some(seed), _) => seed.parse().unwrap()..seed.parse::<u64>().unwrap() + 1,
        (None, Some(range)) => {
            let (from, to) = range.split_once("..").expect("ALLOTROPE_SEEDS is FROM..TO");
            from.parse().unwrap()..to.parse().unwrap()
        }
        (None, None) => 0..count,
    }
}

/// Every second of the seeds, so that two cores share the work.
fn half(count: u64, half: u64) -> impl Iterator<Item = u64> {
    seeds(count).filter(move |seed| seed % 2 == half)
}

/// Writes, puts, closes and deletes until something is refused.
async fn live(node: Arc<Node>, rng: SimRng, told: Rc<RefCell<Told>>) {
    let name = node.id.to_string();
    let ok =
        |response: &allotrope_datanode::commands::Response| ask::result(response) == DatanodeResult::Success;
    let mut next_local = told.borrow().put.keys().map(|(_, local)| local + 1).max().unwrap_or(1);
    for _ in 0..60 {
        let container = 1 + rng.below(4) as i64;
        let gone = told.borrow().deleted.contains_key(&container);
        let closed = told.borrow().closed.contains(&container);
        match rng.below(12) {
            0 if !gone => {
                if ok(&send(node.clone(), close_container(&name, container)).await) {
                    told.borrow_mut().closed.push(container);
                }
            }
            1 if !gone && rng.chance(1, 3) => {
                told.borrow_mut().deleted.insert(container, false);
                if ok(&send(node.clone(), delete_container(&name, container, true)).await) {
                    told.borrow_mut().deleted.insert(container, true);
                }
            }
            _ if gone || closed => {}
            _ => {
                let local = next_local;
                next_local += 1;
                let (mut chunks, mut data, mut at) = (Vec::new(), Vec::new(), 0);
                for _ in 0..1 + rng.below(4) {
                    let piece = bytes(rng.below(u64::MAX), 1 + rng.below(60_000) as usize);
                    let one = chunk(local, at, &piece);
                    at += piece.len() as u64;
                    let written = send(
                        node.clone(),
                        write_chunk(&name, id(container, local), one.clone(), piece.clone()),
                    );
                    if !ok(&written.await) {
                        break;
                    }
                    chunks.push(one);
                    data.push(piece);
                    let (key, eof) = ((container, local), rng.chance(1, 2));
                    told.borrow_mut().pending.insert(key, data.clone());
                    let put = put_block(&name, id(container, local), chunks.clone(), eof);
                    if !ok(&send(node.clone(), put).await) {
                        break;
                    }
                    let mut told = told.borrow_mut();
                    told.pending.remove(&key);
                    told.put.insert(key, data.clone());
                }
            }
        }
    }
}

/// Holds what is on the disk against what the client was told.
fn check(world: &World, told: &mut Told) {
    let name = world.name();
    let seed = world.seed;
    for (&container, &sure) in &told.deleted {
        let found = world.refused(read_container(&name, container));
        if sure {
            assert_eq!(
                found,
                DatanodeResult::ContainerNotFound,
                "seed {seed}: container {container} came back"
            );
        }
        if found == DatanodeResult::ContainerNotFound {
            let paths = world.node().volumes()[0].paths().clone();
            let left =
                world.disk.contents(paths.container(ContainerId::new(container as u64)).container_file());
            assert!(left.is_none(), "seed {seed}: container {container} is half deleted");
        }
    }
    let gone = |container: i64| {
        told.deleted.contains_key(&container)
            && world.refused(read_container(&name, container)) == DatanodeResult::ContainerNotFound
    };
    for (&(container, local), data) in &told.put {
        if gone(container) {
            continue;
        }
        let answer = world.ask(get_block(&name, id(container, local)));
        assert_eq!(
            ask::result(&answer),
            DatanodeResult::Success,
            "seed {seed}: block {local} of {container} is lost"
        );
        let size = answer.message.get_block.unwrap().block_data.size.unwrap() as u64;
        let (told_bytes, pending) =
            (data.concat(), told.pending.get(&(container, local)).map(|data| data.concat()));
        // What was under way may have landed whole.
        let wanted = match pending {
            Some(pending) if pending.len() as u64 == size => pending,
            _ => told_bytes,
        };
        assert_eq!(size, wanted.len() as u64, "seed {seed}: block {local} of {container} has another length");
        let read = world.read(container, local, 0, size);
        assert!(read == wanted, "seed {seed}: block {local} of {container} has other bytes");
    }
    for (&(container, local), data) in &told.pending {
        // Never acknowledged: there whole or not at all, and what is there is right.
        if gone(container) || told.put.contains_key(&(container, local)) {
            continue;
        }
        let answer = world.ask(get_block(&name, id(container, local)));
        if ask::result(&answer) == DatanodeResult::Success {
            let whole = data.concat();
            assert!(
                world.read(container, local, 0, whole.len() as u64) == whole,
                "seed {seed}: block {local}"
            );
        }
    }
    for container in told.closed.clone() {
        if !gone(container) {
            let found = world.expect(read_container(&name, container)).message.read_container.unwrap();
            let state = found.container_data.unwrap().state();
            assert_eq!(state, allotrope_proto::container::container_data_proto::State::Closed, "seed {seed}");
        }
    }
    // What landed is told from now on.
    for (key, data) in std::mem::take(&mut told.pending) {
        if !gone(key.0) && world.refused(get_block(&name, id(key.0, key.1))) == DatanodeResult::Success {
            let size =
                world.expect(get_block(&name, id(key.0, key.1))).message.get_block.unwrap().block_data.size;
            if size == Some(data.concat().len() as i64) {
                told.put.insert(key, data);
            }
        }
    }
}

/// What happens to a life besides its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The disk or the metadata fails now and then.
    Faults,
}

/// Lets some operations of the next life fail, hang or come back short.
fn break_some(world: &World) {
    const ACTS: [Act; 10] = [
        Act::Open,
        Act::Read,
        Act::Write,
        Act::Write,
        Act::Sync,
        Act::Truncate,
        Act::Stat,
        Act::Rename,
        Act::Remove,
        Act::CreateDir,
    ];
    let rng = &world.rng;
    for _ in 0..1 + rng.below(3) {
        let fault = match rng.below(6) {
            0 | 1 => SimFault::Error,
            2 => SimFault::NoSpace,
            3 => SimFault::Short,
            4 => SimFault::FlipBit,
            _ => SimFault::Delay(Duration::from_millis(rng.below(200))),
        };
        let act = ACTS[rng.below(ACTS.len() as u64) as usize];
        let under = if rng.chance(1, 6) { "/meta" } else { "/disk1" };
        world.disk.fault(act, under, rng.below(30), fault);
    }
    if rng.chance(1, 3) {
        world.break_metadata(rng.below(40));
    }
}

fn cut_lives(seed: u64, power: bool, trouble: Trouble) {
    let mut world = World::seeded(seed);
    let told = Rc::new(RefCell::new(Told::default()));
    world.boot();
    for _ in 0..3 {
        if trouble == Trouble::Faults {
            break_some(&world);
        }
        let life = world.rng.below(30_000);
        let sim = world.sim();
        // It ends in the middle of anything: what it has begun on the shards is cut off by the crash.
        let (node, rng, log, clock) = (world.node(), world.rng.clone(), told.clone(), sim.clock());
        sim.run(async move {
            let end = clock.sleep(Duration::from_micros(life));
            futures_util::future::select(std::pin::pin!(live(node, rng, log)), std::pin::pin!(end)).await;
        });
        if power {
            world.crash()
        } else {
            world.kill()
        }
        world.disk.clear_faults();
        world.boot();
        check(&world, &mut told.borrow_mut());
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails_at_any_moment() {
    half(2000, 0).for_each(|seed| cut_lives(seed, true, Trouble::None));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails_at_any_other_moment() {
    half(2000, 1).for_each(|seed| cut_lives(seed, true, Trouble::None));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_disk_fails_before_the_power_does() {
    half(2000, 0).for_each(|seed| cut_lives(seed, true, Trouble::Faults));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_disk_fails_otherwise_before_the_power_does() {
    half(2000, 1).for_each(|seed| cut_lives(seed, true, Trouble::Faults));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_dies_at_any_moment() {
    seeds(300).for_each(|seed| cut_lives(seed, false, Trouble::None));
}

#[test]
fn a_chunk_that_was_written_before_a_restart_is_verified_before_it_is_put() {
    let mut world = World::seeded(5);
    world.boot();
    let (name, data) = (world.name(), bytes(1, 50_000));
    let one = chunk(7, 0, &data);
    world.expect(write_chunk(&name, id(1, 7), one.clone(), data.clone()));
    world.kill();
    world.boot();
    // The process died, the machine did not: the bytes are there, and that is checked.
    world.expect(put_block(&name, id(1, 7), vec![one.clone()], true));
    assert_eq!(world.read(1, 7, 0, 50_000), data);
    let mut other = one;
    other.checksum_data.checksums[1] = Bytes::from_static(&[1, 2, 3, 4]);
    assert_eq!(
        world.refused(put_block(&name, id(1, 7), vec![other], true)),
        DatanodeResult::ChecksumMismatch
    );
    assert_eq!(world.read(1, 7, 0, 50_000), data);
}

#[test]
fn a_flush_that_failed_is_never_turned_into_success() {
    let mut world = World::seeded(6);
    world.boot();
    let (name, data) = (world.name(), bytes(2, 20_000));
    world.put(1, 1, &data);
    let one = chunk(7, 0, &data);
    world.expect(write_chunk(&name, id(1, 7), one.clone(), data.clone()));
    let block = world.node().volumes()[0].paths().container(ContainerId::new(1)).block(LocalId::new(7));
    world.disk.fault(Act::Sync, &block, 0, SimFault::Error);
    let put = || put_block(&name, id(1, 7), vec![one.clone()], true);
    assert_eq!(world.refused(put()), DatanodeResult::IoException);
    assert_eq!(world.refused(put()), DatanodeResult::IoException);
    assert_eq!(world.refused(get_block(&name, id(1, 7))), DatanodeResult::NoSuchBlock);
    // The volume takes no more writes; what it has is still read.
    assert_eq!(
        world.refused(write_chunk(&name, id(1, 8), chunk(8, 0, &data), data.clone())),
        DatanodeResult::IoException
    );
    assert_eq!(world.read(1, 1, 0, 20_000), data);
}

#[test]
fn a_close_that_failed_lets_nothing_in_that_a_sealed_container_would_not_show() {
    let data = bytes(2, 20_000);
    let (mut failed, mut refused) = (0, 0);
    for at in 0..12 {
        let mut world = World::seeded(8);
        world.boot();
        let name = world.name();
        let first = chunk(1, 0, &data);
        world.expect(write_chunk(&name, id(1, 1), first.clone(), data.clone()));
        world.expect(put_block(&name, id(1, 1), vec![first.clone()], false));
        let folder = world.node().volumes()[0].paths().container(ContainerId::new(1)).dir().join("metadata");
        world.disk.fault(Act::Sync, &folder, at, SimFault::Error);
        if world.refused(close_container(&name, 1)) == DatanodeResult::Success {
            break;
        }
        failed += 1;
        let second = chunk(1, 20_000, &data);
        let written = world.refused(write_chunk(&name, id(1, 1), second.clone(), data.clone()));
        let put = world.refused(put_block(&name, id(1, 1), vec![first, second], true));
        assert_eq!(written, put, "the disk fails at {at}");
        let acknowledged = put == DatanodeResult::Success;
        if !acknowledged {
            assert_eq!(put, DatanodeResult::ClosedContainerIo, "the disk fails at {at}");
            refused += 1;
        }
        // The crash keeps what was renamed, as a disk may.
        world.kill();
        world.disk.clear_faults();
        world.boot();
        let len = if acknowledged { 40_000 } else { 20_000 };
        let found = world.expect(get_block(&name, id(1, 1))).message.get_block.unwrap();
        assert_eq!(found.block_data.size, Some(len), "the disk fails at {at}");
        world.expect(close_container(&name, 1));
        assert_eq!(world.read(1, 1, 0, 20_000), data);
    }
    assert!(failed > refused && refused > 0, "{failed} closes failed, {refused} of them let nothing in");
}

#[test]
fn a_full_disk_is_said_to_be_full_and_the_block_is_as_it_was() {
    let mut world = World::seeded(7);
    world.boot();
    let (name, data) = (world.name(), bytes(3, 20_000));
    world.put(1, 1, &data);
    let file = world.node().volumes()[0].paths().container(ContainerId::new(1)).block(LocalId::new(1));
    world.disk.fault(Act::Write, &file, 0, SimFault::NoSpace);
    let second = chunk(1, 20_000, &data);
    let write = || write_chunk(&name, id(1, 1), second.clone(), data.clone());
    assert_eq!(world.refused(write()), DatanodeResult::DiskOutOfSpace);
    assert_eq!(world.read(1, 1, 0, 20_000), data);
    world.expect(write());
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    let trace = |seed| {
        let mut world = World::seeded(seed);
        world.boot();
        for local in 1..6 {
            world.put(1 + local % 3, local, &bytes(local as u64, 30_000));
        }
        world.sim().trace_hash()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
