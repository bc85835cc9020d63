//! The machine that figures are from, in words.
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine itself")]

use std::fs::read_to_string;

/// The CPU's name, as the kernel has it.
pub fn cpu_model() -> String {
    let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// CPU, cores and kernel.
pub fn words() -> String {
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, {} cores, kernel {}", cpu_model(), cores(), kernel.trim())
}
