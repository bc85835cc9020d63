//! What the disk alone gives: fio's io_uring engine, O_DIRECT, as many operations at once as the load has streams.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Bytes a second of 1 MiB operations `rw` (`write` or `read`), `depth` at once.
pub(crate) fn fio(rw: &str, depth: usize, dir: &Path, turn: Duration) -> f64 {
    let file = dir.join("fio");
    let out = Command::new("fio")
        .args(["--name=limit", "--ioengine=io_uring", "--direct=1", "--output-format=json", "--thread=1"])
        .args(["--bs=1M", "--size=1G", "--time_based", "--overwrite=1"])
        .arg(format!("--filename={}", file.display()))
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
