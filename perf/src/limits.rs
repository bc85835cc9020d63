//! The machine's own limits, and a result's share of them.
//!
//! Shape   each limit is one figure: bytes a second, or a time. What disks and erasure codes do is measured by their own crates and
//!         added by the caller; memory, loopback, checksums and encryption are measured here.
//! Units   bytes a second; nanoseconds.
//! Errors  [`UnreadableResult`] for JSON that is no list of limits.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde_json::{Value, json};

use crate::processes::Machine;
use crate::result::{RunResult, UnreadableResult};
use crate::table::aligned;

/// What the field `format` of kept limits says.
const FORMAT: &str = "allotrope-perf-limits";
/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;
/// Bytes that are copied, sent or summed at a time.
const PIECE: usize = 4 << 20;

/// Bytes that are encrypted at a time: a TLS record's, the size in which both wires and disks would be.
const AES_PIECE: usize = 16 << 10;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes a second: more is better.
    BytesPerSecond,
    /// Nanoseconds: less is better.
    Nanos,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::BytesPerSecond => "bytes/s",
            Unit::Nanos => "ns",
        }
    }
}

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What was measured: `disk write 1 MiB x 8`.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
}

impl Limit {
    /// Bytes a second.
    pub fn rate(name: impl Into<String>, per_second: f64) -> Limit {
        Limit { name: name.into(), value: per_second.round(), unit: Unit::BytesPerSecond }
    }

    /// A time.
    pub fn time(name: impl Into<String>, time: Duration) -> Limit {
        Limit { name: name.into(), value: time.as_nanos() as f64, unit: Unit::Nanos }
    }
}

/// Runs `work`, which moves `len` bytes, over and over for about `turn`: bytes a second.
pub fn rate_of(turn: Duration, len: usize, mut work: impl FnMut()) -> f64 {
    work();
    let (began, mut done) = (Instant::now(), 0u64);
    while began.elapsed() < turn {
        work();
        done += len as u64;
    }
    done as f64 / began.elapsed().as_secs_f64().max(1e-9)
}

/// Memory, loopback, checksums and encryption, each measured for about `turn` on one core. Blocks.
///
/// # Errors
/// Those of a loopback socket.
pub fn of_memory_and_loopback(turn: Duration) -> io::Result<Vec<Limit>> {
    let from: Vec<u8> = (0..16 * PIECE).map(|at| at as u8).collect();
    let mut to = vec![0; from.len()];
    let memcpy = rate_of(turn, from.len(), || {
        to.copy_from_slice(std::hint::black_box(&from));
        // Nobody reads the copy: the compiler would leave it out.
        std::hint::black_box(&mut to);
    });
    let sum = |kind| {
        let spec = ChecksumSpec::new(kind, 16 << 10).expect("the window is not empty");
        rate_of(turn, PIECE, || drop(std::hint::black_box(Checksums::compute(spec, &from[..PIECE]))))
    };
    let mut sealed = from[..AES_PIECE].to_vec();
    let key =
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("the key is as long as it is to be"));
    let mut number = 0u64;
    let aes = rate_of(turn, AES_PIECE, || {
        // No two of a key's nonces are alike, here too.
        number += 1;
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), std::hint::black_box(&mut sealed));
        let _tag = std::hint::black_box(tag).expect("a piece is no longer than the cipher takes");
    });
    Ok(vec![
        Limit::rate("aes-256-gcm", aes),
        Limit::rate("memcpy", memcpy),
        Limit::rate("crc32", sum(ChecksumKind::Crc32)),
        Limit::rate("crc32c", sum(ChecksumKind::Crc32c)),
        Limit::rate("loopback", loopback(turn, &from[..PIECE])?),
    ])
}

/// Bytes a second over one connection of loopback.
fn loopback(turn: Duration, piece: &[u8]) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let (mut buffer, mut came) = (vec![0; 1 << 20], 0u64);
            loop {
                match receiver.read(&mut buffer)? {
                    0 => return Ok::<u64, io::Error>(came),
                    len => came += len as u64,
                }
            }
        });
        let began = Instant::now();
        while began.elapsed() < turn {
            sender.write_all(piece)?;
        }
        drop(sender);
        let came = reading.join().map_err(|_| io::Error::other("the receiver panicked"))??;
        Ok(came as f64 / began.elapsed().as_secs_f64().max(1e-9))
    })
}

/// Limits as text for people.
pub fn limits_table(limits: &[Limit]) -> String {
    let mut rows = vec![["LIMIT".to_owned(), "VALUE".to_owned()].to_vec()];
    rows.extend(limits.iter().map(|limit| vec![limit.name.clone(), said(limit)]));
    aligned(&rows)
}

fn said(limit: &Limit) -> String {
    match limit.unit {
        Unit::BytesPerSecond => format!("{:.1} MiB/s", limit.value / f64::from(1 << 20)),
        Unit::Nanos => format!("{:.3} ms", limit.value / 1e6),
    }
}

/// Limits as JSON, with the machine they are of.
pub fn limits_to_json(limits: &[Limit], machine: &Machine) -> Value {
    let each: Vec<Value> = limits
        .iter()
        .map(|limit| json!({ "name": limit.name, "value": limit.value, "unit": limit.unit.name() }))
        .collect();
    json!({
        "format": FORMAT,
        "version": VERSION,
        "machine": { "processor": machine.processor, "cores": machine.cores, "memory": machine.memory, "kernel": machine.kernel },
        "limits": each,
    })
}

/// Reads limits that were kept.
///
/// # Errors
/// [`UnreadableResult`] names what is wrong.
pub fn limits_from_json(text: &str) -> Result<Vec<Limit>, UnreadableResult> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| UnreadableResult::Json(error.to_string()))?;
    let wrong = |field: &str| UnreadableResult::Field(field.to_owned());
    if value["format"] != FORMAT {
        return Err(wrong("format"));
    }
    match value["version"].as_u64().ok_or_else(|| wrong("version"))? {
        version if version > VERSION => return Err(UnreadableResult::Newer(version)),
        _ => {}
    }
    let each = value["limits"].as_array().ok_or_else(|| wrong("limits"))?;
    let limit = |limit: &Value| {
        let unit = match limit["unit"].as_str() {
            Some("bytes/s") => Unit::BytesPerSecond,
            Some("ns") => Unit::Nanos,
            _ => return Err(wrong("limits.unit")),
        };
        let name = limit["name"].as_str().ok_or_else(|| wrong("limits.name"))?.to_owned();
        Ok(Limit { name, value: limit["value"].as_f64().ok_or_else(|| wrong("limits.value"))?, unit })
    };
    each.iter().map(limit).collect()
}

/// What a result has of one of the machine's limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The operation's name.
    pub operation: String,
    /// The limit.
    pub limit: Limit,
    /// Of a rate, the part of it that was reached; of a time, how many times it the operation's median is.
    pub ratio: f64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { operation, limit, ratio } = self;
        match limit.unit {
            Unit::BytesPerSecond => {
                write!(f, "share     {operation}: {:.1} % of {} ({})", 100.0 * ratio, limit.name, said(limit))
            }
            Unit::Nanos => {
                write!(
                    f,
                    "share     {operation}: the median is {ratio:.1} times {} ({})",
                    limit.name,
                    said(limit)
                )
            }
        }
    }
}

impl Share {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({ "operation": self.operation, "limit": self.limit.name, "ratio": self.ratio })
    }
}

/// What each operation has of the limits that apply to it: the disk at the nearest size and depth, the loopback, the erasure code, for
/// operations that move bytes; a durable page, for those that write.
pub fn shares(result: &RunResult, limits: &[Limit]) -> Vec<Share> {
    let limit = |name: &str| limits.iter().find(|limit| limit.name == name && limit.value > 0.0);
    let setting = |name: &str| result.described.settings.get(name).map_or("", String::as_str);
    let mut shares = Vec::new();
    for operation in result.operations.iter().filter(|operation| operation.count > 0) {
        let is_write = WRITES.iter().any(|word| operation.name.contains(word));
        let mut share = |limit: &Limit, ratio| {
            shares.push(Share { operation: operation.name.clone(), limit: limit.clone(), ratio });
        };
        if operation.bytes > 0 {
            let disk = disk_name(
                is_write,
                operation.bytes / operation.count,
                setting("threads").parse().unwrap_or(1),
            );
            let code = setting("replication").to_ascii_lowercase();
            let code = code.split('-').take(3).collect::<Vec<_>>().join("-");
            let code = if is_write { format!("{code} encode") } else { String::new() };
            let rate = result.a_second(operation.bytes);
            for limit in [disk.as_str(), "loopback", code.as_str()].into_iter().filter_map(limit) {
                share(limit, rate / limit.value);
            }
        }
        let median = operation.at(0.5).unwrap_or_default().as_nanos() as f64;
        if let Some(limit) = limit(DURABLE).filter(|_| is_write) {
            share(limit, median / limit.value);
        }
    }
    shares
}

/// Words of operations that end when something is stable.
const WRITES: [&str; 6] = ["write", "put", "upload", "create", "rename", "delete"];
/// How long a page takes to be stable.
const DURABLE: &str = "disk durable page, median";

/// The disk's limit at the size and depth nearest to operations of `len` bytes, `at_once` of them.
fn disk_name(is_write: bool, len: u64, at_once: u64) -> String {
    let what = if is_write { "write" } else { "read" };
    // Nearest by ratio: between 4 KiB and 64 KiB lies 16, between 64 KiB and 1 MiB lies 256.
    let size = match len {
        0..0x4000 => "4 KiB",
        0x4000..0x4_0000 => "64 KiB",
        _ => "1 MiB",
    };
    let depth = match at_once {
        0..3 => 1,
        3..16 => 8,
        _ => 32,
    };
    format!("disk {what} {size} x {depth}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_measured_and_read_back() {
        let limits = of_memory_and_loopback(Duration::from_millis(5)).unwrap();
        assert_eq!(limits.len(), 5);
        assert!(limits.iter().all(|limit| limit.value > 1e6), "{limits:?}");
        let text = limits_to_json(&limits, &Machine::default()).to_string();
        assert_eq!(limits_from_json(&text).unwrap(), limits);
        assert_eq!(limits_from_json("{}"), Err(UnreadableResult::Field("format".into())));
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert_eq!(limits_from_json(&newer), Err(UnreadableResult::Newer(2)));
        assert!(limits_table(&limits).contains("memcpy"));
    }

    #[test]
    fn a_result_is_held_against_the_limits_that_apply_to_it() {
        use crate::result::{Described, Operation};
        let operation = |name: &str, count, bytes| Operation {
            name: name.into(),
            count,
            bytes,
            quantiles: vec![(0.5, Duration::from_millis(3))],
            ..Operation::default()
        };
        let mut result = RunResult::not_begun(
            Described::default(),
            &crate::Plan::default(),
            &crate::Trouble::new(crate::TroubleKind::Late, ""),
            Machine::default(),
        );
        result.took = Duration::from_secs(1);
        result.described.settings.insert("replication".into(), "rs-3-2-1024k".into());
        result.operations = vec![
            operation("write", 10, 10 << 20),
            operation("read", 100, 100 << 10),
            operation("list", 5, 0),
        ];
        let rate = |name: &str| Limit::rate(name, f64::from(20 << 20));
        let names = [
            "disk write 1 MiB x 8",
            "disk read 4 KiB x 8",
            "disk read 1 MiB x 8",
            "rs-3-2 encode",
            "rs-6-3 encode",
        ];
        let mut limits: Vec<Limit> = names.map(rate).into();
        limits.push(Limit::time(DURABLE, Duration::from_millis(1)));
        let found: Vec<(String, String, f64)> = shares(&result, &limits)
            .into_iter()
            .map(|share| (share.operation, share.limit.name, (share.ratio * 1000.0).round() / 1000.0))
            .collect();
        let of = |operation: &str, limit: &str, ratio| (operation.to_owned(), limit.to_owned(), ratio);
        let expected = [
            of("write", "disk write 1 MiB x 8", 0.5),
            of("write", "rs-3-2 encode", 0.5),
            of("write", DURABLE, 3.0),
            of("read", "disk read 4 KiB x 8", 0.005),
        ];
        assert_eq!(found, expected);
    }
}
