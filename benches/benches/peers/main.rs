//! The same loads against other systems and ours, in turn: what each bears, what it costs, how it starts and how it heals.
//!
//! Shape   a system is started on loopback in a fresh folder, loaded by `allotrope perf` (the binary that `ALLOTROPE_BINARY` names), and
//!         stopped. What was measured is kept in the build directory, a file a system, so that systems can be measured one by one; the page
//!         is made of all that is kept.
//! Units   operations a second, MiB/s of content, milliseconds, CPU seconds of all servers a GiB, MiB resident.
//! Never   leaves out what looks bad: a load that fails is a row that says so.
//!
//! `./dev bench peers` measures those that are not kept yet; with `-- --again` all, with `-- ours-disk ozone` these. The others' programs
//! come from the scripts of ../shared/peers (`ALLOTROPE_PEERS` names another folder), prepared as its README says; one that is not there is
//! named on the page as not measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench starts processes, and reads clocks and files, itself")]
#![allow(clippy::disallowed_types, reason = "a bench reads the clock itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

mod loads;
mod page;
mod systems;

use std::path::{Path, PathBuf};

use serde_json::Value;
use systems::SYSTEMS;

/// Where what was measured is kept.
fn kept(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = target.join("bench-peers");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.json"))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let known = |name: &str| SYSTEMS.iter().any(|system| system.name == name);
    let wrong = flags.iter().find(|flag| **flag != "--again");
    if let Some(wrong) = wrong.or(names.iter().find(|name| !known(name))) {
        let names: Vec<_> = SYSTEMS.iter().map(|system| system.name).collect();
        eprintln!("error: unknown argument {wrong}\n  try: -- [--again] [{}]...", names.join("|"));
        std::process::exit(2);
    }
    for system in SYSTEMS.iter().filter(|system| names.is_empty() || names.contains(&system.name)) {
        let path = kept(system.name);
        if path.exists() && names.is_empty() && !flags.contains(&"--again") {
            eprintln!("{}: measured before", system.name);
            continue;
        }
        eprintln!("{}:", system.name);
        let measured = match systems::start(system) {
            Ok(running) => loads::measure(&running),
            Err(why) => {
                eprintln!("  not measured: {why}");
                continue;
            }
        };
        std::fs::write(&path, format!("{measured:#}\n")).unwrap();
    }
    let all: Vec<(&systems::System, Option<Value>)> = SYSTEMS
        .iter()
        .map(|system| {
            let text = std::fs::read_to_string(kept(system.name)).ok();
            (system, text.and_then(|text| serde_json::from_str(&text).ok()))
        })
        .collect();
    let text = page::text(&all);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance-peers.md");
    std::fs::write(path, &text).unwrap();
    println!("{text}");
}
