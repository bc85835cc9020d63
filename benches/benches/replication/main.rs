//! Containers that are copied and replicas that are rebuilt, held against the disk, the loopback and the codec alone.
//!
//! Shape   datanodes run in children, the sources in one and the targets in another, so that the CPU time of each side is
//!         known; this process is their SCM, and the client that fills them.
//! Units   GiB/s, CPU seconds a GiB, milliseconds. A copy's time runs from the command to SCM's word that it is done.
//! Never   fails for a time: it prints ratios beside their aims.
//!
//! `./dev bench replication` prints the tables; with `-- --save` their sections of docs/performance/replication.md are written
//! anew, with `-- --quick` containers are smaller, with `-- copy rebuild` these parts are measured. Parts: copy, disk, rebuild,
//! reads.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

mod child;
#[allow(dead_code, reason = "shared with the datanode's bench; each uses its own part")]
#[path = "../datanode/client.rs"]
mod client;
mod commands;
mod copy;
mod fill;
mod limits;
mod reads;
mod rebuild;
mod roles;

use allotrope_benches::report::Report;
use std::path::{Path, PathBuf};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &str = "# Copies and reconstruction\n\n\
Made by `./dev bench replication -- --save`, section by section; each names the run it is from. All datanodes are processes of one \
machine and share its disk and its cores, so a figure beside its limit in the same row says more than the figure alone. Figures and \
ratios are medians over the turns. CPU is user and system time of the processes of one side, in core-seconds a GiB. Times include \
some 60 ms until SCM hears of the end.\n";

pub(crate) const GIB: f64 = (1u64 << 30) as f64;
pub(crate) const MIB: u64 = 1 << 20;

/// How much, and how often.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    turns: usize,
    /// Bytes of a container that is copied.
    container: u64,
    /// Stripes of each of eight blocks of a container that is rebuilt.
    stripes: u64,
    /// Seconds of a limit's run, and of a client's.
    seconds: u64,
}

/// Measures one part of the report.
type Measure = fn(&mut Report, Effort);

const PARTS: [(&str, Measure); 4] = [
    ("copy", copy::measure),
    ("disk", copy::measure_disk),
    ("rebuild", rebuild::measure),
    ("reads", reads::measure),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "serve") {
        return roles::serve(&args[1..]);
    }
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
        true => Effort { turns: 1, container: 128 * MIB, stripes: 4, seconds: 2 },
        false => Effort { turns: 3, container: 1024 * MIB, stripes: 16, seconds: 5 },
    };
    let mut report = Report::new(HEAD);
    for (name, measure) in PARTS {
        if names.contains(&name) || names.is_empty() {
            measure(&mut report, effort);
        }
    }
    println!("{}", report.text());
    if flags.contains(&"--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/replication.md");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, report.merged_into(&before))
            .expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}

/// A folder for the files of one part, emptied, and removed when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// On the file system of the build directory.
    pub(crate) fn on_disk(name: &str) -> Scratch {
        Scratch::below(Path::new(env!("CARGO_TARGET_TMPDIR")), name)
    }

    /// In memory.
    pub(crate) fn in_memory(name: &str) -> Scratch {
        Scratch::below(Path::new("/dev/shm"), name)
    }

    fn below(dir: &Path, name: &str) -> Scratch {
        let dir = dir.join(format!("replication-bench-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).expect("the folder can be written");
        Scratch(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The aim beside the value that was measured.
pub(crate) fn at_least(aim: f64, value: f64) -> String {
    format!("≥ {aim}: {}", if value >= aim { "met" } else { "**missed**" })
}

/// The aim beside the value that was measured.
pub(crate) fn at_most(aim: f64, value: f64) -> String {
    format!("≤ {aim}: {}", if value <= aim { "met" } else { "**missed**" })
}
