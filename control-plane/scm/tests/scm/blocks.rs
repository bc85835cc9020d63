//! Block allocation: where blocks go, what survives, what is refused.

use std::collections::BTreeSet;

use crate::support::{World, config, container_of, init, members, replica};
use allotrope_proto::hdds::{ExcludeListProto, LifeCycleState};
use allotrope_proto::heartbeat::{self as hb, container_replica_proto::State, scm_command_proto::Type};
use allotrope_proto::scm_block;
use allotrope_types::ScmStatus;

fn local_of(block: &scm_block::AllocateBlockResponse) -> i64 {
    block.container_block_id.as_ref().unwrap().local_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_allocated_in_safe_mode_and_the_answer_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut settings = config(dir.path());
    settings.safe_mode_datanodes_min = 2;
    let world = World::with_nodes(settings, 1).await;
    let answer = world.allocate_answer("STANDALONE/ONE", 1, Default::default()).await;
    assert_eq!(answer.status, ScmStatus::SafeModeException.number());
    let message = answer.message.unwrap();
    assert!(message.contains("registered datanodes (=1) >= required datanodes (=2)"), "{message}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_are_distinct_spread_over_the_nodes_and_reach_the_client_with_their_ports() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 3).await;
    let blocks = world.allocate("STANDALONE/ONE", 60).await;
    let ids: BTreeSet<_> = blocks.iter().map(|b| (container_of(b), local_of(b))).collect();
    assert_eq!(ids.len(), 60);
    let nodes: BTreeSet<_> = blocks.iter().flat_map(members).collect();
    assert_eq!(nodes.len(), 3, "each node has an open container");
    let pipeline = blocks[0].pipeline.as_ref().unwrap();
    assert_eq!((pipeline.r#type, pipeline.factor, pipeline.state), (Some(2), Some(1), Some(2)));
    assert_eq!(pipeline.members[0].ip_address, "127.0.0.1");
    let ports: Vec<_> = pipeline.members[0].ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(ports, ["STANDALONE"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ec_block_has_a_node_for_each_index_in_order() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 5).await;
    for block in world.allocate("rs-3-2-1024k", 10).await {
        let pipeline = block.pipeline.as_ref().unwrap();
        assert_eq!(pipeline.member_replica_indexes, [1, 2, 3, 4, 5]);
        assert_eq!(members(&block).into_iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(pipeline.ec_replication_config.as_ref().unwrap().codec, "rs");
    }
    let excluded = ExcludeListProto { datanodes: vec![world.nodes[0].id.to_string()], ..Default::default() };
    let answer = world.allocate_answer("rs-3-2-1024k", 1, excluded).await;
    assert_eq!(answer.status, ScmStatus::FailedToFindSuitableNode.number(), "four nodes are too few");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_met_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 3).await;
    let answer = world.allocate_answer("STANDALONE/THREE", 1, Default::default()).await;
    assert_eq!(answer.status, ScmStatus::UnsupportedOperation.number());
    let message = answer.message.unwrap();
    assert!(message.contains("STANDALONE/ONE or an EC config such as rs-3-2-1024k"), "{message}");
    // These datanodes host no pipelines of Ratis.
    for ratis in ["RATIS/THREE", "RATIS/ONE"] {
        let answer = world.allocate_answer(ratis, 1, Default::default()).await;
        assert_eq!(answer.status, ScmStatus::FailedToFindSuitableNode.number());
        assert!(answer.message.unwrap().contains(ratis));
    }
    for count in [0, 1_001, u32::MAX] {
        let answer = world.allocate_answer("STANDALONE/ONE", count, Default::default()).await;
        assert_eq!(answer.status, ScmStatus::FailedToAllocateEnoughBlocks.number());
    }
    let garbled = ExcludeListProto { datanodes: vec!["not a uuid".into()], ..Default::default() };
    let answer = world.allocate_answer("STANDALONE/ONE", 1, garbled).await;
    assert!(answer.message.unwrap().contains("exclude list"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_requests_opens_no_more_containers_than_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = std::sync::Arc::new(World::with_nodes(config(dir.path()), 3).await);
    let mut burst = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = world.clone();
        burst.spawn(async move { world.allocate("STANDALONE/ONE", 2).await });
    }
    let blocks = burst.join_all().await.concat();
    let ids: BTreeSet<_> = blocks.iter().map(local_of).collect();
    assert_eq!(ids.len(), 128, "no block id twice");
    let containers: BTreeSet<_> = blocks.iter().map(container_of).collect();
    assert!(containers.len() <= 3, "{containers:?}");
    std::sync::Arc::into_inner(world).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_restart_and_no_id_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 1).await;
    let before = world.allocate("STANDALONE/ONE", 5).await;
    let id = container_of(&before[0]);
    world.stop().await;

    let mut world = World::start(config(dir.path())).await;
    assert!(world.running.in_safe_mode(), "nobody has registered yet");
    assert_eq!(world.container(id).await.state, LifeCycleState::Open as i32);
    let mut node = crate::support::Datanode::new(0);
    node.replicas = vec![replica(id, State::Open, 0)];
    world.join(node).await;
    let after = world.allocate("STANDALONE/ONE", 5).await;
    assert_eq!(container_of(&after[0]), id, "its container is still open and is used on");
    let ids: BTreeSet<_> = before.iter().chain(&after).map(local_of).collect();
    assert_eq!(ids.len(), 10);
    assert!(before.iter().map(local_of).max() < after.iter().map(local_of).min());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_container_is_closed_and_the_next_block_goes_into_another() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 1).await;
    let id = container_of(&world.allocate("STANDALONE/ONE", 1).await[0]);
    world.report(0, replica(id, State::Open, 0)).await;
    let full = hb::ContainerActionsProto {
        container_actions: vec![hb::ContainerAction { container_id: id, action: 1, reason: Some(1) }],
    };
    world.heartbeat(0, |heartbeat| heartbeat.container_actions = Some(full)).await;
    world.until_container(id, LifeCycleState::Closing).await;
    let command = world.command(0, Type::CloseContainerCommand).await;
    assert!(command.term.is_some());
    let close = command.close_container_command_proto.unwrap();
    assert_eq!((close.container_id, close.force), (id, Some(true)));
    let next = container_of(&world.allocate("STANDALONE/ONE", 1).await[0]);
    assert_ne!(next, id);
    world.report(0, replica(id, State::Closed, 0)).await;
    world.until_container(id, LifeCycleState::Closed).await;
    let info = world.container(id).await;
    assert_eq!((info.used_bytes, info.number_of_keys), (1000, 1));
    world.stop().await;

    // What it became is in the tables.
    let world = World::start(config(dir.path())).await;
    let info = world.container(id).await;
    assert_eq!((info.state, info.used_bytes), (LifeCycleState::Closed as i32, 1000));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn om_is_told_who_scm_is_and_which_datanode_is_near() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut settings = config(dir.path());
    settings.racks.insert("dn-1".into(), "/rack-b".into());
    let world = World::with_nodes(settings, 3).await;
    let info = scm_block::ScmBlockLocationRequest {
        cmd_type: scm_block::Type::GetScmInfo as i32,
        get_scm_info_request: Some(Default::default()),
        ..Default::default()
    };
    let info = world.block_call(info).await.unwrap().get_scm_info_response.unwrap();
    assert_eq!((info.cluster_id.as_str(), info.scm_id.as_str()), (crate::support::CLUSTER, "scm-1"));
    assert_eq!(info.peer_roles, ["localhost:9894:LEADER:scm-1:localhost"]);
    let ids: Vec<String> = world.nodes.iter().map(|node| node.id.to_string()).collect();
    let sort = scm_block::ScmBlockLocationRequest {
        cmd_type: scm_block::Type::SortDatanodes as i32,
        sort_datanodes_request: Some(scm_block::SortDatanodesRequestProto {
            client: "dn-2".into(),
            node_network_name: ids,
        }),
        ..Default::default()
    };
    let sorted = world.block_call(sort).await.unwrap().sort_datanodes_response.unwrap();
    let hosts: Vec<_> = sorted.node.iter().map(|node| node.host_name.as_str()).collect();
    assert_eq!(hosts, ["dn-2", "dn-0", "dn-1"], "itself, its rack, the other rack");
    let tree = scm_block::ScmBlockLocationRequest {
        cmd_type: scm_block::Type::GetClusterTree as i32,
        get_cluster_tree_request: Some(Default::default()),
        ..Default::default()
    };
    let tree = world.block_call(tree).await.unwrap().get_cluster_tree_response.unwrap().cluster_tree;
    let racks: Vec<_> = tree.children_map.iter().map(|c| c.network_name.as_deref().unwrap()).collect();
    assert_eq!((tree.num_of_leaves, racks), (Some(3), vec!["default-rack", "rack-b"]));
    for (cluster, says) in
        [("CID-other", "not of CID-other"), (crate::support::CLUSTER, "name it in the settings")]
    {
        let asked = allotrope_proto::hdds::AddScmRequestProto {
            cluster_id: cluster.into(),
            scm_id: "scm-9".into(),
            ratis_addr: "127.0.0.1:9".into(),
        };
        let join = scm_block::ScmBlockLocationRequest {
            cmd_type: scm_block::Type::AddScm as i32,
            add_scm_request_proto: Some(asked),
            ..Default::default()
        };
        let answer = world.block_call(join).await.unwrap();
        assert_eq!((answer.success, answer.status), (Some(false), ScmStatus::InternalError.number()));
        assert!(answer.message().contains(says), "{answer:?}");
    }
    world.stop().await;
}
