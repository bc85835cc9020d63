//! A result as text for people.

use std::fmt::Write as _;
use std::time::Duration;

use crate::result::{Operation, RunResult};

const MIB: f64 = (1 << 20) as f64;

/// The result as lines: how it ended, a row a kind of operation, what failed, what processes used.
pub fn table(result: &RunResult) -> String {
    let mut text = String::new();
    let settings: Vec<String> =
        result.described.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let _ = writeln!(text, "{}: {}", result.described.load, settings.join(", "));
    let _ = writeln!(text, "{}", ended(result));
    if !result.operations.is_empty() {
        let mut rows = vec![
            ["OPERATION", "COUNT", "A SECOND", "MIB/S", "P50 MS", "P90 MS", "P99 MS", "P99.9 MS", "MAX MS"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(result.operations.iter().map(|op| row(result, op)));
        text.push_str(&aligned(&rows));
    }
    for (kind, failures) in &result.failures {
        let _ = writeln!(text, "failed    {} {kind}: {}", failures.count, failures.first);
    }
    if result.not_begun > 0 {
        let _ = writeln!(
            text,
            "behind    {} operations were due and had not begun when time was up: the rate is more than was taken",
            result.not_begun
        );
    }
    if result.abandoned > 0 {
        let _ = writeln!(text, "given up  {} operations that were in flight", result.abandoned);
    }
    if !result.processes.is_empty() {
        text.push_str(&processes(result));
    }
    text
}

fn ended(result: &RunResult) -> String {
    let (done, failed, took) = (result.done(), result.failed(), result.took.as_secs_f64());
    let where_to = if result.in_warm_up { " in the warm-up" } else { "" };
    let what = match result.end.as_str() {
        "done" => "ended    ",
        "failed" => "stopped by a failure",
        _ => "interrupted",
    };
    format!("{what}{where_to} after {took:.2} s: {done} operations worked, {failed} failed")
}

fn row(result: &RunResult, op: &Operation) -> Vec<String> {
    let mut cells = vec![
        op.name.clone(),
        op.count.to_string(),
        format!("{:.1}", result.a_second(op.count)),
        format!("{:.2}", result.a_second(op.bytes) / MIB),
    ];
    cells.extend([0.5, 0.9, 0.99, 0.999, 1.0].map(|part| match op.count {
        0 => "-".to_owned(),
        _ => op.at(part).map_or_else(|| "-".to_owned(), ms),
    }));
    cells
}

fn ms(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

fn processes(result: &RunResult) -> String {
    let header =
        ["PROCESS", "PID", "CPU S", "CORES", "RSS MIB", "RSS MAX MIB", "DISK READ MIB", "DISK WRITTEN MIB"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
    let known = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), mib);
    for process in &result.processes {
        rows.push(vec![
            process.name.clone(),
            process.pid.to_string(),
            format!("{:.2}", process.cpu.as_secs_f64()),
            format!("{:.2}", process.cpu.as_secs_f64() / result.took.as_secs_f64().max(1e-9)),
            mib(process.rss),
            mib(process.rss_max),
            known(process.disk_read),
            known(process.disk_written),
        ]);
    }
    aligned(&rows)
}

/// Rows with columns of one width: the first to the left, the others to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
