//! `allotrope`: every role and every command, in one binary.
//!
//! Owns    the command line, configuration, and the start and stop of each role.
//! Never   holds logic that a crate below could hold.

fn main() {}
