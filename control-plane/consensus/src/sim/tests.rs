//! What stays true whatever the seed does to a cluster.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    World,
    checker::{Call, linearizable},
    clients::{History, Reachable, client},
    seeds, under_seed,
};
use crate::{CallId, ClientId, MemberId, Origin, ProposeError, Role, StartError, raft::pause};

/// What comes over a cluster.
#[derive(Clone, Copy, PartialEq)]
enum Storm {
    /// One member at a time loses its power or its connections.
    One,
    /// Also all at once lose their power, leadership is handed over, and disks stand still for a while.
    All,
}

/// Clients call while members crash and restart, partitions come and go, and messages are lost, late and doubled.
async fn storm(seed: u64, members: u64, storm: Storm) -> BTreeMap<String, Vec<Call>> {
    let mut world =
        World::founded(seed, members, |config| (config.purge_every, config.entries_kept) = (40, 5)).await;
    world.leader().await;
    world.network.set_weather(3, 3, 30);
    let reachable: Reachable = Rc::default();
    *reachable.borrow_mut() = world.running.clone();
    let history = Rc::new(History::default());
    let local = tokio::task::LocalSet::new();
    let calling: Vec<_> = (0..5)
        .map(|n| local.spawn_local(client(n, seed, 25, Rc::clone(&reachable), Rc::clone(&history))))
        .collect();
    local
        .run_until(async {
            let mut chance = StdRng::seed_from_u64(seed ^ 0xfa17);
            for _ in 0..6 {
                pause(Duration::from_millis(chance.gen_range(50..600))).await;
                let one = MemberId(chance.gen_range(1..=members));
                let others = (1..=members).map(MemberId).filter(|id| *id != one);
                if storm == Storm::All && chance.gen_bool(0.5) {
                    strike(&mut world, &mut chance, &reachable, one).await;
                } else if chance.gen_bool(0.5) {
                    world.network.cut_off(one, others);
                    pause(Duration::from_millis(chance.gen_range(100..1500))).await;
                    world.network.heal();
                } else {
                    reachable.borrow_mut().remove(&one);
                    world.crash(one).await;
                    pause(Duration::from_millis(chance.gen_range(0..1000))).await;
                    world.start(one).await.unwrap();
                    reachable.borrow_mut().insert(one, world.running[&one].clone());
                }
            }
            world.network.set_weather(0, 0, 5);
            for task in calling {
                task.await.unwrap();
            }
        })
        .await;
    let sums = world.settled().await;
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "members differ: {sums:?}");
    history.calls.take()
}

/// What `Storm::All` adds: every member loses its power, `one`'s disk stands still, or it is to lead.
async fn strike(world: &mut World, chance: &mut StdRng, reachable: &Reachable, one: MemberId) {
    match chance.gen_range(0..3) {
        0 => {
            let all: Vec<MemberId> = world.running.keys().copied().collect();
            reachable.borrow_mut().clear();
            for id in &all {
                world.crash(*id).await;
            }
            for id in all {
                pause(Duration::from_millis(chance.gen_range(0..300))).await;
                world.start(id).await.unwrap();
                reachable.borrow_mut().insert(id, world.running[&id].clone());
            }
        }
        1 => {
            world.disks[&one].stick(true);
            pause(Duration::from_millis(chance.gen_range(100..1500))).await;
            world.disks[&one].stick(false);
        }
        _ => {
            let leads = world.running.values().find(|h| h.status().now().role == Role::Leader).cloned();
            if let Some(leader) = leads {
                // In a storm it may well come to nothing; what matters is that nobody is told wrong things.
                let _refused = leader.transfer_leadership(one).await;
            }
        }
    }
}

/// Every history of so many seeds is linearizable.
fn stays_linearizable(first: u64, count: u64, members: u64, kind: Storm) {
    for seed in seeds(first, count) {
        let history = under_seed(seed, async || storm(seed, members, kind).await);
        for (name, calls) in history {
            assert!(linearizable(&calls), "seed {seed}: {name} is not linearizable: {calls:?}");
        }
    }
}

/// With the seeds that showed that a leader which starts again must not take the leadership back.
#[test]
fn three_members_stay_linearizable_through_crashes_partitions_and_losses() {
    stays_linearizable(1060, 100, 3, Storm::One);
}

#[test]
fn five_members_stay_linearizable_through_crashes_partitions_and_losses() {
    stays_linearizable(500, 30, 5, Storm::One);
}

#[test]
fn three_members_stay_linearizable_when_all_lose_their_power_and_leadership_is_handed_over() {
    stays_linearizable(2000, 60, 3, Storm::All);
}

#[test]
fn five_members_stay_linearizable_when_all_lose_their_power_and_leadership_is_handed_over() {
    stays_linearizable(2500, 20, 5, Storm::All);
}

#[test]
fn one_seed_gives_one_history() {
    for kind in [Storm::One, Storm::All] {
        let run = || under_seed(7, async || format!("{:?}", storm(7, 3, kind).await));
        assert_eq!(run(), run());
    }
}

/// The times of the elections after the leader is gone, in virtual milliseconds.
fn elections(seed: u64) -> Vec<u128> {
    under_seed(seed, async || {
        let mut world = World::founded(seed, 3, |_| ()).await;
        let began = crate::raft::now();
        let mut times = Vec::new();
        for _ in 0..4 {
            let leader = world.leader().await;
            times.push((crate::raft::now() - began).as_millis());
            world.crash(leader).await;
            world.start(leader).await.unwrap();
        }
        times
    })
}

#[test]
fn elections_follow_the_seed_and_the_tests_own_clock() {
    assert_eq!(elections(41), elections(41));
    assert_ne!(elections(41), elections(42), "another seed draws other timeouts");
}

#[test]
fn a_leader_cut_off_neither_answers_nor_reads() {
    under_seed(21, async || {
        let world = World::founded(21, 3, |_| ()).await;
        let old = world.leader().await;
        world.add(old, "a", 1).await.unwrap();
        let others = world.running.keys().copied().filter(|id| *id != old);
        world.network.cut_off(old, others.collect::<Vec<_>>());
        pause(Duration::from_secs(1)).await; // longer than its lease
        assert!(world.running[&old].read(|_| ()).await.is_err(), "a leader without a majority read");
        assert!(world.add(old, "a", 10).await.is_err(), "a leader without a majority answered");
        let new = world
            .running
            .values()
            .map(|h| h.status().now())
            .find(|s| s.role == Role::Leader && s.member != old);
        let new = new.expect("the others elected a leader").member;
        assert_eq!(world.add(new, "a", 2).await.unwrap(), 3);
        world.network.heal();
        for sums in world.settled().await {
            assert_eq!(sums["a"], 3, "what was never committed is gone");
        }
    });
}

#[test]
fn a_retried_command_is_applied_once_until_its_record_expires() {
    under_seed(22, async || {
        let world = World::founded(22, 3, |config| config.retry_kept = Duration::from_secs(60)).await;
        let leader = world.leader().await;
        let origin = Origin::Client { client: ClientId([7; 16]), call: CallId(1) };
        let add = super::Add { name: "a".to_owned(), by: 5 };
        let handle = &world.running[&leader];
        assert_eq!(handle.propose(origin, &add).await.unwrap(), 5);
        assert_eq!(handle.propose(origin, &add).await.unwrap(), 5, "a retry gets the first answer");
        // Another leader knows it too.
        let other = *world.running.keys().find(|id| **id != leader).unwrap();
        handle.transfer_leadership(other).await.unwrap();
        assert_eq!(world.running[&other].propose(origin, &add).await.unwrap(), 5);
        pause(Duration::from_secs(61)).await;
        assert_eq!(world.running[&other].propose(origin, &add).await.unwrap(), 10, "its record has expired");
    });
}

#[test]
fn leadership_is_handed_over_and_back() {
    under_seed(23, async || {
        let world = World::founded(23, 3, |_| ()).await;
        let first = world.leader().await;
        for to in world.running.keys().copied().filter(|id| *id != first).chain([first]).collect::<Vec<_>>() {
            let from = world.leader().await;
            world.running[&from].transfer_leadership(to).await.unwrap();
            assert_eq!(world.leader().await, to);
            world.add(to, "handed", 1).await.unwrap();
        }
        let nobody = world.running[&first].transfer_leadership(MemberId(9)).await;
        assert!(nobody.unwrap_err().to_string().contains("no vote"));
    });
}

#[test]
fn a_member_is_added_promoted_and_removed() {
    under_seed(24, async || {
        let mut world = World::founded(24, 3, |_| ()).await;
        let leader = world.leader().await;
        for n in 0..50 {
            world.add(leader, "a", n).await.unwrap();
        }
        let new = MemberId(4);
        world.start(new).await.unwrap();
        let member = crate::Member { name: "m4".into(), address: "m4".into() };
        let handle = world.running[&leader].clone();
        handle.add_learner(new, member).await.unwrap();
        assert_eq!(world.running[&new].status().now().role, Role::Learner);
        handle.promote([new].into()).await.unwrap();
        let gone = *world.running.keys().find(|id| **id != leader && **id != new).unwrap();
        handle.remove(gone).await.unwrap();
        let status = handle.status().now();
        assert!(status.voters.contains(&new) && !status.members.contains_key(&gone));
        world.crash(gone).await;
        for sums in world.settled().await {
            assert_eq!(sums["a"], 1225);
        }
        let only = handle.remove(gone).await.unwrap_err();
        assert!(only.to_string().contains("no member"));
    });
}

#[test]
fn a_follower_far_behind_gets_a_snapshot_and_catches_up() {
    under_seed(25, async || {
        let settings = |config: &mut crate::ReplicaConfig| {
            config.purge_every = 2_000;
            config.entries_kept = 100;
            config.entries_in_flight_max = 64;
            config.entry_bytes_max = 1; // one command an entry
        };
        let mut world = World::founded(25, 3, settings).await;
        let leader = world.leader().await;
        let behind = *world.running.keys().find(|id| **id != leader).unwrap();
        world.crash(behind).await;
        for round in 0..200 {
            let adds = (0..500).map(|n| {
                let handle = world.running[&leader].clone();
                tokio::spawn(async move {
                    let add = super::Add { name: format!("sum-{}", (round * 500 + n) % 50), by: 1 };
                    handle.propose(Origin::Service, &add).await.unwrap()
                })
            });
            for add in adds.collect::<Vec<_>>() {
                add.await.unwrap();
            }
        }
        let status = world.running[&leader].status().now();
        assert!(status.applied.unwrap() > 100_000);
        assert!(status.purged.unwrap() > 90_000, "the log lets go of what is applied");
        // The first try is interrupted: nothing half-made stays.
        world.network.set_weather(0, 0, 100);
        world.start(behind).await.unwrap();
        pause(Duration::from_millis(600)).await;
        world.crash(behind).await;
        world.network.set_weather(0, 0, 5);
        world.start(behind).await.unwrap();
        let sums = world.settled().await;
        assert!(sums.iter().all(|s| s.len() == 50 && s.values().all(|sum| *sum == 2_000)), "{sums:?}");
        let left = crate::files::folders(&world.member_dir(behind).join("state")).unwrap();
        assert_eq!(left.len(), 1, "only the state in use is left: {left:?}");
    });
}

#[test]
fn a_snapshot_whose_sender_dies_is_sent_again_whole_by_the_next_leader() {
    under_seed(31, async || {
        let short = |config: &mut crate::ReplicaConfig| (config.purge_every, config.entries_kept) = (20, 2);
        let mut world = World::founded(31, 3, short).await;
        let leader = world.leader().await;
        let behind = *world.running.keys().find(|id| **id != leader).unwrap();
        world.add(leader, "a", 1).await.unwrap();
        world.settled().await;
        world.crash(behind).await;
        for _ in 0..200 {
            world.add(leader, "a", 1).await.unwrap();
        }
        world.network.set_weather(0, 0, 100);
        world.start(behind).await.unwrap();
        let root = world.member_dir(behind).join("state");
        let arriving = || {
            let folders = crate::files::folders(&root).unwrap();
            folders.iter().any(|dir| dir.file_name().unwrap().to_string_lossy().starts_with("incoming-"))
        };
        for _ in 0..1000 {
            if arriving() {
                break;
            }
            pause(Duration::from_millis(10)).await;
        }
        assert!(arriving(), "no snapshot is under way");
        let has = |world: &World| {
            world.running[&behind].read_local(|view| super::SUMS.get(view, &"a".to_owned()).unwrap())
        };
        assert!(has(&world).is_none_or(|sum| sum == 1), "half a snapshot is installed: {:?}", has(&world));
        world.crash(leader).await;
        world.network.set_weather(0, 0, 5);
        world.start(leader).await.unwrap();
        assert!(world.settled().await.iter().all(|sums| sums["a"] == 201));
        assert_eq!(crate::files::folders(&root).unwrap().len(), 1, "what was half sent is removed");
    });
}

#[test]
fn commands_that_wait_share_an_entry_and_a_sync() {
    under_seed(32, async || {
        let world = World::founded(32, 1, |_| ()).await;
        let leader = world.leader().await;
        let before = world.running[&leader].status().now().last_log.unwrap();
        let adds: Vec<_> = (0..500)
            .map(|_| {
                let handle = world.running[&leader].clone();
                let add = super::Add { name: "a".to_owned(), by: 1 };
                tokio::spawn(async move { handle.propose(Origin::Service, &add).await.unwrap() })
            })
            .collect();
        let mut sums = Vec::new();
        for add in adds {
            sums.push(add.await.unwrap());
        }
        sums.sort_unstable();
        assert!(sums.iter().copied().eq(1..=500), "each has an answer of its own");
        let entries = world.running[&leader].status().now().last_log.unwrap() - before;
        assert!(entries <= 5, "{entries} entries, and as many syncs, for 500 commands");
    });
}

#[test]
fn a_torn_last_record_is_cut_off_and_earlier_damage_refuses_to_start() {
    under_seed(26, async || {
        let mut world = World::founded(26, 3, |_| ()).await;
        let leader = world.leader().await;
        for n in 0..20 {
            world.add(leader, "a", n).await.unwrap();
        }
        world.settled().await;
        let follower = *world.running.keys().find(|id| **id != leader).unwrap();
        world.crash(follower).await;
        let disk = world.disks[&follower].clone();
        let last = *disk.indexes().last().unwrap();
        disk.tear(last);
        world.start(follower).await.unwrap();
        assert!(world.settled().await.iter().all(|sums| sums["a"] == 190));

        // Its state had applied the lost entry, so its log began anew behind it; now it has entries again.
        let leader = world.leader().await;
        for n in 0..20 {
            world.add(leader, "a", n).await.unwrap();
        }
        world.settled().await;
        world.crash(follower).await;
        let damaged = disk.indexes().last().unwrap() - 5;
        disk.damage(damaged);
        let refused = world.start(follower).await.unwrap_err();
        assert!(matches!(refused, StartError::LogDamaged { index, .. } if index == damaged), "{refused}");
    });
}

#[test]
fn a_full_disk_stops_the_member_and_loses_nothing_answered() {
    under_seed(27, async || {
        let mut world = World::founded(27, 3, |_| ()).await;
        let leader = world.leader().await;
        world.add(leader, "a", 1).await.unwrap();
        world.disks[&leader].fill();
        let refused = world.add(leader, "a", 10).await.unwrap_err();
        assert!(matches!(refused, ProposeError::Stopped { .. } | ProposeError::Deadline { .. }), "{refused}");
        assert_eq!(world.running[&leader].status().now().role, Role::Stopped);
        world.crash(leader).await;
        let next = world.leader().await;
        let sum = world.add(next, "a", 2).await.unwrap();
        assert!(sum == 3 || sum == 13, "{sum}: the answered addition counts, the other may");
        world.disks[&leader].free();
        world.start(leader).await.unwrap();
        assert!(world.settled().await.iter().all(|sums| sums["a"] == sum));
    });
}

#[test]
fn a_member_whose_disk_lost_its_last_minute_is_brought_up_to_date() {
    under_seed(28, async || {
        let mut world = World::founded(28, 3, |_| ()).await;
        let leader = world.leader().await;
        for _ in 0..30 {
            world.add(leader, "a", 1).await.unwrap();
        }
        world.settled().await;
        let follower = *world.running.keys().find(|id| **id != leader).unwrap();
        world.crash(follower).await;
        let disk = &world.disks[&follower];
        let last = *disk.indexes().last().unwrap();
        disk.lose_from(last - 15);
        // Its state, too, is from before.
        crate::files::remove_dir(&world.member_dir(follower)).unwrap();
        world.start(follower).await.unwrap();
        assert!(world.settled().await.iter().all(|sums| sums["a"] == 30));
    });
}

#[test]
fn a_command_is_answered_when_a_majority_has_synced_it_and_not_before() {
    under_seed(29, async || {
        let patient = |config: &mut crate::ReplicaConfig| {
            config.election_timeout_min = Duration::from_secs(5);
            config.election_timeout_max = Duration::from_secs(10);
            config.answer_deadline = Duration::from_secs(60);
        };
        let world = World::founded(29, 3, patient).await;
        let leader = world.leader().await;
        world.add(leader, "a", 1).await.unwrap();
        let followers: Vec<_> = world.running.keys().copied().filter(|id| *id != leader).collect();
        followers.iter().for_each(|id| world.disks[id].stick(true));
        let handle = world.running[&leader].clone();
        let add = super::Add { name: "a".to_owned(), by: 2 };
        let adding = tokio::spawn(async move { handle.propose(Origin::Service, &add).await });
        pause(Duration::from_secs(1)).await;
        assert!(!adding.is_finished(), "answered, and only the leader's disk has it");
        world.disks[&followers[0]].stick(false);
        assert_eq!(adding.await.unwrap().unwrap(), 3);
        world.disks[&followers[1]].stick(false);
    });
}

#[test]
fn no_state_is_copied_for_a_member_that_is_away() {
    use std::sync::atomic::Ordering::Relaxed;
    under_seed(30, async || {
        let short = |config: &mut crate::ReplicaConfig| (config.purge_every, config.entries_kept) = (20, 2);
        let mut world = World::founded(30, 3, short).await;
        let leader = world.leader().await;
        let away = *world.running.keys().find(|id| **id != leader).unwrap();
        world.crash(away).await;
        for _ in 0..200 {
            world.add(leader, "a", 1).await.unwrap();
        }
        pause(Duration::from_secs(20)).await;
        let status = world.running[&leader].status().now();
        assert!(status.last_log.unwrap() - status.purged.unwrap() < 30, "the log grows: {status:?}");
        let copies = |world: &World| world.running[&leader].core().peers.outgoing.load(Relaxed);
        assert_eq!(copies(&world), 0, "a checkpoint was made for nobody");
        world.start(away).await.unwrap();
        assert!(world.settled().await.iter().all(|sums| sums["a"] == 200));
        assert_eq!(copies(&world), 1);
    });
}
