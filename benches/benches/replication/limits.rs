//! What the machine gives without us: files to a socket, one file read while another is written, the loopback, the codec.

use crate::GIB;
use crate::fill::{half_random, spec};
use allotrope_ec::{CellIndex, CellSet, Codec, Layout};
use allotrope_proto::checksum::Checksums;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;

/// Seconds on the clock, and CPU seconds of the sending thread.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
}

/// Sends files by sendfile(2) to a sink that computes the checksums that a datanode verifies.
pub(crate) fn sendfile(files: &[PathBuf]) -> Sent {
    to_a_sink(true, |stream| {
        for path in files {
            let file = File::open(path).unwrap();
            let mut left = file.metadata().unwrap().len() as usize;
            while left > 0 {
                left -= rustix::fs::sendfile(&*stream, &file, None, left).unwrap();
            }
        }
    })
}

/// Sends files by read(2) and write(2) to the same sink.
pub(crate) fn read_and_write(files: &[PathBuf]) -> Sent {
    to_a_sink(true, |stream| {
        let mut buf = vec![0; PIECE];
        for path in files {
            let mut file = File::open(path).unwrap();
            loop {
                match file.read(&mut buf).unwrap() {
                    0 => break,
                    n => stream.write_all(&buf[..n]).unwrap(),
                }
            }
        }
    })
}

/// Bytes a second over the loopback, received and dropped.
pub(crate) fn loopback(seconds: u64) -> f64 {
    let data = vec![1; PIECE];
    let (mut bytes, time) = (0, Duration::from_secs(seconds));
    let sent = to_a_sink(false, |stream| {
        let began = Instant::now();
        while began.elapsed() < time {
            stream.write_all(&data).unwrap();
            bytes += PIECE;
        }
    });
    bytes as f64 / sent.seconds
}

fn to_a_sink(sums: bool, send: impl FnOnce(&mut TcpStream)) -> Sent {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let sink: JoinHandle<()> = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buf = vec![0; PIECE];
        let mut filled = 0;
        loop {
            let n = stream.read(&mut buf[filled..]).unwrap();
            filled += n;
            if filled == PIECE || n == 0 {
                if sums {
                    std::hint::black_box(Checksums::compute(spec(), &buf[..filled]));
                }
                filled = 0;
            }
            if n == 0 {
                return;
            }
        }
    });
    let mut stream = TcpStream::connect(address).unwrap();
    let (began, cpu) = (Instant::now(), thread_cpu());
    send(&mut stream);
    let cpu = thread_cpu() - cpu;
    drop(stream);
    sink.join().unwrap();
    Sent { seconds: began.elapsed().as_secs_f64(), cpu }
}

fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes a second that fio copies: the slower side of reading one file and writing another at once.
pub(crate) fn fio_copy(dir: &Path, seconds: u64) -> f64 {
    let rates = fio(dir, seconds, &[("read", "from"), ("write", "to")]);
    rates[0].min(rates[1])
}

/// Bytes a second of fio's 1 MiB O_DIRECT operations, `rw` alone.
pub(crate) fn fio_alone(dir: &Path, rw: &str, seconds: u64) -> f64 {
    fio(dir, seconds, &[(rw, rw)])[0]
}

fn fio(dir: &Path, seconds: u64, jobs: &[(&str, &str)]) -> Vec<f64> {
    let mut command = Command::new("fio");
    command.args(["--ioengine=io_uring", "--direct=1", "--output-format=json", "--thread=1", "--bs=1M"]);
    command.args(["--iodepth=8", "--size=512M", "--overwrite=1", "--time_based"]);
    command.arg(format!("--runtime={seconds}"));
    for (rw, file) in jobs {
        command.arg(format!("--name={rw}")).arg(format!("--rw={rw}"));
        command.arg(format!("--filename={}", dir.join(format!("fio-{file}")).display()));
    }
    let out = command.output().expect("fio is installed: apt-get install fio");
    assert!(out.status.success(), "fio: {}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("fio prints JSON");
    let rate = |(n, (rw, _)): (usize, &(&str, &str))| {
        let side = &json["jobs"][n][rw];
        side["io_bytes"].as_f64().unwrap() / (side["runtime"].as_f64().unwrap() / 1e3)
    };
    jobs.iter().enumerate().map(rate).collect()
}

/// Bytes a second of decoded cells, `lost` of them at once, from cells that lie in memory beyond the cache.
pub(crate) fn decode(layout: Layout, lost: usize, seconds: u64) -> f64 {
    let (scheme, len) = (layout.scheme(), layout.cell_len());
    let (data, codec) = (scheme.data(), Codec::new(scheme));
    let survivors: CellSet = (lost..lost + data).map(CellIndex::new).collect();
    let wanted: CellSet = (0..lost).map(CellIndex::new).collect();
    let decoder = codec.decoder(survivors, wanted).unwrap();
    // As many stripes as do not fit a cache.
    let stripes = ((256 << 20) / (data * len)).max(1);
    let memory: Vec<Vec<u8>> = (0..stripes * data).map(|_| half_random(len)).collect();
    let mut out = vec![vec![0; len]; lost];
    let (began, mut bytes) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        for stripe in memory.chunks(data) {
            let sources: Vec<&[u8]> = stripe.iter().map(Vec::as_slice).collect();
            let mut into: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
            decoder.decode_padded(&sources, &mut into).unwrap();
            bytes += lost * len;
        }
    }
    std::hint::black_box(&out);
    bytes as f64 / began.elapsed().as_secs_f64()
}

/// A rate in GiB/s.
pub(crate) fn gib(rate: f64) -> String {
    format!("{:.2}", rate / GIB)
}
