//! WriteChunk of 1 MiB and a PutBlock each 4 MiB, against the disk and the sink.

use crate::child::{DISK, How, PAGE_CACHE, Server, own_cpu};
use crate::client::{Client, id, payload};
use crate::report::{Aim, Report, median};
use crate::{Effort, clean, limits, scratch};
use std::time::{Duration, Instant};

pub(crate) const GIB: f64 = (1u64 << 30) as f64;
pub(crate) const CHUNK: usize = 1 << 20;
/// Chunks between two PutBlocks.
const CHUNKS_PUT: u64 = 4;
/// Chunks of a block.
const CHUNKS_BLOCK: u64 = 256;
pub(crate) const STREAMS: [usize; 3] = [1, 8, 64];

/// What one turn came to.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// Bytes a second.
    pub(crate) rate: f64,
    /// CPU seconds a GiB of the server, and of the client.
    pub(crate) server_cpu: f64,
    pub(crate) client_cpu: f64,
}

/// Runs `work`, which moves bytes, and counts what it cost.
pub(crate) fn turn(server: &Server, work: impl FnOnce() -> u64) -> Turn {
    let (cpu, own, began) = (server.cpu(), own_cpu(), Instant::now());
    let bytes = work() as f64;
    let (wall, gib) = (began.elapsed().as_secs_f64(), bytes / GIB);
    Turn { rate: bytes / wall, server_cpu: (server.cpu() - cpu) / gib, client_cpu: (own_cpu() - own) / gib }
}

/// Writes on `streams` streams for `time`, into containers from `first` on; the bytes that were put.
pub(crate) fn write(client: &Client, server: &Server, streams: usize, first: i64, time: Duration) -> u64 {
    let (data, chunk) = payload(CHUNK);
    let end = Instant::now() + time;
    let written = client.streams((server.address, &server.node), streams, move |_, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let mut put = 0;
            for local in 1.. {
                let block = id(first + n as i64, local);
                let mut chunks = Vec::new();
                for at in 0..CHUNKS_BLOCK {
                    let mut chunk = chunk.clone();
                    (chunk.chunk_name, chunk.offset) = (format!("{local}_chunk_{}", at + 1), at * chunk.len);
                    chunks.push(chunk.clone());
                    connection.ask(connection.write_chunk(block, chunk, data.clone())).await;
                    if (at + 1) % CHUNKS_PUT == 0 {
                        let eof = at + 1 == CHUNKS_BLOCK;
                        connection.ask(connection.put_block(block, chunks.clone(), eof)).await;
                        put += CHUNKS_PUT * CHUNK as u64;
                        if Instant::now() > end {
                            return put;
                        }
                    }
                }
            }
            put
        }
    });
    written.into_iter().sum()
}

/// Removes the containers that [`write`] made.
pub(crate) fn remove(client: &Client, server: &Server, streams: usize, first: i64) {
    client.streams((server.address, &server.node), streams, move |_, mut connection, n| async move {
        connection.ask(connection.delete_container(first + n as i64)).await;
    });
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Writes",
        "WriteChunk of 1 MiB and PutBlock each 4 MiB, blocks of 256 MiB, a container and a block a stream, up to 8 connections. The \
         limit is the smaller of fio's 1 MiB O_DIRECT writes, as many at once as there are streams, and the same client against \
         the sink. `page-cache` is not held against the disk: only the sink bounds it.",
        "durability | streams | ours GiB/s | fio | sink | ratio to the limit | aim | server CPU | sink's | aim | client CPU, ours and sink's",
    );
    let dir = scratch("writes");
    let client = Client::new();
    let sink = Server::sink();
    let fio: Vec<f64> = STREAMS.map(|streams| limits::fio("write", streams, &dir, effort.turn)).to_vec();
    drop(std::fs::remove_file(dir.join("fio")));
    let durable = STREAMS.map(|streams| limits::fio_durable(streams, &dir, effort.turn) / GIB);
    // No container comes back once it was deleted.
    let mut first = 0;
    for how in [DISK, PAGE_CACHE] {
        let server = Server::datanode(&dir, how);
        for (streams, fio) in STREAMS.into_iter().zip(&fio) {
            let pairs: Vec<(Turn, Turn)> = (0..effort.pairs)
                .map(|_| {
                    first += 1000;
                    let ours = turn(&server, || write(&client, &server, streams, first, effort.turn));
                    remove(&client, &server, streams, first);
                    let limit = turn(&sink, || write(&client, &sink, streams, 1, effort.turn));
                    (ours, limit)
                })
                .collect();
            row(report, how, streams, *fio, &pairs);
        }
    }
    let [one, eight, many] = durable;
    report.note(&format!(
        "With a flush after each 4 MiB, as each PutBlock has one, and files that grow, fio itself writes {one:.2}, {eight:.2} and \
         {many:.2} GiB/s into 1, 8 and 64 files: what `disk` may reach here beside a metadata log."
    ));
    clean("writes");
}

fn row(report: &mut Report, how: How, streams: usize, fio: f64, pairs: &[(Turn, Turn)]) {
    let of = |value: fn(&Turn) -> f64| {
        (median(pairs.iter().map(|pair| value(&pair.0))), median(pairs.iter().map(|pair| value(&pair.1))))
    };
    let disk = how.durability == "disk";
    let bound = |sink: f64| if disk { sink.min(fio) } else { sink };
    let ratio = median(pairs.iter().map(|(ours, sink)| ours.rate / bound(sink.rate)));
    let more = median(pairs.iter().map(|(ours, sink)| ours.server_cpu - sink.server_cpu));
    let (rate, cpu, own) = (of(|t| t.rate), of(|t| t.server_cpu), of(|t| t.client_cpu));
    let none = || "–".to_owned();
    report.row(&[
        how.durability.into(),
        streams.to_string(),
        format!("{:.2}", rate.0 / GIB),
        if disk { format!("{:.2}", fio / GIB) } else { none() },
        format!("{:.2}", rate.1 / GIB),
        format!("{ratio:.2}"),
        if streams == 8 { Aim::AtLeast(0.8).judge(ratio) } else { none() },
        format!("{:.2}", cpu.0),
        format!("{:.2}", cpu.1),
        if streams == 8 { format!("sink's + {}", Aim::AtMost(0.3).judge(more)) } else { none() },
        format!("{:.2}, {:.2}", own.0, own.1),
    ]);
}
