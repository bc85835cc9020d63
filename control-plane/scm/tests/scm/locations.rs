//! The container location protocol: every operation that is served, and what those are told that ask for another.

use crate::support::{Datanode, World, config, container_of, init, replica};
use allotrope_proto::hdds::{self, LifeCycleState};
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::rpc::CallError;
use allotrope_proto::scm_container::{self as m, Type};

fn class(error: &CallError) -> &str {
    match error {
        CallError::Remote { class, .. } => class,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_mode_is_shown_rule_by_rule_and_can_be_left_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::start(config(dir.path())).await;
    let on = async || {
        let answer = world.location_call(Type::InSafeMode, |_| {}).await.unwrap();
        answer.in_safe_mode_response.unwrap().in_safe_mode
    };
    assert!(on().await);
    let rules = world.location_call(Type::GetSafeModeRuleStatuses, |_| {}).await.unwrap();
    let rules = rules.get_safe_mode_rule_statuses_response.unwrap().safe_mode_rule_statuses_proto;
    let failing: Vec<_> = rules.iter().filter(|rule| !rule.validate).collect();
    assert_eq!(rules.len(), 6);
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].rule_name, "DataNodeSafeModeRule");
    assert_eq!(failing[0].status_text, "registered datanodes (=0) >= required datanodes (=1)");
    world.location_call(Type::ForceExitSafeMode, |_| {}).await.unwrap();
    assert!(!on().await);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_found_with_a_pipeline_to_read_it_through() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 5).await;
    let block = world.allocate("rs-3-2-1024k", 1).await.remove(0);
    let id = container_of(&block);
    let with_pipeline = async |container_id| {
        let asked = m::GetContainerWithPipelineRequestProto { container_id, trace_id: None };
        let fill =
            |r: &mut m::ScmContainerLocationRequest| r.get_container_with_pipeline_request = Some(asked);
        let answer = world.location_call(Type::GetContainerWithPipeline, fill).await?;
        Ok::<_, CallError>(answer.get_container_with_pipeline_response.unwrap().container_with_pipeline)
    };
    let open = with_pipeline(id).await.unwrap();
    assert_eq!(open.container_info.state, LifeCycleState::Open as i32);
    assert_eq!(open.pipeline.id, block.pipeline.as_ref().unwrap().id, "while it is written: its own");

    // Index 3 is lost; the reader is sent to the replicas that there are.
    let nodes = crate::support::members(&block);
    for (at, uuid) in nodes.iter().enumerate().filter(|(at, _)| *at != 2) {
        let n = world.nodes.iter().position(|node| node.id.to_string() == *uuid).unwrap();
        world.report(n, replica(id, State::Closed, i32::try_from(at).unwrap() + 1)).await;
    }
    world.until_container(id, LifeCycleState::Closed).await;
    let closed = with_pipeline(id).await.unwrap();
    assert_ne!(closed.pipeline.id, open.pipeline.id);
    assert_eq!(closed.pipeline.member_replica_indexes, [1, 2, 4, 5]);
    let wanted: Vec<_> = [0, 1, 3, 4].map(|at| Some(nodes[at].clone())).into();
    assert_eq!(closed.pipeline.members.iter().map(|m| m.uuid.clone()).collect::<Vec<_>>(), wanted);

    let unknown = with_pipeline(4711).await.unwrap_err();
    assert_eq!(class(&unknown), "org.apache.hadoop.hdds.scm.container.ContainerNotFoundException");
    assert_eq!(class(&with_pipeline(-1).await.unwrap_err()), class(&unknown));

    let batch = async |kind, ids: Vec<i64>| {
        world
            .location_call(kind, |r| {
                r.get_container_with_pipeline_batch_request =
                    Some(m::GetContainerWithPipelineBatchRequestProto {
                        container_i_ds: ids.clone(),
                        trace_id: None,
                    });
                r.get_exist_container_with_pipelines_in_batch_request =
                    Some(m::GetExistContainerWithPipelinesInBatchRequestProto {
                        container_i_ds: ids,
                        trace_id: None,
                    });
            })
            .await
    };
    let both = batch(Type::GetContainerWithPipelineBatch, vec![id, id]).await.unwrap();
    assert_eq!(both.get_container_with_pipeline_batch_response.unwrap().container_with_pipelines.len(), 2);
    assert!(batch(Type::GetContainerWithPipelineBatch, vec![id, 4711]).await.is_err());
    let known = batch(Type::GetExistContainerWithPipelinesInBatch, vec![id, 4711]).await.unwrap();
    assert_eq!(
        known.get_exist_container_with_pipelines_in_batch_response.unwrap().container_with_pipelines.len(),
        1
    );

    // A client that predates erasure coding is not given what it would misread.
    let asked = m::GetContainerWithPipelineRequestProto { container_id: id, trace_id: None };
    let old = world
        .location_call(Type::GetContainerWithPipeline, |r| {
            r.version = Some(1);
            r.get_container_with_pipeline_request = Some(asked);
        })
        .await;
    assert!(old.unwrap_err().to_string().contains("upgrade the client"));
    let asked = m::GetContainerReplicasRequestProto { container_id: id, trace_id: None };
    let fill = |r: &mut m::ScmContainerLocationRequest| r.get_container_replicas_request = Some(asked);
    let replicas = world.location_call(Type::GetContainerReplicas, fill).await.unwrap();
    let replicas = replicas.get_container_replicas_response.unwrap().container_replica;
    assert_eq!(replicas.len(), 4);
    assert!(replicas.iter().all(|r| r.state == "CLOSED" && r.replica_index.unwrap() > 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_opened_listed_counted_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 2).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let asked = m::ContainerRequestProto {
            replication_type: 2,
            replication_factor: Some(1),
            owner: "admin".into(),
            ..Default::default()
        };
        let answer = world
            .location_call(Type::AllocateContainer, |r| r.container_request = Some(asked))
            .await
            .unwrap();
        let made = answer.container_response.unwrap().container_with_pipeline;
        assert_eq!((made.container_info.owner.as_str(), made.pipeline.members.len()), ("admin", 1));
        ids.push(made.container_info.container_id);
    }
    let close = async |container_id| {
        let asked = m::ScmCloseContainerRequestProto { container_id, trace_id: None };
        let fill = |r: &mut m::ScmContainerLocationRequest| r.scm_close_container_request = Some(asked);
        world
            .location_call(Type::CloseContainer, fill)
            .await
            .unwrap()
            .scm_close_container_response
            .unwrap()
            .status
    };
    assert_eq!(close(ids[1]).await, Some(1));
    assert_eq!(close(ids[1]).await, Some(3), "CONTAINER_ALREADY_CLOSING");

    let list = async |start, count, state: Option<LifeCycleState>| {
        let asked = m::ScmListContainerRequestProto {
            count,
            start_container_id: Some(start),
            state: state.map(|state| state as i32),
            ..Default::default()
        };
        let fill = |r: &mut m::ScmContainerLocationRequest| r.scm_list_container_request = Some(asked);
        let answer = world
            .location_call(Type::ListContainer, fill)
            .await
            .unwrap()
            .scm_list_container_response
            .unwrap();
        (answer.containers.iter().map(|c| c.container_id).collect::<Vec<_>>(), answer.container_count)
    };
    assert_eq!(list(0, 10, None).await, (ids.clone(), Some(3)));
    assert_eq!(list(0, 2, None).await.0, ids[..2]);
    assert_eq!(list(ids[2] as u64, 10, None).await.0, ids[2..]);
    assert_eq!(list(0, 10, Some(LifeCycleState::Closing)).await, (vec![ids[1]], Some(1)));
    let asked = m::SuppressContainerRequestProto { container_i_ds: vec![ids[0], 4711], suppress: Some(true) };
    let fill = |r: &mut m::ScmContainerLocationRequest| r.suppress_container_request = Some(asked);
    let failed = world.location_call(Type::SuppressContainer, fill).await.unwrap();
    assert_eq!(failed.suppress_container_response.unwrap().failed_container_i_ds, [4711]);
    assert_eq!(world.container(ids[0]).await.suppressed, Some(true));
    let asked = m::ScmListContainerIDsRequestProto { count: 10, ..Default::default() };
    let fill = |r: &mut m::ScmContainerLocationRequest| r.scm_list_container_i_ds_request = Some(asked);
    let listed = world.location_call(Type::ListContainerIDs, fill).await.unwrap();
    let listed = listed.scm_list_container_i_ds_response.unwrap().container_i_ds;
    assert_eq!(listed.iter().map(|id| id.id as i64).collect::<Vec<_>>(), ids);
    let count = async |kind| {
        let answer = world.location_call(kind, |_| {}).await.unwrap();
        answer.get_container_count_response.unwrap().container_count
    };
    assert_eq!((count(Type::GetContainerCount).await, count(Type::GetClosedContainerCount).await), (3, 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_are_made_listed_set_aside_and_closed_with_their_containers() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 2).await;
    let block = world.allocate("STANDALONE/ONE", 1).await.remove(0);
    let (id, pipeline_id) = (container_of(&block), block.pipeline.unwrap().id);
    let asked = m::PipelineRequestProto { replication_type: 2, replication_factor: 1, ..Default::default() };
    let made =
        world.location_call(Type::AllocatePipeline, |r| r.pipeline_request = Some(asked)).await.unwrap();
    let made = made.pipeline_response.unwrap().pipeline.unwrap();
    let list = async || {
        let answer = world.location_call(Type::ListPipelines, |_| {}).await.unwrap();
        answer.list_pipeline_response.unwrap().pipelines
    };
    assert_eq!(list().await.len(), 2);
    let get = async |pipeline_id: hdds::PipelineId| {
        let asked = m::GetPipelineRequestProto { pipeline_id, trace_id: None };
        let answer = world.location_call(Type::GetPipeline, |r| r.get_pipeline_request = Some(asked)).await?;
        Ok::<_, CallError>(answer.get_pipeline_response.unwrap().pipeline)
    };
    let asked = m::DeactivatePipelineRequestProto { pipeline_id: made.id.clone(), trace_id: None };
    world
        .location_call(Type::DeactivatePipeline, |r| r.deactivate_pipeline_request = Some(asked))
        .await
        .unwrap();
    assert_eq!(get(made.id.clone()).await.unwrap().state, Some(3), "DORMANT");
    let asked = m::ActivatePipelineRequestProto { pipeline_id: made.id.clone(), trace_id: None };
    world.location_call(Type::ActivatePipeline, |r| r.activate_pipeline_request = Some(asked)).await.unwrap();
    assert_eq!(get(made.id.clone()).await.unwrap().state, Some(2), "OPEN");
    let asked = m::ClosePipelineRequestProto { pipeline_id: pipeline_id.clone(), trace_id: None };
    world.location_call(Type::ClosePipeline, |r| r.close_pipeline_request = Some(asked)).await.unwrap();
    assert_eq!(get(pipeline_id).await.unwrap().state, Some(4), "CLOSED");
    assert_eq!(world.container(id).await.state, LifeCycleState::Closing as i32);
    let unknown = hdds::PipelineId { id: Some("3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7".into()), uuid128: None };
    let error = get(unknown).await.unwrap_err();
    assert_eq!(class(&error), "org.apache.hadoop.hdds.scm.pipeline.PipelineNotFoundException");
    let ratis = m::PipelineRequestProto { replication_type: 1, replication_factor: 3, ..Default::default() };
    let error =
        world.location_call(Type::AllocatePipeline, |r| r.pipeline_request = Some(ratis)).await.unwrap_err();
    assert!(error.to_string().contains("3 datanodes are needed"), "these host none: {error}");
    let three = m::PipelineRequestProto { replication_type: 2, replication_factor: 3, ..Default::default() };
    let error =
        world.location_call(Type::AllocatePipeline, |r| r.pipeline_request = Some(three)).await.unwrap_err();
    assert!(error.to_string().contains("STANDALONE/ONE or an EC config"), "{error}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datanodes_are_listed_with_their_states_and_their_room() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut world = World::with_nodes(config(dir.path()), 2).await;
    world.join(Datanode { remaining: 10 << 30, ..Datanode::new(2) }).await;
    let query = async |state| {
        let asked = m::NodeQueryRequestProto { state, scope: 1, ..Default::default() };
        let answer =
            world.location_call(Type::QueryNode, |r| r.node_query_request = Some(asked)).await.unwrap();
        answer.node_query_response.unwrap().datanodes
    };
    assert_eq!(query(None).await.len(), 3);
    let healthy = query(Some(1)).await;
    assert_eq!(
        (healthy[0].node_states.clone(), healthy[0].node_operational_states.clone()),
        (vec![1], vec![1])
    );
    assert_eq!((healthy[0].total_volume_count, healthy[0].healthy_volume_count), (Some(1), Some(1)));
    assert_eq!(query(Some(3)).await.len(), 0, "nobody is dead");
    let (most_sig_bits, least_sig_bits) = world.nodes[1].id.to_halves();
    let asked = m::SingleNodeQueryRequestProto { uuid: hdds::Uuid { most_sig_bits, least_sig_bits } };
    let one = world
        .location_call(Type::SingleNodeQuery, |r| r.single_node_query_request = Some(asked))
        .await
        .unwrap();
    let one = one.single_node_query_response.unwrap().datanode.unwrap();
    assert_eq!(one.node_id.uuid, Some(world.nodes[1].id.to_string()));

    let usage = async |asked: m::DatanodeUsageInfoRequestProto| {
        let fill = |r: &mut m::ScmContainerLocationRequest| r.datanode_usage_info_request = Some(asked);
        Ok::<_, CallError>(
            world
                .location_call(Type::DatanodeUsageInfo, fill)
                .await?
                .datanode_usage_info_response
                .unwrap()
                .info,
        )
    };
    let by_host = m::DatanodeUsageInfoRequestProto { ipaddress: Some("dn-2".into()), ..Default::default() };
    let info = usage(by_host).await.unwrap();
    assert_eq!((info.len(), info[0].remaining, info[0].capacity), (1, Some(10 << 30), Some(200 << 30)));
    let most =
        m::DatanodeUsageInfoRequestProto { most_used: Some(true), count: Some(2), ..Default::default() };
    assert_eq!(usage(most).await.unwrap().len(), 2);
    assert!(usage(Default::default()).await.is_err());
    let wrong = m::DatanodeUsageInfoRequestProto { uuid: Some("dn-2".into()), ..Default::default() };
    assert!(usage(wrong).await.unwrap_err().to_string().contains("datanode id"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_scm_is_and_what_it_does_not_do_is_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::start(config(dir.path())).await;
    let info = world.location_call(Type::GetScmInfo, |_| {}).await.unwrap().get_scm_info_response.unwrap();
    assert_eq!(info.cluster_id, crate::support::CLUSTER);
    let error = world.location_call(Type::StartContainerBalancer, |_| {}).await.unwrap_err();
    assert_eq!(class(&error), "org.apache.hadoop.hdds.scm.exceptions.SCMException");
    assert!(error.to_string().contains("StartContainerBalancer is not served by this SCM"), "{error}");
    let error = world.location_call(Type::GetContainer, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("get_container_request"), "{error}");
    world.stop().await;
}
