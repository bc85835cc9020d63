//! One failure of three, of any kind, at any moment: what was acknowledged is on the survivors, and they agree.
//!
//! A failing seed is repeated with `ALLOTROPE_SEED=N cargo test -p allotrope-datanode --test datanode pipelines`.

use super::sim::*;
use crate::ask::*;
use allotrope_datanode::pipeline::group::Answer;
use allotrope_datanode::pipeline::record::{self, Standing};
use allotrope_datanode::pipeline::{self, Call};
use allotrope_io::{Act, SimFault};
use allotrope_proto::container::BlockData;
use allotrope_proto::edge::hdds::{Port, PortName};
use allotrope_proto::edge::heartbeat::ClosePipelineCommand;
use allotrope_proto::edge::ratis::RaftClientId;
use allotrope_types::{ContainerId, DatanodeResult, ReplicaState};
use std::collections::BTreeMap;
use std::time::Duration;

const CONTAINERS: i64 = 3;
pub(super) const LEADER: usize = 1;

pub(super) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("ALLOTROPE_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).collect(),
    }
}

/// What may go wrong with one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its network is cut off for ever.
    Partition,
    /// Its network is cut off for less than the deadline.
    Pause,
    /// Its connections break; new ones can be made.
    Break,
    /// Its disk fails to write or to flush once.
    Disk,
    /// Its metadata fails from some moment on.
    Metadata,
    /// Nothing.
    None,
}

pub(super) const ALL: [Failure; 6] =
    [Failure::Partition, Failure::Pause, Failure::Break, Failure::Disk, Failure::Metadata, Failure::None];

pub(super) fn begin(trio: &mut Trio, failure: Failure, member: usize) {
    let (network, rng) = (trio.sim().network(), trio.rng.clone());
    match failure {
        Failure::Disk => {
            let act = if rng.chance(1, 2) { Act::Write } else { Act::Sync };
            trio.disk.fault(act, format!("/disk{member}"), rng.below(60), SimFault::Error);
        }
        Failure::Metadata => trio.break_metadata(member, rng.below(40)),
        _ => {}
    }
    let clock = trio.sim().clock();
    let wait = Duration::from_micros(rng.below(120_000));
    let pause = Duration::from_millis(rng.below(2_500));
    // The leader has connected to the others.
    let cut: Vec<_> = (0..3).filter(|n| if member == LEADER { *n != LEADER } else { *n == member }).collect();
    let started = trio.sim().shards().run_on(allotrope_io::ShardId(0), "failure", move |_| async move {
        clock.sleep(wait).await;
        let each = |act: &dyn Fn(std::net::SocketAddr)| cut.iter().for_each(|n| act(address(*n)));
        match failure {
            Failure::Partition => each(&|at| network.stall(at)),
            Failure::Break => each(&|at| network.reset(at)),
            Failure::Pause => {
                each(&|at| network.stall(at));
                clock.sleep(pause).await;
                each(&|at| network.release(at));
            }
            _ => {}
        }
    });
    drop(started.unwrap());
}

/// A member's blocks of a container, as they are on it.
fn blocks(trio: &Trio, member: usize, container: i64) -> BTreeMap<i64, BlockData> {
    let name = trio.members[member].node.id.to_string();
    let mut message = command(allotrope_proto::container::Type::ListBlock, container, &name);
    message.list_block =
        Some(allotrope_proto::container::ListBlockRequestProto { start_local_id: None, count: 10_000 });
    let response = trio.ask(member, message.into());
    if result(&response) == DatanodeResult::ContainerNotFound {
        return BTreeMap::new();
    }
    let list = response.message.list_block.unwrap_or_else(|| panic!("{:?}", response.message.message));
    list.block_data.into_iter().map(|block| (block.block_id.local_id, block)).collect()
}

fn bcsid(block: &BlockData) -> u64 {
    block.block_id.block_commit_sequence_id.unwrap_or(0)
}

/// Below the lower of two members' BCSIDs, both have the same blocks with the same chunks.
fn agree(trio: &Trio, survivors: &[usize]) {
    for container in 1..=CONTAINERS {
        let of = |member: usize| {
            let facts = trio.replicas(member);
            let here = facts.iter().find(|one| one.container == ContainerId::new(container as u64));
            (here.map_or(0, |one| one.counters.bcsid), blocks(trio, member, container))
        };
        let all: Vec<_> = survivors.iter().map(|member| of(*member)).collect();
        for ((bcsid_a, a), (bcsid_b, b)) in all.iter().zip(all.iter().skip(1)) {
            let low = *bcsid_a.min(bcsid_b);
            let (below_a, below_b) = (below(a, b, low), below(b, a, low));
            assert_eq!(below_a, below_b, "seed {}: container {container} below {low}", trio.seed);
        }
    }
}

/// What `of` has up to `low`, without blocks that one of the two has put again beyond it.
fn below(of: &BTreeMap<i64, BlockData>, other: &BTreeMap<i64, BlockData>, low: u64) -> Vec<BlockData> {
    let beyond = |id: &i64| other.get(id).is_some_and(|block| bcsid(block) > low);
    of.iter()
        .filter(|(id, block)| bcsid(block) <= low && !beyond(id))
        .map(|(_, block)| block.clone())
        .collect()
}

fn run(seed: u64, failure: Failure) {
    let mut trio = Trio::seeded(seed);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let member = trio.rng.below(3) as usize;
    begin(&mut trio, failure, member);
    let writers: Vec<_> = (1..=4)
        .map(|client| {
            let writer = Writer { client, containers: CONTAINERS, blocks: 6 };
            let (leader, clock, rng) = (trio.members[LEADER].clone(), trio.sim().clock(), trio.rng.clone());
            let started = trio
                .sim()
                .shards()
                .run_on(allotrope_io::ShardId(0), "writer", move |_| writer.write(leader, clock, rng));
            started.unwrap()
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(trio.sim().run(writer).unwrap());
    }
    // Longer than the deadline: whoever has to end has ended.
    trio.sim().run_for(Duration::from_secs(20));
    let goes_on = matches!(failure, Failure::Pause | Failure::Break | Failure::None);
    let wholly = acknowledged.len();
    if goes_on {
        assert_eq!(wholly, 24, "seed {seed}: {failure:?} is survived without an end");
        assert!((0..3).all(|n| trio.is_open(n, PIPELINE)), "seed {seed}: {failure:?} ends nothing");
    }
    let survivors: Vec<usize> = (0..3).filter(|n| goes_on || *n != member).collect();
    for one in &acknowledged {
        for survivor in &survivors {
            let read = trio.read(*survivor, one.container, one.local, one.bytes.len());
            assert!(read == one.bytes, "seed {seed}: {failure:?}: block {} on member {survivor}", one.local);
        }
    }
    agree(&trio, &survivors);
    if failure == Failure::Partition {
        assert!((0..3).all(|n| !trio.is_open(n, PIPELINE)), "seed {seed}: all have ended, apart or not");
    }
    // And with the power of the whole machine gone.
    trio.crash();
    trio.boot();
    for one in &acknowledged {
        for survivor in &survivors {
            let read = trio.read(*survivor, one.container, one.local, one.bytes.len());
            assert!(read == one.bytes, "seed {seed}: {failure:?}: block {} after a crash", one.local);
        }
    }
    agree(&trio, &survivors);
    for n in 0..3 {
        assert!(!trio.is_open(n, PIPELINE), "seed {seed}: a restart ends the epoch");
        let entry = trio.members[n].node.pipelines.get(PIPELINE).unwrap();
        assert_eq!(entry.standing(), Standing::Ended);
    }
}

#[test]
fn with_one_failure_of_three_what_was_acknowledged_is_on_the_survivors_and_they_agree() {
    for seed in seeds(60) {
        run(seed, ALL[(seed % ALL.len() as u64) as usize]);
    }
}

#[test]
fn a_retry_is_answered_again_and_nothing_runs_twice() {
    let mut trio = Trio::seeded(1);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let leader = trio.members[LEADER].clone();
    let (first, again, other) = trio.run(move |_| async move {
        let node = leader.node.id.to_string();
        let data = bytes(1, 5000);
        let one = chunk(7, 0, &data);
        let call = |id| Some(Call { client: RaftClientId([1; 16]), id });
        let writing = leader.submit(PIPELINE, call(1), write_chunk(&node, id(1, 7), one.clone(), data));
        let put = || put_block(&node, id(1, 7), vec![one.clone()], true);
        let (_, first, again) = futures_util::join!(
            writing,
            leader.submit(PIPELINE, call(2), put()),
            leader.submit(PIPELINE, call(2), put())
        );
        let later = leader.submit(PIPELINE, call(2), put()).await;
        assert_eq!(later, first, "from memory");
        let other = leader.submit(PIPELINE, call(3), put()).await;
        (first, again, other)
    });
    assert_eq!(first, again);
    assert!(matches!(first, Answer::Done { index: 2, .. }), "{first:?}");
    assert!(matches!(other, Answer::Done { index: 3, .. }), "{other:?}");
}

#[test]
fn a_container_is_closed_at_one_index_on_all_members_and_takes_no_write_behind_it() {
    let mut trio = Trio::seeded(2);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let leader = trio.members[LEADER].clone();
    let late = trio.run(move |_| async move {
        let node = leader.node.id.to_string();
        let data = bytes(1, 5000);
        let one = chunk(7, 0, &data);
        let write = |local| write_chunk(&node, id(1, local), one.clone(), data.clone());
        let put = put_block(&node, id(1, 7), vec![one.clone()], true);
        // The close is asked while writes are under way: it comes behind them.
        let (written, put, closed, late) = futures_util::join!(
            leader.submit(PIPELINE, None, write(7)),
            leader.submit(PIPELINE, None, put),
            pipeline::boot::close_container(&leader.node, PIPELINE, ContainerId::new(1), false),
            leader.submit(PIPELINE, None, write(8)),
        );
        assert!(matches!(written, Answer::Done { .. }) && matches!(put, Answer::Done { index: 2, .. }));
        assert!(matches!(closed, Ok(pipeline::boot::Closing::Agreed)));
        late
    });
    assert!(
        matches!(
            late,
            Answer::Refused { result: DatanodeResult::ClosedContainerIo, .. }
                | Answer::Refused { result: DatanodeResult::ContainerNotOpen, .. }
        ),
        "{late:?}"
    );
    for member in 0..3 {
        let facts = trio.replicas(member);
        assert_eq!((facts[0].state, facts[0].counters.bcsid), (ReplicaState::Closed, 2), "member {member}");
        assert!(trio.is_open(member, PIPELINE), "a client that comes late ends nothing");
        assert!(!trio.events(member).is_empty(), "SCM is told");
    }
}

#[test]
fn a_member_that_has_ended_stops_all_later_answers_and_its_end_is_durable_before_it_is_told() {
    let mut trio = Trio::seeded(3);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    // SCM closes a container with force on a follower: the fence comes first.
    let follower = trio.members[2].clone();
    trio.run(move |_| async move {
        let closing =
            pipeline::boot::close_container(&follower.node, PIPELINE, ContainerId::new(1), true).await;
        assert!(matches!(closing, Ok(pipeline::boot::Closing::Alone)));
        let entry = follower.node.pipelines.get(PIPELINE).unwrap();
        assert_eq!(entry.standing(), Standing::Ended);
        assert!(follower.node.pipelines.actions().is_some(), "SCM hears of it");
    });
    let dir = trio.members[2].node.config.metadata_dir.clone();
    let kept =
        trio.run(move |shard| async move { record::load(shard.disk(), &dir, PIPELINE).await.unwrap() });
    assert_eq!(kept.unwrap().standing, Standing::Ended);
    let leader = trio.members[LEADER].clone();
    let answer = trio.run(move |_| async move {
        let (node, data) = (leader.node.id.to_string(), bytes(1, 5000));
        let one = chunk(7, 0, &data);
        leader.submit(PIPELINE, None, write_chunk(&node, id(1, 7), one, data)).await
    });
    assert_eq!(answer, Answer::Ended);
    trio.sim().run_for(Duration::from_secs(5));
    assert!((0..3).all(|n| !trio.is_open(n, PIPELINE)));
}

#[test]
fn members_that_hear_of_the_pipeline_one_after_the_other_meet_all_the_same() {
    for (seed, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]].into_iter().enumerate() {
        let mut trio = Trio::seeded(seed as u64);
        trio.boot();
        let entry = |trio: &Trio| trio.members[LEADER].node.pipelines.get(PIPELINE);
        for member in order {
            assert!(entry(&trio).is_none_or(|entry| !entry.is_ready()));
            trio.create_on(PIPELINE, LEADER, &[member]);
            // However long the next one needs: SCM gives up, the members do not.
            trio.sim().run_for(Duration::from_secs(30));
        }
        assert!(entry(&trio).unwrap().is_ready() && entry(&trio).unwrap().is_open());
        let leaders =
            (0..3).filter(|n| trio.members[*n].node.pipelines.reports().pipeline_report[0].is_leader);
        assert_eq!(leaders.collect::<Vec<_>>(), [LEADER]);
    }
}

#[test]
fn a_pipeline_that_was_here_is_not_made_again() {
    let mut trio = Trio::seeded(5);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let command = trio.command(PIPELINE, LEADER);
    let close = ClosePipelineCommand { pipeline: command.pipeline, cmd_id: 2 };
    for restart in [false, true] {
        if restart {
            trio.crash();
            trio.boot();
        }
        let (member, command, close) = (trio.members[0].clone(), command.clone(), close.clone());
        let made = trio.run(move |_| async move {
            pipeline::boot::close(&member.lobby, &member.node, &close).await.unwrap();
            assert!(member.node.pipelines.get(PIPELINE).is_none(), "SCM knows: nothing is left to say");
            pipeline::boot::create(&member.lobby, &member.node, &command).await
        });
        assert!(made.unwrap_err().contains("has been here before"));
    }
}

#[test]
fn a_pipeline_with_a_member_of_another_kind_is_refused_and_scm_asked_to_close_it() {
    let mut trio = Trio::seeded(6);
    trio.boot();
    let mut command = trio.command(PIPELINE, LEADER);
    let port = Port { name: PortName::RatisServer, number: 9856 };
    command.datanode[2].ports.push(port);
    let close = ClosePipelineCommand { pipeline: command.pipeline, cmd_id: 2 };
    let member = trio.members[0].clone();
    trio.run(move |_| async move {
        let pipelines = &member.node.pipelines;
        for again in 0..2 {
            let refused = pipeline::boot::create(&member.lobby, &member.node, &command).await.unwrap_err();
            assert!(again > 0 || refused.contains("RATIS_SERVER"), "{refused}");
            assert!(pipelines.reports().pipeline_report.is_empty());
            let asked = pipelines.actions().expect("SCM is asked to close it").pipeline_actions;
            let told = asked[0].close_pipeline.as_ref().unwrap();
            assert_eq!(told.pipeline, command.pipeline);
            let why = told.detailed_reason.as_deref().unwrap();
            assert!(why.contains("use erasure coding"), "{told:?}");
        }
        pipeline::boot::close(&member.lobby, &member.node, &close).await.unwrap();
        assert!(pipelines.actions().is_none() && pipelines.get(PIPELINE).is_none());
    });
}

#[test]
fn a_follower_that_has_not_what_it_acknowledged_is_found_out_by_the_next_read() {
    let mut trio = Trio::seeded(6);
    trio.boot();
    trio.create(PIPELINE, LEADER);
    let (leader, data) = (trio.members[LEADER].clone(), bytes(1, 5000));
    let whole = data.clone();
    trio.run(move |_| async move {
        let node = leader.node.id.to_string();
        let one = chunk(7, 0, &data);
        leader.submit(PIPELINE, None, write_chunk(&node, id(1, 7), one.clone(), data)).await;
        let put = leader.submit(PIPELINE, None, put_block(&node, id(1, 7), vec![one], true)).await;
        assert!(matches!(put, Answer::Done { .. }), "{put:?}");
    });
    let liar = 2;
    let all = trio.run(move |shard| async move { shard.disk().walk(format!("/disk{liar}")).await.unwrap() });
    let file = all.into_iter().map(|entry| entry.path).find(|path| path.ends_with("chunks/7.block"));
    assert!(trio.disk.flip_bit(file.expect("it has the block's file"), 1234, 3));
    let name = trio.members[liar].node.id.to_string();
    let response = trio.ask(liar, read_chunk(&name, id(1, 7), 0, 5000));
    assert_ne!(
        result(&response),
        DatanodeResult::Success,
        "what it has is not what the chunk's checksums say"
    );
    for member in (0..3).filter(|n| *n != liar) {
        assert!(trio.read(member, 1, 7, 5000) == whole, "member {member}");
    }
}
