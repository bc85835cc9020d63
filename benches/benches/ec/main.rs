//! The erasure codec against bare ISA-L, against the CRCs alone and beside other codecs, as ratios in one run.
//!
//! Shape   contests: every variant takes its turn on neighbouring stripes of the same memory, so that what the machine
//!         does besides hits all alike; a ratio is the median over the turns.
//! Units   GiB/s count data bytes, not parity; time is the thread's CPU time.
//! Never   fails for a time: it prints ratios beside their targets.
//!
//! `cargo bench -p allotrope-benches --features ec --bench ec` prints the tables; with `-- --save` it also writes them
//! to docs/performance/ec.md, with `-- --quick` it takes fewer turns, with `-- encode decode` it measures these parts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]

mod contest;
mod decode;
mod encode;
mod fused;
mod others;
mod report;
mod stripes;

use report::Report;

/// How many turns a contest takes.
#[derive(Clone, Copy)]
struct Effort {
    /// Laps over memory that no cache holds.
    laps_cold: usize,
    /// Turns on memory that the second-level cache holds.
    turns_hot: usize,
}

/// Measures one part of the report.
type Measure = fn(&mut Report, Effort);

/// The parts of the report, by the names they can be asked for with.
const PARTS: [(&str, Measure); 6] = [
    ("encode", encode::measure),
    ("fused", fused::measure),
    ("decode", decode::measure),
    ("slices", fused::measure_slices),
    ("checksums", others::measure_checksums),
    ("others", others::measure),
];

fn main() {
    // Cargo passes `--bench`; the other benches of the area get the same arguments and have a flag of their own.
    let args: Vec<String> =
        std::env::args().skip(1).filter(|arg| arg != "--bench" && arg != "--set-budgets").collect();
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
        true => Effort { laps_cold: 4, turns_hot: 40 },
        false => Effort { laps_cold: 12, turns_hot: 200 },
    };

    let mut report = Report::of_this_machine();
    for (_, measure) in PARTS.iter().filter(|(part, _)| names.is_empty() || names.contains(part)) {
        measure(&mut report, effort);
    }
    println!("{}", report.text());
    if flags.contains(&"--save") && names.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/ec.md");
        std::fs::write(path, report.text()).expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}
