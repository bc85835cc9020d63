//! `allotrope perf` against a quickstart and against servers that are not as they should be.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod quick;

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use quick::{Ports, Quickstart, allotrope, start};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// `allotrope perf ARGS --json`: its exit code and its result.
fn perf(ports: &Ports, args: &[&str]) -> (Option<i32>, Value) {
    let output = allotrope(ports).arg("perf").args(args).arg("--json").output().unwrap();
    (output.status.code(), result(args, &output))
}

fn result(args: &[&str], output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("perf {args:?}: {text}{error}"))
}

/// A run that must succeed; its result.
fn perf_ok(ports: &Ports, args: &[&str]) -> Value {
    let (code, result) = perf(ports, args);
    assert_eq!((code, &result["end"]), (Some(0), &Value::from("done")), "perf {args:?}: {result:#}");
    assert_eq!((&result["format"], &result["version"]), (&Value::from("allotrope-perf"), &Value::from(1)));
    result
}

/// How many operations of `kind` worked, and what they moved.
fn counted(result: &Value, kind: &str) -> (u64, u64) {
    let operations = result["operations"].as_array().unwrap();
    let found = operations.iter().find(|operation| operation["name"] == kind).unwrap();
    (found["count"].as_u64().unwrap(), found["bytes"].as_u64().unwrap())
}

fn world() -> (tempfile::TempDir, Ports, Quickstart) {
    let dir = tempfile::tempdir().unwrap();
    let mut ports = Ports::pick();
    // Loads make containers of several kinds, and each keeps its whole size free on a disk that six datanodes share.
    ports.0.push("--set=ozone.scm.container.size=512MB".to_owned());
    let running = start(&ports, &dir.path().join("data"));
    (dir, ports, running)
}

#[test]
fn keys_are_written_read_and_validated_and_another_seed_is_not_what_was_written() {
    let (dir, ports, running) = world();
    let pid = running.child.id().to_string();
    let (out, log) = (dir.path().join("out.json"), dir.path().join("log.hdr"));
    let (out, log) = (out.to_str().unwrap(), log.to_str().unwrap());
    let keys = ["-n", "24", "-t", "4", "-s", "100001", "-p", "run1"];
    let with = |load: &str, more: &[&str]| {
        let args: Vec<&str> = [load].into_iter().chain(keys).chain(more.iter().copied()).collect();
        perf_ok(&ports, &args)
    };
    let written =
        with("ockg", &["--replication", "rs-3-2-1024k", "--pid", &pid, "--out", out, "--hdr-log", log]);
    assert_eq!(counted(&written, "write"), (24, 24 * 100_001));
    assert_eq!(written["load"], "key-write");
    let process = &written["processes"][0];
    assert!(
        process["cpu_ns"].as_u64().unwrap() > 0 && process["rss"].as_u64().unwrap() > 1 << 20,
        "{process}"
    );
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(kept, written);
    let logged = std::fs::read_to_string(log).unwrap();
    assert!(logged.lines().any(|line| line.starts_with("Tag=write,")), "{logged}");

    assert_eq!(counted(&with("key-validate", &[]), "read"), (24, 24 * 100_001));
    assert_eq!(counted(&with("ocokr", &["-k", "3", "--rate", "200"]), "read"), (24, 24 * 100_001));
    assert_eq!(counted(&with("key-range", &["--range-size", "777"]), "read"), (24, 24 * 777));
    let mixed = with("ockrw", &["--percentage-read", "50", "--percentage-list", "25", "--warm-up", "100ms"]);
    let [writes, reads, lists] = ["write", "read", "list"].map(|kind| counted(&mixed, kind));
    assert_eq!(writes.0 + reads.0 + lists.0, 24);
    assert_eq!(reads.1, reads.0 * 100_001);

    // Other content, as far as the reader knows.
    let (code, wrong) =
        perf(&ports, &["key-validate", "-n", "24", "-s", "100001", "-p", "run1", "--seed", "2", "-f"]);
    assert_eq!((code, &wrong["failures"]["corrupt"]["count"]), (Some(1), &Value::from(24)), "{wrong:#}");
    let (code, wrong) = perf(&ports, &["key-validate", "-n", "1", "-s", "100000", "-p", "run1"]);
    assert_eq!(code, Some(1));
    let first = wrong["failures"]["corrupt"]["first"].as_str().unwrap();
    assert_eq!(first, "/vol1/bucket1/run1/0 has 100001 bytes instead of 100000");

    perf_ok(&ports, &["ockr", "-n", "24", "-t", "4", "-p", "run1"]);
    let (code, gone) = perf(&ports, &["key-validate", "-n", "3", "-s", "100001", "-p", "run1"]);
    assert_eq!((code, &gone["end"]), (Some(1), &Value::from("failed")), "{gone:#}");
    assert!(gone["failures"]["refused"]["first"].as_str().unwrap().contains("KEY_NOT_FOUND"), "{gone:#}");

    let made = perf_ok(&ports, &["omkg", "-n", "50", "-p", "names"]);
    assert_eq!(counted(&made, "create"), (50, 0));
    let ops = "create-key=1,GET_KEYINFO=3,list-keys=1,rename-key=1,delete-key=1,info-bucket=1,info-volume=1";
    let (code, mix) =
        perf(&ports, &["ommg", "-n", "40", "-t", "8", "--duration", "2s", "-p", "mix", "--ops", ops, "-f"]);
    let sum: u64 = mix["operations"].as_array().unwrap().iter().map(|op| op["count"].as_u64().unwrap()).sum();
    // A key may be renamed or deleted when it is looked up: that alone may fail.
    let failures = mix["failures"].as_object().unwrap();
    assert!(sum > 40 && failures.keys().all(|kind| kind == "refused"), "{code:?} {mix:#}");
    let first = mix["failures"]["refused"]["first"].as_str().unwrap_or("KEY_NOT_FOUND");
    assert!(first.contains("KEY_NOT_FOUND"), "{mix:#}");
}

#[test]
fn datanodes_scm_and_s3_are_loaded_each_by_its_own_wire() {
    let (_dir, ports, running) = world();
    let mib = (1u64 << 20).to_string();
    // SCM leaves its safe mode when datanodes have come.
    let allocated = perf_ok(&ports, &["scm-allocate", "-n", "30", "--blocks", "3"]);
    assert_eq!(counted(&allocated, "allocate"), (30, 0));
    perf_ok(&ports, &["scmtb", "-n", "30", "--transport", "grpc", "--replication", "STANDALONE/ONE"]);
    let chunks = perf_ok(&ports, &["dcg", "-n", "40", "-t", "4", "-s", &mib, "--block-size", "4MB"]);
    assert_eq!(counted(&chunks, "write-chunk"), (40, 40 << 20));
    let read = perf_ok(&ports, &["dcv", "-n", "20", "-t", "4", "-s", "70001"]);
    assert_eq!(counted(&read, "read-chunk"), (20, 20 * 70_001));
    assert_eq!(counted(&perf_ok(&ports, &["dbp", "-n", "20", "-t", "4", "-s", "4KB"]), "put-block").0, 20);
    let small = perf_ok(&ports, &["small-file", "-n", "30", "-s", "4KB"]);
    assert_eq!(counted(&small, "put-small-file"), (30, 30 << 12));
    let small = perf_ok(&ports, &["small-file", "-n", "30", "-s", "4KB", "--read"]);
    assert_eq!(counted(&small, "get-small-file"), (30, 30 << 12));
    let echo = perf_ok(&ports, &["dne", "-n", "30", "--payload-req", "1KB", "--payload-resp", "2KB"]);
    assert_eq!(counted(&echo, "echo"), (30, 30 * 3072));

    let exported = running.said.iter().filter_map(|line| line.trim().strip_prefix("export "));
    let exports: Vec<(&str, &str)> =
        exported.flat_map(str::split_whitespace).filter_map(|word| word.split_once('=')).collect();
    assert!(exports.iter().any(|(name, _)| *name == "AWS_SECRET_ACCESS_KEY"), "{:?}", running.said);
    let s3 = |args: &[&str]| {
        let mut command = allotrope(&ports);
        let output =
            command.arg("perf").args(args).arg("--json").envs(exports.iter().copied()).output().unwrap();
        let result = result(args, &output);
        assert_eq!(
            (output.status.code(), &result["end"]),
            (Some(0), &Value::from("done")),
            "{args:?}: {result:#}"
        );
        result
    };
    assert_eq!(counted(&s3(&["s3bg", "-n", "5", "-p", "made"]), "make-bucket").0, 5);
    let of = ["-b", "loaded", "-n", "20", "-t", "4", "-s", "100001"];
    let with = |load: &str, more: &[&str]| {
        let args: Vec<&str> = [load].into_iter().chain(of).chain(more.iter().copied()).collect();
        s3(&args)
    };
    assert_eq!(counted(&with("s3kg", &[]), "put"), (20, 20 * 100_001));
    assert_eq!(counted(&with("s3-get", &[]), "get"), (20, 20 * 100_001));
    assert_eq!(counted(&with("s3-get", &["--range-size", "777"]), "get"), (20, 20 * 777));
    assert_eq!(counted(&with("s3-list", &["--max-list-result", "7"]), "list"), (20, 0));
    let mixed = with("s3-mixed", &["--rate", "100"]);
    assert_eq!(["put", "get", "list"].map(|kind| counted(&mixed, kind).0).iter().sum::<u64>(), 20);
    // Parts of five MiB, which S3 wants of all but the last; what comes is read back as one object.
    let parts = ["-b", "loaded", "-n", "2", "-s", "5242880", "-p", "parts"];
    let upload: Vec<&str> = ["s3-multipart"].into_iter().chain(parts).chain(["--parts", "3"]).collect();
    assert_eq!(counted(&s3(&upload), "upload"), (2, (2 * 15) << 20));
    let get = ["s3-get", "-b", "loaded", "-n", "2", "-s", "15728640", "-p", "parts"];
    assert_eq!(counted(&s3(&get), "get"), (2, (2 * 15) << 20));
}

#[test]
fn datanodes_come_and_go_and_no_byte_is_lost() {
    let (dir, ports, _running) = world();
    let data = dir.path().join("data");
    let args = [
        "ec-stress",
        "--data",
        data.to_str().unwrap(),
        "-n",
        "1",
        "--keys",
        "4",
        "-s",
        "3MB",
        "--deadline",
        "180s",
    ];
    let result = perf_ok(&ports, &args);
    for step in ["write", "kill", "read-degraded", "rebuild", "read-rebuilt", "start"] {
        assert_eq!(counted(&result, step).0, 1, "{step}: {result:#}");
    }
    let [written, degraded, rebuilt] =
        ["write", "read-degraded", "read-rebuilt"].map(|step| counted(&result, step).1);
    assert!(written > 0 && written == degraded && written == rebuilt, "{result:#}");
}

#[test]
fn results_are_held_against_each_other_and_against_the_machines_limits() {
    let (dir, ports, _running) = world();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let perf_text = |args: &[&str]| {
        let mut command = allotrope(&ports);
        command.env("XDG_CACHE_HOME", dir.path().join("cache"));
        let output = command.arg("perf").args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let folder = dir.path().to_str().unwrap();
    let (code, text, error) =
        perf_text(&["limits", "--dir", folder, "--time", "2s", "--out", &path("limits.json")]);
    assert_eq!(code, Some(0), "{text}{error}");
    for limit in [
        "aes-256-gcm",
        "memcpy",
        "crc32c",
        "loopback",
        "rs-6-3 encode",
        "disk write 1 MiB x 8",
        "disk read 4 KiB x 32",
    ] {
        assert!(text.contains(limit), "{limit}: {text}");
    }
    let (one, two, page) = (path("one.json"), path("two.json"), path("page.html"));
    let run = |out: &str, size: &str| {
        let with = [
            "key-write",
            "-n",
            "20",
            "-s",
            size,
            "--out",
            out,
            "--html",
            &page,
            "--limits",
            &path("limits.json"),
        ];
        perf_text(&with)
    };
    let (code, text, error) = run(&one, "64KB");
    assert_eq!(code, Some(0), "{text}{error}");
    for share in ["% of disk write 64 KiB x 8", "% of loopback", "times disk durable page"] {
        assert!(text.contains(share), "{share}: {text}");
    }
    // What was measured of this machine is known from then on.
    let (_, json, _) = perf_text(&["key-validate", "-n", "20", "-s", "64KB", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let limits: Vec<&str> =
        json["shares"].as_array().unwrap().iter().map(|share| share["limit"].as_str().unwrap()).collect();
    assert_eq!(limits, ["disk read 64 KiB x 8", "loopback"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && !html.contains("http"), "{html}");
    run(&two, "64KB");
    let (code, text, error) = perf_text(&["compare", &one, &two]);
    assert_eq!(code, Some(0), "{text}{error}");
    assert!(text.contains("write a second") && text.contains("write p99 ms"), "{text}");
    let (_, json, _) = perf_text(&["compare", &one, &one, "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["ratios"].as_array().unwrap().iter().all(|ratio| ratio["ratio"] == 1.0), "{json:#}");
    run(&two, "32KB");
    let (code, _, error) = perf_text(&["compare", &one, &two]);
    assert_eq!(code, Some(1));
    assert!(error.contains("the runs are unlike: size is 64 KiB in one and 32 KiB in another"), "{error}");
    let (code, _, error) = perf_text(&["report", &path("limits.json"), &page]);
    assert!(code == Some(1) && error.contains("its field format"), "{error}");
}

#[test]
fn an_unreachable_server_ends_the_run_in_words_and_with_a_result() {
    let ports = Ports::pick();
    let began = Instant::now();
    let args = ["perf", "key-write", "-n", "10", "--deadline", "2s"];
    let output = allotrope(&ports).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("0 operations worked, 1 failed") && text.contains("unreachable"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // A reader needs nothing made before: its first operation is what fails.
    let (code, result) = perf(&ports, &["key-validate", "-n", "10", "--deadline", "2s"]);
    assert_eq!(code, Some(1));
    assert!(result["failures"]["unreachable"]["count"].as_u64().unwrap() >= 1, "{result:#}");
}

#[test]
fn a_server_that_never_answers_ends_the_run_by_its_deadline() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = format!("ozone.om.grpc.port={}", silent.local_addr().unwrap().port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
    command.args(["--set", "ozone.om.address=127.0.0.1:1", "--set", &port]);
    let args = ["perf", "key-validate", "-n", "10", "-t", "2", "--deadline", "1s", "--json"];
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let result = result(&args, &output);
    assert_eq!((output.status.code(), &result["end"]), (Some(1), &Value::from("failed")), "{result:#}");
    assert!(result["failures"]["late"]["count"].as_u64().unwrap() >= 1, "{result:#}");
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    let (dir, ports, _running) = world();
    let log = dir.path().join("log");
    let mut command = allotrope(&ports);
    command.args(["perf", "key-write", "--duration", "1h", "-n", "50", "-s", "1KB", "--json"]);
    command.args(["--hdr-log", log.to_str().unwrap(), "--interval", "100ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // Until an interval with an operation is in the log.
    let began = Instant::now();
    let logged = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Tag=write"));
    while !logged() {
        assert!(began.elapsed() < Duration::from_secs(90) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(result["end"], "interrupted");
    assert!(counted(&result, "write").0 > 0 && result["failures"] == serde_json::json!({}), "{result:#}");
}
