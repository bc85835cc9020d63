//! Disks that fail, go and come: what was on a bad one is reported gone, the others serve on.

use crate::ask::*;
use crate::world::World;
use allotrope_io::{Act, SimFault};
use allotrope_types::{DatanodeResult, ReplicaState};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Two disks, checked every hour, with a container on each.
fn world(seed: u64) -> World {
    let mut world = World::seeded(seed);
    world.config.volumes = vec!["/disk1".into(), "/disk2".into()];
    world.config.volume_choice = allotrope_datanode::VolumeChoice::RoundRobin;
    world.config.scan.enabled = false;
    world.boot();
    for container in 1..=8 {
        world.put(container, 1, &bytes(container as u64, 20_000));
    }
    world
}

fn on(world: &World, root: &str) -> Vec<i64> {
    let node = world.node();
    let volume = node.volumes().iter().find(|one| one.paths().root() == Path::new(root)).unwrap().clone();
    let here = |id: &i64| {
        let paths = volume.paths().container(allotrope_types::ContainerId::new(*id as u64));
        world.disk.contents(paths.container_file()).is_some()
    };
    (1..=20).filter(here).collect()
}

fn fail_checks(world: &World, root: &str, times: usize) {
    for _ in 0..times {
        world.disk.fault(Act::Sync, root, 0, SimFault::Error);
    }
}

#[test]
fn a_volume_that_fails_twice_is_dropped_and_reported_and_the_other_serves_on() {
    let world = world(1);
    let (bad, good) = (on(&world, "/disk2"), on(&world, "/disk1"));
    assert!(!bad.is_empty() && !good.is_empty(), "{bad:?} {good:?}");
    world.told();
    let check = world.node().volumes()[1].paths().tmp().join("disk-check");
    world.disk.fault(Act::Sync, &check, 0, SimFault::Error);
    world.sim().run_for(70 * MINUTE);
    assert!(!world.node().volumes()[1].is_failed(), "one hiccup is tolerated");
    world.disk.fault(Act::Sync, &check, 0, SimFault::Error);
    world.sim().run_for(60 * MINUTE);
    assert!(world.node().volumes()[1].is_failed());
    let mut gone: Vec<i64> = world
        .told()
        .iter()
        .filter(|one| one.state == ReplicaState::Deleted)
        .map(|one| one.container.to_wire())
        .collect();
    gone.sort_unstable();
    assert_eq!(gone, bad);
    let name = world.name();
    for container in good {
        assert_eq!(world.read(container, 1, 0, 20_000), bytes(container as u64, 20_000));
    }
    for container in bad {
        assert_eq!(world.refused(get_block(&name, id(container, 1))), DatanodeResult::ContainerNotFound);
        // No write makes an empty one in its place.
        let data = bytes(1, 100);
        let write = write_chunk(&name, id(container, 2), chunk(2, 0, &data), data.clone());
        assert_eq!(world.refused(write), DatanodeResult::ContainerMissing);
    }
    for container in 11..=14 {
        world.put(container, 1, &bytes(container as u64, 20_000));
    }
    assert_eq!(world.lobby().fatal.borrow().clone(), None, "one good volume is enough");
    world.node().volumes()[0].ask_check();
    for _ in 0..2 {
        let check = world.node().volumes()[0].paths().tmp().join("disk-check");
        world.disk.fault(Act::Write, &check, 0, SimFault::Error);
        world.node().volumes()[0].ask_check();
        world.sim().run_for(11 * MINUTE);
    }
    assert!(world.lobby().fatal.borrow().as_ref().unwrap().contains("2 of 2 volumes failed"));
}

#[test]
fn an_io_error_of_a_client_has_the_disk_checked_but_not_too_often() {
    let world = world(2);
    let node = world.node();
    let volume = &node.volumes()[0];
    let container = on(&world, "/disk1")[0];
    let file = volume
        .paths()
        .container(allotrope_types::ContainerId::new(container as u64))
        .block(allotrope_types::LocalId::new(1));
    let check = volume.paths().tmp().join("disk-check");
    let name = world.name();
    let fail_read = || {
        world.disk.fault(Act::Read, &file, 0, SimFault::Error);
        assert_eq!(world.refused(read_chunk(&name, id(container, 1), 0, 100)), DatanodeResult::IoException);
    };
    fail_checks(&world, &check.to_string_lossy(), 2);
    fail_read();
    world.sim().run_for(MINUTE);
    assert!(!volume.is_failed(), "one failed check");
    fail_read();
    world.sim().run_for(5 * MINUTE);
    assert!(!volume.is_failed(), "the next check waits for its time");
    world.sim().run_for(5 * MINUTE);
    assert!(volume.is_failed());
}

#[test]
fn a_full_disk_and_a_slow_one_are_not_failed_ones_and_a_folder_that_is_gone_is() {
    let world = world(3);
    let node = world.node();
    let check = |n: usize| node.volumes()[n].paths().tmp().join("disk-check");
    for _ in 0..3 {
        world.disk.fault(Act::Write, check(0), 0, SimFault::NoSpace);
        node.volumes()[0].ask_check();
        world.sim().run_for(20 * MINUTE);
    }
    // It answers after half a minute: late, and not too late.
    for _ in 0..3 {
        world.disk.fault(Act::Sync, check(0), 0, SimFault::Delay(Duration::from_secs(30)));
        node.volumes()[0].ask_check();
        world.sim().run_for(20 * MINUTE);
    }
    assert!(!node.volumes()[0].is_failed());
    for _ in 0..2 {
        world.disk.fault(Act::Sync, check(0), 0, SimFault::Delay(15 * MINUTE));
        node.volumes()[0].ask_check();
        world.sim().run_for(25 * MINUTE);
    }
    assert!(node.volumes()[0].is_failed(), "no answer within ten minutes, twice");
    world.on_shard(|shard| async move { shard.disk().rename("/disk2", "/elsewhere").await.unwrap() });
    node.volumes()[1].ask_check();
    world.sim().run_for(MINUTE);
    assert!(node.volumes()[1].is_failed(), "its folder is gone");
}

fn set_volumes(world: &World, roots: &[&str]) -> Result<(), String> {
    let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
    let lobby = world.lobby();
    world.on_shard(
        move |shard| async move { lobby.set_volumes(&shard, roots).await.map_err(|e| e.to_string()) },
    )
}

#[test]
fn a_data_directory_comes_and_goes_while_the_datanode_runs() {
    let world = world(4);
    let (first, second) = (on(&world, "/disk1"), on(&world, "/disk2"));
    world.told();
    set_volumes(&world, &["/disk1", "/disk3"]).unwrap();
    // Each shard tells of its own.
    let mut gone: Vec<i64> = world.told().iter().map(|one| one.container.to_wire()).collect();
    gone.sort_unstable();
    assert_eq!(gone, second, "what was on the one that went is reported gone");
    for container in 11..=16 {
        world.put(container, 1, &bytes(container as u64, 20_000));
    }
    assert!(!on(&world, "/disk3").is_empty(), "the new one takes containers");
    // The old one comes back with what it had.
    set_volumes(&world, &["/disk1", "/disk3", "/disk2"]).unwrap();
    for container in first.into_iter().chain(second).chain(11..=16) {
        assert_eq!(world.read(container, 1, 0, 20_000), bytes(container as u64, 20_000));
    }
    assert!(set_volumes(&world, &[]).is_err());
    assert_eq!(world.node().volumes().len(), 3);
    // A name that cannot be a volume is left out, and costs the others nothing.
    set_volumes(&world, &["/disk1", "/disk2", "/disk3", "/disk with a space"]).unwrap();
    assert_eq!(world.node().volumes().len(), 3);
}

#[test]
fn a_volume_that_failed_is_taken_back_once_it_is_configured_anew() {
    let world = world(5);
    let second = on(&world, "/disk2");
    let (node, volume) = (world.node(), world.node().volumes()[1].clone());
    world.sim().run(async move { node.fail_volume(&volume, "a test says so").await });
    assert_eq!(world.refused(get_block(&world.name(), id(second[0], 1))), DatanodeResult::ContainerNotFound);
    // SIGHUP with the same list: the disk was replaced or repaired.
    set_volumes(&world, &["/disk1", "/disk2"]).unwrap();
    for container in second {
        assert_eq!(world.read(container, 1, 0, 20_000), bytes(container as u64, 20_000));
    }
}
