//! PutSmallFile and GetSmallFile of 4 KiB, durable, at 64 streams.

use crate::child::{DISK, Server};
use crate::client::{Client, Connection, Request, id, payload};
use crate::report::Report;
use crate::{Effort, clean, scratch};
use allotrope_proto::container::ChunkInfo;
use bytes::Bytes;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

pub(crate) const STREAMS: usize = 64;
pub(crate) const LEN: usize = 4 << 10;
/// Containers that the files go to.
pub(crate) const CONTAINERS: i64 = 16;
/// The share of the rate that was reached at which latencies are taken.
const SHARE: f64 = 0.7;

#[derive(Clone, Copy)]
pub(crate) enum What {
    Put,
    Get,
}

fn request(what: What, connection: &Connection, n: i64, data: &Bytes, chunk: &ChunkInfo) -> Request {
    let block = id(1 + n % CONTAINERS, 1 + n);
    match what {
        What::Put => connection.put_small(block, chunk.clone(), data.clone()),
        What::Get => connection.get_small(block),
    }
}

/// Operations a second of 64 streams that each wait for their answer; files from `first` on.
pub(crate) fn closed(
    client: &Client,
    server: &Server,
    what: What,
    first: i64,
    count: i64,
    time: Duration,
) -> (f64, i64) {
    let (data, chunk) = payload(LEN);
    let began = Instant::now();
    let done = client.streams((server.address, &server.node), STREAMS, move |_, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let mut done = 0;
            while began.elapsed() < time {
                let n = first + (done * STREAMS as i64 + n as i64) % count;
                connection.ask(request(what, &connection, n, &data, &chunk)).await;
                done += 1;
            }
            done
        }
    });
    let most = done.iter().copied().max().unwrap_or(0) * STREAMS as i64;
    (done.iter().sum::<i64>() as f64 / began.elapsed().as_secs_f64(), most)
}

/// Latencies in microseconds from the moment each operation was due, at `rate` operations a second.
pub(crate) fn open(
    client: &Client,
    server: &Server,
    what: What,
    first: i64,
    count: i64,
    rate: f64,
    time: Duration,
) -> Histogram<u64> {
    let (data, chunk) = payload(LEN);
    let every = Duration::from_secs_f64(STREAMS as f64 / rate);
    let began = Instant::now() + Duration::from_millis(100);
    let taken = client.streams((server.address, &server.node), STREAMS, move |shard, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let mut taken = Histogram::<u64>::new(3).unwrap();
            let mut due = began + every.mul_f64(n as f64 / STREAMS as f64);
            for step in 0.. {
                let now = Instant::now();
                if due > began + time {
                    break;
                }
                if due > now {
                    shard.clock().sleep(due - now).await;
                }
                let n = first + (step * STREAMS as i64 + n as i64) % count;
                connection.ask(request(what, &connection, n, &data, &chunk)).await;
                taken.record(due.elapsed().as_micros() as u64).unwrap();
                due += every;
            }
            taken
        }
    });
    taken.into_iter().fold(Histogram::new(3).unwrap(), |mut all, one| {
        all.add(one).unwrap();
        all
    })
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Small files",
        "4 KiB each, 64 streams over 8 connections, a put durable when it is answered. The rate is that of streams that wait for each \
         answer. Latencies are taken at 0.7 of it, from the moment an operation was due, so that a stall counts for all that it \
         delays.",
        "what | operations a second | p50 ms | p99 ms | p99.9 ms | worst ms",
    );
    let dir = scratch("small");
    let (client, server) = (Client::new(), Server::datanode(&dir, DISK));
    let time = effort.turn * 2;
    let (put_rate, made) = closed(&client, &server, What::Put, 0, i64::MAX / 2, time);
    let puts = open(&client, &server, What::Put, made, i64::MAX / 2, put_rate * SHARE, time);
    // Only files that every stream has put.
    let there = STREAMS as i64;
    let (get_rate, _) = closed(&client, &server, What::Get, 0, there, time);
    let gets = open(&client, &server, What::Get, 0, there, get_rate * SHARE, time);
    for (name, rate, taken) in [("PutSmallFile", put_rate, puts), ("GetSmallFile", get_rate, gets)] {
        let at = |quantile: f64| format!("{:.2}", taken.value_at_quantile(quantile) as f64 / 1e3);
        let worst = format!("{:.2}", taken.max() as f64 / 1e3);
        report.row(&[name.into(), format!("{rate:.0}"), at(0.5), at(0.99), at(0.999), worst]);
    }
    drop(server);
    clean("small");
}
