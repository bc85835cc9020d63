//! Shards, disks and sockets against fio and plain system calls, as ratios in one run.
//!
//! Shape   pairs: ours and the limit take turns on the same file, so that what the machine does besides hits both alike;
//!         a ratio is the median over the pairs.
//! Units   throughput in GiB/s or operations a second; CPU in seconds a GiB, of the whole process.
//! Never   fails for a time: it prints ratios beside their targets.
//!
//! `cargo bench -p allotrope-benches --features io --bench io` prints the tables; with `-- --save` it also writes them to
//! docs/performance/io.md, with `-- --quick` it takes fewer and shorter turns, with `-- disk net` it measures these parts.
//! Files lie in the build directory: point `CARGO_TARGET_DIR` at the disk to measure.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

mod disk;
mod fio;
mod flush;
mod meter;
mod net;
mod report;

use report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// How long and how often.
#[derive(Clone, Copy)]
struct Effort {
    pairs: usize,
    turn: Duration,
    /// Length of the files that are read and written, in bytes.
    file_len: u64,
    /// Messages of a latency measurement.
    messages: usize,
}

/// Measures one part of the report.
type Measure = fn(&mut Report, Effort);

/// The parts of the report, by the names they can be asked for with.
const PARTS: [(&str, Measure); 6] = [
    ("disk", disk::measure),
    ("classes", disk::measure_classes),
    ("flush", flush::measure),
    ("transfer", net::measure_transfer),
    ("receive", net::measure_receive),
    ("net", net::measure),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let known = |name: &str| PARTS.iter().any(|(part, _)| *part == name);
    let wrong = flags.iter().find(|flag| !["--save", "--quick"].contains(flag));
    if let Some(wrong) = wrong.or(names.iter().find(|name| !known(name))) {
        let parts = PARTS.map(|(part, _)| part).join("|");
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save] [{parts}]...");
        std::process::exit(2);
    }
    let effort = match flags.contains(&"--quick") {
        true => Effort { pairs: 3, turn: Duration::from_secs(1), file_len: 512 << 20, messages: 5_000 },
        false => Effort { pairs: 5, turn: Duration::from_secs(3), file_len: 1 << 30, messages: 50_000 },
    };
    let mut report = Report::of_this_machine(&scratch());
    for (_, measure) in PARTS.iter().filter(|(part, _)| names.is_empty() || names.contains(part)) {
        measure(&mut report, effort);
    }
    println!("{}", report.text());
    if flags.contains(&"--save") && names.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/io.md");
        std::fs::write(path, report.text()).expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}

/// The directory for the files of this run, on the file system of the build directory.
fn scratch() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("io-bench");
    std::fs::create_dir_all(&dir).expect("the build directory can be written");
    dir
}
