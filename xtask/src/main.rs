//! The workspace's own checks, run as `cargo xtask check`: who may name which crate, where `unsafe` and RocksDB may
//! stand, what packages take from the workspace, and that no file names a place on somebody's machine.
//!
//! Owns    the tables of [`rules`], which repeat the design's crate table and rules for a machine.
//! Shape   facts (packages, sources) in, a list of violations out; `workspace` alone reads the disk.
//! Errors  each violation names the place, the rule and a fix; the exit status is 1. 2 means that it could not look.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints its findings")]
#![allow(clippy::disallowed_methods, reason = "reads the sources it checks; no simulator runs it")]

mod arrows;
mod features;
mod inheritance;
mod machine_paths;
mod rules;
mod unify;
mod violation;
mod words;
mod workspace;

use std::process::ExitCode;

use violation::Violation;
use workspace::Workspace;

const USAGE: &str = "usage: cargo xtask check    check the workspace's own rules; see xtask/src/rules.rs";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn check() -> ExitCode {
    let workspace = match Workspace::read() {
        Ok(workspace) => workspace,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let mut violations = violations(&workspace);
    match unify::check(&workspace.named(rules::LONG_BUILDS)) {
        Ok(found) => violations.extend(found),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    }
    for violation in &violations {
        eprintln!("{violation}\n");
    }
    let looked_at = format!("{} packages and {} files", workspace.packages.len(), workspace.files.len());
    if violations.is_empty() {
        println!("checked {looked_at}: every rule holds");
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "checked {looked_at}: {} violations; the rules stand in xtask/src/rules.rs",
            violations.len()
        );
        ExitCode::FAILURE
    }
}

fn violations(workspace: &Workspace) -> Vec<Violation> {
    let mut found = arrows::violations(&workspace.packages);
    found.extend(features::violations(&workspace.packages));
    for file in &workspace.files {
        found.extend(machine_paths::violations(&file.path, &file.bytes));
        if file.path.ends_with(".rs") {
            found.extend(words::violations(&file.path, &file.bytes));
        }
        found.extend(inheritance::violation_of_file(&file.path));
    }
    for manifest in workspace.manifests() {
        let text = String::from_utf8_lossy(&manifest.bytes);
        found.extend(inheritance::violations_of_manifest(&manifest.path, &text));
    }
    found
}
