//! ReadChunk: 1 MiB from the disk against the disk and the sink, and second reads against a buffered pread server.

use crate::child::{DISK, How, Server};
use crate::client::{Client, id, payload};
use crate::report::{Aim, Report, median};
use crate::writes::{CHUNK, GIB, STREAMS, Turn, turn};
use crate::{Effort, clean, limits, scratch};
use allotrope_proto::container::ChunkInfo;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Chunks of each stream's block: 64 streams have 2 GiB.
const CHUNKS: u64 = 32;
const FIRST: i64 = 1;

/// Writes a block of [`CHUNKS`] chunks for each of 64 streams.
fn fill(client: &Client, server: &Server) {
    let (data, chunk) = payload(CHUNK);
    client.streams((server.address, &server.node), 64, move |_, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let (block, mut chunks) = (id(FIRST + n as i64, 1), Vec::new());
            for at in 0..CHUNKS {
                let chunk = ChunkInfo { offset: at * chunk.len, ..chunk.clone() };
                chunks.push(chunk.clone());
                connection.ask(connection.write_chunk(block, chunk, data.clone())).await;
            }
            connection.ask(connection.put_block(block, chunks, true)).await;
        }
    });
}

/// Reads `len` bytes at a time on `streams` streams until `end`, or once through all chunks if there is no end.
fn read(client: &Client, server: &Server, streams: usize, len: u64, time: Option<Duration>) -> u64 {
    let (_, chunk) = payload(CHUNK);
    let end = time.map(|time| Instant::now() + time);
    let read = client.streams((server.address, &server.node), streams, move |_, mut connection, n| {
        let chunk = chunk.clone();
        async move {
            let (mut bytes, mut at) = (0, 0);
            // With few streams each reads the blocks of several, so that all of it is read.
            let blocks = (64 / streams) as u64;
            while end.map_or(at < CHUNKS * blocks, |end| Instant::now() < end) {
                let block = id(FIRST + n as i64 + (streams as u64 * (at / CHUNKS % blocks)) as i64, 1);
                let chunk = ChunkInfo { offset: (at % CHUNKS) * CHUNK as u64, ..chunk.clone() };
                let answer = connection.ask(connection.read_chunk(block, &chunk, len)).await;
                bytes += answer.bulk.iter().map(|rope| rope.len() as u64).sum::<u64>();
                at += 1;
            }
            bytes
        }
    });
    read.into_iter().sum()
}

/// Takes the block files below `dir` out of the page cache.
fn forget(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            forget(&path);
        } else if path.extension().is_some_and(|kind| kind == "block") {
            let file = std::fs::File::open(path).unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    let dir = scratch("reads");
    let client = Client::new();
    let server = Server::datanode(&dir, DISK);
    fill(&client, &server);
    cold(report, effort, &dir, &client, &server);
    let other = scratch("reads-unkept");
    let unkept = Server::datanode(&other, How { read_cache: 0, ..DISK });
    fill(&client, &unkept);
    hot(report, effort, &dir, &client, [&server, &unkept]);
    drop(unkept);
    clean("reads-unkept");
    drop(server);
    clean("reads");
}

fn cold(report: &mut Report, effort: Effort, dir: &Path, client: &Client, server: &Server) {
    report.section(
        "Reads",
        "ReadChunk of 1 MiB, 2 GiB in 64 blocks, none of it in the page cache when a turn begins; checksums are verified before \
         bytes leave. The limit is the smaller of fio's 1 MiB O_DIRECT reads, as many at once as there are streams, and the same \
         client against the sink, which answers from memory.",
        "streams | ours GiB/s | fio | sink | ratio to the limit | aim | server CPU | sink's | client CPU, ours and sink's",
    );
    let sink = Server::sink();
    for streams in STREAMS {
        let fio = limits::fio("read", streams, dir, effort.turn);
        let pairs: Vec<(Turn, Turn)> = (0..effort.pairs)
            .map(|_| {
                forget(dir);
                let ours = turn(server, || read(client, server, streams, CHUNK as u64, None));
                let limit = turn(&sink, || read(client, &sink, streams, CHUNK as u64, Some(effort.turn)));
                (ours, limit)
            })
            .collect();
        let of = |value: fn(&Turn) -> f64| {
            (median(pairs.iter().map(|p| value(&p.0))), median(pairs.iter().map(|p| value(&p.1))))
        };
        let ratio = median(pairs.iter().map(|(ours, sink)| ours.rate / sink.rate.min(fio)));
        let (rate, cpu, own) = (of(|t| t.rate), of(|t| t.server_cpu), of(|t| t.client_cpu));
        report.row(&[
            streams.to_string(),
            format!("{:.2}", rate.0 / GIB),
            format!("{:.2}", fio / GIB),
            format!("{:.2}", rate.1 / GIB),
            format!("{ratio:.2}"),
            Aim::AtLeast(0.7).judge(ratio),
            format!("{:.2}", cpu.0),
            format!("{:.2}", cpu.1),
            format!("{:.2}, {:.2}", own.0, own.1),
        ]);
    }
    drop(std::fs::remove_file(dir.join("fio")));
}

/// The block files, in order of their containers' numbers.
fn block_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|kind| kind == "block") => found.push(path),
                _ => {}
            }
        }
    }
    let number = |path: &PathBuf| -> i64 {
        let container = path.ancestors().nth(2).and_then(Path::file_name).unwrap();
        container.to_str().unwrap().parse().unwrap()
    };
    found.sort_by_key(number);
    found
}

/// A server that answers 16-byte questions (file, offset, length) with pread's bytes: one thread a connection.
fn pread_server(files: Vec<PathBuf>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let files: Vec<_> = files.iter().map(|path| std::fs::File::open(path).unwrap()).collect();
            std::thread::spawn(move || pread_connection(stream, &files));
        }
    });
    address
}

fn pread_connection(mut stream: TcpStream, files: &[std::fs::File]) {
    stream.set_nodelay(true).unwrap();
    let (mut question, mut buf) = ([0; 16], vec![0; CHUNK]);
    while stream.read_exact(&mut question).is_ok() {
        let part = |range: std::ops::Range<usize>| u32::from_be_bytes(question[range].try_into().unwrap());
        let (file, len) = (&files[part(0..4) as usize], part(12..16) as usize);
        let offset = u64::from_be_bytes(question[4..12].try_into().unwrap());
        file.read_exact_at(&mut buf[..len], offset).unwrap();
        if stream.write_all(&buf[..len]).is_err() {
            return;
        }
    }
}

/// The lengths of second reads, in bytes.
const LENGTHS: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Bytes that are read over and over.
const SET: usize = 8 << 20;

/// The chunk, and its block, that the `n`th read of `len` bytes begins: as many are read as make up [`SET`].
fn place(n: u64, len: usize) -> (u64, u64) {
    let n = n % (SET / len).min(256) as u64;
    (n % 8, n / 8)
}

/// Seconds of one read from the pread server, the median of `count`.
fn pread_time(address: SocketAddr, len: usize, count: usize) -> f64 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buf = vec![0; len];
    let times = (0..count as u64).map(|n| {
        let (block, at) = place(n, len);
        let mut question = [0; 16];
        question[..4].copy_from_slice(&(block as u32).to_be_bytes());
        question[4..12].copy_from_slice(&(at * CHUNK as u64).to_be_bytes());
        question[12..].copy_from_slice(&(len as u32).to_be_bytes());
        let began = Instant::now();
        stream.write_all(&question).unwrap();
        stream.read_exact(&mut buf).unwrap();
        began.elapsed().as_secs_f64()
    });
    median(times)
}

/// Seconds of one ReadChunk, the median of `count`.
fn read_time(client: &Client, server: (SocketAddr, &str), len: usize, count: usize) -> f64 {
    let (_, chunk) = payload(CHUNK);
    let times = client.streams(server, 1, move |_, mut connection, _| {
        let chunk = chunk.clone();
        async move {
            let mut times = Vec::new();
            for n in 0..count as u64 {
                let (block, at) = place(n, len);
                let (block, chunk) =
                    (id(FIRST + block as i64, 1), ChunkInfo { offset: at * CHUNK as u64, ..chunk.clone() });
                let request = connection.read_chunk(block, &chunk, len as u64);
                let began = Instant::now();
                connection.ask(request).await;
                times.push(began.elapsed().as_secs_f64());
            }
            times
        }
    });
    median(times.into_iter().flatten())
}

fn hot(report: &mut Report, effort: Effort, dir: &Path, client: &Client, [server, unkept]: [&Server; 2]) {
    report.section(
        "Second reads",
        "The same 8 MiB again (of 4 and 16 KiB at a time 1 and 4 MiB), one read at a time: ours is a whole gRPC command, verified. The \
         limit is a buffered pread server that speaks the same commands: the sink, whose ReadChunk answers the bytes of a pread, \
         unverified. Beside them a datanode that keeps no answers (`allotrope.datanode.read-cache` = 0): what a second read costs of \
         bytes that come again too late to be kept. Then the sink without a file, and a thread that answers 16 bytes with the bytes \
         of a pread, no messages, no checksums: what a connection of this machine costs at least.",
        "bytes | ours µs | pread server µs | ours / pread server | aim | without kept answers µs | / pread server | sink µs | bare pread thread µs",
    );
    let files = block_files(dir);
    let address = pread_server(files.clone());
    let (sink, preads) = (Server::sink(), Server::preads(&files));
    let count = if effort.pairs == 1 { 256 } else { 1024 };
    for len in LENGTHS {
        let time = |server: &Server| read_time(client, (server.address, &server.node), len, count);
        // The page cache has it, and so does whoever keeps answers.
        for each in [server, unkept, &preads] {
            (0..2).for_each(|_| {
                time(each);
            });
        }
        let rounds: Vec<[f64; 5]> = (0..effort.pairs)
            .map(|_| {
                [time(server), pread_time(address, len, count), time(&sink), time(&preads), time(unkept)]
            })
            .collect();
        let at = |n: usize| median(rounds.iter().map(|round| round[n]));
        let micros = |seconds: f64| format!("{:.0}", seconds * 1e6);
        let ratio = |n: usize| median(rounds.iter().map(|round| round[n] / round[3]));
        report.row(&[
            allotrope_types::ByteCount::new(len as u64).to_string(),
            micros(at(0)),
            micros(at(3)),
            format!("{:.2}", ratio(0)),
            Aim::AtMost(1.0).judge(ratio(0)),
            micros(at(4)),
            format!("{:.2}", ratio(4)),
            micros(at(2)),
            micros(at(1)),
        ]);
    }
}
