//! The life cycle against tables of replicas, and against reports in every order.

use super::*;
use crate::container::{Replicas, report};
use allotrope_proto::heartbeat::ContainerReplicaProto;
use allotrope_types::{ContainerId, ReplicaIndex};
use proptest::prelude::*;

fn node(n: u8) -> DatanodeId {
    DatanodeId::from_bytes([n; 16])
}

fn container(config: &str, state: ContainerState) -> Container {
    Container {
        id: ContainerId::new(1),
        state,
        pipeline: None,
        config: config.parse().unwrap(),
        owner: "om".into(),
        used: ByteCount::ZERO,
        keys: 0,
        sequence: Bcsid::new(7),
        state_entered_ms: 0,
        delete_transaction: 0,
        suppressed: false,
    }
}

fn replica(n: u8, state: ReplicaState, bcsid: u64) -> Replica {
    Replica {
        node: node(n),
        state,
        index: None,
        empty: false,
        bcsid: Bcsid::new(bcsid),
        used: ByteCount::ZERO,
        keys: 1,
        origin: node(n),
        checksum: None,
    }
}

fn facts<'a>(container: &'a Container, replicas: &'a [Replica]) -> Facts<'a> {
    Facts {
        container,
        replicas,
        pipeline_open: true,
        members: &[],
        writers: &[],
        dead_writers: &[],
        full_at: ByteCount::new(1000),
        in_state_ms: 1 << 40,
        close_wait_ms: 150_000,
        empty_wait_ms: 1_500_000,
        all_reported: true,
    }
}

fn step(actions: &[Action]) -> Option<ContainerEvent> {
    match actions {
        [Action::Step(event, _), ..] => Some(*event),
        _ => None,
    }
}

use ContainerState::{Closed, Closing, Deleted, Deleting, Open, QuasiClosed};

#[test]
fn an_open_container_is_finalized_when_full_or_failing_or_without_a_pipeline() {
    let open = container("STANDALONE/ONE", Open);
    let healthy = [replica(1, ReplicaState::Open, 0)];
    assert_eq!(next(&facts(&open, &healthy)), []);
    assert_eq!(next(&facts(&open, &[])), [], "not written yet");
    for state in [ReplicaState::Unhealthy, ReplicaState::Closing, ReplicaState::Closed] {
        assert_eq!(
            step(&next(&facts(&open, &[replica(1, state, 0)]))),
            Some(ContainerEvent::Finalize),
            "{state}"
        );
    }
    let gone = Facts { pipeline_open: false, ..facts(&open, &healthy) };
    assert_eq!(step(&next(&gone)), Some(ContainerEvent::Finalize));
    let full = Container { used: ByteCount::new(1000), ..open.clone() };
    assert_eq!(step(&next(&facts(&full, &healthy))), Some(ContainerEvent::Finalize));
}

#[test]
fn closing_waits_for_writes_in_flight_and_then_tells_those_that_are_open() {
    let closing = container("STANDALONE/ONE", Closing);
    let replicas = [replica(1, ReplicaState::Open, 0), replica(2, ReplicaState::Unhealthy, 0)];
    let early = Facts { in_state_ms: 149_999, ..facts(&closing, &replicas) };
    assert_eq!(next(&early), []);
    assert_eq!(next(&facts(&closing, &replicas)), [Action::CloseReplica { node: node(1), force: true }]);
    let ratis = container("RATIS/THREE", Closing);
    assert_eq!(next(&facts(&ratis, &replicas)), [Action::CloseReplica { node: node(1), force: false }]);
    let members = [node(3)];
    let unseen = Facts { members: &members, in_state_ms: 200_000, ..facts(&closing, &[]) };
    assert_eq!(next(&unseen), [Action::CloseReplica { node: node(3), force: true }]);
}

#[test]
fn a_closing_container_that_nobody_holds_closes_empty_only_after_all_have_reported() {
    let closing = container("STANDALONE/ONE", Closing);
    assert_eq!(step(&next(&facts(&closing, &[]))), Some(ContainerEvent::Close));
    let blind = Facts { all_reported: false, ..facts(&closing, &[]) };
    assert_eq!(step(&next(&blind)), None);
    let written = Container { keys: 3, ..closing };
    assert_eq!(step(&next(&facts(&written, &[]))), None, "it had blocks: it is lost, not empty");
}

#[test]
fn a_replica_without_the_last_writes_does_not_close_a_raft_container() {
    let closing = container("RATIS/THREE", Closing);
    assert_eq!(step(&next(&facts(&closing, &[replica(1, ReplicaState::Closed, 6)]))), None);
    assert_eq!(
        step(&next(&facts(&closing, &[replica(1, ReplicaState::Closed, 7)]))),
        Some(ContainerEvent::Close)
    );
    assert_eq!(
        step(&next(&facts(&closing, &[replica(1, ReplicaState::QuasiClosed, 7)]))),
        Some(ContainerEvent::QuasiClose)
    );
    let broken = [replica(1, ReplicaState::Unhealthy, 7)];
    assert_eq!(step(&next(&facts(&closing, &broken))), Some(ContainerEvent::QuasiClose));
}

#[test]
fn only_the_first_data_replica_and_parity_close_an_ec_container() {
    let closing = container("rs-3-2-1024k", Closing);
    for (index, event) in [
        (1, Some(ContainerEvent::Close)),
        (2, None),
        (3, None),
        (4, Some(ContainerEvent::Close)),
        (5, Some(ContainerEvent::Close)),
    ] {
        let replicas = [Replica { index: ReplicaIndex::new(index), ..replica(1, ReplicaState::Closed, 0) }];
        assert_eq!(step(&next(&facts(&closing, &replicas))), event, "index {index}");
    }
}

#[test]
fn writers_that_each_have_everything_are_waited_for_until_they_are_dead() {
    let quasi = Container { sequence: Bcsid::new(9), ..container("RATIS/THREE", QuasiClosed) };
    let writers = [node(1), node(2), node(3)];
    let after = |replicas: &[Replica], writers: &[DatanodeId], dead_writers: &[DatanodeId]| {
        next(&Facts { writers, dead_writers, ..facts(&quasi, replicas) })
    };
    let close = |n| [Action::CloseReplica { node: node(n), force: true }];
    let (first, second) =
        (replica(1, ReplicaState::QuasiClosed, 5), replica(2, ReplicaState::QuasiClosed, 6));
    let (two, third) = ([first.clone(), second.clone()], [node(3)]);
    assert_eq!(after(&two, &[], &third), [], "each may have what the others have not");
    assert_eq!(after(&two, &writers, &[]), [], "the third is awaited");
    assert_eq!(after(&two, &writers, &[node(1)]), [], "another one's death says nothing");
    assert_eq!(after(&two, &writers, &third), close(2), "the newest copy has all");
    assert_eq!(after(&two[..1], &writers, &[node(2), node(3)]), close(1), "one has all, too");
    assert_eq!(after(&[], &writers, &writers), [], "nobody is left");
    let blind = Facts { all_reported: false, writers: &writers, dead_writers: &third, ..facts(&quasi, &two) };
    assert_eq!(next(&blind), [], "not before all were heard");
    let open = [replica(1, ReplicaState::Open, 5), second.clone()];
    let told = [Action::CloseReplica { node: node(1), force: false }];
    assert_eq!(after(&open, &writers, &third), told, "the first has yet to end it");
    let copies = [first.clone(), Replica { origin: node(1), ..second }];
    assert_eq!(after(&copies, &writers, &third), [], "copies of one writer say nothing of another");
    let closed = [first, replica(2, ReplicaState::Closed, 6)];
    let done = [Action::Step(ContainerEvent::ForceClose, Bcsid::new(6))];
    assert_eq!(after(&closed, &writers, &third), done, "the third's 9 was never acknowledged");
    assert_eq!(step(&after(&closed, &writers, &[])), None);
}

#[test]
fn a_quasi_closed_container_is_force_closed_once_every_origin_was_heard() {
    let quasi = container("RATIS/THREE", QuasiClosed);
    let two = [replica(1, ReplicaState::QuasiClosed, 5), replica(2, ReplicaState::QuasiClosed, 6)];
    assert_eq!(next(&facts(&quasi, &two)), [], "the third may have more");
    let third = |state, bcsid| [two[0].clone(), two[1].clone(), replica(3, state, bcsid)];
    assert_eq!(
        next(&facts(&quasi, &third(ReplicaState::QuasiClosed, 4))),
        [Action::CloseReplica { node: node(2), force: true }]
    );
    assert_eq!(
        next(&facts(&quasi, &third(ReplicaState::Unhealthy, 6))),
        [Action::CloseReplica { node: node(2), force: true }]
    );
    assert_eq!(next(&facts(&quasi, &third(ReplicaState::Unhealthy, 7))), [], "the broken one has more");
    let copies = third(ReplicaState::QuasiClosed, 4).map(|r| Replica { origin: node(1), ..r });
    assert_eq!(next(&facts(&quasi, &copies)), [], "three copies of one origin are one voice");
    assert_eq!(
        step(&next(&facts(&quasi, &[replica(1, ReplicaState::Closed, 7)]))),
        Some(ContainerEvent::ForceClose)
    );
}

#[test]
fn a_closed_containers_late_replicas_are_closed() {
    let closed = container("RATIS/THREE", Closed);
    let replicas = [
        replica(1, ReplicaState::Open, 1),
        replica(2, ReplicaState::QuasiClosed, 7),
        replica(3, ReplicaState::QuasiClosed, 6),
        replica(4, ReplicaState::Closed, 7),
    ];
    assert_eq!(
        next(&facts(&closed, &replicas)),
        [
            Action::CloseReplica { node: node(1), force: true },
            Action::CloseReplica { node: node(2), force: true }
        ]
    );
}

#[test]
fn what_may_be_newer_is_never_destroyed() {
    let empty = Replica { empty: true, keys: 0, ..replica(1, ReplicaState::Closed, 0) };
    let deleted = container("RATIS/THREE", Deleted);
    assert_eq!(next(&facts(&deleted, &[empty])), [Action::DeleteReplica { node: node(1), force: false }]);
    assert_eq!(
        next(&facts(&deleted, &[replica(1, ReplicaState::Closed, 7)])),
        [Action::DeleteReplica { node: node(1), force: true }],
        "all it has is known to be deleted"
    );
    assert_eq!(
        next(&facts(&deleted, &[replica(1, ReplicaState::Closed, 8)])),
        [Action::Step(ContainerEvent::ResurrectClosed, Bcsid::new(8))]
    );
    assert_eq!(
        step(&next(&facts(&deleted, &[replica(1, ReplicaState::Unhealthy, 1)]))),
        Some(ContainerEvent::ResurrectQuasiClosed)
    );
    let lying = Replica { empty: true, ..replica(1, ReplicaState::Closed, 9) };
    assert_eq!(
        step(&next(&facts(&deleted, &[lying]))),
        Some(ContainerEvent::ResurrectClosed),
        "it says empty and counts blocks"
    );
    let fresh = |replicas: &[Replica]| next(&Facts { in_state_ms: 1, ..facts(&deleted, replicas) });
    assert_eq!(fresh(&[replica(1, ReplicaState::Closed, 7)]), [], "kept for a day");
    let two = [replica(1, ReplicaState::Closed, 7), replica(2, ReplicaState::Closed, 7)];
    assert_eq!(step(&fresh(&two)), Some(ContainerEvent::ResurrectClosed), "two were not away at once");
    let deleting = container("RATIS/THREE", Deleting);
    assert_eq!(step(&next(&facts(&deleting, &[]))), Some(ContainerEvent::Cleanup));
    assert_eq!(next(&Facts { all_reported: false, ..facts(&deleting, &[]) }), []);
}

#[test]
fn datanodes_that_said_empty_and_were_wrong_lose_nothing() {
    let deleting = container("rs-3-2-1024k", Deleting);
    let at = |n: u8, empty: bool| Replica {
        index: ReplicaIndex::new(n),
        empty,
        keys: if empty { 0 } else { 2 },
        ..replica(n, ReplicaState::Closed, 0)
    };
    let now = |replicas: &[Replica]| next(&Facts { in_state_ms: 60_000, ..facts(&deleting, replicas) });
    let all: Vec<Replica> = (1..=5).map(|n| at(n, true)).collect();
    assert!(now(&all).iter().all(|action| matches!(action, Action::DeleteReplica { force: false, .. })));
    // One after the other says what it really has: a datanode that has blocks refused to delete.
    for told in 1..=5 {
        let replicas: Vec<Replica> = (1..=5).map(|n| at(n, n > told)).collect();
        let actions = now(&replicas);
        assert!(!actions.iter().any(|action| matches!(action, Action::DeleteReplica { force: true, .. })));
        assert_eq!(step(&actions) == Some(ContainerEvent::ResurrectClosed), told >= 3, "{told}");
    }
}

/// Carries the steps out until nothing moves, as SCM does.
fn settle(container: &mut Container, replicas: &Replicas) {
    for _ in 0..8 {
        let list = replicas.of(container.id);
        let mut moved = false;
        for action in next(&facts(container, list)) {
            if let Action::Step(event, sequence) = action {
                let after = container.state.after(event).unwrap();
                moved |= after != container.state;
                container.state = after;
                container.sequence = container.sequence.max(sequence);
            }
        }
        if !moved {
            return;
        }
    }
    panic!("the container does not come to rest: {container:?}");
}

proptest! {
    // A Raft container of three replicas; each replica's own history is in order, but what SCM hears of it is lost,
    // doubled and mixed with the others', before everybody's full report.
    #[test]
    fn whatever_order_reports_come_in_the_end_is_the_same_and_every_step_is_legal(
        heard in prop::collection::vec((0..3u8, 0..4usize), 0..16),
        last in prop::collection::vec(0..4usize, 3),
    ) {
        let history = [ReplicaState::Open, ReplicaState::Closing, ReplicaState::QuasiClosed, ReplicaState::Closed];
        let report = |n: u8, at: usize| ContainerReplicaProto {
            container_id: 1,
            state: history[at].number(),
            key_count: Some(1),
            block_commit_sequence_id: Some(7),
            origin_node_id: Some(node(n).to_string()),
            ..Default::default()
        };
        let entries = |n: u8, at: usize| report::Entries::read(node(n), vec![report(n, at)]);
        let config = |_| Some("RATIS/THREE".parse().unwrap());
        let ends = |order: &[(u8, usize)]| {
            let mut replicas = Replicas::default();
            let mut open = container("RATIS/THREE", Open);
            for (n, at) in order {
                report::incremental(&mut replicas, node(*n), &entries(*n, *at), config);
                settle(&mut open, &replicas);
            }
            for (n, at) in last.iter().enumerate() {
                let n = u8::try_from(n).unwrap();
                report::full(&mut replicas, node(n), &entries(n, *at), config);
                settle(&mut open, &replicas);
            }
            open.state
        };
        // Reports that are true at some time: nobody was heard further than where they ended.
        let heard: Vec<(u8, usize)> = heard.into_iter().map(|(n, at)| (n, at.min(last[usize::from(n)]))).collect();
        let backwards: Vec<_> = heard.iter().rev().copied().collect();
        let end = ends(&heard);
        prop_assert_eq!(end, ends(&backwards));
        prop_assert_eq!(end, ends(&[]));
        let furthest = *last.iter().max().unwrap();
        prop_assert_eq!(end, [Open, Closing, QuasiClosed, Closed][furthest]);
    }
}
