//! A copy between two simulated datanodes' disks, cut off, broken or filled up at a moment the seed chooses.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode replication`.

use crate::ask::{self, *};
use crate::world::World;
use allotrope_datanode::commands::CommandError;
use allotrope_datanode::metadata::Family;
use allotrope_datanode::replication::{Ask, import};
use allotrope_datanode::scan::serve::Kind;
use allotrope_datanode::store::ShardMessage;
use allotrope_io::{Act, ShardId, SimFault, SimRng};
use allotrope_types::{ByteCount, ContainerId, DatanodeResult, LocalId, ReplicaState};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) const CONTAINER: i64 = 5;

/// Seeds below `count`, or the one that is to be repeated.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).collect(),
    }
}

/// A container's archive as its source sends it, and its blocks.
pub(crate) fn source(seed: u64) -> (Vec<u8>, Vec<(i64, Bytes)>) {
    let mut world = World::seeded(seed);
    world.boot();
    let blocks: Vec<(i64, Bytes)> = (1..8)
        .map(|local| (local, bytes(seed * 100 + local as u64, world.rng.below(150_000) as usize)))
        .collect();
    for (local, whole) in &blocks {
        world.put(CONTAINER, *local, whole);
    }
    world.expect(close_container(&world.name(), CONTAINER));
    let archive = export(&world).unwrap();
    (archive, blocks)
}

fn export(world: &World) -> Result<Vec<u8>, CommandError> {
    let (node, container) = (world.node(), ContainerId::new(CONTAINER as u64));
    world.sim().run(async move {
        let asked = node
            .mesh
            .ask(node.home_of(container), |reply| ShardMessage::Copy(Ask::Export { container, reply }));
        let mut export = asked.await.unwrap()?;
        let mut archive = Vec::new();
        while let Some(piece) = export.feed.recv().await {
            archive.extend_from_slice(&piece?);
        }
        Ok(archive)
    })
}

/// Offers an archive, in pieces, to a datanode; what it answers.
pub(crate) fn offer(
    world: &World,
    archive: Vec<Result<Bytes, CommandError>>,
    size: u64,
) -> Result<(), CommandError> {
    let task = begin(world, archive, size);
    world.sim().run(task).unwrap()
}

fn begin(
    world: &World,
    archive: Vec<Result<Bytes, CommandError>>,
    size: u64,
) -> allotrope_io::TaskHandle<Result<(), CommandError>> {
    let node = world.node();
    let container = ContainerId::new(CONTAINER as u64);
    let pieces = archive;
    let started = world.sim().shards().run_on(ShardId(0), "offer", move |shard| async move {
        let (to, feed) = mpsc::channel(2);
        drop(shard.spawn("feed", async move {
            for piece in pieces {
                if to.send(piece).await.is_err() {
                    return;
                }
            }
        }));
        import::receive(&shard, &node, container, Some(ByteCount::new(size)), feed).await
    });
    started.unwrap()
}

pub(crate) fn pieces(archive: &[u8], rng: &SimRng) -> Vec<Result<Bytes, CommandError>> {
    let len = 1 + rng.below(60_000) as usize;
    archive.chunks(len).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect()
}

fn is_here(world: &World) -> bool {
    world.refused(read_container(&world.name(), CONTAINER)) == DatanodeResult::Success
}

pub(crate) fn check(world: &World, blocks: &[(i64, Bytes)]) {
    for (local, whole) in blocks {
        let read = world.read(CONTAINER, *local, 0, whole.len() as u64);
        assert!(read == whole[..], "seed {}: block {local}", world.seed);
    }
}

/// Nothing of the container is there: no file, no row, no room that is kept for it.
fn is_clean(world: &World) {
    let seed = world.seed;
    let found = Arc::new(Mutex::new(Vec::new()));
    let into = found.clone();
    world.on_disk(move |disk| async move {
        let all = disk.walk("/disk1").await.unwrap();
        into.lock().unwrap().extend(all.into_iter().map(|entry| entry.path).filter(|path| of_the_copy(path)));
    });
    let files: Vec<PathBuf> = std::mem::take(&mut *found.lock().unwrap());
    assert!(files.is_empty(), "seed {seed}: {files:?} are left");
    for family in Family::OF_VOLUME {
        assert!(world.metadata(*family).is_empty(), "seed {seed}: rows of {family:?} are left");
    }
    let committed = world.node().volumes()[0].space().committed;
    assert_eq!(committed, 0, "seed {seed}: room stays reserved");
    assert!(
        !world.node().imports.has(ContainerId::new(CONTAINER as u64)),
        "seed {seed}: it is still claimed"
    );
}

fn of_the_copy(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("tmp/container-copy/")
        || text.contains("containerDir0/5/")
        || text.contains("deleted-containers/")
}

#[test]
fn a_copy_is_whole_or_not_there_wherever_the_power_fails_at_its_target() {
    let mut outcomes = [0; 2];
    for seed in seeds(150) {
        let (archive, blocks) = source(seed);
        let mut world = World::seeded(seed + 1);
        world.boot();
        let pieces = pieces(&archive, &world.rng);
        let life = world.rng.below(25_000);
        let task = begin(&world, pieces.clone(), 500_000);
        let clock = world.sim().clock();
        let answered = world.sim().run(async move {
            let end = clock.sleep(Duration::from_micros(life));
            match futures_util::future::select(std::pin::pin!(task), std::pin::pin!(end)).await {
                futures_util::future::Either::Left((done, _)) => Some(done.unwrap()),
                futures_util::future::Either::Right(_) => None,
            }
        });
        world.crash();
        world.boot();
        let here = is_here(&world);
        outcomes[usize::from(here)] += 1;
        if let Some(done) = answered {
            assert!(done.is_ok() && here, "seed {seed}: a copy that was acknowledged is gone: {done:?}");
        }
        match here {
            true => check(&world, &blocks),
            false => {
                is_clean(&world);
                // It comes again, and stays.
                offer(&world, pieces, 500_000).unwrap();
                check(&world, &blocks);
            }
        }
        assert_eq!(offer(&world, vec![], 1).unwrap_err().result, DatanodeResult::ContainerExists);
    }
    if std::env::var("ALLOTROPE_SEED").is_err() {
        assert!(outcomes.iter().all(|count| *count > 10), "the moments are not spread: {outcomes:?}");
    }
}

#[test]
fn a_copy_that_meets_a_failing_or_full_disk_leaves_nothing_and_works_the_next_time() {
    let mut failed = 0;
    for seed in seeds(150) {
        let (archive, blocks) = source(seed);
        let mut world = World::seeded(seed + 2);
        world.boot();
        let pieces = pieces(&archive, &world.rng);
        const ACTS: [Act; 7] =
            [Act::Open, Act::Write, Act::Write, Act::Rename, Act::CreateDir, Act::Stat, Act::Sync];
        let act = ACTS[world.rng.below(ACTS.len() as u64) as usize];
        let fault = if world.rng.chance(1, 2) { SimFault::Error } else { SimFault::NoSpace };
        world.disk.fault(act, "/disk1", world.rng.below(12), fault);
        let done = offer(&world, pieces.clone(), 500_000);
        world.disk.clear_faults();
        match &done {
            Ok(()) => check(&world, &blocks),
            Err(_) => {
                failed += 1;
                assert!(!is_here(&world), "seed {seed}: it was refused and is here: {done:?}");
                // A flush that failed makes the volume suspect; after a restart it is judged anew.
                world.kill();
                world.boot();
                is_clean(&world);
                offer(&world, pieces, 500_000)
                    .unwrap_or_else(|e| panic!("seed {seed}: {e} (after {done:?})"));
                check(&world, &blocks);
            }
        }
    }
    assert!(failed > 20 || std::env::var("ALLOTROPE_SEED").is_ok(), "only {failed} copies met their fault");
}

#[test]
fn metadata_that_fails_in_the_middle_of_a_copy_leaves_nothing_after_the_restart() {
    for seed in seeds(60) {
        let (archive, blocks) = source(seed);
        let mut world = World::seeded(seed + 3);
        world.boot();
        let pieces = pieces(&archive, &world.rng);
        world.break_metadata(world.rng.below(4));
        let done = offer(&world, pieces.clone(), 500_000);
        world.crash();
        world.boot();
        match done {
            Ok(()) => check(&world, &blocks),
            Err(_) => {
                if !is_here(&world) {
                    is_clean(&world);
                    offer(&world, pieces, 500_000).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
                }
                check(&world, &blocks);
            }
        }
    }
}

#[test]
fn a_source_that_dies_in_mid_stream_leaves_nothing_at_the_target() {
    for seed in seeds(80) {
        let (archive, blocks) = source(seed);
        let mut world = World::seeded(seed + 4);
        world.boot();
        let whole = pieces(&archive, &world.rng);
        let cut = world.rng.below(whole.len() as u64) as usize;
        let mut broken: Vec<_> = whole[..cut].to_vec();
        // The connection tells, or it only ends.
        if world.rng.chance(1, 2) {
            broken.push(Err(CommandError::new(DatanodeResult::IoException, "the source died")));
        }
        offer(&world, broken, 500_000).unwrap_err();
        assert!(!is_here(&world));
        is_clean(&world);
        offer(&world, whole, 500_000).unwrap();
        check(&world, &blocks);
    }
}

#[test]
fn a_source_that_falls_silent_is_given_up_and_leaves_nothing_at_the_target() {
    let (archive, blocks) = source(4);
    let mut world = World::seeded(14);
    world.boot();
    let whole = pieces(&archive, &world.rng);
    let (node, container) = (world.node(), ContainerId::new(CONTAINER as u64));
    let half: Vec<_> = whole[..whole.len() / 2].to_vec();
    let began = world.sim().clock().now();
    let task = world.sim().shards().run_on(ShardId(0), "offer", move |shard| async move {
        let (to, feed) = mpsc::channel(64_000);
        half.into_iter().for_each(|piece| to.try_send(piece).unwrap());
        // It holds the line and says no more.
        import::receive(&shard, &node, container, Some(ByteCount::new(500_000)), feed)
            .await
            .map(|()| drop(to))
    });
    let silent = world.sim().run(task.unwrap()).unwrap().unwrap_err();
    assert!(silent.why.contains("nothing came"), "{silent}");
    assert!(world.sim().clock().now().since(began) >= Duration::from_secs(300));
    is_clean(&world);
    offer(&world, whole, 500_000).unwrap();
    check(&world, &blocks);
}

#[test]
fn bytes_that_are_not_those_that_were_put_are_found_before_the_copy_counts() {
    let mut found = 0;
    for seed in seeds(150) {
        let (mut archive, blocks) = source(seed);
        let mut world = World::seeded(seed + 5);
        world.boot();
        let at = world.rng.below(archive.len() as u64) as usize;
        archive[at] ^= 1 << world.rng.below(8);
        match offer(&world, pieces(&archive, &world.rng), 500_000) {
            // Padding, or a counter that is counted anew: no byte of a block.
            Ok(()) => check(&world, &blocks),
            Err(_) => {
                found += 1;
                assert!(!is_here(&world), "seed {seed}");
                is_clean(&world);
            }
        }
    }
    assert!(found > 100 || std::env::var("ALLOTROPE_SEED").is_ok(), "only {found} damages were found");
}

#[test]
fn blocks_whose_chunks_end_inside_a_page_are_written_without_a_look_at_the_disk() {
    for seed in seeds(30) {
        let mut source = World::seeded(seed);
        source.boot();
        let name = source.name();
        let mut blocks = Vec::new();
        for local in 1..4 {
            let (mut whole, mut chunks) = (Vec::new(), Vec::new());
            // Long enough to go past the page cache.
            while whole.len() < 300_000 {
                let part = bytes(seed * 100 + whole.len() as u64, 1 + source.rng.below(120_000) as usize);
                let one = chunk(local, whole.len() as u64, &part);
                source.expect(write_chunk(&name, id(CONTAINER, local), one.clone(), part.clone()));
                chunks.push(one);
                whole.extend_from_slice(&part);
            }
            source.expect(put_block(&name, id(CONTAINER, local), chunks, true));
            blocks.push((local, Bytes::from(whole)));
        }
        source.expect(close_container(&name, CONTAINER));
        let archive = export(&source).unwrap();
        let mut world = World::seeded(seed + 6);
        world.boot();
        let (volume, container) = (world.node().volumes()[0].clone(), ContainerId::new(CONTAINER as u64));
        let arriving = volume.paths().copies().join(CONTAINER.to_string()).join("chunks");
        for nth in 0..500 {
            world.disk.fault(Act::Read, &arriving, nth, SimFault::FlipBit);
        }
        offer(&world, pieces(&archive, &world.rng), 1_500_000).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        world.disk.clear_faults();
        for (local, whole) in &blocks {
            let path = volume.paths().container(container).block(LocalId::new(*local as u64));
            let stored = world.disk.contents(path).unwrap();
            assert!(stored == whole[..], "seed {seed}: what a read got wrong of block {local} is stored");
        }
    }
}

#[test]
fn of_two_imports_of_one_container_the_second_is_refused() {
    let (archive, blocks) = source(1);
    let mut world = World::seeded(9);
    world.boot();
    let pieces = pieces(&archive, &world.rng);
    let (first, second) = (begin(&world, pieces.clone(), 500_000), begin(&world, pieces, 500_000));
    let (first, second) = world.sim().run(async move { (first.await.unwrap(), second.await.unwrap()) });
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let refused = first.err().or(second.err()).unwrap();
    assert_eq!(refused.result, DatanodeResult::ContainerExists, "{refused}");
    check(&world, &blocks);
}

#[test]
fn while_a_container_is_on_its_way_no_write_makes_it_and_a_deletion_at_its_source_waits() {
    let (archive, blocks) = source(2);
    let mut world = World::seeded(10);
    world.boot();
    let pieces = pieces(&archive, &world.rng);
    let (node, name) = (world.node(), world.name());
    let importing = begin(&world, pieces, 500_000);
    let one = chunk(1, 0, &blocks[0].1);
    let write = write_chunk(&name, id(CONTAINER, 1), one, blocks[0].1.clone());
    let clock = world.sim().clock();
    let (answer, imported) = world.sim().run(async move {
        clock.sleep(Duration::from_micros(300)).await;
        (crate::world::send(node, write).await, importing.await.unwrap())
    });
    assert_eq!(ask::result(&answer), DatanodeResult::ContainerAlreadyExists);
    imported.unwrap();
    check(&world, &blocks);
    // The copy as a source: an export that is under way ends before the container goes.
    let (node, container) = (world.node(), ContainerId::new(CONTAINER as u64));
    let (exported, deleted) = world.sim().run(async move {
        let home = node.home_of(container);
        let export = node.mesh.ask(home, |reply| ShardMessage::Copy(Ask::Export { container, reply }));
        let mut export = export.await.unwrap().unwrap();
        let first = export.feed.recv().await.unwrap().unwrap();
        let deleting = node.mesh.ask(home, |reply| ShardMessage::Delete {
            container,
            force: true,
            replica: None,
            reply,
        });
        let reading = async {
            let mut len = first.len();
            while let Some(piece) = export.feed.recv().await {
                len += piece.unwrap().len();
            }
            len
        };
        let (len, deleted) = futures_util::future::join(reading, deleting).await;
        (len, deleted.unwrap())
    });
    assert_eq!(exported, archive.len());
    deleted.unwrap();
    assert!(!is_here(&world));
    assert_eq!(export(&world).unwrap_err().result, DatanodeResult::ContainerNotFound);
}

#[test]
fn a_copy_without_room_is_refused_and_another_volume_is_not_asked_to_hold_it() {
    let (archive, _) = source(3);
    let mut world = World::seeded(11);
    world.boot();
    let pieces = pieces(&archive, &world.rng);
    let too_large = offer(&world, pieces.clone(), 5 << 30).unwrap_err();
    assert_eq!(too_large.result, DatanodeResult::DiskOutOfSpace);
    is_clean(&world);
    offer(&world, pieces, 500_000).unwrap();
}

#[test]
fn a_copy_is_scanned_soon_after_it_came_and_what_the_disk_made_of_it_is_found() {
    let (archive, blocks) = source(7);
    let damaged = blocks.iter().rev().find(|(_, whole)| whole.len() > 10_000).unwrap().0;
    let mut world = World::seeded(15);
    world.config.scan.demand_bytes_per_second = 50_000;
    world.boot();
    let pieces = pieces(&archive, &world.rng);
    offer(&world, pieces, 500_000).unwrap();
    let paths = world.node().volumes()[0].paths().container(ContainerId::new(CONTAINER as u64));
    assert!(world.disk.flip_bit(paths.block(LocalId::new(damaged as u64)), 9000, 3));
    world.told();
    // Before the scan that comes to all containers in their turn has looked for any.
    world.sim().run_for(Duration::from_secs(40));
    assert!(world.node().metrics.scanned_bytes(Kind::OnDemand) > 0);
    let unhealthy = |one: &allotrope_datanode::store::ReplicaFacts| one.state == ReplicaState::Unhealthy;
    assert!(world.told().iter().any(unhealthy), "SCM is told");
}

#[test]
fn an_unhealthy_replica_is_copied_as_it_is_and_stays_unhealthy() {
    let mut world = World::seeded(12);
    world.boot();
    let (name, data) = (world.name(), bytes(1, 90_000));
    world.put(CONTAINER, 1, &data);
    world.put(CONTAINER, 2, &data);
    world.expect(close_container(&name, CONTAINER));
    world.kill();
    world.boot();
    world.rewrite_container_file(CONTAINER, |file| file.state = ReplicaState::Unhealthy);
    let path = world.node().volumes()[0]
        .paths()
        .container(ContainerId::new(CONTAINER as u64))
        .block(LocalId::new(2));
    world.on_disk(move |disk| async move { disk.remove(path).await.unwrap() });
    world.kill();
    world.boot();
    let archive = export(&world).unwrap();
    let mut there = World::seeded(13);
    there.boot();
    let pieces = pieces(&archive, &there.rng);
    offer(&there, pieces, 200_000).unwrap();
    assert_eq!(there.read(CONTAINER, 1, 0, 90_000), data);
    let state = there.expect(read_container(&there.name(), CONTAINER)).message.read_container.unwrap();
    assert_eq!(
        state.container_data.unwrap().state(),
        allotrope_proto::container::container_data_proto::State::Unhealthy
    );
}
