//! What SCM has datanodes do about lost replicas, and how administrators take datanodes out of service and back.
#![allow(clippy::disallowed_methods, reason = "these tests wait on the real clock for a real server")]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{World, config, container_of, init, members, replica};
use allotrope_proto::hdds::{LifeCycleState, NodeOperationalState};
use allotrope_proto::heartbeat::container_replica_proto::State;
use allotrope_proto::heartbeat::scm_command_proto::Type as Command;
use allotrope_proto::heartbeat::{
    CommandStatus, CommandStatusReportsProto, ScmCommandProto, ScmHeartbeatRequestProto, command_status,
};
use allotrope_proto::scm_container::{self as m, Type};
use allotrope_scm::Config;

const EC: &str = "rs-3-2-1024k";

fn at_once(dir: &std::path::Path) -> Config {
    let mut config = config(dir);
    config.replication.start_wait = Duration::ZERO;
    config.replication.drain_interval = Duration::from_millis(50);
    config
}

/// A closed EC container with a replica on each of its five datanodes, in order of index.
async fn closed_container(world: &World) -> (i64, Vec<usize>) {
    let block = world.allocate(EC, 1).await.remove(0);
    let id = container_of(&block);
    let nodes: Vec<usize> = members(&block)
        .iter()
        .map(|uuid| world.nodes.iter().position(|node| node.id.to_string() == *uuid).unwrap())
        .collect();
    for (n, index) in nodes.iter().zip(1..) {
        world.report(*n, replica(id, State::Closed, index)).await;
    }
    world.until_container(id, LifeCycleState::Closed).await;
    (id, nodes)
}

/// The first command of that kind which any datanode gets, and who.
async fn any_command(world: &World, kind: Command) -> (usize, ScmCommandProto) {
    for _ in 0..500 {
        for n in 0..world.nodes.len() {
            let answer = world.heartbeat(n, |_| {}).await;
            if let Some(command) = answer.commands.into_iter().find(|c| c.command_type == kind as i32) {
                return (n, command);
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody got the command {kind:?}");
}

fn index_of(world: &World, uuid: &str) -> usize {
    world.nodes.iter().position(|node| node.id.to_string() == uuid).unwrap()
}

async fn counts(world: &World) -> BTreeMap<String, i64> {
    let answer = world.location_call(Type::GetReplicationManagerReport, |r| {
        r.replication_manager_report_request = Some(Default::default());
    });
    let report = answer.await.unwrap().get_replication_manager_report_response.unwrap().report;
    assert_eq!(report.sample_limit, Some(100));
    report.stat.into_iter().map(|stat| (stat.key.clone(), stat.value())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_replica_is_rebuilt_under_a_term_and_a_deadline_and_elsewhere_if_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(at_once(dir.path()), 7).await;
    let (id, nodes) = closed_container(&world).await;
    world.report(nodes[2], replica(id, State::Deleted, 3)).await;

    let (first, command) = any_command(&world, Command::ReconstructEcContainersCommand).await;
    assert!(command.term.is_some_and(|term| term > 0), "{command:?}");
    let now_ms =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let left_ms = command.deadline_ms_since_epoch.unwrap() - now_ms;
    assert!((300_000..=360_000).contains(&left_ms), "a datanode gives up six minutes before SCM: {left_ms}");
    let rebuild = command.reconstruct_ec_containers_command_proto.unwrap();
    assert_eq!((rebuild.container_id, &rebuild.missing_container_indexes[..]), (id, &[3u8][..]));
    let mut sources: Vec<i32> = rebuild.sources.iter().map(|source| source.replica_index).collect();
    sources.sort_unstable();
    assert_eq!(sources, [1, 2, 4, 5]);
    assert_eq!(rebuild.targets.len(), 1);
    assert_eq!(index_of(&world, rebuild.targets[0].uuid()), first, "the target does it itself");
    assert!(!nodes.contains(&first) || first == nodes[2], "it held nothing of it");
    assert_eq!(rebuild.ec_replication_config.data, 3);
    assert_eq!(counts(&world).await["UNDER_REPLICATED"], 1);

    let failed = |heartbeat: &mut ScmHeartbeatRequestProto| {
        let status = CommandStatus {
            cmd_id: rebuild.cmd_id,
            status: command_status::Status::Failed as i32,
            r#type: Command::ReconstructEcContainersCommand as i32,
            msg: Some("no room".into()),
            block_deletion_ack: None,
        };
        heartbeat.command_status_reports = vec![CommandStatusReportsProto { cmd_status: vec![status] }];
    };
    world.heartbeat(first, failed).await;
    let (second, command) = any_command(&world, Command::ReconstructEcContainersCommand).await;
    assert_ne!(second, first, "the one that failed is left alone for a while");
    assert_ne!(command.reconstruct_ec_containers_command_proto.unwrap().cmd_id, rebuild.cmd_id);
    world.report(second, replica(id, State::Closed, 3)).await;
    world.until("nothing is lacking", async || counts(&world).await["UNDER_REPLICATED"] == 0).await;

    // Another one turns up after all: it is one too many, and one of the two goes, by force since it has blocks.
    let late = if second == nodes[2] { first } else { nodes[2] };
    world.report(late, replica(id, State::Closed, 3)).await;
    let (who, command) = any_command(&world, Command::DeleteContainerCommand).await;
    let delete = command.delete_container_command_proto.unwrap();
    assert!([second, late].contains(&who));
    assert_eq!((delete.container_id, delete.force, delete.replica_index), (id, true, Some(3)));
    assert!(command.deadline_ms_since_epoch.is_some());
    world.report(who, replica(id, State::Deleted, 3)).await;
    world.until("it is just right", async || counts(&world).await["OVER_REPLICATED"] == 0).await;
    assert_eq!(counts(&world).await["CLOSED"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_replication_manager_orders_nothing_until_it_is_started() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(at_once(dir.path()), 6).await;
    let running = async || {
        let fill = |r: &mut m::ScmContainerLocationRequest| {
            r.seplication_manager_status_request = Some(Default::default());
        };
        let answer = world.location_call(Type::GetReplicationManagerStatus, fill).await.unwrap();
        answer.replication_manager_status_response.unwrap().is_running
    };
    assert!(running().await);
    world.location_call(Type::StopReplicationManager, |_| {}).await.unwrap();
    assert!(!running().await);
    let (id, nodes) = closed_container(&world).await;
    world.report(nodes[0], replica(id, State::Deleted, 1)).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    for n in 0..6 {
        let answer = world.heartbeat(n, |_| {}).await;
        assert!(answer.commands.is_empty(), "{:?}", answer.commands);
    }
    world.location_call(Type::StartReplicationManager, |_| {}).await.unwrap();
    any_command(&world, Command::ReconstructEcContainersCommand).await;
    world.stop().await;
}

async fn state_of(world: &World, n: usize) -> i32 {
    let (most_sig_bits, least_sig_bits) = world.nodes[n].id.to_halves();
    let uuid = allotrope_proto::hdds::Uuid { most_sig_bits, least_sig_bits };
    let asked = m::SingleNodeQueryRequestProto { uuid };
    let answer =
        world.location_call(Type::SingleNodeQuery, |r| r.single_node_query_request = Some(asked)).await;
    answer.unwrap().single_node_query_response.unwrap().datanode.unwrap().node_operational_states[0]
}

async fn decommission(
    world: &World,
    hosts: &[String],
    force: bool,
) -> Vec<m::DatanodeAdminErrorResponseProto> {
    let asked = m::DecommissionNodesRequestProto { hosts: hosts.to_vec(), force: Some(force) };
    let answer =
        world.location_call(Type::DecommissionNodes, |r| r.decommission_nodes_request = Some(asked)).await;
    answer.unwrap().decommission_nodes_response.unwrap().failed_hosts
}

async fn recommission(world: &World, hosts: &[String]) -> Vec<m::DatanodeAdminErrorResponseProto> {
    let asked = m::RecommissionNodesRequestProto { hosts: hosts.to_vec() };
    let answer =
        world.location_call(Type::RecommissionNodes, |r| r.recommission_nodes_request = Some(asked)).await;
    answer.unwrap().recommission_nodes_response.unwrap().failed_hosts
}

/// A heartbeat of a datanode that keeps `state`.
async fn keeps(world: &World, n: usize, state: NodeOperationalState, until_s: i64) -> Vec<ScmCommandProto> {
    let fill = |heartbeat: &mut ScmHeartbeatRequestProto| {
        heartbeat.datanode_details.persisted_op_state = Some(state as i32);
        heartbeat.datanode_details.persisted_op_state_expiry = Some(until_s);
    };
    world.heartbeat(n, fill).await.commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datanode_leaves_when_its_replica_is_elsewhere_and_it_has_said_so_itself() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(at_once(dir.path()), 6).await;
    let (id, nodes) = closed_container(&world).await;
    let n = nodes[3];
    let host = format!("dn-{n}");
    assert_eq!(decommission(&world, std::slice::from_ref(&host), false).await, []);
    let two = [format!("dn-{}", nodes[0]), "dn-99".to_owned()];
    let refused = decommission(&world, &two, false).await;
    let said: Vec<&str> = refused.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(said, ["dn-99", "AllHosts"], "{refused:?}");
    assert!(refused[1].error.contains("Insufficient nodes"), "{refused:?}");
    assert_eq!(state_of(&world, n).await, NodeOperationalState::Decommissioning as i32);

    // It is told its state, and to send its own replica: one copy, and nothing is rebuilt.
    let (mut set, mut copy) = (None, None);
    world
        .until("it is told its state and to copy", async || {
            for command in world.heartbeat(n, |_| {}).await.commands {
                set = set.take().or(command.set_node_operational_state_command_proto);
                copy = copy.take().or(command.replicate_container_command_proto);
            }
            set.is_some() && copy.is_some()
        })
        .await;
    let (set, copy) = (set.unwrap(), copy.unwrap());
    assert_eq!(set.node_operational_state, NodeOperationalState::Decommissioning as i32);
    let target = index_of(&world, copy.target.as_ref().unwrap().uuid());
    assert_eq!((copy.container_id, copy.replica_index, copy.sources.len()), (id, Some(4), 0));
    assert!(!nodes.contains(&target));
    let details = world.nodes[n].details();
    let left = async || {
        let asked = m::GetContainersOnDecomNodeRequestProto { datanode_details: details.clone() };
        let fill = |r: &mut m::ScmContainerLocationRequest| {
            r.get_containers_on_decom_node_request = Some(asked);
        };
        let answer = world.location_call(Type::GetContainersOnDecomNode, fill).await.unwrap();
        let all = answer.get_containers_on_decom_node_response.unwrap().containers_on_decom_node;
        all.into_iter().map(|one| (one.name, one.id.len())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(left().await, BTreeMap::from([("UnClosed".to_owned(), 0), ("UnderReplicated".to_owned(), 1)]));

    keeps(&world, n, NodeOperationalState::Decommissioning, 0).await;
    world.report(target, replica(id, State::Closed, 4)).await;
    world
        .until("it is decommissioned", async || {
            state_of(&world, n).await == NodeOperationalState::Decommissioned as i32
        })
        .await;
    assert_eq!(left().await["UnderReplicated"], 0);

    assert_eq!(recommission(&world, &[world.nodes[n].id.to_string()]).await, []);
    assert_eq!(state_of(&world, n).await, NodeOperationalState::InService as i32);
    let told = async || {
        let commands = keeps(&world, n, NodeOperationalState::Decommissioning, 0).await;
        commands.iter().any(|c| {
            let set = c.set_node_operational_state_command_proto.as_ref();
            set.is_some_and(|set| set.node_operational_state == NodeOperationalState::InService as i32)
        })
    };
    world.until("it is told to serve again", told).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_out_of_service_is_known_after_a_restart_whatever_the_datanode_says() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(at_once(dir.path()), 6).await;
    assert_eq!(decommission(&world, &["dn-1".to_owned()], true).await, []);
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let maintain = m::StartMaintenanceNodesRequestProto {
        hosts: vec!["dn-2".into()],
        end_in_hours: Some(2),
        force: None,
    };
    let fill = |r: &mut m::ScmContainerLocationRequest| r.start_maintenance_nodes_request = Some(maintain);
    let answer = world.location_call(Type::StartMaintenanceNodes, fill).await.unwrap();
    assert_eq!(answer.start_maintenance_nodes_response.unwrap().failed_hosts, []);
    let wrong = m::StartMaintenanceNodesRequestProto {
        hosts: vec!["dn-2".into()],
        end_in_hours: Some(-1),
        force: None,
    };
    let fill = |r: &mut m::ScmContainerLocationRequest| r.start_maintenance_nodes_request = Some(wrong);
    assert!(world.location_call(Type::StartMaintenanceNodes, fill).await.is_err());
    world.stop().await;

    // Each datanode registers as if it had never heard.
    let world = World::with_nodes(at_once(dir.path()), 6).await;
    let states = [state_of(&world, 1).await, state_of(&world, 2).await, state_of(&world, 3).await];
    use NodeOperationalState::{Decommissioning, EnteringMaintenance, InMaintenance, InService};
    assert_eq!(states, [Decommissioning as i32, EnteringMaintenance as i32, InService as i32]);
    let set = world.command(2, Command::SetNodeOperationalStateCommand).await;
    let until_s = set.set_node_operational_state_command_proto.unwrap().state_expiry_epoch_seconds;
    assert!((7_190..=7_260).contains(&(until_s - now_s)), "{until_s} {now_s}");
    keeps(&world, 2, EnteringMaintenance, until_s).await;
    world.until("it may be away", async || state_of(&world, 2).await == InMaintenance as i32).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaving_would_take_is_forecast_and_progress_is_shown_to_ozones_tools_too() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let world = World::with_nodes(at_once(dir.path()), 6).await;
    let (id, nodes) = closed_container(&world).await;
    let beans = async |query: String| {
        let asked = m::GetMetricsRequestProto { query: Some(query) };
        let answer = world.location_call(Type::GetMetrics, |r| r.get_metrics_request = Some(asked)).await;
        answer.unwrap().get_metrics_response.unwrap().metrics_json.unwrap()
    };
    let host = format!("dn-{}", nodes[1]);
    let forecast = beans(format!("Allotrope:name=forecast,act=decommission,hosts={host}")).await;
    assert!(forecast.contains(r#""copies":1"#) && forecast.contains(r#""bytes":1000"#), "{forecast}");
    assert!(forecast.contains(r#""refused":[]"#), "{forecast}");
    let forecast = beans(format!("Allotrope:name=forecast,act=maintenance,hosts={host}")).await;
    assert!(forecast.contains(r#""copies":0"#), "four of five bear a loss: {forecast}");
    assert_eq!(state_of(&world, nodes[1]).await, NodeOperationalState::InService as i32, "nothing was done");
    assert_eq!(beans("Hadoop:service=x,name=y".to_owned()).await, r#"{"beans":[]}"#);

    decommission(&world, std::slice::from_ref(&host), false).await;
    let ozones = "Hadoop:service=StorageContainerManager,name=NodeDecommissionMetrics";
    let shows = async || {
        let bean = beans(ozones.to_owned()).await;
        bean.contains(&format!(r#""tag.datanode.1":"{host}""#)) && bean.contains(r#""UnderReplicatedDN.1":1"#)
    };
    world.until("Ozone's bean counts it", shows).await;
    let ours = beans("Allotrope:name=leaving".to_owned()).await;
    assert!(ours.contains(&format!(r#""lackingIds":[{id}]"#)) && ours.contains("DECOMMISSIONING"), "{ours}");
    world.stop().await;
}
