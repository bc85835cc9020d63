//! What processes used: CPU and memory, from /proc.

use std::fs;
use std::time::Duration;

/// User and system time of a process, to 10 ms.
pub(crate) fn cpu(pid: u32) -> Duration {
    used(&format!("/proc/{pid}/stat"))
}

/// The same of the thread that asks.
pub(crate) fn cpu_of_thread() -> Duration {
    used("/proc/thread-self/stat")
}

fn used(path: &str) -> Duration {
    let stat = fs::read_to_string(path).unwrap();
    // The name, in brackets, may hold blanks; fields 14 and 15 lie behind it, in ticks of 1/100 s.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}

/// The most memory that a process ever had resident, in MiB.
pub(crate) fn rss_max_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
