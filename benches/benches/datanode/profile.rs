//! Where the time of a 1 MiB write goes in the server: perf's samples, summed by what the code is for.

use crate::child::{DISK, Server};
use crate::client::Client;
use crate::report::Report;
use crate::writes::{remove, write};
use crate::{Effort, clean, scratch};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a symbol is for, by parts of its name; the first that fits wins.
const KINDS: [(&str, &[&str]); 10] = [
    (
        "copying out of the socket (kernel)",
        &["copy_to_iter", "rep_movs", "copy_user", "copy_to_user", "skb_copy", "_copy_"],
    ),
    (
        "copying into the aligned buffer and its checksums",
        &["crc32", "copy_and_verify", "checksum", "memcpy", "memmove"],
    ),
    (
        "the rest of TCP (kernel)",
        &["tcp", "skb", "inet", "sock", "net_rx", "ip_", "__ip", "loopback", "napi", "recvmsg"],
    ),
    ("HTTP/2 and gRPC framing", &["h2::", "hyper", "GrpcMessages", "bulk", "prost", "rope", "bytes::"]),
    (
        "writing to the disk (kernel)",
        &[
            "blk",
            "bio",
            "ext4",
            "iomap",
            "nvme",
            "virtio",
            "dio",
            "submit_",
            "jbd2",
            "folio",
            "xas_",
            "pagecache",
            "filemap",
            "writeback",
        ],
    ),
    ("the ring (kernel)", &["io_uring", "io_", "iou"]),
    (
        "memory: allocation, pages and their zeroes",
        &[
            "mi_",
            "alloc",
            "page_fault",
            "clear_page",
            "rmqueue",
            "free_un",
            "mmap",
            "munmap",
            "madvise",
            "memset",
        ],
    ),
    (
        "scheduling and wake-ups",
        &[
            "schedule",
            "futex",
            "wake",
            "epoll",
            "eventfd",
            "glommio",
            "pick_next",
            "switch",
            "ctx",
            "finish_task",
            "hrtimer",
            "idle",
        ],
    ),
    ("RocksDB", &["rocksdb"]),
    (
        "interrupts and their locks (kernel)",
        &[
            "spin_unlock_irq",
            "softirq",
            "irqentry",
            "sysvec",
            "asm_common_interrupt",
            "pv_native",
            "entry_SYSCALL",
            "syscall",
        ],
    ),
];

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Where the time of a 1 MiB write goes",
        "perf's samples of the datanode's process under 8 streams of WriteChunk and PutBlock, `disk`, summed by what the code is for; \
         a symbol's name decides.",
        "share | what | its largest symbols",
    );
    let dir = scratch("profile");
    let (client, server) = (Client::new(), Server::datanode(&dir, DISK));
    let data = dir.join("perf.data");
    let mut perf = Command::new("perf")
        .args(["record", "-F", "997", "-o", data.to_str().unwrap(), "-p", &server.pid().to_string()])
        .args(["--", "sleep", &effort.turn.as_secs().max(1).to_string()])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("perf is installed: apt-get install linux-perf");
    write(&client, &server, 8, 1, effort.turn + Duration::from_secs(1));
    drop(perf.wait());
    remove(&client, &server, 8, 1);
    drop(server);
    let out = Command::new("perf")
        .args(["report", "--stdio", "-i", data.to_str().unwrap(), "--no-children", "--sort", "symbol"])
        .args(["-g", "none", "--percent-limit", "0.05"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((share, symbol)) = line.split_once('%') else { continue };
        let Ok(share) = share.trim().parse::<f64>() else { continue };
        let symbol = symbol.trim().trim_start_matches("[k]").trim_start_matches("[.]").trim();
        let named = KINDS.iter().find(|(_, names)| names.iter().any(|name| symbol.contains(name)));
        let kind = kinds.entry(named.map_or("other", |(kind, _)| kind)).or_default();
        kind.0 += share;
        kind.1.push((share, symbol.to_owned()));
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (kind, (share, symbols)) in &kinds {
        let shown: Vec<_> =
            symbols.iter().take(3).map(|(share, name)| format!("`{}` {share:.1}", short(name))).collect();
        report.row(&[format!("{share:.1}%"), (*kind).into(), shown.join(", ")]);
    }
    let three: Vec<_> = kinds.iter().map(|(kind, _)| *kind).filter(|kind| *kind != "other").take(3).collect();
    if let [first, second, third] = three[..] {
        report.note(&format!("The three largest costs: {first}; {second}; {third}."));
    }
    clean("profile");
}

/// What one kind of code took, and its symbols: shares in percent.
type Kind = (f64, Vec<(f64, String)>);

/// A symbol without its generics and its path.
fn short(symbol: &str) -> String {
    let plain = symbol.split('<').find(|part| !part.is_empty()).unwrap_or(symbol);
    plain.chars().filter(|c| *c != '|').take(50).collect()
}
