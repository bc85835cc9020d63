//! A whole cluster in one process: how long until it is ready, and what it costs when nobody asks for anything.
//!
//! Shape   the release build of `allotrope quickstart`, each start with six datanodes; figures are medians over the starts.
//! Units   seconds from the start of the process to its first line; CPU as a share of one core; memory in MiB.
//! Never   fails for a figure: it prints them beside their targets.
//!
//! `./dev bench quickstart` measures and prints; with `-- --save` it writes docs/performance/quickstart.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts on a fresh folder, each followed by one on what it left.
const STARTS: usize = 3;
/// How long a cluster settles before it is watched, and how long it is watched.
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(20);

/// The settings that name ports.
const PORTS: [&str; 15] = [
    "ozone.scm.client.address",
    "ozone.scm.datanode.address",
    "ozone.scm.block.client.address",
    "ozone.om.address",
    "ozone.om.grpc.port",
    "hdds.container.ipc.port",
    "hdds.datanode.replication.port",
    "hdds.container.ratis.ipc.port",
    "hdds.container.ratis.admin.port",
    "ozone.s3g.http-address",
    "ozone.scm.http-address",
    "hdds.datanode.http-address",
    "ozone.om.http-address",
    "ozone.s3g.webadmin.http-address",
    "ozone.recon.http-address",
];

/// One start, and what the process was while nobody asked for anything.
struct Seen {
    ready: f64,
    /// Shares of one core.
    cpu: f64,
    /// MiB, now and at the most.
    rss: [f64; 2],
    threads: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(wrong) = args.iter().find(|arg| *arg != "--save") {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--save]");
        std::process::exit(2);
    }
    let binary = binary();
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for n in 0..STARTS {
        let dir =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build directory can be written");
        // One folder in three is watched for long: the others only start.
        let watch = (n == 0).then_some(WATCH);
        fresh.push(start(&binary, dir.path(), watch));
        again.push(start(&binary, dir.path(), watch));
        eprintln!("  start {} of {STARTS}: {:.2} s, again {:.2} s", n + 1, fresh[n].ready, again[n].ready);
    }
    let text = report(&binary, &fresh, &again);
    println!("{text}");
    if args.iter().any(|arg| arg == "--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/quickstart.md");
        std::fs::write(path, text).expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}

/// The binary, which `./dev bench` builds as users have it.
fn binary() -> PathBuf {
    let binary = std::env::var_os("ALLOTROPE_BINARY").map(PathBuf::from);
    binary.expect("ALLOTROPE_BINARY names the binary: ./dev bench sets it")
}

/// Starts a cluster on `dir`, watches it idle for `watch`, and stops it.
fn start(binary: &Path, dir: &Path, watch: Option<Duration>) -> Seen {
    let held: Vec<_> = PORTS.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    let mut command = Command::new(binary);
    for (name, port) in PORTS.iter().zip(&held) {
        let port = port.local_addr().unwrap().port();
        let host = if name.ends_with("address") { "127.0.0.1:" } else { "" };
        command.arg(format!("--set={name}={host}{port}"));
    }
    drop(held);
    command.arg("quickstart").arg("--data").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("it says something").unwrap();
    assert!(first.starts_with("ready in "), "{first}");
    let ready = began.elapsed().as_secs_f64();
    let said = std::thread::spawn(move || lines.for_each(drop));
    let mut cpu = 0.0;
    if let Some(watch) = watch {
        std::thread::sleep(SETTLE);
        let before = ticks(&child);
        let began = Instant::now();
        std::thread::sleep(watch);
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        cpu = (ticks(&child) - before) / per_second / began.elapsed().as_secs_f64();
    }
    let rss = [status(&child, "VmRSS:") / 1024.0, status(&child, "VmHWM:") / 1024.0];
    let threads = status(&child, "Threads:");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert!(child.wait().unwrap().success(), "it stops when it is asked to");
    said.join().unwrap();
    Seen { ready, cpu, rss, threads }
}

/// User and system time of the process so far, in ticks of the kernel's clock.
fn ticks(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // What follows the name, which may hold spaces: the fields from the third on.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}

fn status(child: &Child, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(binary: &Path, fresh: &[Seen], again: &[Seen]) -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut text = format!(
        "# Quickstart\n\nMade by `./dev bench quickstart -- --save`: the release build of `allotrope quickstart` with six datanodes and 64 MiB \
         of buffers. Times are medians over {STARTS} starts; CPU and memory are of a cluster that nobody asks for anything, \
         over {} s.\n\nMachine: {}; load average of the minute before {}.\n\n\
         | what | on a fresh folder | found again | target |\n| --- | --- | --- | --- |\n",
        WATCH.as_secs(),
        allotrope_benches::machine::words(),
        load.split(' ').next().unwrap_or("unknown"),
    );
    let mut row = |what: &str, unit: &str, of: &dyn Fn(&[Seen]) -> f64, most: Option<f64>| {
        let (first, next) = (of(fresh), of(again));
        let target = match most {
            None => "–".to_owned(),
            Some(most) if first.max(next) <= most => format!("≤ {most} {unit}: met"),
            Some(most) => format!("≤ {most} {unit}: **missed**"),
        };
        writeln!(text, "| {what} | {first:.2} {unit} | {next:.2} {unit} | {target} |").unwrap();
    };
    row(
        "from the start of the process until it says that it is ready",
        "s",
        &|seen| median(seen.iter().map(|s| s.ready)),
        Some(3.0),
    );
    row("CPU when idle, of one core", "%", &|seen| seen[0].cpu * 100.0, Some(1.0));
    row("resident memory when idle", "MiB", &|seen| seen[0].rss[0], Some(300.0));
    row("resident memory at the most", "MiB", &|seen| seen[0].rss[1], None);
    row("threads", "", &|seen| seen[0].threads, None);
    let len = std::fs::metadata(binary).map_or(0, |facts| facts.len()) as f64 / f64::from(1 << 20);
    writeln!(text, "| size of the binary | {len:.0} MiB | | – |").unwrap();
    text
}
