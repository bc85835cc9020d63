//! The dashboard and the alerts of `deploy/` are those of `tests/dashboard/table.rs`, and every metric that they name is shown
//! by a server that runs.
//!
//! `ALLOTROPE_WRITE=1` writes the files anew from the table.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files and clocks")]

#[path = "dashboard/table.rs"]
mod table;

mod quick;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use quick::{Ports, page, sh_ok, start, stop};
use serde_json::{Value, json};
use table::{ALERTS, Panel, ROWS};

const PANEL_WIDTH: usize = 12;
const PANEL_HEIGHT: usize = 8;

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn panel(id: usize, panel: &Panel, x: usize, y: usize) -> Value {
    let line = |(at, (legend, expr)): (usize, &(&str, &str))| {
        json!({
            "refId": char::from(b'A' + u8::try_from(at).unwrap()).to_string(),
            "datasource": source(),
            "expr": expr,
            "legendFormat": legend,
        })
    };
    json!({
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": source(),
        "gridPos": { "x": x, "y": y, "w": PANEL_WIDTH, "h": PANEL_HEIGHT },
        "fieldConfig": {
            "defaults": { "unit": panel.unit, "min": 0, "custom": { "fillOpacity": 8, "lineWidth": 2, "showPoints": "never" } },
            "overrides": [],
        },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
        "targets": panel.lines.iter().enumerate().map(line).collect::<Value>(),
    })
}

fn dashboard() -> String {
    let (mut panels, mut y, mut id) = (Vec::new(), 0, 0);
    for row in ROWS {
        id += 1;
        panels.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": 24, "h": 1 },
        }));
        y += 1;
        for (at, one) in row.panels.iter().enumerate() {
            id += 1;
            panels.push(panel(id, one, at % 2 * PANEL_WIDTH, y + at / 2 * PANEL_HEIGHT));
        }
        y += row.panels.len().div_ceil(2) * PANEL_HEIGHT;
    }
    let dashboard = json!({
        "uid": "allotrope",
        "title": "Allotrope",
        "tags": ["allotrope"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [{ "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source" }] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn alerts() -> String {
    let mut out = String::from(
        "# Written from tests/dashboard/table.rs by the test `the_files_are_the_table`.\ngroups:\n- name: allotrope\n  rules:\n",
    );
    // A JSON string is a YAML string.
    let text = |text: &str| json!(text).to_string();
    for alert in ALERTS {
        writeln!(out, "  - alert: {}", alert.name).unwrap();
        writeln!(out, "    expr: {}", text(alert.when)).unwrap();
        writeln!(out, "    for: {}", alert.lasting).unwrap();
        writeln!(out, "    labels: {{ severity: {} }}", alert.severity).unwrap();
        writeln!(out, "    annotations: {{ summary: {} }}", text(alert.about)).unwrap();
    }
    out
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

#[test]
fn the_files_are_the_table() {
    for (name, wanted) in [("grafana/allotrope.json", dashboard()), ("prometheus/alerts.yml", alerts())] {
        if std::env::var_os("ALLOTROPE_WRITE").is_some() {
            std::fs::write(deploy(name), &wanted).unwrap();
        }
        let found = std::fs::read_to_string(deploy(name)).unwrap_or_default();
        assert!(found == wanted, "deploy/{name} is not what the table says\n  try: ALLOTROPE_WRITE=1");
    }
}

/// The metrics that an expression names: words with a component's prefix.
fn metrics(expr: &str) -> impl Iterator<Item = &str> {
    let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| {
        ["datanode_", "scm_", "om_", "s3g_", "recon_"].iter().any(|start| word.starts_with(start))
    })
}

#[test]
fn every_metric_that_is_named_is_shown_by_a_server_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), Ports::pick());
    let running = start(&ports, &data);
    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    std::fs::write(dir.path().join("source"), b"bytes").unwrap();
    sh_ok(&ports, &["key", "put", "/vol1/bucket1/key", dir.path().join("source").to_str().unwrap()]);
    // The gateway counts what it answers, a refusal too.
    page(&ports, "ozone.s3g.http-address", "/");
    let mut shown = BTreeSet::new();
    for role in [
        "ozone.scm.http-address",
        "ozone.om.http-address",
        "ozone.s3g.webadmin.http-address",
        "hdds.datanode.http-address",
        "ozone.recon.http-address",
    ] {
        let text = page(&ports, role, "/metrics");
        let names = text.lines().filter(|line| !line.starts_with('#'));
        shown.extend(names.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned));
    }
    let exprs = ROWS.iter().flat_map(|row| row.panels).flat_map(|panel| panel.lines).map(|(_, expr)| *expr);
    let named: BTreeSet<&str> =
        exprs.chain(ALERTS.iter().map(|alert| alert.when)).flat_map(metrics).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<&&str> = named.iter().filter(|name| !shown.contains(**name)).collect();
    assert!(missing.is_empty(), "no server shows {missing:?}; shown are {shown:?}");
    assert_eq!(stop(running), Some(0));
}
