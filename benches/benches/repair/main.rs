//! Repair: the replication manager over millions of containers in memory, and the time from a datanode's death to full
//! redundancy in a cluster of processes; what a rolling restart leaves behind.
//!
//! Never   fails for a time: it prints figures beside their aims.
//!
//! `./dev bench repair` prints the tables; with `-- --save` their sections of docs/performance/repair.md are written anew, with
//! `-- --quick` they are small, with `-- memory`, `-- lost` or `-- rolling` one is measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and the machine")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[path = "../../../tests/cluster/mod.rs"]
mod cluster;
mod lost;
mod memory;
mod rolling;

use allotrope_benches::report::Report;

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &str = "# Repair\n\nMade by `./dev bench repair -- --save`, section by section.\n";

/// Measures one part; true asks for a small run.
type Measure = fn(&mut Report, bool);

const PARTS: [(&str, Measure); 3] =
    [("memory", memory::measure), ("lost", lost::measure), ("rolling", rolling::measure)];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let known = |name: &str| PARTS.iter().any(|(part, _)| *part == name);
    let wrong = flags.iter().find(|flag| !["--save", "--quick"].contains(flag));
    if let Some(wrong) = wrong.or(names.iter().find(|name| !known(name))) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save] [memory|lost|rolling]...");
        std::process::exit(2);
    }
    let mut report = Report::new(HEAD);
    for (name, measure) in PARTS {
        if names.is_empty() || names.contains(&name) {
            measure(&mut report, flags.contains(&"--quick"));
        }
    }
    println!("{}", report.text());
    if flags.contains(&"--save") {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/repair.md");
        let before = std::fs::read_to_string(page).unwrap_or_default();
        std::fs::write(page, report.merged_into(&before)).unwrap();
    }
}
