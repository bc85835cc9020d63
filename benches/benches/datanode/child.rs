//! Servers in processes of their own, and what they cost.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Closing it asks the server to end.
    stdin: Option<ChildStdin>,
    /// Where it serves.
    pub(crate) address: SocketAddr,
    /// The datanode's name.
    pub(crate) node: String,
    /// From its start until it served.
    pub(crate) took: Duration,
}

/// How a datanode is to run.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// `disk` or `page-cache`.
    pub(crate) durability: &'static str,
    /// Bytes of buffers, of all shards together.
    pub(crate) memory: usize,
    /// Bytes that it scans a second; 0: it does not scan.
    pub(crate) scan: usize,
    /// Bytes of answers that it keeps for those who ask again.
    pub(crate) read_cache: usize,
}

pub(crate) const DISK: How = How { durability: "disk", memory: 128 << 20, scan: 0, read_cache: 32 << 20 };
pub(crate) const PAGE_CACHE: How = How { durability: "page-cache", ..DISK };

impl Server {
    /// A datanode on the folders below `dir`.
    pub(crate) fn datanode(dir: &Path, how: How) -> Server {
        let [memory, scan, cache] = [how.memory, how.scan, how.read_cache].map(|number| number.to_string());
        Server::start(&["serve", dir.to_str().unwrap(), how.durability, &memory, &scan, &cache])
    }

    /// Has SCM say something to it.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("it runs"), "{line}").unwrap();
    }

    /// The sink.
    pub(crate) fn sink() -> Server {
        Server::start(&["sink"])
    }

    /// The sink, whose reads are buffered preads of `files`.
    pub(crate) fn preads(files: &[PathBuf]) -> Server {
        let paths = files.iter().map(|path| path.to_str().unwrap());
        Server::start(&[&["sink"], &paths.collect::<Vec<_>>()[..]].concat())
    }

    /// One that deletes `count` files of `len` bytes in `dir`, once it is told to, and serves nobody.
    pub(crate) fn unlink(dir: &Path, count: u64, len: usize) -> Server {
        Server::start(&["unlink", dir.to_str().unwrap(), &count.to_string(), &len.to_string()])
    }

    fn start(args: &[&str]) -> Server {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (address, node) = line.trim().split_once(' ').expect("the server says where it is");
        Server {
            stdin: child.stdin.take(),
            address: address.parse().unwrap(),
            node: node.to_owned(),
            took: began.elapsed(),
            child,
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds it has used.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / 100.0
    }

    /// Bytes it has read from the disk.
    pub(crate) fn read_bytes(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid())).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
        line.unwrap().parse().unwrap()
    }

    /// Its resident memory, in MiB: now, and the most it ever was.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (field("VmRSS:"), field("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

/// CPU seconds that this process, the client, has used.
pub(crate) fn own_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
