//! Two sets of results beside each other: ratios, and how far they spread.
//!
//! Shape   A and B are one result each, or several of the same run. A ratio is that of the means over the runs, B to A. Its spread
//!         is what single runs give: every run of B to every run of A; where each is one run, what the intervals of both give, the
//!         quarter below and the quarter above left out.
//! Errors  [`Unlike`] names the first setting that differs: ratios of unlike runs say nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::result::RunResult;
use crate::table::aligned;

/// Why results are not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlike {
    /// A side without a result.
    #[error("{0} has no result")]
    Empty(&'static str),
    /// Another load.
    #[error("the loads differ: {0} and {1}")]
    Load(String, String),
    /// A setting with other values.
    #[error("the runs are unlike: {setting} is {one} in one and {other} in another")]
    Setting {
        /// The setting.
        setting: String,
        /// Its value in one run.
        one: String,
        /// Its value in another.
        other: String,
    },
    /// A run that is not whole.
    #[error("a run is not whole: it is {end} with {failed} failures; --partial compares it all the same")]
    Partial {
        /// How it ended.
        end: String,
        /// What failed.
        failed: u64,
    },
}

/// One figure of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// What is compared: the operation and the figure.
    pub what: String,
    /// The figure's mean over A's runs.
    pub a: f64,
    /// The figure's mean over B's runs.
    pub b: f64,
    /// B's to A's.
    pub ratio: f64,
    /// The least and the most that single runs, or intervals, give; `None` where there is one value of each.
    pub spread: Option<(f64, f64)>,
    /// Whether more is better.
    pub more_is_better: bool,
}

impl Ratio {
    /// Whether the whole spread lies on one side of 1.
    pub fn is_clear(&self) -> bool {
        self.spread.is_some_and(|(least, most)| least > 1.0 || most < 1.0)
    }
}

/// Compares B with A.
///
/// # Errors
/// [`Unlike`].
pub fn compare(a: &[RunResult], b: &[RunResult], partial: bool) -> Result<Vec<Ratio>, Unlike> {
    let first = a.first().ok_or(Unlike::Empty("A"))?;
    b.first().ok_or(Unlike::Empty("B"))?;
    for run in a.iter().chain(b) {
        alike(first, run)?;
        if !partial && !run.is_whole() {
            return Err(Unlike::Partial { end: run.end.clone(), failed: run.failed() });
        }
    }
    let mut ratios = Vec::new();
    for operation in first.operations.iter().filter(|operation| operation.count > 0) {
        let name = operation.name.as_str();
        let mut push = |what: &str, more_is_better: bool, figure: &dyn Fn(&RunResult) -> Option<f64>| {
            ratios.extend(ratio(format!("{name} {what}"), more_is_better, a, b, figure));
        };
        push("a second", true, &|run| Some(run.a_second(run.operation_named(name)?.count)));
        if operation.bytes > 0 {
            push("MiB/s", true, &|run| {
                Some(run.a_second(run.operation_named(name)?.bytes) / f64::from(1 << 20))
            });
        }
        for (part, label) in [(0.5, "p50 ms"), (0.99, "p99 ms"), (0.999, "p99.9 ms")] {
            push(label, false, &|run| Some(run.operation_named(name)?.at(part)?.as_secs_f64() * 1e3));
        }
    }
    if let ([a], [b]) = (a, b)
        && let [only] = a.operations.iter().filter(|op| op.count > 0).collect::<Vec<_>>().as_slice()
    {
        let spread = spread_of_intervals(a, b);
        for ratio in ratios.iter_mut().filter(|ratio| ratio.what == format!("{} a second", only.name)) {
            ratio.spread = spread;
        }
    }
    Ok(ratios)
}

impl RunResult {
    fn operation_named(&self, name: &str) -> Option<&crate::result::Operation> {
        self.operations.iter().find(|operation| operation.name == name && operation.count > 0)
    }
}

fn alike(one: &RunResult, other: &RunResult) -> Result<(), Unlike> {
    let (one, other) = (&one.described, &other.described);
    if one.load != other.load {
        return Err(Unlike::Load(one.load.clone(), other.load.clone()));
    }
    let names: BTreeSet<&String> = one.settings.keys().chain(other.settings.keys()).collect();
    for name in names {
        let value = |of: &crate::result::Described| {
            of.settings.get(name).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        if one.settings.get(name) != other.settings.get(name) {
            return Err(Unlike::Setting { setting: name.clone(), one: value(one), other: value(other) });
        }
    }
    Ok(())
}

fn ratio(
    what: String,
    more_is_better: bool,
    a: &[RunResult],
    b: &[RunResult],
    figure: &dyn Fn(&RunResult) -> Option<f64>,
) -> Option<Ratio> {
    let of = |runs: &[RunResult]| -> Vec<f64> {
        runs.iter().filter_map(figure).filter(|&value| value > 0.0).collect()
    };
    let (each_a, each_b) = (of(a), of(b));
    if each_a.is_empty() || each_b.is_empty() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(&each_a), mean(&each_b));
    let pairs = || each_b.iter().flat_map(|b| each_a.iter().map(move |a| b / a));
    let spread = (each_a.len() * each_b.len() > 1)
        .then(|| (pairs().fold(f64::INFINITY, f64::min), pairs().fold(0.0, f64::max)));
    Some(Ratio { what, a, b, ratio: b / a, spread, more_is_better })
}

/// The middle half of all ratios between whole intervals of two runs; `None` with fewer than four intervals of each.
fn spread_of_intervals(a: &RunResult, b: &RunResult) -> Option<(f64, f64)> {
    let rates = |run: &RunResult| -> Vec<f64> {
        // The last one is cut off by the end.
        let whole = run.points.len().saturating_sub(1);
        let rate = |point: &crate::Point| point.count as f64 / point.len.as_secs_f64().max(1e-9);
        run.points[..whole].iter().map(rate).filter(|&rate| rate > 0.0).collect()
    };
    let (a, b) = (rates(a), rates(b));
    if a.len() < 4 || b.len() < 4 {
        return None;
    }
    let mut ratios: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b / a)).collect();
    ratios.sort_by(f64::total_cmp);
    Some((ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]))
}

/// The ratios as text for people.
pub fn compare_table(ratios: &[Ratio]) -> String {
    let mut rows = vec![["FIGURE", "A", "B", "B/A", "SPREAD", ""].map(str::to_owned).to_vec()];
    for ratio in ratios {
        let spread =
            ratio.spread.map_or_else(|| "-".to_owned(), |(least, most)| format!("{least:.3} to {most:.3}"));
        let better = (ratio.ratio > 1.0) == ratio.more_is_better;
        let said = match (ratio.is_clear(), better) {
            (false, _) => "",
            (true, true) => "better",
            (true, false) => "worse",
        };
        rows.push(vec![
            ratio.what.clone(),
            format!("{:.3}", ratio.a),
            format!("{:.3}", ratio.b),
            format!("{:.3}", ratio.ratio),
            spread,
            said.to_owned(),
        ]);
    }
    let mut text = aligned(&rows);
    let _ = writeln!(text, "Better and worse are said where the whole spread lies on one side of 1.");
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Point;
    use crate::result::{Described, Operation};

    /// A run of ten seconds with so many operations in each second.
    fn run(counts: [u64; 10], p99_ms: u64) -> RunResult {
        let second = Duration::from_secs(1);
        let point = |(at, count): (u64, u64)| Point {
            at: second * at as u32,
            len: second,
            count,
            ..Point::default()
        };
        RunResult {
            described: Described {
                load: "key-write".into(),
                settings: [("size".to_owned(), "10 KiB".to_owned())].into(),
                ..Described::default()
            },
            end: "done".into(),
            in_warm_up: false,
            took: second * 10,
            operations: vec![Operation {
                name: "write".into(),
                count: counts.iter().sum(),
                bytes: 0,
                quantiles: vec![(0.99, Duration::from_millis(p99_ms))],
                ..Operation::default()
            }],
            failures: Default::default(),
            not_begun: 0,
            abandoned: 0,
            points: (0..).zip(counts).map(point).collect(),
            processes: vec![],
            machine: crate::Machine::default(),
        }
    }

    #[test]
    fn a_ratio_is_of_b_to_a_with_the_spread_of_runs() {
        let a = [run([100; 10], 10), run([110; 10], 12)];
        let b = [run([200; 10], 5), run([220; 10], 6)];
        let ratios = compare(&a, &b, false).unwrap();
        let [rate, p99] = ratios.as_slice() else { panic!("{ratios:?}") };
        assert_eq!((rate.what.as_str(), p99.what.as_str()), ("write a second", "write p99 ms"));
        assert!((rate.ratio - 2.0).abs() < 1e-9 && (p99.ratio - 0.5).abs() < 1e-9);
        let (least, most) = rate.spread.unwrap();
        assert!((least - 200.0 / 110.0).abs() < 1e-9 && (most - 2.2).abs() < 1e-9);
        assert!(rate.is_clear() && p99.is_clear());
        let text = compare_table(&ratios);
        assert_eq!(text.matches("better\n").count(), 2, "{text}");
    }

    #[test]
    fn single_runs_spread_as_their_intervals_do() {
        let a = [run([100, 90, 110, 100, 95, 105, 100, 100, 90, 110], 10)];
        let b = [run([100, 110, 90, 100, 105, 95, 100, 100, 110, 90], 10)];
        let ratios = compare(&a, &b, false).unwrap();
        let (least, most) = ratios[0].spread.unwrap();
        assert!(least < 1.0 && most > 1.0 && least > 0.85 && most < 1.15, "{ratios:?}");
        assert!(!ratios[0].is_clear());
        assert_eq!(ratios[1].spread, None);
    }

    #[test]
    fn unlike_runs_are_refused_by_what_differs() {
        let one = run([1; 10], 1);
        let changed = |change: &dyn Fn(&mut RunResult)| {
            let mut other = run([1; 10], 1);
            change(&mut other);
            compare(std::slice::from_ref(&one), &[other], false).unwrap_err()
        };
        let size = changed(&|run| drop(run.described.settings.insert("size".into(), "1 MiB".into())));
        assert_eq!(size.to_string(), "the runs are unlike: size is 10 KiB in one and 1 MiB in another");
        let more = changed(&|run| drop(run.described.settings.insert("seed".into(), "2".into())));
        assert_eq!(more.to_string(), "the runs are unlike: seed is not set in one and 2 in another");
        assert!(matches!(changed(&|run| run.described.load = "key-range".into()), Unlike::Load(..)));
        assert!(matches!(changed(&|run| run.end = "interrupted".into()), Unlike::Partial { .. }));
        assert_eq!(compare(&[], std::slice::from_ref(&one), false), Err(Unlike::Empty("A")));
        let mut partial = run([1; 10], 1);
        partial.end = "interrupted".into();
        assert!(compare(&[one], &[partial], true).is_ok());
    }
}
