//! The workspace's own checks, run as `cargo xtask CHECK`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints its findings")]
#![allow(clippy::disallowed_methods, reason = "reads the sources it checks; no simulator runs it")]

fn main() {}
