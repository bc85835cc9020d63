//! A run's result: what was measured and of what, as JSON and back.
//!
//! Shape   `settings` is what made the run what it was: runs whose load and settings are equal may be compared. `named` is
//!         what may differ between them: prefixes, addresses.
//! Units   nanoseconds, bytes, seconds since the measurement began. docs/perf.md has each field.
//! Errors  [`UnreadableResult`] for JSON that is no result, or one of a newer version.

mod json;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::{End, Measured, Pace, Plan, Until};
use crate::load::TroubleKind;
use crate::processes::{Machine, ProcessUse};
use crate::record::{Failures, Point};

pub use json::UnreadableResult;

/// What the field `format` of a result says.
pub const FORMAT: &str = "allotrope-perf";
/// The version that is written, and the newest that is read.
pub const VERSION: u64 = 1;

/// The parts of all operations at which their times are given.
pub(crate) const QUANTILES: [f64; 26] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.95, 0.99, 0.995, 0.999, 0.9999, 0.99999, 1.0,
];

/// What is said of a run before it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The load's name.
    pub load: String,
    /// What else is the same in every run that may be compared with this one: sizes, shares, the seed.
    pub settings: BTreeMap<String, String>,
    /// What may differ: prefixes, addresses.
    pub named: BTreeMap<String, String>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
}

/// One kind of operation in a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// How many worked.
    pub count: u64,
    /// Bytes of content that they moved.
    pub bytes: u64,
    /// The mean of their times.
    pub mean: Duration,
    /// The standard deviation of their times.
    pub deviation: Duration,
    /// Parts of all, and the time within which that part had ended.
    pub quantiles: Vec<(f64, Duration)>,
}

impl Operation {
    /// The time within which the part `quantile` of all had ended; `None` for a part that is not kept.
    pub fn at(&self, quantile: f64) -> Option<Duration> {
        self.quantiles.iter().find(|(part, _)| (part - quantile).abs() < 1e-9).map(|(_, time)| *time)
    }
}

/// A run's result.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// What was run.
    pub described: Described,
    /// Why it ended: `done`, `failed` or `interrupted`.
    pub end: String,
    /// Whether it ended in the warm-up, whose figures these are then.
    pub in_warm_up: bool,
    /// From the first operation's beginning to the last one's end.
    pub took: Duration,
    /// The kinds of operations.
    pub operations: Vec<Operation>,
    /// What failed, by the name of the kind of trouble.
    pub failures: BTreeMap<String, Failures>,
    /// Operations that were due and never began.
    pub not_begun: u64,
    /// Operations that were given up when the run was stopped.
    pub abandoned: u64,
    /// What happened over time.
    pub points: Vec<Point>,
    /// What the watched processes used.
    pub processes: Vec<ProcessUse>,
    /// What it ran on.
    pub machine: Machine,
}

impl RunResult {
    /// The result of a run that was `described` and went by `plan`.
    pub fn new(mut described: Described, plan: &Plan, measured: Measured, machine: Machine) -> RunResult {
        described.settings.extend(settings_of(plan));
        let end = match measured.end {
            End::Done => "done",
            End::Failed => "failed",
            End::Interrupted => "interrupted",
        };
        let operation = |kind: &crate::engine::Kind| Operation {
            name: kind.name.to_owned(),
            count: kind.times.len(),
            bytes: kind.bytes,
            mean: nanos(kind.times.mean()),
            deviation: nanos(kind.times.stdev()),
            quantiles: QUANTILES
                .iter()
                .map(|&part| (part, Duration::from_nanos(kind.times.value_at_quantile(part))))
                .collect(),
        };
        let named = |(kind, failures): (TroubleKind, Failures)| (kind.name().to_owned(), failures);
        RunResult {
            described,
            end: end.to_owned(),
            in_warm_up: measured.in_warm_up,
            took: measured.took,
            operations: measured.kinds.iter().map(operation).collect(),
            failures: measured.failures.into_iter().map(named).collect(),
            not_begun: measured.not_begun,
            abandoned: measured.abandoned,
            points: measured.points,
            processes: measured.processes,
            machine,
        }
    }

    /// A result without an operation: why the run could not begin.
    pub fn not_begun(
        described: Described,
        plan: &Plan,
        trouble: &crate::Trouble,
        machine: Machine,
    ) -> RunResult {
        let failures = Failures { count: 1, first: trouble.text.clone() };
        let measured = Measured {
            end: End::Failed,
            in_warm_up: false,
            took: Duration::ZERO,
            kinds: Vec::new(),
            failures: BTreeMap::from([(trouble.kind, failures)]),
            points: Vec::new(),
            not_begun: 0,
            abandoned: 0,
            processes: Vec::new(),
        };
        RunResult::new(described, plan, measured, machine)
    }

    /// Operations that worked.
    pub fn done(&self) -> u64 {
        self.operations.iter().map(|operation| operation.count).sum()
    }

    /// Operations that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// `count` a second of the run.
    pub fn a_second(&self, count: u64) -> f64 {
        count as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Whether everything that was planned was done and nothing failed.
    pub fn is_whole(&self) -> bool {
        self.end == "done" && self.failures.is_empty()
    }
}

/// A time in nanoseconds, from the histogram's arithmetic: not a number where there is none.
fn nanos(value: f64) -> Duration {
    Duration::from_nanos(if value.is_finite() { value as u64 } else { 0 })
}

fn settings_of(plan: &Plan) -> BTreeMap<String, String> {
    let (until, length) = match plan.until {
        Until::Count(count) => ("operations", count.to_string()),
        Until::Time(time) => ("duration", format!("{time:?}")),
    };
    let pace = match plan.pace {
        Pace::Closed => "closed loop".to_owned(),
        Pace::Open { per_second } => format!("open loop at {per_second} a second"),
    };
    [
        ("pace", pace),
        ("threads", plan.at_once.to_string()),
        ("objects", plan.objects.to_string()),
        ("warm-up", format!("{:?}", plan.warm_up)),
        ("deadline", format!("{:?}", plan.deadline)),
        (until, length),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
