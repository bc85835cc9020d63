//! `allotrope`: every role and every command, in one binary.
//!
//! Owns    the command line, configuration, and the start and stop of each role.
//! Never   holds logic that a crate below could hold.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints its results and errors")]
#![allow(
    clippy::disallowed_methods,
    reason = "the edge: real files, real clocks; what runs below takes them as values"
)]

mod commands;
mod config;
mod roles;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Servers have a file open for each of many blocks, and load generators a socket for each client.
    allotrope_io::raise_open_files();
    match commands::Allotrope::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The message and those of its causes, each once. Some messages hold their cause's already.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
