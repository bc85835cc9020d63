//! The page of what was measured.

use std::fmt::Write as _;

use allotrope_benches::machine;
use serde_json::Value;

use crate::systems::System;

const HEAD: &str = "# Beside other systems\n\n\
Made by `./dev bench peers`: each system in turn, started in an empty folder on one machine, which client and servers share, loaded by the same \
`allotrope perf` with the same flags for 5 s a load, and stopped. Objects are written over again while time lasts; every byte that is read is compared. \
CPU is that of all server processes; memory is what they had resident at the most together. Systems differ in what an answered write means: compare \
those that mean the same. Short runs on a shared machine: read ratios, not figures.\n";

fn number(value: &Value, digits: usize) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

/// What failed, in a word or two.
fn failed(figures: &Value) -> String {
    let kinds = figures["failures"].as_object().into_iter().flatten();
    let mut said: Vec<String> = kinds
        .map(|(kind, of)| {
            let first: String = of["first"].as_str().unwrap_or_default().chars().take(100).collect();
            format!("{} {kind}: {}", of["count"], first.replace('|', "/").replace('\n', " "))
        })
        .collect();
    if let Some(why) = figures["why"].as_str() {
        said.push(why.chars().take(100).collect::<String>().replace('|', "/").replace('\n', " "));
    }
    if said.is_empty() { "–".to_owned() } else { said.join("; ") }
}

/// The whole page.
pub(crate) fn text(all: &[(&System, Option<Value>)]) -> String {
    let mut text = format!("{HEAD}\nMachine: {}.\n\n## What an answered write means\n\n", machine::words());
    text.push_str("| system | what it is | an answered write is on |\n| --- | --- | --- |\n");
    for (system, _) in all {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {} |", system.name, system.about, system.durability);
    }
    text.push_str("\n## Loads\n\n| load | bytes | at once | system | a second | MiB/s | p50 ms | p99 ms | server CPU s/GiB | server MiB | failed |\n");
    text.push_str("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    let rows = |measured: &Value| measured["rows"].as_array().cloned().unwrap_or_default();
    let mut order: Vec<(Value, Value)> = Vec::new();
    for row in all.iter().filter_map(|(_, measured)| measured.as_ref()).flat_map(rows) {
        let key = (row["load"].clone(), row["size"].clone());
        if !order.contains(&key) {
            order.push(key);
        }
    }
    for (load, size) in order {
        for (system, measured) in all {
            let found = measured.iter().flat_map(rows).find(|row| row["load"] == load && row["size"] == size);
            let Some(row) = found else { continue };
            let figures = &row["figures"];
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                load.as_str().unwrap_or_default(),
                size.as_str().unwrap_or_default(),
                row["at_once"].as_str().unwrap_or_default(),
                system.name,
                number(&figures["per_second"], 1),
                number(&figures["mib_per_second"], 1),
                number(&figures["p50_ms"], 2),
                number(&figures["p99_ms"], 2),
                number(&figures["cpu_seconds_a_gib"], 2),
                number(&figures["rss_mib"], 0),
                failed(figures),
            );
        }
    }
    text.push_str("\n## Start, and a lost datanode\n\nThe start is the first, in an empty folder, with what the system's script waits by itself: 6 s of SeaweedFS's. A datanode of six is killed after 20 keys were written as rs-3-2-1024k; \
                   SCM calls it dead after 20 s, in ours and in Ozone's.\n\n");
    text.push_str("| system | start s | written MiB | death to full redundancy s | failed |\n| --- | ---: | ---: | ---: | --- |\n");
    for (system, measured) in all {
        let Some(measured) = measured else { continue };
        let lost = &measured["lost"];
        let failed = if lost.is_null() { "it has no datanodes to lose".to_owned() } else { failed(lost) };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {failed} |",
            system.name,
            number(&measured["started_in_seconds"], 2),
            number(&lost["written_mib"], 0),
            number(&lost["whole_after_seconds"], 1),
        );
    }
    let lacking: Vec<&str> =
        all.iter().filter(|(_, measured)| measured.is_none()).map(|(system, _)| system.name).collect();
    if !lacking.is_empty() {
        let _ = write!(text, "\nNot measured: {}.\n", lacking.join(", "));
    }
    text
}
