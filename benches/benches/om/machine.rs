//! What the servers used: CPU, disk.

use std::fs;
use std::time::Duration;

use allotrope_benches::process;

/// The name of the clients' threads.
pub(crate) const CLIENT_THREAD: &str = "client";

/// CPU time of all threads that are not clients', those that have ended too.
pub(crate) fn server_cpu() -> Duration {
    process::cpu_time().saturating_sub(process::cpu_time_of(CLIENT_THREAD))
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
