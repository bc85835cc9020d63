//! The replication manager over a large cluster in memory: how long a check of every container takes, and how soon after a
//! datanode's death the first command is there.
//!
//! Shape   containers that are closed (one half RATIS/THREE, one half rs-3-2) on 1,000 datanodes on 20 racks; no sockets, no disk, one core.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use allotrope_benches::report::Report;
use allotrope_proto::hdds::DatanodeDetailsProto;
use allotrope_scm::Config;
use allotrope_scm::cluster::{Cluster, Now};
use allotrope_scm::container::{Container, Replica};
use allotrope_scm::node::{Layout, Thresholds, Usage, Volume};
use allotrope_types::{
    Bcsid, ByteCount, ContainerId, ContainerState, DatanodeId, ReplicaState, ReplicationConfig,
};

const NODES: u64 = 1_000;
const RACKS: u64 = 20;

fn node(n: u64) -> DatanodeId {
    DatanodeId::from_random_bytes(((u128::from(n) << 64) | 7).to_be_bytes())
}

fn cluster(containers: u64) -> (Cluster, Now) {
    let mut config = Config::new("/unused");
    config.nodes = Thresholds::FAST;
    config.safe_mode = false;
    config.replication.start_wait = Duration::ZERO;
    let now = Now { monotonic_ms: 1_000, unix_ms: 1_700_000_000_000 };
    for n in 0..NODES {
        config.racks.insert(format!("dn-{n}"), format!("/rack-{}", n % RACKS));
    }
    let mut cluster = Cluster::new(&config, now);
    for n in 0..NODES {
        let details = DatanodeDetailsProto { host_name: format!("dn-{n}"), ..Default::default() };
        let volume = Volume { capacity: 1 << 50, remaining: 1 << 49, ..Volume::default() };
        let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
        let layout = Layout { metadata: 10, software: 10 };
        cluster.nodes.register(node(n), details, IpAddr::V4(Ipv4Addr::LOCALHOST), layout, usage, 0).unwrap();
    }
    cluster.count_serving();
    let (ec, three): (ReplicationConfig, ReplicationConfig) =
        ("rs-3-2-1024k".parse().unwrap(), "RATIS/THREE".parse().unwrap());
    for id in 1..=containers {
        let config = if id % 2 == 0 { ec } else { three };
        let container = ContainerId::new(id);
        cluster.blocks.put_container(Container {
            id: container,
            state: ContainerState::Closed,
            pipeline: None,
            config,
            owner: "om".into(),
            used: ByteCount::gib(4),
            keys: 100,
            sequence: Bcsid::new(7),
            state_entered_ms: now.unix_ms,
            delete_transaction: 0,
            suppressed: false,
        });
        for at in 0..config.required_nodes() as u64 {
            let holder = node((id * 7 + at) % NODES);
            let index = config.ec().and_then(|ec| ec.indexes().nth(at as usize));
            let replica = Replica {
                node: holder,
                state: ReplicaState::Closed,
                index,
                empty: false,
                bcsid: Bcsid::new(7),
                used: ByteCount::gib(4),
                keys: 100,
                origin: holder,
                checksum: None,
            };
            cluster.replicas.put(container, replica);
        }
    }
    (cluster, now)
}

/// Measures both.
pub(crate) fn measure(report: &mut Report, quick: bool) {
    let containers = if quick { 250_000 } else { 5_000_000 };
    let about = "SCM's cluster in memory, one core: closed containers, one half RATIS/THREE and one half rs-3-2, on 1,000 datanodes on \
                 20 racks. The death is one datanode's; the first command is counted from when the death is known.";
    report.section("The replication manager", about, "what | took | aim");
    let (mut cluster, mut now) = cluster(containers);

    let began = Instant::now();
    let (mut holds, mut longest) = (0u32, Duration::ZERO);
    loop {
        let held = Instant::now();
        let repaired = cluster.repair(now);
        longest = longest.max(held.elapsed());
        holds += 1;
        assert_eq!(repaired.copies + repaired.rebuilds + repaired.removals, 0, "nothing ails them");
        if !repaired.more {
            break;
        }
    }
    let took = began.elapsed();
    let each = took.as_nanos() / u128::from(containers);
    let row = |report: &mut Report, what: String, took: String, aim: &str| {
        report.row(&[what, took, aim.to_owned()])
    };
    let aim = |took: Duration, most: Duration| if took < most { "met" } else { "**missed**" };
    let whole = format!("< 10 s for 5 million: {}", aim(took, Duration::from_secs(10)));
    row(report, format!("{containers} containers checked"), format!("{took:.2?}, {each} ns each"), &whole);
    row(report, format!("the longest of {holds} times that the lock is held"), format!("{longest:.2?}"), "–");

    // Everybody but one is heard; the one falls silent until it is dead.
    let mut died = Duration::ZERO;
    for second in 1..=20 {
        now = Now { monotonic_ms: now.monotonic_ms + 1_000, unix_ms: now.unix_ms + 1_000 };
        for n in 1..NODES {
            cluster.nodes.heard(node(n), Layout { metadata: 10, software: 10 }, 0);
        }
        let held = Instant::now();
        cluster.silence(now);
        if cluster.nodes.get(node(0)).is_some_and(|node| node.health == allotrope_scm::node::Health::Dead) {
            died = held.elapsed();
            row(
                report,
                format!("forgetting what it held, when it is dead at second {second}"),
                format!("{died:.2?}"),
                "–",
            );
            break;
        }
    }
    let began = Instant::now();
    let mut ordered = 0;
    let mut first = None;
    loop {
        let repaired = cluster.repair(now);
        ordered += repaired.copies + repaired.rebuilds;
        if ordered > 0 && first.is_none() {
            first = Some(began.elapsed() + died);
        }
        if !repaired.more {
            break;
        }
    }
    let held = containers / 2 * 8 / NODES;
    let first = first.unwrap_or_default();
    let soon = format!("< 1 s: {}", aim(first, Duration::from_secs(1)));
    row(report, "the first command".into(), format!("{first:.2?}"), &soon);
    let all = format!("{ordered} commands and the rest queued (it held about {held} replicas)");
    row(report, all, format!("{:.2?}", began.elapsed()), "–");
}
