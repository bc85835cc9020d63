//! The budgets: what each scenario may take under which rustc.
//!
//! Format  a line each, `rustc scenario instructions kernel-calls`; `#` starts a comment.

use std::collections::BTreeMap;
use std::fmt;

pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets/ec_instructions.txt");

const HEADER: &str = "\
# What allotrope-ec's own code may take, by rustc, in instructions and in calls of kernels.
# Written by `cargo bench -p allotrope-benches --features ec --bench ec_instructions -- --set-budgets`.
";

/// Above its budget by more than this many hundredths a count fails.
const MARGIN_PERCENT: u64 = 5;

/// What a scenario took, or may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) instructions: u64,
    pub(crate) kernel_calls: u64,
}

/// How a count stands to its budget.
#[derive(Debug)]
pub(crate) enum Verdict {
    Met,
    NoBudget,
    TooMany { counted: u64, budget: u64 },
    OtherCalls { counted: u64, budget: u64 },
}

impl Count {
    pub(crate) fn against(self, budget: Option<Count>) -> Verdict {
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
pub(crate) struct Budgets(BTreeMap<(String, String), Count>);

impl Budgets {
    pub(crate) fn read() -> Result<Budgets, String> {
        let text = std::fs::read_to_string(PATH).map_err(|error| format!("{PATH}: {error}"))?;
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
            entry().ok_or_else(|| format!("{PATH}:{}: not a budget: {line:?}", at + 1))
        });
        Ok(Budgets(parsed.collect::<Result<_, _>>()?))
    }

    pub(crate) fn write(&self) -> Result<(), String> {
        let line = |((rustc, name), count): (&(String, String), &Count)| {
            format!("{rustc} {name} {} {}\n", count.instructions, count.kernel_calls)
        };
        let text: String = std::iter::once(HEADER.to_owned()).chain(self.0.iter().map(line)).collect();
        std::fs::write(PATH, text).map_err(|error| format!("{PATH}: {error}"))
    }

    pub(crate) fn has(&self, rustc: &str) -> bool {
        self.0.keys().any(|(known, _)| known == rustc)
    }

    pub(crate) fn of(&self, rustc: &str, name: &str) -> Option<Count> {
        self.0.get(&(rustc.to_owned(), name.to_owned())).copied()
    }

    pub(crate) fn set(&mut self, rustc: &str, name: &str, count: Count) {
        self.0.insert((rustc.to_owned(), name.to_owned()), count);
    }
}
