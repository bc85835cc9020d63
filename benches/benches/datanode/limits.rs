//! What the disk alone gives: fio's io_uring engine, O_DIRECT, as many operations at once as the load has streams.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Bytes a second of 1 MiB operations `rw` (`write` or `read`), `depth` at once.
pub(crate) fn fio(rw: &str, depth: usize, dir: &Path, turn: Duration) -> f64 {
    run(rw, depth, dir, turn, &["--overwrite=1", "--size=1G", "--time_based"])
}

/// Bytes a second of 1 MiB writes that extend `streams` files, each flushed after every 4 MiB: what durable blocks cost the
/// file system and the disk, with no server.
pub(crate) fn fio_durable(streams: usize, dir: &Path, turn: Duration) -> f64 {
    let size = format!("--size={}M", 2048 / streams);
    let jobs = format!("--numjobs={streams}");
    let files = ["--fdatasync=4", "--fallocate=none", "--group_reporting", "--unlink=1"];
    run("write", 1, dir, turn, &[&files[..], &[&size, &jobs]].concat())
}

fn run(rw: &str, depth: usize, dir: &Path, turn: Duration, more: &[&str]) -> f64 {
    let file = dir.join("fio");
    let name = |file: &Path, more: &[&str]| match more.contains(&"--group_reporting") {
        true => vec![format!("--filename_format={}.$jobnum", file.display())],
        false => vec![format!("--filename={}", file.display())],
    };
    let out = Command::new("fio")
        .args(["--name=limit", "--ioengine=io_uring", "--direct=1", "--output-format=json", "--thread=1"])
        .arg("--bs=1M")
        .args(more)
        .args(name(&file, more))
        .arg(format!("--rw={rw}"))
        .arg(format!("--iodepth={depth}"))
        .arg(format!("--runtime={}", turn.as_secs().max(1)))
        .output()
        .expect("fio is installed: apt-get install fio");
    assert!(out.status.success(), "fio: {}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("fio prints JSON");
    let side = &json["jobs"][0][rw];
    let number = |name: &str| side[name].as_f64().unwrap();
    number("io_bytes") / (number("runtime") / 1e3)
}
