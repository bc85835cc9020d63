//! SCM under a large cluster: heartbeats, memory a replica, and blocks a second.
//!
//! Shape   a real SCM with its tables on this disk, filled with closed containers; simulated datanodes register over sockets
//!         with all their replicas and then heartbeat each second, each time with a change. Then blocks are allocated, by
//!         one SCM and by a group of three in this process.
//! Limit   the aims: 400 bytes of RSS a replica; every datanode heard each second.
//! Never   fails for a time: it prints figures beside their aims.
//!
//! `cargo bench -p allotrope-benches --features scm --bench scm` prints the tables; with `-- --save` it also writes them to
//! docs/performance/scm.md, with `-- --quick` it does a twentieth.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench reads the machine and the clock and writes its report itself"
)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod fill;
mod fleet;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allotrope_benches::process;
use allotrope_consensus::RocksShared;
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::Plain;
use allotrope_proto::rpc::catalog::ScmBlockSend;
use allotrope_proto::rpc::{CallOptions, ClientId, Failover, RpcClient as _};
use allotrope_proto::scm_block::{self, AllocateScmBlockRequestProto, ScmBlockLocationRequest};
use allotrope_scm::clock::SystemClock;
use allotrope_scm::{Config, Identity, Running, ScmMember};
use allotrope_types::ByteCount;
use fleet::{COPIES, Fleet};

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLUSTER: &str = "CID-00000000-0000-4000-8000-000000000001";

/// How much of everything.
#[derive(Clone, Copy)]
struct Scale {
    nodes: u64,
    links: u64,
    containers: u64,
    seconds: u64,
    allocating: Duration,
}

const FULL: Scale = Scale {
    nodes: 10_000,
    links: 1_000,
    containers: 5_000_000,
    seconds: 20,
    allocating: Duration::from_secs(5),
};
const QUICK: Scale =
    Scale { nodes: 500, links: 50, containers: 250_000, seconds: 5, allocating: Duration::from_secs(1) };

fn rocks() -> RocksShared {
    RocksShared::new(256 << 20, 64 << 20).unwrap()
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn config(dir: &Path) -> Config {
    allotrope_scm::init(dir, &identity("scm-1"), 10).unwrap();
    Config {
        datanode_address: any(),
        block_address: any(),
        client_address: any(),
        safe_mode_datanodes_min: 1,
        container_size: ByteCount::gib(5),
        seed: 7,
        ..Config::new(dir)
    }
}

fn identity(scm_id: &str) -> Identity {
    Identity {
        cluster_id: CLUSTER.into(),
        scm_id: scm_id.into(),
        created_ms: 1,
        raft_group: CLUSTER.into(),
        joins: false,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "it did not come to pass that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts an SCM. Who had its folder open before may need some seconds to let go of it.
async fn start(config: Config) -> Running {
    let began = Instant::now();
    loop {
        match allotrope_scm::start(config.clone(), rocks(), Arc::new(SystemClock::new())).await {
            Ok(running) => return running,
            Err(why) => assert!(began.elapsed() < Duration::from_secs(60), "no SCM starts: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fills an SCM, lets the fleet register and heartbeat, and says what it cost.
async fn heartbeats(dir: &Path, scale: Scale, text: &mut String) {
    eprintln!("filling {} containers", scale.containers);
    let config = config(dir);
    let filled = fill::containers(&config, &rocks(), scale.containers).await;
    let before = process::rss();
    let began = Instant::now();
    let running = start(config).await;
    until("SCM leads", || running.leads()).await;
    let (started, loaded) = (began.elapsed(), process::rss());
    eprintln!("registering {} datanodes", scale.nodes);
    let fleet = Fleet::new(running.datanode_address, scale.links, scale.nodes, scale.containers);
    let registered = fleet.register_all().await;
    until("SCM leaves safe mode", || !running.in_safe_mode()).await;
    let full = process::rss();
    eprintln!("heartbeating for {} s", scale.seconds);
    let (cpu, began) = (process::cpu_time(), Instant::now());
    let took = fleet.beat_all(scale.seconds).await;
    let cores = (process::cpu_time().saturating_sub(cpu)).as_secs_f64() / began.elapsed().as_secs_f64();
    let replicas = scale.containers * COPIES;
    let a_second = took.len() as f64 / began.elapsed().as_secs_f64();
    let each = |bytes: u64, of: u64| bytes as f64 / of as f64;
    let ms = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1e3;
    let replica_bytes = each(full.saturating_sub(loaded), replicas);
    writeln!(
        text,
        "{} datanodes over {} connections, {} containers, {replicas} replicas. The datanodes are in the same process and use \
         part of the CPU and memory shown.\n\n\
         | figure | value | aim |\n| --- | ---: | --- |\n\
         | containers written into the tables, a second | {:.0} | – |\n\
         | start with all of them, until it leads | {:.1} s | – |\n\
         | RSS a container | {:.0} bytes | – |\n\
         | registration with full reports, replicas a second | {:.0} | – |\n\
         | RSS a replica | {replica_bytes:.0} bytes | ≤ 400: {} |\n\
         | heartbeats a second, each with a change | {a_second:.0} | {} |\n\
         | heartbeat p50, p99, longest | {:.2} ms, {:.2} ms, {:.0} ms | – |\n\
         | CPU while heartbeating, both sides | {cores:.2} cores | – |\n\
         | RSS in all | {:.0} MB | – |\n",
        scale.nodes,
        scale.links,
        scale.containers,
        scale.containers as f64 / filled.as_secs_f64(),
        started.as_secs_f64(),
        each(loaded.saturating_sub(before), scale.containers),
        replicas as f64 / registered.as_secs_f64(),
        if replica_bytes <= 400.0 { "met" } else { "missed" },
        scale.nodes,
        ms(0.5),
        ms(0.99),
        took.max() as f64 / 1e3,
        process::rss() as f64 / 1e6,
    )
    .unwrap();
    running.shutdown(Duration::from_secs(10)).await;
}

/// A group of `count` SCMs in this process, each with its own files, and ten datanodes that report to all.
async fn group(dir: &Path, count: usize) -> Vec<Running> {
    let held: Vec<_> = (0..4 * count).map(|_| std::net::TcpListener::bind(any()).unwrap()).collect();
    let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(held);
    let member = |n: usize| ScmMember {
        number: n as u64 + 1,
        name: format!("scm{}", n + 1),
        host: "127.0.0.1".into(),
        raft_port: ports[4 * n],
        datanode_port: ports[4 * n + 1],
        block_port: ports[4 * n + 2],
        client_port: ports[4 * n + 3],
    };
    let members: Vec<ScmMember> = (0..count).map(member).collect();
    let mut scms = Vec::new();
    for me in &members {
        let own = dir.join(&me.name);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let group = if count > 1 { members.clone() } else { Vec::new() };
        let config = Config {
            member: me.number,
            members: group,
            raft_address: at(me.raft_port),
            datanode_address: at(me.datanode_port),
            block_address: at(me.block_port),
            client_address: at(me.client_port),
            ..config(&own)
        };
        scms.push(start(config).await);
    }
    for scm in &scms {
        Fleet::new(scm.datanode_address, 10, 10, 0).register_all().await;
    }
    until("one leads and is ready", || scms.iter().any(|scm| scm.leads() && !scm.in_safe_mode())).await;
    scms
}

/// Blocks a second with `callers` that each ask for one block after another, and the answers' times.
async fn allocate(scms: &[Running], callers: usize, time: Duration) -> (f64, hdrhistogram::Histogram<u64>) {
    let began = Instant::now();
    let mut calling = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let link = |scm: &Running| {
            let id = ClientId::from_bytes(u128::from(caller as u64 + 1).to_be_bytes());
            GrpcClient::new(scm.block_address.into(), Plain, id, GrpcClientConfig::default()).unwrap()
        };
        let links = Failover::new(scms.iter().map(link).collect());
        calling.spawn(async move {
            let asked = AllocateScmBlockRequestProto {
                size: 256 << 20,
                num_blocks: 1,
                r#type: allotrope_proto::hdds::ReplicationType::StandAlone as i32,
                factor: Some(1),
                owner: "om".into(),
                ..Default::default()
            };
            let request = ScmBlockLocationRequest {
                cmd_type: scm_block::Type::AllocateScmBlock as i32,
                allocate_scm_block_request: Some(asked),
                ..Default::default()
            };
            let mut took = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                let answer = links.call::<ScmBlockSend>(&request, &CallOptions::default()).await.unwrap();
                assert_eq!(answer.success, Some(true), "{:?}", answer.message);
                took.push(asked.elapsed());
            }
            took
        });
    }
    let took = calling.join_all().await.concat();
    let a_second = took.len() as f64 / began.elapsed().as_secs_f64();
    let mut all = hdrhistogram::Histogram::new(3).unwrap();
    took.iter().for_each(|took| all.record(took.as_micros() as u64).unwrap());
    (a_second, all)
}

async fn allocations(dir: &Path, scale: Scale, text: &mut String) {
    text.push_str(
        "Blocks allocated, one a call, over gRPC; the ids come from a sequence that is synced on a majority for a thousand at \
         a time.\n\n| SCMs | callers | blocks/s | p50 ms | p99 ms |\n| ---: | ---: | ---: | ---: | ---: |\n",
    );
    for count in [1, 3] {
        let scms = group(&dir.join(format!("of-{count}")), count).await;
        for callers in [1, 64] {
            eprintln!("allocating: {count} SCMs, {callers} callers");
            let (a_second, took) = allocate(&scms, callers, scale.allocating).await;
            let ms = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1e3;
            writeln!(text, "| {count} | {callers} | {a_second:.0} | {:.2} | {:.2} |", ms(0.5), ms(0.99))
                .unwrap();
        }
        for scm in scms {
            scm.shutdown(Duration::from_secs(5)).await;
        }
    }
}

async fn report(scale: Scale) -> String {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut text = format!(
        "# SCM\n\nMade by `cargo bench -p allotrope-benches --features scm --bench scm -- --save` (`./dev bench scm`).\n\n\
         Machine: {}, {} cores; others may have used it meanwhile.\n\n",
        allotrope_benches::machine::cpu_model(),
        allotrope_benches::machine::cores(),
    );
    heartbeats(&dir.path().join("large"), scale, &mut text).await;
    allocations(dir.path(), scale, &mut text).await;
    text
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(wrong) = args.iter().find(|arg| !["--save", "--quick"].contains(&arg.as_str())) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let scale = if args.iter().any(|arg| arg == "--quick") { QUICK } else { FULL };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let text = runtime.block_on(report(scale));
    println!("{text}");
    if args.iter().any(|arg| arg == "--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/scm.md");
        std::fs::write(path, text).expect("the repository's docs folder can be written");
    }
}
