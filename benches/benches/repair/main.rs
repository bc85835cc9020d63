//! The replication manager over a large cluster: how long a check of every container takes, and how soon after a datanode's
//! death the first command is there.
//!
//! Shape   SCM's cluster in memory, filled with closed containers (one half RATIS/THREE, one half rs-3-2) on 1,000 datanodes on
//!         20 racks; no sockets, no disk, one core.
//! Aim     5 million containers in full below 10 s; the first command below 1 s after the death is known.
//! Never   fails for a time: it prints figures beside their aims.
//!
//! `cargo bench -p allotrope-benches --features repair --bench repair`; with `-- --quick` it does a twentieth.
#![allow(clippy::print_stdout, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use allotrope_proto::hdds::DatanodeDetailsProto;
use allotrope_scm::Config;
use allotrope_scm::cluster::{Cluster, Now};
use allotrope_scm::container::{Container, Replica};
use allotrope_scm::node::{Layout, Thresholds, Usage, Volume};
use allotrope_types::{
    Bcsid, ByteCount, ContainerId, ContainerState, DatanodeId, ReplicaState, ReplicationConfig,
};

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let containers = if quick { 250_000 } else { 5_000_000 };
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
    println!("{containers} containers checked in {took:.2?}, {each} ns each (aim for 5 million: 10 s)");
    println!("the lock was held {holds} times, {longest:.2?} at the longest");

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
            println!("the death was noticed at second {second}; forgetting what it held took {died:.2?}");
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
    println!(
        "first command {:.2?} after that, {ordered} commands and the rest queued after {:.2?} (it held about {held} replicas)",
        first.unwrap_or_default(),
        began.elapsed()
    );
}
