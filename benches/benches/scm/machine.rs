//! What the process used: CPU of all its threads, memory.

use std::fs;
use std::time::Duration;

/// CPU time of all living threads.
pub(crate) fn cpu_time() -> Duration {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let of = |task: fs::DirEntry| {
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some(Duration::from_nanos(times.split_whitespace().next()?.parse().ok()?))
    };
    tasks.flatten().filter_map(of).sum()
}

/// Resident bytes of the process.
pub(crate) fn rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
