//! fio's io_uring engine on the same file, the same size and the same depth.

use crate::meter::{GIB, Turn};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What fio is asked to do.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// fio's name for it: `write`, `read`, `randread`.
    pub(crate) rw: &'static str,
    /// Bytes of one operation.
    pub(crate) block: usize,
    /// Operations at once.
    pub(crate) depth: usize,
}

/// Runs `job` for `turn` on `file`, which is `len` bytes long.
pub(crate) fn run(job: Job, file: &Path, len: u64, turn: Duration) -> Turn {
    let out = Command::new("fio")
        .args(["--name=limit", "--ioengine=io_uring", "--direct=1", "--numjobs=1", "--output-format=json"])
        .args(["--time_based", "--norandommap", "--randrepeat=0", "--overwrite=1", "--thread=1"])
        .arg(format!("--filename={}", file.display()))
        .arg(format!("--size={len}"))
        .arg(format!("--rw={}", job.rw))
        .arg(format!("--bs={}", job.block))
        .arg(format!("--iodepth={}", job.depth))
        .arg(format!("--runtime={}", turn.as_secs().max(1)))
        .output()
        .expect("fio is installed: apt-get install fio");
    assert!(out.status.success(), "fio: {}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("fio prints JSON");
    let job_report = &json["jobs"][0];
    let side = &job_report[if job.rw.ends_with("read") { "read" } else { "write" }];
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let seconds = number(&side["runtime"]) / 1e3;
    let bytes = number(&side["io_bytes"]);
    let cpu = (number(&job_report["usr_cpu"]) + number(&job_report["sys_cpu"])) / 100.0 * seconds;
    Turn {
        per_second: number(&side["total_ios"]) / seconds,
        bytes_per_second: bytes / seconds,
        cpu_per_gib: cpu / (bytes / GIB),
    }
}
