//! The datanode as its clients see it: on the in-memory disk by seed, and as a process on a real one.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::disallowed_methods, reason = "tests look at real folders and processes")]

mod ask;
mod bad_input;
mod commands;
mod control;
mod deletion;
mod disks;
mod faults;
mod growth;
mod java;
mod java_datanode;
mod kept_answers;
mod kill;
mod logs;
mod neighbours;
mod offline;
mod open_files;
mod pipelines;
mod replication;
mod rules;
mod scanning;
mod second_reads;
mod wire;
mod world;
