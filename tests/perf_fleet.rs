//! `allotrope perf`'s simulated datanodes and copies of containers, against servers that are real.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;
mod quick;

use cluster::{Cluster, Server};
use quick::{Ports, allotrope, sh_ok};
use serde_json::Value;

/// The result of a run that must succeed.
fn done(args: &[&str], output: &std::process::Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    let result: Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("perf {args:?}: {text}{error}"));
    assert_eq!(
        (output.status.code(), &result["end"]),
        (Some(0), &Value::from("done")),
        "{args:?}: {result:#}{error}"
    );
    result
}

fn count(result: &Value, kind: &str) -> u64 {
    let operations = result["operations"].as_array().unwrap();
    let found = operations.iter().find(|operation| operation["name"] == kind).unwrap();
    found["count"].as_u64().unwrap()
}

#[test]
fn simulated_datanodes_are_taken_for_real_and_what_dies_with_them_is_made_up_for() {
    let settings = [
        "ozone.scm.stale.node.interval=4s",
        "ozone.scm.dead.node.interval=5s",
        "hdds.scm.replication.thread.interval=1s",
        "hdds.scm.wait.time.after.safemode.exit=0s",
    ];
    let cluster = Cluster::start_with(0, &settings);
    let perf = |args: &[&str]| {
        let all: Vec<&str> = ["perf"].into_iter().chain(args.iter().copied()).chain(["--json"]).collect();
        done(args, &cluster.run_as(Server::Scm, &all))
    };
    for transport in ["hadoop-rpc", "grpc"] {
        let args =
            ["simulate-datanode", "--nodes", "12", "-c", "3", "-n", "240", "--full-report-every", "10"];
        let beaten = perf(&[&args[..], &["--transport", transport]].concat());
        assert_eq!(count(&beaten, "heartbeat") + count(&beaten, "full-report"), 240);
        assert!((12..=36).contains(&count(&beaten, "full-report")), "{beaten:#}");
    }
    // Other datanodes than those above, which are dead by the time that these die.
    let args = ["replication-storm", "--nodes", "12", "-c", "20", "--lose", "2", "-n", "1", "--seed", "2"];
    let more = ["--heartbeat", "200ms", "--copy-time", "100ms", "--streams", "2", "--deadline", "120s"];
    let storm = perf(&[&args[..], &more[..]].concat());
    for step in ["lose", "whole", "return", "settle"] {
        assert_eq!(count(&storm, step), 1, "{storm:#}");
    }
    let too_many =
        ["perf", "replication-storm", "--nodes", "12", "-c", "1", "--lose", "3", "-n", "1", "--seed", "3"];
    let refused = cluster.run_as(Server::Scm, &too_many);
    let text = String::from_utf8_lossy(&refused.stdout);
    assert!(text.contains("bears the loss of 2 datanodes at once, not of 3"), "{text}");
}

#[test]
fn closed_containers_are_pulled_and_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let mut ports = Ports::pick();
    ports.0.push("--set=ozone.scm.container.size=512MB".to_owned());
    let _running = quick::start(&ports, &dir.path().join("data"));
    let perf =
        |args: &[&str]| done(args, &allotrope(&ports).arg("perf").args(args).arg("--json").output().unwrap());
    sh_ok(&ports, &["volume", "create", "/vol1"]);
    sh_ok(&ports, &["bucket", "create", "/vol1/bucket1", "--type", "STAND_ALONE", "--replication", "ONE"]);
    perf(&["key-write", "-n", "20", "-s", "300KB"]);
    let nothing = allotrope(&ports).args(["perf", "container-copy", "-n", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&nothing.stdout);
    assert!(text.contains("SCM knows no closed replica that can be copied"), "{text}");

    let listed = allotrope(&ports).args(["admin", "container", "list", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    for container in listed.as_array().unwrap() {
        let id = container["id"].as_i64().unwrap().to_string();
        let closed = allotrope(&ports).args(["admin", "container", "close", &id]).output().unwrap();
        assert!(closed.status.success(), "{}", String::from_utf8_lossy(&closed.stderr));
    }
    let began = std::time::Instant::now();
    let pulled = loop {
        let args = ["cr", "-n", "12", "-t", "3", "--json"];
        let output = allotrope(&ports).arg("perf").args(args).output().unwrap();
        if output.status.success() || began.elapsed() > std::time::Duration::from_secs(90) {
            break done(&args, &output);
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    assert_eq!(count(&pulled, "pull"), 12);
    assert!(pulled["operations"][0]["bytes"].as_u64().unwrap() > 12 * 300_000, "{pulled:#}");
    let pushed = perf(&["container-copy", "--push", "-n", "3", "-t", "1"]);
    assert_eq!(count(&pushed, "push"), 3);
    perf(&["key-validate", "-n", "20", "-s", "300KB"]);
}
