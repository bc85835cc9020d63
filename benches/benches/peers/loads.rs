//! The loads: each a run of `allotrope perf`, whose own result is what is kept.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::systems::{Running, binary};

/// Bytes of an object, how many at once, and objects that are put over and over while time lasts.
const SIZES: [(u64, u32, u64); 3] = [(4 << 10, 8, 1000), (1 << 20, 8, 200), (16 << 20, 4, 32)];
/// How long each load runs.
const TURN: &str = "5s";

/// Runs `allotrope perf LOAD`: its result, or why there is none.
fn perf(running: &Running, args: &[String]) -> Value {
    let mut command = Command::new(binary());
    command.args(&running.settings).arg("perf").args(args).arg("--json").stdin(Stdio::null());
    for process in &running.processes {
        command.args(["--pid", &process.to_string()]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| json!({ "why": String::from_utf8_lossy(&output.stderr) }))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A load's figures: what the page shows, and what failed.
fn figures(result: &Value) -> Value {
    let operation = &result["operations"][0];
    let at = |part: f64| {
        let pairs = operation["quantiles_ns"].as_array().into_iter().flatten();
        let mut found = pairs.filter(|pair| pair[0].as_f64().is_some_and(|of| (of - part).abs() < 1e-9));
        found.next().and_then(|pair| pair[1].as_f64()).map(|ns| ns / 1e6)
    };
    let processes = result["processes"].as_array().into_iter().flatten();
    let cpu: f64 = processes.clone().filter_map(|process| process["cpu_ns"].as_f64()).sum();
    let rss: f64 = processes.filter_map(|process| process["rss_max"].as_f64()).sum();
    let gib = operation["bytes"].as_f64().unwrap_or(0.0) / f64::from(1 << 30);
    json!({
        "count": operation["count"],
        "per_second": operation["count_per_second"],
        "mib_per_second": operation["bytes_per_second"].as_f64().map(|bytes| bytes / f64::from(1 << 20)),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "cpu_seconds_a_gib": (gib > 0.0).then(|| cpu / 1e9 / gib),
        "rss_mib": rss / f64::from(1 << 20),
        "failures": result["failures"],
        "why": result["why"],
    })
}

fn size_name(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// Writes, and then reads what was written: two rows.
fn both(
    running: &Running,
    name: &str,
    loads: [&str; 2],
    (bytes, at_once, objects): (u64, u32, u64),
    more: [&[String]; 2],
) -> Vec<Value> {
    let (size, at_once) = (bytes.to_string(), at_once.to_string());
    let prefix = format!("p{bytes}");
    let run = |load: &str, objects: u64, more: &[String]| {
        let objects = objects.to_string();
        let mut args =
            words(&[load, "-s", &size, "-t", &at_once, "-n", &objects, "-p", &prefix, "--duration", TURN]);
        args.extend(words(&["--deadline", "60s", "-f"]));
        args.extend_from_slice(more);
        let found = figures(&perf(running, &args));
        let row = json!({ "load": format!("{name} {}", load_name(load)), "size": size_name(bytes), "at_once": at_once, "figures": found });
        eprintln!("  {row}");
        row
    };
    let written = run(loads[0], objects, more[0]);
    let count = written["figures"]["count"].as_u64().unwrap_or(0).clamp(1, objects);
    // The last ones may have failed or never ended.
    let there = count.saturating_sub(16).max(1);
    let read = run(loads[1], there, more[1]);
    vec![written, read]
}

fn load_name(load: &str) -> &str {
    match load {
        "s3-put" => "put",
        "s3-get" => "get",
        "key-write" => "write",
        "key-validate" => "read",
        other => other,
    }
}

/// Every load on a system that serves.
pub(crate) fn measure(running: &Running) -> Value {
    let mut rows = Vec::new();
    let bucket = words(&["-b", "peers"]);
    let s3: Vec<String> = [bucket, running.s3.clone()].concat();
    for size in SIZES {
        rows.extend(both(running, "S3", ["s3-put", "s3-get"], size, [&s3, &s3]));
    }
    let mut lost = Value::Null;
    if !running.datanodes.is_empty() {
        let place = words(&["-v", "peers", "-b", "native"]);
        let coded = [place.clone(), words(&["--replication", "rs-3-2-1024k"])].concat();
        for size in SIZES {
            rows.extend(both(
                running,
                "native rs-3-2",
                ["key-write", "key-validate"],
                size,
                [&coded, &place],
            ));
        }
        lost = lost_datanode(running, &place);
    }
    json!({ "started_in_seconds": running.started_in.as_secs_f64(), "rows": rows, "lost": lost })
}

/// One datanode dies; seconds until all is whole without it.
fn lost_datanode(running: &Running, place: &[String]) -> Value {
    let mut args =
        words(&["ec-stress", "-n", "1", "--keys", "20", "-s", "16MB", "-p", "lost", "--deadline", "180s"]);
    args.extend_from_slice(place);
    args.extend_from_slice(&running.datanodes);
    let result = perf(running, &args);
    let step = |name: &str| {
        let mut operations = result["operations"].as_array().into_iter().flatten();
        operations.find(|operation| operation["name"] == name).cloned().unwrap_or_default()
    };
    let seconds = |name: &str| step(name)["mean_ns"].as_f64().map(|ns| ns / 1e9);
    let whole = (step("rebuild")["count"] == 1)
        .then(|| Some(seconds("read-degraded")? + seconds("rebuild")?))
        .flatten();
    let lost = json!({
        "written_mib": step("write")["bytes"].as_f64().map(|bytes| bytes / f64::from(1 << 20)),
        "whole_after_seconds": whole,
        "failures": result["failures"],
        "why": result["why"],
    });
    eprintln!("  {lost}");
    lost
}
