//! The checks against tables of replicas.

use super::*;
use crate::container::{Container, Replica};
use crate::node::{Health, OperationalState};
use crate::placement::Candidate;
use crate::replication::plan::{self, Budget, Order, Short};
use crate::replication::verdict::Removal;
use crate::replication::{Coming, Held, Rules};
use allotrope_types::{
    Bcsid, ByteCount, ContainerEvent, ContainerId, DatanodeId, ReplicaIndex, ReplicaState,
};
use proptest::prelude::*;

fn node(n: u8) -> DatanodeId {
    DatanodeId::from_bytes([n; 16])
}

fn index(n: u8) -> Option<ReplicaIndex> {
    ReplicaIndex::new(n)
}

/// One replica of a scene, on the node of its number and a rack of its own.
#[derive(Clone, Debug)]
struct Piece {
    n: u8,
    index: u8,
    state: ReplicaState,
    health: Health,
    duty: OperationalState,
    rack: &'static str,
    bcsid: u64,
    origin: u8,
    going: bool,
    keys: u64,
}

const RACKS: [&str; 10] = ["/r0", "/r1", "/r2", "/r3", "/r4", "/r5", "/r6", "/r7", "/r8", "/r9"];

/// A closed replica on a healthy node in service.
fn piece(n: u8, index: u8) -> Piece {
    Piece {
        n,
        index,
        state: ReplicaState::Closed,
        health: Health::Healthy,
        duty: OperationalState::InService,
        rack: RACKS[usize::from(n) % RACKS.len()],
        bcsid: 7,
        origin: n,
        going: false,
        keys: 3,
    }
}

impl Piece {
    fn is(self, state: ReplicaState) -> Piece {
        Piece { state, ..self }
    }
    fn duty(self, duty: OperationalState) -> Piece {
        Piece { duty, ..self }
    }
    fn health(self, health: Health) -> Piece {
        Piece { health, ..self }
    }
    fn on(self, rack: &'static str) -> Piece {
        Piece { rack, ..self }
    }
    fn going(self) -> Piece {
        Piece { going: true, ..self }
    }
}

#[derive(Debug)]
struct Scene {
    container: Container,
    replicas: Vec<Replica>,
    pieces: Vec<Piece>,
    coming: Vec<Coming>,
    racks: usize,
}

fn scene(config: &str, state: ContainerState, pieces: &[Piece]) -> Scene {
    let replica = |p: &Piece| Replica {
        node: node(p.n),
        state: p.state,
        index: index(p.index),
        empty: p.keys == 0,
        bcsid: Bcsid::new(p.bcsid),
        used: ByteCount::new(p.keys * 100),
        keys: p.keys,
        origin: node(p.origin),
        checksum: None,
    };
    let keys = pieces.iter().map(|p| p.keys).max().unwrap_or(3);
    Scene {
        container: Container {
            id: ContainerId::new(9),
            state,
            pipeline: None,
            config: config.parse().unwrap(),
            owner: "om".into(),
            used: ByteCount::new(keys * 100),
            keys,
            sequence: Bcsid::new(7),
            state_entered_ms: 0,
            delete_transaction: 0,
            suppressed: false,
        },
        replicas: pieces.iter().map(replica).collect(),
        pieces: pieces.to_vec(),
        coming: Vec::new(),
        racks: 10,
    }
}

impl Scene {
    fn coming(mut self, n: u8, at: u8) -> Scene {
        self.coming.push(Coming { node: node(n), index: index(at) });
        self
    }

    fn facts(&self) -> Facts<'_> {
        let held = self.replicas.iter().zip(&self.pieces).map(|(replica, p)| Held {
            replica,
            health: p.health,
            duty: p.duty,
            rack: p.rack,
            going: p.going,
        });
        Facts {
            container: &self.container,
            held: held.collect(),
            coming: self.coming.clone(),
            racks: self.racks,
            pipeline_open: true,
            rules: Rules { copies_in_maintenance: 2, redundancy_in_maintenance: 1 },
        }
    }

    fn verdict(&self) -> Verdict {
        check(&self.facts())
    }

    fn plan(&self, free: &[Candidate]) -> plan::Plan {
        let mut budget = roomy();
        plan::plan(&self.facts(), &self.verdict(), free, &mut budget, &mut fastrand::Rng::with_seed(1))
    }
}

fn roomy() -> Budget {
    let all = |each: u32| (0..=u8::MAX).map(|n| (node(n), each)).collect();
    Budget { copies: all(20), deletes: all(40), cluster: 1_000, rebuild_weight: 3 }
}

fn free(n: u8, rack: &str) -> Candidate {
    Candidate { node: node(n), rack: rack.to_owned(), slots: 9, share_used: 0.1 }
}

const EC: &str = "rs-3-2-1024k";
const THREE: &str = "RATIS/THREE";
use Condition::*;
use ContainerState::{Closed, Closing, QuasiClosed};
use OperationalState::*;

fn five() -> Vec<Piece> {
    (1..=5).map(|n| piece(n, n)).collect()
}

fn without(pieces: Vec<Piece>, lost: &[u8]) -> Vec<Piece> {
    pieces.into_iter().filter(|piece| !lost.contains(&piece.n)).collect()
}

fn rebuild(indexes: &[u8]) -> Want {
    Want::Rebuild(indexes.iter().map(|n| index(*n).unwrap()).collect())
}

fn copy(source: u8, at: u8) -> Want {
    Want::Copy { sources: vec![node(source)], index: index(at), count: 1 }
}

#[test]
fn a_container_with_all_replicas_wants_nothing() {
    assert_eq!(scene(EC, Closed, &five()).verdict().conditions, []);
    assert_eq!(scene(EC, Closed, &five()).verdict().wants, []);
    let three: Vec<Piece> = (1..=3).map(|n| piece(n, 0)).collect();
    assert_eq!(scene(THREE, Closed, &three).verdict().wants, []);
    assert_eq!(scene(THREE, Closing, &three).verdict(), Verdict::default());
}

#[test]
fn lost_indexes_are_rebuilt_as_long_as_enough_are_left() {
    type Row<'a> = (&'a [u8], &'a [Condition], &'a [Want], usize);
    let table: [Row<'_>; 4] = [
        (&[2], &[UnderReplicated], &[rebuild(&[2])], 1),
        (&[1, 5], &[UnderReplicated], &[rebuild(&[1, 5])], 0),
        (&[1, 2, 5], &[UnderReplicated, Missing], &[], 0),
        (&[1, 2, 3, 4, 5], &[UnderReplicated, Missing], &[], 0),
    ];
    for (lost, conditions, wants, redundancy) in table {
        let verdict = scene(EC, Closed, &without(five(), lost)).verdict();
        assert_eq!(verdict.conditions, conditions, "{lost:?}");
        assert_eq!(verdict.wants, wants, "{lost:?}");
        assert_eq!(verdict.redundancy, redundancy, "{lost:?}");
    }
    let coming = scene(EC, Closed, &without(five(), &[2, 3])).coming(8, 2).verdict();
    assert_eq!(coming.conditions, [UnderReplicated], "it is not there yet");
    assert_eq!(coming.wants, [rebuild(&[3])], "what is on its way is not made twice");
}

#[test]
fn a_damaged_replica_is_rebuilt_elsewhere_first_and_deleted_then() {
    let mut pieces = five();
    pieces[1] = piece(2, 2).is(ReplicaState::Unhealthy);
    let verdict = scene(EC, Closed, &pieces).verdict();
    assert_eq!((verdict.conditions, verdict.wants), (vec![UnderReplicated], vec![rebuild(&[2])]));
    pieces.push(piece(6, 2));
    let verdict = scene(EC, Closed, &pieces).verdict();
    assert_eq!(verdict.wants, [Want::Delete(Removal { node: node(2), index: index(2) })]);
    // Three damaged, two whole: nothing can be made of that.
    let damaged: Vec<Piece> =
        (1..=5).map(|n| if n < 4 { piece(n, n).is(ReplicaState::Unhealthy) } else { piece(n, n) }).collect();
    assert_eq!(scene(EC, Closed, &damaged).verdict().conditions, [UnderReplicated, Unhealthy]);
    assert_eq!(scene(EC, Closed, &damaged).verdict().wants, []);
}

#[test]
fn where_no_datanode_is_left_a_damaged_replica_makes_room() {
    let mut pieces = five();
    pieces[1] = piece(2, 2).is(ReplicaState::Unhealthy);
    let plan = scene(EC, Closed, &pieces).plan(&[]);
    assert_eq!(plan.orders, [Order::Delete(Removal { node: node(2), index: index(2) })]);
    assert!(matches!(plan.short, Some(Short::NoTarget(_))), "{:?}", plan.short);
    pieces[2] = piece(3, 3).is(ReplicaState::Unhealthy);
    let plan = scene(EC, Closed, &pieces).plan(&[]);
    assert_eq!(plan.orders, [], "the rest would not bear a loss");
}

#[test]
fn what_only_a_leaving_datanode_holds_is_copied_and_not_rebuilt() {
    for duty in [Decommissioning, Decommissioned] {
        let mut pieces = five();
        pieces[3] = piece(4, 4).duty(duty);
        let verdict = scene(EC, Closed, &pieces).verdict();
        assert_eq!(
            (&verdict.conditions[..], &verdict.wants[..]),
            (&[UnderReplicated][..], &[copy(4, 4)][..])
        );
        assert!(verdict.only_leaving);
        let plan = scene(EC, Closed, &pieces).plan(&[free(8, "/r8")]);
        assert_eq!(plan.orders, [Order::Copy { source: node(4), target: node(8), index: index(4) }]);
        pieces.push(piece(6, 4));
        assert_eq!(scene(EC, Closed, &pieces).verdict().conditions, [], "it is elsewhere: it may go");
    }
    let mut copies: Vec<Piece> = (1..=3).map(|n| piece(n, 0)).collect();
    copies[0] = piece(1, 0).duty(Decommissioning);
    let verdict = scene(THREE, Closed, &copies).verdict();
    let all = Want::Copy { sources: vec![node(1), node(2), node(3)], index: None, count: 1 };
    assert_eq!((verdict.conditions, verdict.wants), (vec![UnderReplicated], vec![all]));
    let one = [piece(1, 0).duty(Decommissioning)];
    assert_eq!(scene("STANDALONE/ONE", Closed, &one).verdict().conditions, [UnderReplicated]);
}

#[test]
fn maintenance_copies_no_more_than_what_the_rest_has_to_bear() {
    let away = |count: u8| -> Vec<Piece> {
        (1..=5)
            .map(|n| if n <= count { piece(n, n).duty(EnteringMaintenance) } else { piece(n, n) })
            .collect()
    };
    assert_eq!(scene(EC, Closed, &away(1)).verdict().conditions, [], "four of five bear a loss");
    assert_eq!(scene(EC, Closed, &away(2)).verdict().wants, [copy(1, 1)]);
    assert_eq!(scene(EC, Closed, &away(3)).verdict().wants, [copy(1, 1), copy(2, 2)]);
    // It has been switched off: what it holds is made from the others.
    let mut off = away(2);
    for piece in &mut off[..2] {
        (piece.duty, piece.health) = (InMaintenance, Health::Dead);
    }
    assert_eq!(scene(EC, Closed, &off).verdict().wants, [rebuild(&[1])]);
    let copies = |away: u8| -> Vec<Piece> {
        (1..=3).map(|n| if n <= away { piece(n, 0).duty(InMaintenance) } else { piece(n, 0) }).collect()
    };
    assert_eq!(scene(THREE, Closed, &copies(1)).verdict().conditions, []);
    assert_eq!(scene(THREE, Closed, &copies(2)).verdict().conditions, [UnderReplicated]);
    let wants = scene(THREE, Closed, &copies(3)).verdict().wants;
    assert!(matches!(wants[..], [Want::Copy { count: 2, .. }]), "{wants:?}");
}

#[test]
fn a_lost_copy_is_made_from_the_newest_closed_ones() {
    let mut pieces = vec![piece(1, 0), piece(2, 0)];
    pieces[1].bcsid = 5;
    let verdict = scene(THREE, Closed, &pieces).verdict();
    assert_eq!(verdict.wants, [Want::Copy { sources: vec![node(1)], index: None, count: 1 }]);
    let late = [piece(1, 0), Piece { bcsid: 3, ..piece(2, 0).is(ReplicaState::QuasiClosed) }, piece(3, 0)];
    assert_eq!(scene(THREE, Closed, &late).verdict().conditions, [UnderReplicated], "it lacks writes");
    assert_eq!(scene(THREE, Closed, &[]).verdict().conditions, [Missing]);
    let damaged = [piece(1, 0).is(ReplicaState::Unhealthy)];
    let verdict = scene(THREE, Closed, &damaged).verdict();
    assert_eq!(verdict.conditions, [Unhealthy, UnderReplicated]);
    assert_eq!(
        verdict.wants,
        [Want::Copy { sources: vec![node(1)], index: None, count: 2 }],
        "better than none"
    );
}

#[test]
fn one_too_many_goes_the_same_one_each_time_and_silent_ones_neither_count_nor_go() {
    let four: Vec<Piece> = (1..=4).map(|n| piece(n, 0)).collect();
    let verdict = scene(THREE, Closed, &four).verdict();
    assert_eq!(verdict.conditions, [OverReplicated]);
    assert_eq!(verdict.wants.len(), 1);
    assert_eq!(scene(THREE, Closed, &four).verdict(), verdict);
    let mut stale = four.clone();
    stale[0] = piece(1, 0).health(Health::Stale);
    assert_eq!(scene(THREE, Closed, &stale).verdict().wants, []);
    let mut leaving = four.clone();
    leaving[0] = piece(1, 0).duty(Decommissioning);
    assert_eq!(scene(THREE, Closed, &leaving).verdict().wants, []);
    let mut going = four;
    going[2] = going[2].clone().going();
    assert_eq!(scene(THREE, Closed, &going).verdict().wants, [], "one goes already");
    let mut twice = five();
    twice.push(piece(6, 3));
    let verdict = scene(EC, Closed, &twice).verdict();
    let [Want::Delete(removal)] = verdict.wants[..] else { panic!("{verdict:?}") };
    assert!([node(3), node(6)].contains(&removal.node) && removal.index == index(3));
    twice[2] = piece(3, 3).health(Health::Stale);
    assert_eq!(scene(EC, Closed, &twice).verdict().wants, []);
}

#[test]
fn what_lacks_a_replica_deletes_none_unless_a_datanode_is_needed() {
    let mut pieces = without(five(), &[1]);
    pieces.push(piece(6, 3));
    let verdict = scene(EC, Closed, &pieces).verdict();
    assert_eq!(
        (&verdict.conditions[..], &verdict.wants[..]),
        (&[UnderReplicated, OverReplicated][..], &[rebuild(&[1])][..])
    );
    let plan = scene(EC, Closed, &pieces).plan(&[free(8, "/r8")]);
    assert!(matches!(plan.orders[..], [Order::Rebuild { .. }]), "{plan:?}");
    let plan = scene(EC, Closed, &pieces).plan(&[]);
    assert!(matches!(plan.orders[..], [Order::Delete(_)]), "a node is freed: {plan:?}");
}

#[test]
fn the_one_that_goes_leaves_the_rest_no_worse_placed() {
    let pieces = [piece(1, 0).on("/a"), piece(2, 0).on("/a"), piece(3, 0).on("/a"), piece(4, 0).on("/b")];
    let verdict = scene(THREE, Closed, &pieces).verdict();
    let [Want::Delete(removal)] = verdict.wants[..] else { panic!("{verdict:?}") };
    assert_ne!(removal.node, node(4), "the only one on its rack");
}

#[test]
fn replicas_on_too_few_racks_are_moved_one_at_a_time() {
    let one_rack: Vec<Piece> = (1..=3).map(|n| piece(n, 0).on("/a")).collect();
    let mut scene_ = scene(THREE, Closed, &one_rack);
    scene_.racks = 2;
    let verdict = scene_.verdict();
    assert_eq!(verdict.conditions, [MisReplicated]);
    let [Want::Move { node: moved, .. }] = verdict.wants[..] else { panic!("{verdict:?}") };
    let plan = scene_.plan(&[free(8, "/a"), free(9, "/b")]);
    assert_eq!(plan.orders, [Order::Copy { source: moved, target: node(9), index: None }]);
    assert_eq!(scene_.plan(&[free(8, "/a")]).short, Some(Short::NoBetterRack));
    let coming = scene_.coming(9, 0);
    assert_eq!((coming.verdict().conditions, coming.verdict().wants), (vec![MisReplicated], vec![]));
    let mut crowded = five();
    for piece in &mut crowded[..3] {
        piece.rack = "/a";
    }
    let mut crowded = scene(EC, Closed, &crowded);
    crowded.racks = 5;
    assert_eq!(crowded.verdict().conditions, [MisReplicated]);
    crowded.racks = 1;
    assert_eq!(crowded.verdict().conditions, []);
}

#[test]
fn a_container_goes_only_when_all_that_are_heard_are_enough_and_empty_by_each_figure() {
    let empty = |n: u8| Piece { keys: 0, ..piece(n, n) };
    let all: Vec<Piece> = (1..=5).map(empty).collect();
    let verdict = scene(EC, Closed, &all).verdict();
    assert_eq!(verdict.conditions, [Empty]);
    assert_eq!(verdict.wants, [Want::Step(ContainerEvent::Delete, Bcsid::new(7))]);
    let fewer = without(all.clone(), &[2, 3, 4]);
    assert!(scene(EC, Closed, &fewer).verdict().wants.is_empty(), "three are not heard");
    let mut one_holds = all.clone();
    one_holds[4].keys = 1;
    let mut lying = scene(EC, Closed, &one_holds);
    assert!(!lying.verdict().has(Empty));
    lying.replicas[4].empty = true;
    lying.container.keys = 0;
    lying.container.used = ByteCount::ZERO;
    assert!(!lying.verdict().wants.iter().any(|want| matches!(want, Want::Step(..))), "isEmpty lies");
    let mut known = scene(EC, Closed, &all);
    known.container.keys = 1;
    assert!(known.verdict().wants.is_empty(), "SCM knows of a block");
}

#[test]
fn a_quasi_closed_container_keeps_each_origins_copy_several_times() {
    let quasi =
        |n: u8, origin: u8, bcsid: u64| Piece { origin, bcsid, ..piece(n, 0).is(ReplicaState::QuasiClosed) };
    let one = scene(THREE, QuasiClosed, &[quasi(1, 1, 7)]).verdict();
    assert_eq!(one.conditions, [QuasiClosedStuck, UnderReplicated]);
    assert_eq!(one.wants, [Want::Copy { sources: vec![node(1)], index: None, count: 2 }]);
    let two = [quasi(1, 1, 7), quasi(2, 1, 7), quasi(3, 1, 7), quasi(4, 2, 5)];
    let verdict = scene(THREE, QuasiClosed, &two).verdict();
    assert_eq!(verdict.wants, [Want::Copy { sources: vec![node(4)], index: None, count: 1 }]);
    let enough = [quasi(1, 1, 7), quasi(2, 1, 7), quasi(3, 1, 7), quasi(4, 2, 5), quasi(5, 2, 5)];
    assert_eq!(scene(THREE, QuasiClosed, &enough).verdict().conditions, [QuasiClosedStuck]);
    let all_origins = [quasi(1, 1, 7), quasi(2, 2, 7), quasi(3, 3, 7)];
    assert_eq!(scene(THREE, QuasiClosed, &all_origins).verdict().conditions, [], "its life cycle closes it");
}

#[test]
fn a_damaged_copy_that_may_know_more_is_copied_before_its_datanode_goes() {
    let quasi = |n: u8| piece(n, 0).is(ReplicaState::QuasiClosed);
    let leaving = piece(4, 0).is(ReplicaState::Unhealthy).duty(Decommissioning);
    let three = [quasi(1), quasi(2), quasi(3)];
    let alone = [&three[..], std::slice::from_ref(&leaving)].concat();
    let verdict = scene(THREE, QuasiClosed, &alone).verdict();
    assert_eq!(verdict.conditions, [UnderReplicated]);
    assert_eq!(verdict.wants, [Want::Copy { sources: vec![node(4)], index: None, count: 1 }]);
    let known = Piece { origin: 1, ..leaving };
    let known = [&three[..], &[known]].concat();
    assert_eq!(scene(THREE, QuasiClosed, &known).verdict().conditions, [], "its origin has a good copy");
}

#[test]
fn a_suppressed_container_is_left_alone() {
    let mut alone = scene(EC, Closed, &without(five(), &[2]));
    alone.container.suppressed = true;
    assert_eq!(alone.verdict(), Verdict::default());
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let state = prop_oneof![
        6 => Just(ReplicaState::Closed),
        1 => Just(ReplicaState::Unhealthy),
        1 => Just(ReplicaState::QuasiClosed),
        1 => Just(ReplicaState::Closing),
    ];
    let health = prop_oneof![5 => Just(Health::Healthy), 1 => Just(Health::Stale), 1 => Just(Health::Dead)];
    let duty = prop_oneof![
        5 => Just(InService),
        1 => Just(Decommissioning),
        1 => Just(InMaintenance),
        1 => Just(EnteringMaintenance),
    ];
    (1..=5u8, state, health, duty, 0..4usize, 5..8u64, any::<bool>(), 0..3u64).prop_map(
        |(index, state, health, duty, rack, bcsid, going, keys)| Piece {
            n: 0,
            index,
            state,
            health,
            duty,
            rack: RACKS[rack],
            bcsid,
            origin: index,
            going,
            keys,
        },
    )
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let state = prop_oneof![4 => Just(Closed), 1 => Just(QuasiClosed)];
    (prop::collection::vec(any_piece(), 0..9), any::<bool>(), state, 0..5usize).prop_map(
        |(mut pieces, ec, state, racks)| {
            for (n, piece) in pieces.iter_mut().enumerate() {
                piece.n = n as u8 + 1;
                if !ec {
                    piece.index = 0;
                }
            }
            let state = if ec { Closed } else { state };
            Scene { racks, ..scene(if ec { EC } else { THREE }, state, &pieces) }
        },
    )
}

proptest! {
    #[test]
    fn no_good_replica_is_deleted_unless_enough_sure_ones_stay(scene in any_scene(), nodes in 0..4u8) {
        let free: Vec<Candidate> = (0..nodes).map(|n| free(100 + n, RACKS[usize::from(n)])).collect();
        let facts = scene.facts();
        let plan = scene.plan(&free);
        let gone: Vec<DatanodeId> = plan.orders.iter().filter_map(|order| match order {
            Order::Delete(removal) => Some(removal.node),
            _ => None,
        }).collect();
        let sure = |h: &&Held<'_>| h.is_sure() && h.replica.state == ReplicaState::Closed && !gone.contains(&h.node());
        for held in facts.held.iter().filter(|held| gone.contains(&held.node())) {
            prop_assert!(held.health == Health::Healthy && !held.going);
            if held.replica.state == ReplicaState::Unhealthy {
                continue;
            }
            match scene.container.config.ec() {
                Some(_) => prop_assert!(facts.held.iter().filter(sure).any(|h| h.replica.index == held.replica.index)),
                None if scene.container.state == Closed => {
                    let stay = facts.held.iter().filter(|h| h.is_sure() && !gone.contains(&h.node()));
                    let sealed = stay.filter(|h| h.replica.state == ReplicaState::Closed || h.replica.bcsid == scene.container.sequence);
                    prop_assert!(sealed.count() >= 3 || held.replica.state == ReplicaState::Closing);
                }
                None => {}
            }
        }
    }

    #[test]
    fn orders_never_conflict_and_no_target_holds_anything(scene in any_scene(), nodes in 0..6u8) {
        let free: Vec<Candidate> = (0..nodes).map(|n| free(100 + n, RACKS[usize::from(n)])).collect();
        let facts = scene.facts();
        let mut touched = std::collections::BTreeSet::new();
        for order in scene.plan(&free).orders {
            let targets = match order {
                Order::Copy { target, .. } => vec![target],
                Order::Rebuild { targets, sources } => {
                    prop_assert!(sources.len() >= 3);
                    prop_assert!(targets.iter().all(|(_, index)| sources.iter().all(|(_, source)| source != index)));
                    targets.into_iter().map(|(node, _)| node).collect()
                }
                Order::Delete(removal) => {
                    prop_assert!(touched.insert(removal.node));
                    continue;
                }
            };
            for target in targets {
                prop_assert!(facts.held.iter().all(|held| held.node() != target), "it holds one already");
                prop_assert!(touched.insert(target), "two orders for one node");
            }
        }
    }

    #[test]
    fn nobody_is_given_more_than_its_budget(scene in any_scene(), left in 0..4u32) {
        let free: Vec<Candidate> = (0..5).map(|n| free(100 + n, RACKS[usize::from(n)])).collect();
        let mut budget = Budget { cluster: left, ..roomy() };
        let plan = plan::plan(&scene.facts(), &scene.verdict(), &free, &mut budget, &mut fastrand::Rng::with_seed(1));
        let copies = plan.orders.iter().filter(|o| matches!(o, Order::Copy { .. })).count();
        let rebuilds = plan.orders.iter().filter(|o| matches!(o, Order::Rebuild { .. })).count();
        // What bears no further loss does not wait for a whole reconstruction's worth.
        prop_assert!(copies + rebuilds <= left as usize, "{:?}", plan);
    }
}
