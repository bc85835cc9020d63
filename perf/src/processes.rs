//! What other processes use while a load runs, and what this machine is: from /proc.
//!
//! Units   seconds of CPU (user and system, of all cores), bytes of memory and of disk.
//! Errors  a process that ended, or whose figures may not be read, keeps what was seen of it.
//! Source  proc(5): `stat` fields 14 and 15, `status` VmRSS and VmHWM, `io` read_bytes and write_bytes; `net/dev`, which counts the bytes
//!         of all processes in the same network namespace: the kernel has no count of one process.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

/// The kernel's unit of CPU time in /proc, which it fixes for all programs.
const TICK: Duration = Duration::from_millis(10);

/// What one process used between the first look and the last.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessUse {
    /// The process.
    pub pid: u32,
    /// Its command's name.
    pub name: String,
    /// CPU time used, of all its threads.
    pub cpu: Duration,
    /// Memory resident at the last look.
    pub rss: u64,
    /// The most memory that was ever resident, since the process began.
    pub rss_max: u64,
    /// Bytes fetched from disks; `None` where the kernel does not let us see it.
    pub disk_read: Option<u64>,
    /// Bytes sent to disks.
    pub disk_written: Option<u64>,
    /// Bytes that all interfaces of its network namespace received: those of its neighbours there are among them.
    pub net_received: Option<u64>,
    /// Bytes that they sent.
    pub net_sent: Option<u64>,
    /// One value an interval: when, cores in use, memory resident, and what went to and from disks and the network a second.
    pub series: Vec<ProcessPoint>,
}

/// What a process used in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessPoint {
    /// When the interval ended, from the start.
    pub at: Duration,
    /// Cores in use, on average.
    pub cores: f64,
    /// Memory resident at its end.
    pub rss: u64,
    /// Disk bytes read a second.
    pub disk_read: f64,
    /// Disk bytes written a second.
    pub disk_written: f64,
    /// Bytes a second that its network namespace received.
    pub net_received: f64,
    /// Bytes a second that it sent.
    pub net_sent: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cpu: Duration,
    rss: u64,
    rss_max: u64,
    disk: Option<(u64, u64)>,
    net: Option<(u64, u64)>,
}

/// Looks at some processes, again and again.
#[derive(Debug)]
pub(crate) struct Processes {
    began: Instant,
    each: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    name: String,
    first: Seen,
    last: Seen,
    last_at: Duration,
    series: Vec<ProcessPoint>,
}

impl Processes {
    pub(crate) fn new(pids: &[u32]) -> Processes {
        let watched = |&pid: &u32| {
            let first = look(pid).unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
            Watched { pid, name, first, last: first, last_at: Duration::ZERO, series: Vec::new() }
        };
        Processes { began: Instant::now(), each: pids.iter().map(watched).collect() }
    }

    pub(crate) fn tick(&mut self) {
        let at = self.began.elapsed();
        self.each.iter_mut().for_each(|watched| watched.look(at));
    }

    pub(crate) fn finish(mut self) -> Vec<ProcessUse> {
        self.tick();
        self.each.into_iter().map(Watched::total).collect()
    }
}

impl Watched {
    fn look(&mut self, at: Duration) {
        let seconds = at.saturating_sub(self.last_at).as_secs_f64();
        let Some(seen) = look(self.pid).filter(|_| seconds > 0.0) else { return };
        type Pair = Option<(u64, u64)>;
        let rates = |now: Pair, before: Pair| {
            let ((a, b), (c, d)) = (now.unwrap_or_default(), before.unwrap_or_default());
            (a.saturating_sub(c) as f64 / seconds, b.saturating_sub(d) as f64 / seconds)
        };
        let (disk_read, disk_written) = rates(seen.disk, self.last.disk);
        let (net_received, net_sent) = rates(seen.net, self.last.net);
        self.series.push(ProcessPoint {
            at,
            cores: seen.cpu.saturating_sub(self.last.cpu).as_secs_f64() / seconds,
            rss: seen.rss,
            disk_read,
            disk_written,
            net_received,
            net_sent,
        });
        (self.last, self.last_at) = (seen, at);
    }

    fn total(self) -> ProcessUse {
        let since = |now: Option<(u64, u64)>, before: Option<(u64, u64)>| {
            let (now, before) = (now?, before.unwrap_or_default());
            Some((now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)))
        };
        let disk = since(self.last.disk, self.first.disk);
        let net = since(self.last.net, self.first.net);
        ProcessUse {
            pid: self.pid,
            cpu: self.last.cpu.saturating_sub(self.first.cpu),
            rss: self.last.rss,
            rss_max: self.last.rss_max,
            disk_read: disk.map(|(read, _)| read),
            disk_written: disk.map(|(_, written)| written),
            net_received: net.map(|(received, _)| received),
            net_sent: net.map(|(_, sent)| sent),
            name: self.name,
            series: self.series,
        }
    }
}

fn look(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let disk = fs::read_to_string(format!("/proc/{pid}/io")).ok();
    let net = fs::read_to_string(format!("/proc/{pid}/net/dev")).ok();
    Some(Seen {
        cpu: cpu_in(&stat)?,
        rss: value(&status, "VmRSS:").unwrap_or(0) * 1024,
        rss_max: value(&status, "VmHWM:").unwrap_or(0) * 1024,
        disk: disk.and_then(|io| Some((value(&io, "read_bytes:")?, value(&io, "write_bytes:")?))),
        net: net.map(|dev| net_in(&dev)),
    })
}

/// Bytes received and sent, of all interfaces.
fn net_in(dev: &str) -> (u64, u64) {
    let of = |line: &str| {
        let numbers: Vec<u64> =
            line.split_once(':')?.1.split_whitespace().map_while(|n| n.parse().ok()).collect();
        Some((*numbers.first()?, *numbers.get(8)?))
    };
    dev.lines().filter_map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn cpu_in(stat: &str) -> Option<Duration> {
    // The name, in brackets, may hold blanks and brackets; fields 14 and 15 lie behind it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * ticks()?.checked_add(ticks()?)?)
}

/// The number behind `name` in a list of lines.
fn value(lines: &str, name: &str) -> Option<u64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the load ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// The processor, by its own name.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Machine {
            processor: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: value(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 1 1 1 1";
        assert_eq!(cpu_in(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_in("42 (x)"), None);
    }

    #[test]
    fn network_bytes_are_summed_over_interfaces() {
        let dev = "Inter-| Receive | Transmit\n face |bytes packets\n    lo: 100 2 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n  eth0: 7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n";
        assert_eq!(net_in(dev), (107, 209));
        assert_eq!(net_in("lo: 1 2"), (0, 0));
    }

    #[test]
    fn this_process_is_seen_to_work_and_a_process_that_is_none_is_kept_as_nothing() {
        let own = std::process::id();
        let mut processes = Processes::new(&[own, u32::MAX]);
        // However slow the machine is, until the kernel has counted some ticks.
        let before = look(own).unwrap().cpu;
        while look(own).unwrap().cpu < before + 3 * TICK {
            std::hint::black_box((0..100_000u64).sum::<u64>());
        }
        processes.tick();
        let [own, none] = processes.finish().try_into().unwrap();
        assert!(own.cpu >= 2 * TICK && own.rss > 1 << 20 && own.rss_max >= own.rss, "{own:?}");
        assert!(!own.name.is_empty() && own.series[0].cores > 0.0, "{own:?}");
        assert_eq!((none.cpu, none.series.len()), (Duration::ZERO, 0));
    }
}
