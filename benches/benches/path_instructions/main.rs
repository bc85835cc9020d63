//! Instructions that hot paths of the datanode and of OM take in our own code, counted by Callgrind and held against budgets.
//!
//! Shape   nothing here enters the kernel, RocksDB or ISA-L: messages lie in memory, batches are built and not written, OM's tables are
//!         sorted maps. Checksum kernels are left out.
//! Units   instructions of the profile that tests are built with, so that CI builds nothing for it: they are more than a release takes, and grow
//!         with the same changes.
//! Source  docs/decisions/0003-instruction-counts.md; the budgets stand in benches/budgets/path_instructions.txt.
//!
//! `cargo bench --profile dev -p allotrope-benches --features paths --bench path_instructions` checks; with `-- --set-budgets` it writes the
//! budgets of this rustc.

mod datanode;
mod om;

use std::process::ExitCode;

use allotrope_benches::instructions::{Program, run};

/// Runs what is to be counted. Callgrind starts and stops counting by this function's name.
#[inline(never)]
pub(crate) fn counted_region<T>(job: impl FnOnce() -> T) -> T {
    std::hint::black_box(job())
}

fn main() -> ExitCode {
    run(&Program {
        what: "the paths of datanode and OM",
        path: concat!(env!("CARGO_MANIFEST_DIR"), "/budgets/path_instructions.txt"),
        header: "\
# What hot paths of the datanode and of OM may take in our own code, by rustc, in instructions; none of them calls a kernel.
# Written by `cargo bench --profile dev -p allotrope-benches --features paths --bench path_instructions -- --set-budgets`.
",
        scenarios: &[
            ("chunk_message_split", datanode::chunk_message_split),
            ("container_dispatch", datanode::container_dispatch),
            ("put_block_first_batch", datanode::put_block_first_batch),
            ("put_block_growing_batch", datanode::put_block_growing_batch),
            ("om_commit_apply", om::commit_apply),
        ],
        calls: || 0,
    })
}
