//! Instructions that the erasure codec's own code takes, counted by Callgrind and held against budgets.
//!
//! Shape   this program starts itself under Callgrind once a scenario; what `counted_region` runs is counted, less the
//!         CRC kernels. The coding kernels are replaced by one that counts its calls: Callgrind knows no AVX-512, and
//!         what they cost is measured in time.
//! Units   instructions, and calls of kernels.
//! Errors  more than 5 % above its budget, or another number of kernel calls, fails with both numbers. Budgets hold
//!         for one version of rustc; under another they are only shown.
//! Source  docs/decisions/0003-instruction-counts.md; the budgets stand in benches/budgets/ec_instructions.txt.
//!
//! `cargo bench -p allotrope-benches --features ec --bench ec_instructions` checks; with `-- --set-budgets` it writes
//! the budgets of this rustc.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads and writes its budgets itself")]

mod budgets;
mod kernel;
mod scenarios;

use std::process::{Command, ExitCode};

use budgets::{Budgets, Count, Verdict};
use scenarios::SCENARIOS;

/// Runs what is to be counted. Callgrind starts and stops counting by this function's name.
#[inline(never)]
pub(crate) fn counted_region<T>(job: impl FnOnce() -> T) -> T {
    kernel::forget_calls();
    std::hint::black_box(job())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = args.as_slice()
        && flag == "--count"
    {
        return count_here(name);
    }
    // The other benches of the area get the same arguments and have words of their own.
    match check(args.iter().any(|arg| arg == "--set-budgets")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one scenario in this process, which Callgrind watches, and tells the calls of kernels.
fn count_here(name: &str) -> ExitCode {
    let Some((_, run)) = SCENARIOS.iter().find(|(known, _)| *known == name) else {
        eprintln!("error: no scenario {name}");
        return ExitCode::FAILURE;
    };
    run();
    println!("{}", kernel::calls());
    ExitCode::SUCCESS
}

fn check(set_budgets: bool) -> Result<bool, String> {
    let rustc = rustc_version()?;
    let mut budgets = Budgets::read()?;
    let known = budgets.has(&rustc);
    println!("instructions of allotrope-ec under rustc {rustc}");
    println!("{:<28} {:>12} {:>8} {:>12}", "scenario", "instructions", "kernels", "budget");
    let mut all_met = true;
    for (name, _) in SCENARIOS {
        let count = count(name)?;
        let budget = budgets.of(&rustc, name);
        let shown = budget.map_or("none".into(), |budget| budget.instructions.to_string());
        println!("{name:<28} {:>12} {:>8} {shown:>12}", count.instructions, count.kernel_calls);
        if set_budgets {
            budgets.set(&rustc, name, count);
            continue;
        }
        match count.against(budget) {
            Verdict::Met => {}
            Verdict::NoBudget if !known => {}
            verdict => {
                all_met = false;
                eprintln!("error: {name}: {verdict}");
            }
        }
    }
    if set_budgets {
        budgets.write()?;
        println!("wrote {}", budgets::PATH);
    } else if !known {
        eprintln!(
            "warning: there are no budgets for rustc {rustc}\n  try: -- --set-budgets, and commit them"
        );
    }
    Ok(all_met)
}

/// Counts one scenario in a process of its own.
fn count(name: &str) -> Result<Count, String> {
    let out = std::env::temp_dir().join(format!("callgrind.{}.{name}", std::process::id()));
    let me = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--toggle-collect=*counted_region*", "--toggle-collect=*Crc*extended*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(me)
        .args(["--count", name])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}\n  try: apt-get install valgrind"))?;
    let counted = std::fs::read_to_string(&out).unwrap_or_default();
    let _ = std::fs::remove_file(&out);
    let told = String::from_utf8_lossy(&run.stdout);
    let trouble =
        || format!("{name} under valgrind: {}\n{}", run.status, String::from_utf8_lossy(&run.stderr));
    let instructions = counted.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok());
    match (run.status.success(), instructions, told.trim().parse()) {
        (true, Some(instructions), Ok(kernel_calls)) if instructions > 0 => {
            Ok(Count { instructions, kernel_calls })
        }
        _ => Err(trouble()),
    }
}

fn rustc_version() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let run = Command::new(rustc).arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&run.stdout);
    text.split(' ').nth(1).map(str::to_owned).ok_or_else(|| format!("rustc's version is {text:?}"))
}
