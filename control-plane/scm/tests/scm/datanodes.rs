//! The datanodes' protocol: version, registration, heartbeats, commands.
#![allow(clippy::disallowed_methods, reason = "the test waits for a real server and writes a real script")]

use crate::support::{CLUSTER, Datanode, World, config, init, replica};
use allotrope_proto::heartbeat::{
    self as hb, LayoutVersionProto, ScmDatanodeRequest, container_replica_proto::State,
    scm_command_proto::Type,
};
use allotrope_proto::rpc::CallError;
use allotrope_scm::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

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

/// The machine's clock, with a wall clock that somebody moves.
struct Moved {
    machine: SystemClock,
    by_ms: AtomicI64,
}

impl Clock for Moved {
    fn monotonic_ms(&self) -> u64 {
        self.machine.monotonic_ms()
    }
    fn unix_ms(&self) -> u64 {
        self.machine.unix_ms().saturating_add_signed(self.by_ms.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_a_day_kills_nobody_and_gives_no_id_twice() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let clock = Arc::new(Moved { machine: SystemClock::new(), by_ms: AtomicI64::new(0) });
    let mut settings = config(dir.path());
    let ms = Duration::from_millis;
    settings.nodes = allotrope_scm::node::Thresholds { check: ms(20), stale: ms(60_000), dead: ms(120_000) };
    let mut world = World::start_by(settings, Arc::clone(&clock) as Arc<dyn Clock>).await;
    world.until("SCM leads", async || world.running.leads()).await;
    world.join(Datanode::new(0)).await;
    let mut ids = BTreeSet::new();
    let day = 86_400_000;
    for moved in [0, day, -day, 0] {
        clock.by_ms.store(moved, Ordering::Relaxed);
        tokio::time::sleep(ms(100)).await;
        // More than one batch of ids, so that the sequence is asked again.
        for _ in 0..30 {
            for block in world.allocate("STANDALONE/ONE", 50).await {
                let id = block.container_block_id.unwrap();
                assert!(ids.insert((id.container_id, id.local_id)), "{id:?} was given twice");
            }
        }
        let commands = world.heartbeat(0, |_| {}).await.commands;
        let asked: Vec<_> = commands.iter().map(|command| command.command_type).collect();
        assert!(!asked.contains(&(Type::ReregisterCommand as i32)), "it was given up at {moved} ms");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_says_which_rack_a_datanode_is_in() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path());
    let script = dir.path().join("rack-of");
    std::fs::write(&script, "#!/bin/sh\necho /dc1/of-$1\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let settings = allotrope_scm::Config { rack_script: Some(script), ..config(dir.path()) };
    let world = World::start(settings).await;
    let answer = world.register(&Datanode::new(0)).await;
    assert_eq!(answer.network_location.as_deref(), Some("/dc1/of-127.0.0.1"));
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
