//! The erasure codec against bare ISA-L, against the CRCs alone and beside other codecs, as ratios in one run.
//!
//! Shape   contests: every variant takes its turn on neighbouring stripes of the same memory, so that what the machine
//!         does besides hits all alike; a ratio is the median over the turns.
//! Units   GiB/s count data bytes, not parity; time is the thread's CPU time.
//! Never   fails for a time: it prints ratios beside their targets.
//!
//! `cargo bench -p allotrope-benches --features ec --bench ec` prints the tables; with `-- --save` it also writes them
//! to docs/performance/ec.md; with `-- --quick` it takes fewer turns.
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

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = |flag: &str| args.iter().any(|arg| arg == flag);
    if let Some(unknown) = args.iter().find(|arg| !["--bench", "--save", "--quick"].contains(&arg.as_str())) {
        eprintln!("error: unknown argument {unknown}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let effort = match asked("--quick") {
        true => Effort { laps_cold: 4, turns_hot: 40 },
        false => Effort { laps_cold: 12, turns_hot: 200 },
    };

    let mut report = Report::of_this_machine();
    encode::measure(&mut report, effort);
    fused::measure(&mut report, effort);
    decode::measure(&mut report, effort);
    fused::measure_slices(&mut report, effort);
    others::measure(&mut report, effort);
    println!("{}", report.text());
    if asked("--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/ec.md");
        std::fs::write(path, report.text()).expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}
