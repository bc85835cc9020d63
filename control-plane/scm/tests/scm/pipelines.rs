//! Ratis pipelines: made ahead, opened by their members' reports, closed when one of them cannot go on.

#![allow(clippy::disallowed_methods, reason = "these tests wait on the real clock for a real server")]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Datanode, World, config, container_of, init, replica};
use allotrope_proto::hdds::{self, LifeCycleState, ReplicationFactor};
use allotrope_proto::heartbeat::{
    ClosePipelineInfo, CreatePipelineCommandProto, PipelineAction, PipelineActionsProto, PipelineReport,
    PipelineReportsProto, container_replica_proto::State, scm_command_proto::Type,
};
use allotrope_proto::scm_container;
use allotrope_scm::Config;
use allotrope_types::ScmStatus;

/// An SCM with these datanodes, which call themselves so.
async fn world(settings: Config, kinds: &[&'static str]) -> World {
    init(&settings.dir);
    let mut world = World::start(settings).await;
    for (n, kind) in kinds.iter().enumerate() {
        let mut node = Datanode::new(n as u8);
        node.hosts = Some(kind);
        world.join(node).await;
    }
    world
}

fn settings(dir: &std::path::Path) -> Config {
    Config { pipelines_of_one: false, pipelines_per_node: 1, pipeline_wait: Duration::ZERO, ..config(dir) }
}

/// The pipeline that node `n` is told to take part in.
async fn created(world: &World, n: usize) -> CreatePipelineCommandProto {
    let command = world.command(n, Type::CreatePipelineCommand).await;
    command.create_pipeline_command_proto.unwrap()
}

/// Node `n` says that it is in a pipeline.
async fn reports(world: &World, n: usize, id: &hdds::PipelineId, is_leader: bool) -> Vec<Type> {
    let report = PipelineReport { pipeline_id: id.clone(), is_leader, bytes_written: None };
    let answer = world.heartbeat(n, |beat| {
        beat.pipeline_reports = Some(PipelineReportsProto { pipeline_report: vec![report] });
    });
    answer.await.commands.iter().filter_map(|one| Type::try_from(one.command_type).ok()).collect()
}

async fn pipelines(world: &World) -> Vec<hdds::Pipeline> {
    let asked = scm_container::Type::ListPipelines;
    let answer = world.location_call(asked, |r| r.list_pipeline_request = Some(Default::default())).await;
    answer.unwrap().list_pipeline_response.unwrap().pipelines
}

/// A pipeline of three that is open, and who leads it.
async fn open_three(world: &World) -> (CreatePipelineCommandProto, usize) {
    let command = created(world, 0).await;
    for n in 1..3 {
        assert_eq!(created(world, n).await.pipeline_id, command.pipeline_id, "one pipeline for all three");
    }
    let leads = |details: &hdds::DatanodeDetailsProto| {
        let at = command.datanode.iter().position(|one| one.uuid == details.uuid).unwrap();
        command.priority[at] == 1
    };
    let leader = (0..3).find(|n| leads(&world.nodes[*n].details())).expect("one has the priority");
    for n in 0..3 {
        reports(world, n, &command.pipeline_id, n == leader).await;
    }
    world
        .until("the pipeline is open", async || pipelines(world).await.iter().any(|one| one.state == Some(2)))
        .await;
    (command, leader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_opens_when_all_its_members_have_reported_it_and_one_leads() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(settings(dir.path()), &["allotrope/disk"; 3]).await;
    let command = created(&world, 0).await;
    assert_eq!(command.factor, i32::from(ReplicationFactor::Three));
    assert_eq!((command.datanode.len(), command.priority.iter().sum::<i32>()), (3, 1));
    let id = command.pipeline_id.clone();
    for n in 0..3 {
        reports(&world, n, &id, false).await;
    }
    let answer = world.allocate_answer("RATIS/THREE", 1, Default::default()).await;
    assert_eq!(answer.status, ScmStatus::FailedToFindActivePipeline.number(), "nobody leads");
    let leader = command.priority.iter().position(|priority| *priority == 1).unwrap();
    let leader = command.datanode[leader].uuid.clone().unwrap();
    let at = world.nodes.iter().position(|node| node.id.to_string() == leader).unwrap();
    reports(&world, at, &id, true).await;
    world.until("it is open", async || pipelines(&world).await.iter().any(|one| one.state == Some(2))).await;
    for block in world.allocate("RATIS/THREE", 20).await {
        let pipeline = block.pipeline.unwrap();
        assert_eq!((pipeline.r#type, pipeline.factor, &pipeline.id), (Some(1), Some(3), &id));
        assert_eq!(pipeline.leader_id, Some(leader.clone()));
        let ports: BTreeSet<_> = pipeline.members[0].ports.iter().map(|port| port.name.as_str()).collect();
        assert_eq!(ports, BTreeSet::from(["RATIS", "STANDALONE"]));
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_a_member_has_ended_is_closed_and_another_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(settings(dir.path()), &["allotrope/disk"; 3]).await;
    let (command, _) = open_three(&world).await;
    let block = world.allocate("RATIS/THREE", 1).await.remove(0);
    let container = container_of(&block);
    for n in 0..3 {
        world.report(n, replica(container, State::Open, 0)).await;
    }
    let info = ClosePipelineInfo {
        pipeline_id: command.pipeline_id.clone(),
        reason: None,
        detailed_reason: Some("its disk".into()),
    };
    let action = PipelineAction { action: 1, close_pipeline: Some(info) };
    let answer = world.heartbeat(1, |beat| {
        beat.pipeline_actions = Some(PipelineActionsProto { pipeline_actions: vec![action] });
    });
    let told = answer.await.commands;
    assert!(
        told.iter().any(|one| one.command_type == Type::ClosePipelineCommand as i32),
        "it need not say it again"
    );
    world.until_container(container, LifeCycleState::Closing).await;
    // The others, who may not know, are told to leave it.
    for n in [0, 2] {
        let mut told = false;
        for _ in 0..500 {
            told |=
                reports(&world, n, &command.pipeline_id, false).await.contains(&Type::ClosePipelineCommand);
        }
        assert!(told, "node {n} is told");
    }
    // Three origins, quasi-closed: the one that has most is closed.
    for n in 0..3 {
        let mut one = replica(container, State::QuasiClosed, 0);
        one.block_commit_sequence_id = Some(7 + u64::from(n == 2));
        one.origin_node_id = Some(world.nodes[n].id.to_string());
        world.report(n, one).await;
    }
    let close = world.command(2, Type::CloseContainerCommand).await.close_container_command_proto.unwrap();
    assert_eq!((close.container_id, close.force), (container, Some(true)));
    let fresh = created(&world, 0).await;
    assert_ne!(fresh.pipeline_id, command.pipeline_id);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_one_pipeline_are_of_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(
        settings(dir.path()),
        &["allotrope/disk", "java", "allotrope/disk", "java", "allotrope/page-cache"],
    )
    .await;
    let command = created(&world, 0).await;
    let members: BTreeSet<_> = command.datanode.iter().map(|one| one.uuid.clone().unwrap()).collect();
    let ours: BTreeSet<_> = [0, 2, 4].map(|n| world.nodes[n].id.to_string()).into();
    assert_eq!(members, ours);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_datanode_gets_a_pipeline_of_one_and_no_more_of_three_than_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = Config { pipelines_of_one: true, pipelines_per_node: 2, ..settings(dir.path()) };
    let world = world(wanted, &["allotrope/disk"; 4]).await;
    let of = async |factor: i32| {
        let all = pipelines(&world).await;
        all.into_iter().filter(|one| one.factor == Some(factor)).collect::<Vec<_>>()
    };
    world.until("each has one of its own", async || of(1).await.len() == 4).await;
    world.until("there are two of three", async || of(3).await.len() == 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let three = of(3).await;
    assert_eq!((of(1).await.len(), three.len()), (4, 2));
    let leaders: BTreeSet<_> = three.iter().map(|one| one.leader_id.clone()).collect();
    assert_eq!(leaders.len(), 2, "nobody leads two while another leads none");
    world.stop().await;
}

/// Two of three members of a pipeline that has ended, with what they have of its container.
async fn two_are_left(world: &World, container: i64, pipeline: &hdds::PipelineId) {
    let info = ClosePipelineInfo {
        pipeline_id: pipeline.clone(),
        reason: None,
        detailed_reason: Some("a test".into()),
    };
    let ended = PipelineActionsProto {
        pipeline_actions: vec![PipelineAction { action: 1, close_pipeline: Some(info) }],
    };
    world.heartbeat(0, |beat| beat.pipeline_actions = Some(ended)).await;
    for (n, bcsid) in [(0, 7), (1, 8)] {
        let mut one = replica(container, State::QuasiClosed, 0);
        one.block_commit_sequence_id = Some(bcsid);
        one.origin_node_id = Some(world.nodes[n].id.to_string());
        world.report(n, one).await;
    }
}

/// Which of the first two nodes is told to close the container by force while both go on heartbeating.
async fn told_to_close(world: &World, container: i64, within: Duration) -> Option<usize> {
    let began = std::time::Instant::now();
    while began.elapsed() < within {
        for n in 0..2 {
            let commands = world.heartbeat(n, |_| {}).await.commands;
            let mut closes = commands.into_iter().filter_map(|one| one.close_container_command_proto);
            if closes.any(|close| close.container_id == container && close.force == Some(true)) {
                return Some(n);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_member_had_to_acknowledge_is_closed_when_the_third_is_dead_also_by_an_scm_that_never_saw_it()
 {
    let ms = Duration::from_millis;
    let quickly = |dir: &std::path::Path| Config {
        nodes: allotrope_scm::node::Thresholds { check: ms(50), stale: ms(1000), dead: ms(3000) },
        ..settings(dir)
    };
    for (kind, closes) in [("allotrope/disk", true), ("allotrope/page-cache", false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut world = world(quickly(dir.path()), &[kind; 3]).await;
        let (command, _) = open_three(&world).await;
        let container = container_of(&world.allocate("RATIS/THREE", 1).await.remove(0));
        two_are_left(&world, container, &command.pipeline_id).await;
        let told = told_to_close(&world, container, ms(8000)).await;
        assert_eq!(told, closes.then_some(1), "{kind}: the one that has most, after the third's death");
        if closes {
            // It was told, and nobody knows whether it did; a fresh SCM has the rule from its tables.
            let nodes = [0, 1].map(|n| Datanode { hosts: Some(kind), ..Datanode::new(n) });
            world.stop().await;
            world = World::start(quickly(dir.path())).await;
            for node in nodes {
                world.join(node).await;
            }
            two_are_left(&world, container, &command.pipeline_id).await;
            assert_eq!(told_to_close(&world, container, ms(1500)).await, None, "the third may be on its way");
            assert_eq!(told_to_close(&world, container, ms(60_000)).await, Some(1));
            let mut closed = replica(container, State::Closed, 0);
            closed.block_commit_sequence_id = Some(8);
            closed.origin_node_id = Some(world.nodes[1].id.to_string());
            world.report(1, closed).await;
            world.until_container(container, LifeCycleState::Closed).await;
        }
        world.stop().await;
    }
}
