//! Instructions that the erasure codec's own code takes, counted by Callgrind and held against budgets.
//!
//! Shape   the coding kernels are replaced by one that counts its calls: Callgrind knows no AVX-512, and what they cost is measured in
//!         time. The CRC kernels are left out.
//! Source  docs/decisions/0003-instruction-counts.md; the budgets stand in benches/budgets/ec_instructions.txt.
//!
//! `cargo bench -p allotrope-benches --features ec --bench ec_instructions` checks; with `-- --set-budgets` it writes
//! the budgets of this rustc.

mod kernel;
mod scenarios;

use std::process::ExitCode;

use allotrope_benches::instructions::{Program, run};

/// Runs what is to be counted. Callgrind starts and stops counting by this function's name.
#[inline(never)]
pub(crate) fn counted_region<T>(job: impl FnOnce() -> T) -> T {
    kernel::forget_calls();
    std::hint::black_box(job())
}

fn main() -> ExitCode {
    run(&Program {
        what: "allotrope-ec",
        path: concat!(env!("CARGO_MANIFEST_DIR"), "/budgets/ec_instructions.txt"),
        header: "\
# What allotrope-ec's own code may take, by rustc, in instructions and in calls of kernels.
# Written by `cargo bench -p allotrope-benches --features ec --bench ec_instructions -- --set-budgets`.
",
        scenarios: &scenarios::SCENARIOS,
        calls: kernel::calls,
    })
}
