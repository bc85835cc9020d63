//! The machine's own limits, and a result's share of them.
//!
//! Shape   each limit is one figure: bytes a second, or a time. What disks and erasure codes do is measured by their own crates and
//!         added by the caller; memory, loopback and checksums are measured here.
//! Units   bytes a second; nanoseconds.
//! Errors  [`UnreadableResult`] for JSON that is no list of limits.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
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

/// Memory, loopback and checksums, each measured for about `turn` on one core. Blocks.
///
/// # Errors
/// Those of a loopback socket.
pub fn of_memory_and_loopback(turn: Duration) -> io::Result<Vec<Limit>> {
    let from: Vec<u8> = (0..16 * PIECE).map(|at| at as u8).collect();
    let mut to = vec![0; from.len()];
    let memcpy = rate_of(turn, from.len(), || to.copy_from_slice(std::hint::black_box(&from)));
    let sum = |kind| {
        let spec = ChecksumSpec::new(kind, 16 << 10).expect("the window is not empty");
        rate_of(turn, PIECE, || drop(std::hint::black_box(Checksums::compute(spec, &from[..PIECE]))))
    };
    Ok(vec![
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

/// The share that each operation's bytes have of what the machine can: lines for people.
pub fn shares(result: &RunResult, limits: &[Limit]) -> Vec<String> {
    let limit = |name: &str| limits.iter().find(|limit| limit.name == name && limit.value > 0.0);
    let mut lines = Vec::new();
    for operation in result.operations.iter().filter(|operation| operation.bytes > 0) {
        let writes = ["write", "put", "upload"].iter().any(|word| operation.name.contains(word));
        let disk = if writes { "disk write 1 MiB x 8" } else { "disk read 1 MiB x 8" };
        let rate = result.a_second(operation.bytes);
        for limit in [disk, "loopback"].into_iter().filter_map(limit) {
            let share = 100.0 * rate / limit.value;
            lines.push(format!(
                "share     {}: {share:.1} % of {} ({})",
                operation.name,
                limit.name,
                said(limit)
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_measured_and_read_back() {
        let limits = of_memory_and_loopback(Duration::from_millis(5)).unwrap();
        assert_eq!(limits.len(), 4);
        assert!(limits.iter().all(|limit| limit.value > 1e6), "{limits:?}");
        let text = limits_to_json(&limits, &Machine::default()).to_string();
        assert_eq!(limits_from_json(&text).unwrap(), limits);
        assert_eq!(limits_from_json("{}"), Err(UnreadableResult::Field("format".into())));
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert_eq!(limits_from_json(&newer), Err(UnreadableResult::Newer(2)));
        assert!(limits_table(&limits).contains("memcpy"));
    }
}
