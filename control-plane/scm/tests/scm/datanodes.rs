//! The datanodes' protocol: version, registration, heartbeats, commands.

use crate::support::{CLUSTER, Datanode, World, config, init, replica};
use allotrope_proto::heartbeat::{
    self as hb, LayoutVersionProto, ScmDatanodeRequest, container_replica_proto::State,
    scm_command_proto::Type,
};
use allotrope_proto::rpc::CallError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datanode_learns_the_cluster_registers_and_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut world = World::start(config(dir.path())).await;
    let version = ScmDatanodeRequest { cmd_type: hb::Type::GetVersion as i32, ..Default::default() };
    let version = world.datanode_call(version).await.unwrap().get_version_response.unwrap();
    let keys: Vec<_> = version.keys.iter().map(|k| (k.key.as_str(), k.value.as_deref().unwrap())).collect();
    assert_eq!((version.software_version, keys), (1, vec![("scmUuid", "scm-1"), ("clusterID", CLUSTER)]));
    assert!(world.running.in_safe_mode());

    let node = Datanode::new(0);
    let answer = world.register(&node).await;
    assert_eq!(answer.datanode_uuid, node.id.to_string());
    assert_eq!(answer.cluster_id, CLUSTER);
    assert_eq!(answer.ip_address.as_deref(), Some("127.0.0.1"), "the address it called from");
    assert_eq!(answer.hostname.as_deref(), Some("dn-0"));
    assert_eq!(answer.network_name, Some(node.id.to_string()));
    assert_eq!(answer.network_location.as_deref(), Some("/default-rack"));
    world.nodes.push(node);
    assert!(!world.running.in_safe_mode(), "one datanode was wanted");
    let heartbeat = world.heartbeat(0, |_| {}).await;
    assert!(heartbeat.commands.is_empty());
    assert!(heartbeat.term.unwrap() >= 1, "a leader gives its term");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_unfit_datanodes_are_told_what_to_do_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut world = World::start(config(dir.path())).await;
    world.nodes.push(Datanode::new(5));
    let answer = world.report(0, replica(1, State::Open, 0)).await;
    assert_eq!(answer.commands.len(), 1);
    assert_eq!(answer.commands[0].command_type, Type::ReregisterCommand as i32);
    assert!(answer.commands[0].reregister_command_proto.is_some());

    let layout = LayoutVersionProto { metadata_layout_version: 8, software_layout_version: 8 };
    let old = Datanode { layout, ..Datanode::new(6) };
    assert_eq!(world.register(&old).await.error_code, 2, "errorNodeNotPermitted");
    assert!(world.running.metrics().contains("scm_datanodes{health=\"healthy\"} 0\n"));
    assert!(world.running.in_safe_mode());

    let empty = ScmDatanodeRequest { cmd_type: hb::Type::Register as i32, ..Default::default() };
    let error = world.datanode_call(empty).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Remote { message, .. } if message.contains("registerRequest")),
        "{error:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_entries_of_a_report_are_dropped_and_counted_while_the_rest_stands() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(config(dir.path()), 1).await;
    let report = hb::ContainerReportsProto {
        reports: vec![
            replica(i64::MIN, State::Open, 0),
            replica(77, State::Open, 99),
            replica(78, State::Open, 0),
        ],
    };
    world.heartbeat(0, |heartbeat| heartbeat.container_report = Some(report)).await;
    let metrics = world.running.metrics();
    assert!(metrics.contains("scm_report_entries_dropped_total 2\n"), "{metrics}");
    assert!(metrics.contains("scm_replicas 1\n"), "{metrics}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datanode_that_falls_silent_loses_its_pipelines_and_then_its_replicas() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let mut settings = config(dir.path());
    let ms = std::time::Duration::from_millis;
    settings.nodes = allotrope_scm::node::Thresholds { check: ms(50), stale: ms(1000), dead: ms(2000) };
    let world = World::with_nodes(settings, 1).await;
    let block = world.allocate("STANDALONE/ONE", 1).await.remove(0);
    let id = crate::support::container_of(&block);
    world.report(0, replica(id, State::Open, 0)).await;
    world.until_container(id, allotrope_proto::hdds::LifeCycleState::Closing).await;
    world
        .until("its replica counts as lost", async || world.running.metrics().contains("scm_replicas 0\n"))
        .await;
    let refused = world.allocate_answer("STANDALONE/ONE", 1, Default::default()).await;
    assert_eq!(refused.status, allotrope_types::ScmStatus::FailedToFindSuitableNode.number());
    let back = world.heartbeat(0, |_| {}).await;
    let asked: Vec<_> = back.commands.iter().map(|command| command.command_type).collect();
    assert_eq!(asked, [Type::ReregisterCommand as i32], "what it holds is to be told anew");
    world.allocate("STANDALONE/ONE", 1).await;
    world.stop().await;
}
