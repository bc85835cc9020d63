//! Instruction counts by Callgrind, held against budgets in the repository: what each scenario may take under which rustc.
//!
//! Shape   a program starts itself under Callgrind once a scenario; what its `counted_region` runs is counted, less what [`UNCOUNTED`]
//!         names. [`run`] is such a program's main.
//! Units   instructions, and calls of kernels, where a scenario counts them.
//! Format  of a file of budgets: a line each, `rustc scenario instructions kernel-calls`; `#` starts a comment.
//! Errors  more than 5 % above its budget, or another number of kernel calls, fails with both numbers. Budgets hold for one version of rustc;
//!         under another they are only shown.
//! Source  docs/decisions/0003-instruction-counts.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its findings")]
#![allow(
    clippy::disallowed_methods,
    reason = "it reads and writes budgets, and starts itself under Callgrind"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, ExitCode};

/// Above its budget by more than this many hundredths a count fails.
const MARGIN_PERCENT: u64 = 5;

/// What a scenario took, or may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    instructions: u64,
    kernel_calls: u64,
}

/// How a count stands to its budget.
#[derive(Debug)]
enum Verdict {
    Met,
    NoBudget,
    TooMany { counted: u64, budget: u64 },
    OtherCalls { counted: u64, budget: u64 },
}

impl Count {
    fn against(self, budget: Option<Count>) -> Verdict {
        let Some(budget) = budget else { return Verdict::NoBudget };
        if self.kernel_calls != budget.kernel_calls {
            return Verdict::OtherCalls { counted: self.kernel_calls, budget: budget.kernel_calls };
        }
        match self.instructions * 100 > budget.instructions * (100 + MARGIN_PERCENT) {
            true => Verdict::TooMany { counted: self.instructions, budget: budget.instructions },
            false => Verdict::Met,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Met => f.write_str("met"),
            Verdict::NoBudget => f.write_str("it has no budget; run with -- --set-budgets"),
            Verdict::TooMany { counted, budget } => {
                write!(
                    f,
                    "{counted} instructions, the budget is {budget}: more than {MARGIN_PERCENT} % above"
                )
            }
            Verdict::OtherCalls { counted, budget } => write!(f, "{counted} calls of kernels, not {budget}"),
        }
    }
}

/// Budgets by rustc and scenario.
#[derive(Debug, Default)]
struct Budgets(BTreeMap<(String, String), Count>);

impl Budgets {
    fn read(path: &str) -> Result<Budgets, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parsed = lines.map(|(at, line)| {
            let entry = || {
                let mut words = line.split_ascii_whitespace();
                let key = (words.next()?.to_owned(), words.next()?.to_owned());
                let count = Count {
                    instructions: words.next()?.parse().ok()?,
                    kernel_calls: words.next()?.parse().ok()?,
                };
                words.next().is_none().then_some((key, count))
            };
            entry().ok_or_else(|| format!("{path}:{}: not a budget: {line:?}", at + 1))
        });
        Ok(Budgets(parsed.collect::<Result<_, _>>()?))
    }

    fn write(&self, path: &str, header: &str) -> Result<(), String> {
        let line = |((rustc, name), count): (&(String, String), &Count)| {
            format!("{rustc} {name} {} {}\n", count.instructions, count.kernel_calls)
        };
        let text: String = std::iter::once(header.to_owned()).chain(self.0.iter().map(line)).collect();
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
    }

    fn has(&self, rustc: &str) -> bool {
        self.0.keys().any(|(known, _)| known == rustc)
    }

    fn of(&self, rustc: &str, name: &str) -> Option<Count> {
        self.0.get(&(rustc.to_owned(), name.to_owned())).copied()
    }

    fn set(&mut self, rustc: &str, name: &str, count: Count) {
        self.0.insert((rustc.to_owned(), name.to_owned()), count);
    }
}

/// A program that counts.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What is counted, in words.
    pub what: &'static str,
    /// The file of its budgets.
    pub path: &'static str,
    /// What stands above the budgets: lines that begin with `#`.
    pub header: &'static str,
    /// What is counted: each calls the program's `counted_region` once.
    pub scenarios: &'static [(&'static str, fn())],
    /// How often a scenario has called its kernels by now.
    pub calls: fn() -> u64,
}

/// Functions whose instructions do not count, as Callgrind's patterns: checksum kernels.
pub const UNCOUNTED: [&str; 1] = ["*Crc*extended*"];

/// Counts every scenario and holds it against its budget; with `--set-budgets` the counts become the budgets.
pub fn run(program: &Program) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = args.as_slice()
        && flag == "--count"
    {
        return count_here(program, name);
    }
    // The other benches of the area get the same arguments and have words of their own.
    match check(program, args.iter().any(|arg| arg == "--set-budgets")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one scenario in this process, which Callgrind watches, and tells the calls of kernels.
fn count_here(program: &Program, name: &str) -> ExitCode {
    let Some((_, scenario)) = program.scenarios.iter().find(|(known, _)| *known == name) else {
        eprintln!("error: no scenario {name}");
        return ExitCode::FAILURE;
    };
    scenario();
    println!("{}", (program.calls)());
    ExitCode::SUCCESS
}

fn check(program: &Program, set_budgets: bool) -> Result<bool, String> {
    let rustc = rustc_version()?;
    let mut budgets = Budgets::read(program.path)?;
    let known = budgets.has(&rustc);
    println!("instructions of {} under rustc {rustc}", program.what);
    println!("{:<28} {:>12} {:>8} {:>12}", "scenario", "instructions", "kernels", "budget");
    let mut all_met = true;
    for (name, _) in program.scenarios {
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
        budgets.write(program.path, program.header)?;
        println!("wrote {}", program.path);
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
        .arg("--toggle-collect=*counted_region*")
        .args(UNCOUNTED.map(|pattern| format!("--toggle-collect={pattern}")))
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
