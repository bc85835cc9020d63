//! A datanode under load, held against the disk, and against a sink with the same HTTP/2 stack that verifies and discards.
//!
//! Shape   the client runs in this process, the datanode or the sink in a child of its own, so that the CPU time of each
//!         is known; ours and the limit take turns, a ratio is the median over the turns.
//! Units   GiB/s, CPU seconds a GiB, milliseconds, MiB of memory.
//! Never   fails for a time: it prints ratios beside their aims.
//!
//! `./dev bench datanode` prints the tables; with `-- --save` their sections of docs/performance/datanode.md are written
//! anew, with `-- --quick` turns are fewer and shorter, with `-- write read` these parts are measured. Parts: write, read,
//! small, life, metadata, start, memory, profile, and `soak`, which is `memory` for ten minutes and runs only when it is asked for.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

mod child;
mod client;
mod life;
mod limits;
mod memory;
mod metadata;
mod profile;
mod reads;
mod report;
mod roles;
mod small;
mod writes;

use report::{HEAD, Report};
use std::path::PathBuf;
use std::time::Duration;

// As in the binary, so that memory is what the binary would use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long and how often.
#[derive(Clone, Copy)]
struct Effort {
    pairs: usize,
    turn: Duration,
}

/// Measures one part of the report.
type Measure = fn(&mut Report, Effort);

/// The parts of the report, by the names they can be asked for with, and whether all means them too.
const PARTS: [(&str, Measure, bool); 9] = [
    ("write", writes::measure, true),
    ("read", reads::measure, true),
    ("small", small::measure, true),
    ("life", life::measure, true),
    ("metadata", metadata::measure, true),
    ("start", memory::measure_start, true),
    ("memory", |report, effort| memory::measure_load(report, effort.turn * 15), true),
    ("profile", profile::measure, true),
    ("soak", |report, _| memory::measure_load(report, Duration::from_secs(600)), false),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("serve") => return roles::serve(&args[1..]),
        Some("sink") => return roles::sink(&args[1..]),
        Some("unlink") => return roles::unlink(&args[1..]),
        _ => {}
    }
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let known = |name: &str| PARTS.iter().any(|(part, ..)| *part == name);
    let wrong = flags.iter().find(|flag| !["--save", "--quick"].contains(flag));
    if let Some(wrong) = wrong.or(names.iter().find(|name| !known(name))) {
        let parts = PARTS.map(|(part, ..)| part).join("|");
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save] [{parts}]...");
        std::process::exit(2);
    }
    let effort = match flags.contains(&"--quick") {
        true => Effort { pairs: 1, turn: Duration::from_secs(1) },
        false => Effort { pairs: 3, turn: Duration::from_secs(2) },
    };
    let mut report = Report::new(HEAD);
    for (name, measure, in_all) in PARTS {
        if names.contains(&name) || (names.is_empty() && in_all) {
            measure(&mut report, effort);
        }
    }
    println!("{}", report.text());
    if flags.contains(&"--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/datanode.md");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, report.merged_into(&before))
            .expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}

/// An empty folder for the files of this run, on the file system of the build directory.
fn scratch(name: &str) -> PathBuf {
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("datanode-bench-{}", std::process::id()));
    let dir = dir.join(name);
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).expect("the build directory can be written");
    dir
}

/// Removes what [`scratch`] made.
fn clean(name: &str) {
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("datanode-bench-{}", std::process::id()));
    drop(std::fs::remove_dir_all(dir.join(name)));
    drop(std::fs::remove_dir(dir));
}
