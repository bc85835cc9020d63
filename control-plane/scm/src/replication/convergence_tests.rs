//! The replication manager against whole clusters in memory that lose datanodes, get them back, and fail to do as told.

use allotrope_types::{ContainerId, ReplicaState};
use proptest::prelude::*;

use super::Condition;
use super::plan::Short;
use super::world::{World, node};
use crate::cluster::{Departure, Left};
use crate::node::OperationalState;

const EC: &str = "rs-3-2-1024k";
const THREE: &str = "RATIS/THREE";

/// Long enough for FAST's detection, and for commands that fail a few times.
const SECONDS_MAX: usize = 900;

fn well(world: &World) -> bool {
    world.is_well()
}

/// Containers on random datanodes of `world`.
fn fill(world: &mut World, count: u64) -> Vec<(ContainerId, bool)> {
    let nodes = world.machines.len();
    let all = (1..=count)
        .map(|id| {
            let ec = id % 2 == 0;
            let mut order: Vec<usize> = (0..nodes).collect();
            world.rng.shuffle(&mut order);
            let (config, many) = if ec { (EC, 5) } else { (THREE, 3) };
            (world.container(id, config, &order[..many]), ec)
        })
        .collect();
    world.steps(2);
    all
}

fn wanted(ec: bool) -> usize {
    if ec { 5 } else { 3 }
}

#[test]
fn a_lost_datanodes_replicas_are_made_elsewhere_with_as_many_moves_as_it_held() {
    let mut world = World::new(8, 8, 3);
    let all = fill(&mut world, 40);
    world.until(60, "the cluster is well", well);
    let moved_to_spread = world.moves;
    assert_eq!(moved_to_spread, 0, "as many racks as datanodes: nothing stands badly");
    let held = world.machines[2].shelf.len();
    world.kill(2);
    world.steps(20);
    world.until(SECONDS_MAX, "the cluster is well again", well);
    assert_eq!(world.moves, held);
    for (id, ec) in all {
        assert_eq!(world.alive(id, ec), wanted(ec), "{id}");
    }
    // It comes back with all it held: that is too much now, and goes.
    world.revive(2);
    world.steps(5);
    world.until(SECONDS_MAX, "what is too much is gone", well);
    assert_eq!(world.moves, held);
    let replicas: usize = world.machines.iter().map(|machine| machine.shelf.len()).sum();
    assert_eq!(replicas, 20 * 5 + 20 * 3);
}

#[test]
fn with_too_few_datanodes_it_says_that_there_is_no_target_and_goes_on_when_one_comes() {
    let mut world = World::new(6, 6, 1);
    let id = world.container(1, EC, &[0, 1, 2, 3, 4]);
    world.kill(5);
    world.kill(4);
    world.steps(30);
    let ill = world.cluster.manager.ill(id).unwrap();
    assert_eq!(ill.conditions, [Condition::UnderReplicated]);
    let why = ill.why.as_ref().unwrap();
    assert!(matches!(why, Short::NoTarget(_)), "{why}");
    assert!(why.to_string().contains("1 datanodes are needed and 0 can take"), "{why}");
    world.revive(5);
    let took = world.until(30, "it is whole", |world| world.alive(ContainerId::new(1), true) == 5);
    assert!(took <= 3, "a datanode that comes is used at once, not after {took} s");
}

#[test]
fn a_datanode_that_flaps_causes_no_storm() {
    let mut world = World::new(7, 7, 5);
    fill(&mut world, 30);
    world.until(60, "the cluster is well", well);
    // Silent for less than it takes to be dead, again and again.
    for _ in 0..20 {
        world.kill(3);
        world.steps(8);
        world.revive(3);
        world.steps(3);
    }
    assert_eq!(world.moves, 0);
    world.until(60, "the cluster is well", well);
}

#[test]
fn a_datanode_leaves_when_what_it_holds_is_elsewhere_and_not_before() {
    let mut world = World::new(7, 7, 9);
    fill(&mut world, 30);
    world.until(60, "the cluster is well", well);
    let held = world.machines[0].shelf.len();
    let (duties, refused) = world.cluster.may_leave(&["dn-0".into()], Departure::Decommission, false);
    assert_eq!((duties.len(), refused), (1, vec![]));
    world.set_duty(0, OperationalState::Decommissioning, 0);
    let look = |world: &World| -> Left {
        let (mut left, containers) = world.cluster.begin_look(node(0)).unwrap();
        world.cluster.look_at_left(node(0), &containers, &mut left);
        left
    };
    let left = look(&world);
    assert_eq!((left.lacking, left.safe, left.told), (held, 0, false));
    assert_eq!(left.lacking_ids.len(), held, "what is left is named");
    assert_eq!(left.bytes_lacking, held as u64 * (100 << 20));
    let now = world.now;
    assert_eq!(world.cluster.departed(node(0), left, now), None);
    world.until(SECONDS_MAX, "nothing is left", |world| look(world).is_nothing());
    assert_eq!(world.moves, held, "one copy each");
    let left = look(&world);
    let duty = world.cluster.departed(node(0), left, now).unwrap();
    assert_eq!(duty.state, OperationalState::Decommissioned);
    world.set_duty(0, duty.state, 0);
    // Back in service, what it still holds is too much.
    world.set_duty(0, OperationalState::InService, 0);
    world.until(SECONDS_MAX, "the cluster is well", well);
    assert_eq!(world.moves, held);
}

#[test]
fn those_without_whom_a_container_cannot_be_whole_may_not_leave() {
    let mut world = World::new(6, 6, 2);
    world.container(1, EC, &[0, 1, 2, 3, 4]);
    world.steps(2);
    let hosts = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
    let may = |world: &World, names: &[&str], how, force| world.cluster.may_leave(&hosts(names), how, force);
    let (duties, refused) = may(&world, &["dn-0", "dn-1"], Departure::Decommission, false);
    assert!(duties.is_empty());
    assert!(
        refused[0].why.contains("4 would stay, and container 1 (rs-3-2-1024k) needs 5"),
        "{}",
        refused[0].why
    );
    assert_eq!(may(&world, &["dn-0", "dn-1"], Departure::Decommission, true).0.len(), 2);
    assert_eq!(may(&world, &["dn-0", "dn-1"], Departure::Maintenance { until_s: 0 }, false).0.len(), 2);
    assert!(
        may(&world, &["dn-0", "dn-1", "dn-2"], Departure::Maintenance { until_s: 0 }, false).0.is_empty()
    );
    // The other administrator's is counted.
    world.set_duty(0, OperationalState::Decommissioning, 0);
    assert!(may(&world, &["dn-1"], Departure::Decommission, false).0.is_empty());
    let (_, refused) = may(&world, &["dn-0"], Departure::Maintenance { until_s: 0 }, false);
    assert!(refused[0].why.contains("recommission it first"), "{refused:?}");
    let (_, refused) = may(&world, &["nobody", "dn-1:x"], Departure::Decommission, true);
    assert_eq!(refused.len(), 2);
}

#[test]
fn one_in_maintenance_keeps_its_replicas_until_its_time_is_over() {
    let mut world = World::new(6, 6, 4);
    let id = world.container(1, EC, &[0, 1, 2, 3, 4]);
    world.steps(2);
    let until_s = (world.now.unix_ms / 1000) as i64 + 120;
    world.set_duty(2, OperationalState::EnteringMaintenance, until_s);
    world.steps(3);
    let (mut left, containers) = world.cluster.begin_look(node(2)).unwrap();
    world.cluster.look_at_left(node(2), &containers, &mut left);
    assert!(left.is_nothing(), "four of five bear a loss: {left:?}");
    let duty = world.cluster.departed(node(2), left.clone(), world.now).unwrap();
    assert_eq!((duty.state, duty.until_s), (OperationalState::InMaintenance, until_s));
    world.set_duty(2, duty.state, duty.until_s);
    world.steps(2);
    world.kill(2);
    world.steps(60);
    assert_eq!((world.moves, world.cluster.manager.ill(id)), (0, None), "it may be away");
    world.steps(70);
    let duty = world.cluster.departed(node(2), left, world.now).unwrap();
    assert_eq!(duty.state, OperationalState::InService, "its time is over");
    world.set_duty(2, duty.state, duty.until_s);
    world.until(60, "its replica is made anew", |world| world.alive(ContainerId::new(1), true) == 5);
}

#[test]
fn replicas_that_crowd_on_a_rack_are_spread() {
    let mut world = World::new(12, 3, 8);
    // Racks by number modulo 3: three of them on rack 0.
    let id = world.container(1, EC, &[0, 3, 6, 1, 2]);
    world.until(SECONDS_MAX, "it stands on three racks", |world| {
        let racks = world.racks(ContainerId::new(1));
        racks.len() == 5 && (0..3).all(|rack| racks.iter().filter(|r| **r == rack).count() <= 2)
    });
    world.until(60, "the cluster is well", well);
    assert_eq!((world.moves, world.alive(id, true)), (1, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_cluster_that_can_becomes_well_and_loses_nothing_it_could_keep(
        seed in any::<u64>(),
        nodes in 8..14usize,
        racks in 1..5usize,
        containers in 1..25u64,
        losses in prop::collection::vec((0..14usize, 1..40usize, any::<bool>()), 0..4),
        damaged in prop::collection::vec((0..14usize, 1..25u64), 0..4),
        fails in prop_oneof![Just(0u32), Just(4u32)],
    ) {
        let mut world = World::new(nodes, racks, seed);
        world.fails = fails;
        let all = fill(&mut world, containers);
        world.steps(2);
        for (n, id) in damaged {
            if let Some(held) = world.machines[n % nodes].shelf.get_mut(&ContainerId::new(id)) {
                held.1 = ReplicaState::Unhealthy;
            }
        }
        let mut down = 0;
        for (n, seconds, back) in losses {
            let n = n % nodes;
            if world.machines[n].up && down < nodes - 8 {
                world.kill(n);
                down += 1;
            }
            world.steps(seconds);
            if back && !world.machines[n].up {
                world.revive(n);
                down -= 1;
            }
        }
        world.fails = 0;
        world.steps(20);
        // What can still be read must become whole; what cannot must be said to be so.
        let whole = |world: &World| all.iter().all(|(id, ec)| {
            let hopeless = world.cluster.manager.ill(*id).is_some_and(|ill| {
                ill.conditions.contains(&Condition::Missing) || ill.conditions.contains(&Condition::Unhealthy)
            });
            hopeless || world.alive(*id, *ec) == wanted(*ec)
        });
        world.until(3_000, "every container that can be is whole", whole);
        for (id, ec) in &all {
            let readable = world.alive(*id, *ec) >= if *ec { 3 } else { 1 };
            let ill = world.cluster.manager.ill(*id);
            let said = ill.is_some_and(|ill| {
                ill.conditions.contains(&Condition::Missing) || ill.conditions.contains(&Condition::Unhealthy)
            });
            prop_assert!(readable != said, "{} readable {} ill {:?}", id, readable, ill);
        }
    }
}
