//! A result as a page: one file, with its plots drawn inside it as SVG, that asks nobody for anything.

mod plot;

use std::fmt::Write as _;

use crate::result::RunResult;
use crate::table::table;
use plot::{Axis, Line, plot};

const MIB: f64 = (1 << 20) as f64;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24;background:#fff}\
pre{overflow-x:auto;background:#f4f5f7;padding:.8rem;border-radius:6px;font-size:13px}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}\
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:currentColor}.axis{stroke:currentColor;stroke-opacity:.25}\
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}pre{background:#20252b}}";

/// The result as one HTML file.
pub fn page(result: &RunResult) -> String {
    let load = escaped(&result.described.load);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{load}</title><style>{STYLE}</style></head><body>\n<h1>{load}</h1>\n<pre>{}</pre>\n",
        escaped(&table(result))
    );
    html.push_str(&settings(result));
    section(&mut html, "Latency by percentile", &latency(result));
    section(&mut html, "Throughput over time", &throughput(result));
    section(&mut html, "Latency over time", &latency_over_time(result));
    if !result.processes.is_empty() {
        section(&mut html, "CPU of each process", &of_processes(result, "cores", |point| point.cores));
        section(
            &mut html,
            "Memory of each process",
            &of_processes(result, "MiB", |point| point.rss as f64 / MIB),
        );
        let written = of_processes(result, "MiB/s", |point| point.disk_written / MIB);
        section(&mut html, "Disk writes of each process", &written);
        let read = of_processes(result, "MiB/s", |point| point.disk_read / MIB);
        section(&mut html, "Disk reads of each process", &read);
        let net = of_processes(result, "MiB/s", |point| (point.net_received + point.net_sent) / MIB);
        section(&mut html, "Network of each process's namespace, both ways", &net);
    }
    html.push_str("</body></html>\n");
    html
}

fn section(html: &mut String, title: &str, svg: &str) {
    let _ = writeln!(html, "<h2>{title}</h2>\n{svg}");
}

fn settings(result: &RunResult) -> String {
    let machine = &result.machine;
    let on = format!(
        "{}, {} cores, {:.1} GiB, Linux {}",
        machine.processor,
        machine.cores,
        machine.memory as f64 / (1u64 << 30) as f64,
        machine.kernel
    );
    let all = result.described.settings.iter().chain(&result.described.named);
    let mut html = String::from("<h2>What was run</h2>\n<table>");
    for (name, value) in
        all.map(|(name, value)| (name.as_str(), value.as_str())).chain([("machine", on.as_str())])
    {
        let _ = write!(html, "<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(value));
    }
    html.push_str("</table>\n");
    html
}

/// Times against how rare they are: each step to the right is ten times rarer.
fn latency(result: &RunResult) -> String {
    let nines = |part: f64| -(1.0 - part).max(1e-6).log10();
    let line = |op: &crate::result::Operation| Line {
        name: op.name.clone(),
        points: op.quantiles.iter().map(|(part, time)| (nines(*part), time.as_secs_f64() * 1e3)).collect(),
    };
    let lines: Vec<Line> = result.operations.iter().filter(|op| op.count > 0).map(line).collect();
    let label = |nines: f64| match nines.round() as i64 {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(usize::try_from(more - 2).unwrap_or(0))),
    };
    plot(&lines, &Axis { unit: "operations", label: &label }, "ms")
}

fn seconds(at: f64) -> String {
    format!("{at:.0} s")
}

const TIME: Axis<'static> = Axis { unit: "time", label: &seconds };

fn over_time(result: &RunResult, name: &str, value: impl Fn(&crate::Point) -> f64) -> Line {
    let points = result.points.iter().map(|point| (point.at.as_secs_f64(), value(point)));
    Line { name: name.to_owned(), points: points.collect() }
}

fn throughput(result: &RunResult) -> String {
    let rate = |count: u64, point: &crate::Point| count as f64 / point.len.as_secs_f64().max(1e-9);
    let mut svg = plot(
        &[over_time(result, "operations a second", |point| rate(point.count, point))],
        &TIME,
        "a second",
    );
    if result.points.iter().any(|point| point.bytes > 0) {
        svg.push_str(&plot(
            &[over_time(result, "MiB/s", |point| rate(point.bytes, point) / MIB)],
            &TIME,
            "MiB/s",
        ));
    }
    svg
}

fn latency_over_time(result: &RunResult) -> String {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let lines = [
        over_time(result, "median", |point| ms(point.p50)),
        over_time(result, "99 %", |point| ms(point.p99)),
        over_time(result, "longest", |point| ms(point.max)),
    ];
    plot(&lines, &TIME, "ms")
}

fn of_processes(result: &RunResult, unit: &str, value: impl Fn(&crate::ProcessPoint) -> f64) -> String {
    let line = |process: &crate::ProcessUse| Line {
        name: format!("{} {}", process.name, process.pid),
        points: process.series.iter().map(|point| (point.at.as_secs_f64(), value(point))).collect(),
    };
    plot(&result.processes.iter().map(line).collect::<Vec<_>>(), &TIME, unit)
}

/// Text that stands in HTML and SVG as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{End, Measured, Plan};
    use crate::{Described, Machine, Point};

    fn result(points: Vec<Point>) -> RunResult {
        let mut times = crate::record::histogram();
        (1..=1000u64).for_each(|n| times.record(n * 1_000_000).unwrap());
        let described = Described {
            load: "key-write".into(),
            named: [("prefix".to_owned(), "<script>alert(1)</script>".to_owned())].into(),
            ..Described::default()
        };
        let measured = Measured {
            end: End::Done,
            in_warm_up: false,
            took: Duration::from_secs(3),
            kinds: vec![crate::Kind { name: "write", times, bytes: 1 << 20 }],
            failures: Default::default(),
            points,
            not_begun: 0,
            abandoned: 0,
            processes: vec![],
        };
        RunResult::new(described, &Plan::default(), measured, Machine::default())
    }

    #[test]
    fn a_page_draws_its_plots_itself_and_asks_nobody() {
        let second = Duration::from_secs(1);
        let point = |at: u32| Point {
            at: second * at,
            len: second,
            count: 100 + u64::from(at),
            bytes: 1 << 20,
            ..Point::default()
        };
        let html = page(&result((0..3).map(point).collect()));
        assert_eq!(html.matches("<svg").count(), 4);
        assert!(html.contains("99.9 %") && html.contains("<polyline"), "{html}");
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn a_run_without_a_point_has_a_page_too() {
        let mut empty = result(vec![]);
        empty.operations.clear();
        let html = page(&empty);
        assert!(html.contains("nothing was measured") && !html.contains("NaN"), "{html}");
    }
}
