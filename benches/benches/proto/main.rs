//! A received WriteChunk against the least that could be done with its bytes: copy them once and compute their CRCs.
//!
//! Shape   two variants take turns on the same message, so that what the machine does besides hits both alike; the ratio
//!         is the median over the turns. Messages stream from more memory than a cache holds.
//! Units   GiB/s count chunk bytes; time is the thread's CPU time.
//! Never   fails for a time: it prints the ratio beside its target.
//!
//! `cargo bench -p allotrope-benches --features proto --bench proto` prints the table; with `-- --save` it also writes it
//! to docs/performance/proto.md, with `-- --quick` it takes fewer turns.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench writes its report itself")]

mod rows;

use std::fmt::Write as _;
use std::hint::black_box;

use allotrope_proto::bulk::SplitLimits;
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::{
    ChunkInfo, ContainerCommandRequestProto, DatanodeBlockId, Type, WriteChunkRequestProto,
};
use allotrope_proto::edge::command::{Command, CommandRequest};
use allotrope_proto::{Rope, decode};
use bytes::Bytes;
use prost::Message;

const CHUNK_LEN: usize = 1 << 20;
/// What a Java client's HTTP/2 sends in one frame.
const FRAME_LEN: usize = 16 * 1024;
const WINDOW_LEN: usize = 16 * 1024;
/// Messages in memory: together 256 MiB.
const MESSAGES: usize = 256;

/// A WriteChunk as it was received: its message, and the whole for prost alone.
struct Received {
    frames: Rope,
    /// The chunk's bytes, the same memory.
    data: Rope,
}

fn received(number: usize) -> Received {
    let mut state = number as u64 + 1;
    let data: Vec<u8> = (0..CHUNK_LEN / 8)
        .flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_le_bytes()
        })
        .collect();
    let spec = ChecksumSpec::new(ChecksumKind::Crc32, WINDOW_LEN as u32).expect("a window has bytes");
    let chunk = ChunkInfo {
        chunk_name: format!("{number}_chunk_1"),
        len: CHUNK_LEN as u64,
        checksum_data: Checksums::compute(spec, &data).into(),
        ..Default::default()
    };
    let message = ContainerCommandRequestProto {
        cmd_type: Type::WriteChunk as i32,
        trace_id: Some(String::new()),
        container_id: 1,
        datanode_uuid: "5f33b1be-9f83-4993-ac7b-c6189ad16c19".into(),
        version: Some(3),
        write_chunk: Some(WriteChunkRequestProto {
            block_id: DatanodeBlockId { container_id: 1, local_id: 1, ..Default::default() },
            chunk_data: Some(chunk),
            data: Some(data.into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    // Every frame is memory of its own, as a connection's buffers are.
    let whole = message.encode_to_vec();
    let frames: Rope = whole.chunks(FRAME_LEN).map(Bytes::copy_from_slice).collect();
    let Command::WriteChunk(write) = read(&frames).command else { unreachable!("it is a WriteChunk") };
    Received { frames, data: write.data }
}

fn read(frames: &Rope) -> CommandRequest {
    CommandRequest::read(frames.clone(), SplitLimits::default()).expect("the message is whole")
}

/// Decode, verify on the way to `buffer`, and write the message again.
fn ours(received: &Received, buffer: &mut [u8]) -> Rope {
    let request = read(&received.frames);
    let Command::WriteChunk(write) = &request.command else { unreachable!("it is a WriteChunk") };
    write.chunk.checksums.copy_and_verify(&write.data, buffer).expect("the bytes are what was sent");
    request.frames()
}

/// Prost alone: join the frames, decode, verify, copy, encode.
fn prost_alone(received: &Received, buffer: &mut [u8]) -> Vec<u8> {
    let message: ContainerCommandRequestProto = decode(received.frames.clone().join()).expect("it is whole");
    let write = message.write_chunk.as_ref().expect("it is a WriteChunk");
    let data = write.data.as_ref().expect("it has data");
    let sums = write.chunk_data.as_ref().expect("it has a chunk").checksum_data.clone();
    let checksums = Checksums::try_from(sums).expect("they are checksums");
    checksums.verify(data).expect("the bytes are what was sent");
    buffer.copy_from_slice(data);
    message.encode_to_vec()
}

/// The limit: copy the bytes, then compute the CRC of each window.
fn limit(received: &Received, buffer: &mut [u8]) -> u32 {
    received.data.copy_to(buffer).expect("the buffer is as long as the chunk");
    buffer.chunks(WINDOW_LEN).fold(0, |all, window| all ^ crc32fast::hash(window))
}

/// The same, copied and computed window by window.
fn limit_in_steps(received: &Received, buffer: &mut [u8]) -> u32 {
    let mut rest = received.data.clone();
    buffer.chunks_mut(WINDOW_LEN).fold(0, |all, window| {
        let part = rest.split_to(window.len()).expect("the rope is as long as the buffer");
        part.copy_to(window).expect("a window is as long as its part");
        all ^ crc32fast::hash(window)
    })
}

fn seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = seconds();
    black_box(work());
    seconds() - start
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A row: how fast `a` is, how fast `b`, and the median of b's time over a's.
fn contest(
    messages: &[Received],
    laps: usize,
    a: impl Fn(&Received, &mut [u8]),
    b: impl Fn(&Received, &mut [u8]),
) -> (f64, f64, f64) {
    let (mut ours, mut theirs) = (vec![0u8; CHUNK_LEN], vec![0u8; CHUNK_LEN]);
    let (mut times_a, mut times_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for lap in 0..=laps {
        for (index, message) in messages.iter().enumerate() {
            // Who goes first finds the message cold, so they take turns at that; a neighbour of the same kind serves the
            // other.
            let other = &messages[(index + messages.len() / 2) % messages.len()];
            let (time_a, time_b) = if index % 2 == 0 {
                let time_a = timed(|| a(message, &mut ours));
                (time_a, timed(|| b(other, &mut theirs)))
            } else {
                let time_b = timed(|| b(other, &mut theirs));
                (timed(|| a(message, &mut ours)), time_b)
            };
            // The first lap warms up.
            if lap > 0 {
                times_a.push(time_a);
                times_b.push(time_b);
                ratios.push(time_b / time_a);
            }
        }
    }
    let speed = |times| CHUNK_LEN as f64 / f64::from(1 << 30) / median(times);
    (speed(times_a), speed(times_b), median(ratios))
}

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(wrong) = flags.iter().find(|flag| !["--save", "--quick"].contains(&flag.as_str())) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let laps = if flags.iter().any(|flag| flag == "--quick") { 2 } else { 10 };
    let messages: Vec<_> = (0..MESSAGES).map(received).collect();

    let mut text = String::from(
        "# Messages with chunk data\n\n\
         Made by `cargo bench -p allotrope-benches --features proto --bench proto -- --save` (`./dev bench proto`), on one \
         core. A WriteChunk of 1 MiB lies in frames of 16 KiB, with a CRC32 for each 16 KiB; messages stream from 256 MiB \
         of memory. Ours takes the message from its frames, verifies the checksums while the bytes are copied to their \
         buffer, and writes the message again as header and rope. GiB/s count chunk bytes of CPU time of the thread; a \
         ratio is the median over pairs that ran one after the other, so it holds on a busy machine where GiB/s do not.\n\n\
         | what | GiB/s | held against | GiB/s | ratio | target |\n| --- | ---: | --- | ---: | ---: | --- |\n",
    );
    let mut row = |what: &str, against: &str, (a, b, ratio): (f64, f64, f64), target: Option<f64>| {
        let target = target.map_or("–".to_owned(), |target| {
            format!("≥ {target:.2}: {}", if ratio >= target { "met" } else { "missed" })
        });
        writeln!(text, "| {what} | {a:.2} | {against} | {b:.2} | {ratio:.3} | {target} |")
            .expect("a string grows");
    };
    let whole = |received: &Received, buffer: &mut [u8]| drop(black_box(ours(received, buffer)));
    let what = "WriteChunk: decode, verify, encode";
    row(
        what,
        "memcpy, then CRC32",
        contest(&messages, laps, whole, |received, buffer| {
            black_box(limit(received, buffer));
        }),
        Some(0.60),
    );
    row(
        what,
        "memcpy and CRC32, window by window",
        contest(&messages, laps, whole, |received, buffer| {
            black_box(limit_in_steps(received, buffer));
        }),
        None,
    );
    row(
        what,
        "the same by prost alone, frames joined",
        contest(&messages, laps, whole, |received, buffer| drop(black_box(prost_alone(received, buffer)))),
        None,
    );
    text.push_str(&rows::table(laps));
    println!("{text}");
    if flags.iter().any(|flag| flag == "--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/proto.md");
        std::fs::write(path, text).expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}
