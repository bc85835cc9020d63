//! Benches of the crates against the machine's limits; the targets lie in this folder's `benches/`.
//!
//! Owns    criterion benches and the comparisons with fio, bare ISA-L, memcpy and loopback; what their reports share.
//! Never   asserts a time: a bench reports ratios, a test asserts behaviour.

pub mod instructions;
pub mod machine;
pub mod process;
pub mod report;
pub mod summary;
