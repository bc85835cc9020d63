//! What the process used: CPU of the threads that are not clients', memory.

use std::fs;
use std::time::Duration;

/// The name of the clients' threads.
pub(crate) const CLIENT_THREAD: &str = "client";

/// CPU time of all living threads that are not clients'.
pub(crate) fn server_cpu() -> Duration {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    tasks.flatten().filter_map(|task| of_server(&task.path())).sum()
}

fn of_server(task: &std::path::Path) -> Option<Duration> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    if name.trim() == CLIENT_THREAD {
        return None;
    }
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    Some(Duration::from_nanos(times.split_whitespace().next()?.parse().ok()?))
}

/// Resident bytes of the process.
pub(crate) fn rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Bytes of the files below `dir`.
pub(crate) fn disk_len(dir: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => disk_len(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
