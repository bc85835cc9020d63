//! What a reconstruction costs clients that read from one of its sources.

use crate::child::Place;
use crate::client::{Client, id, payload};
use crate::rebuild::Group;
use crate::{Effort, at_most};
use allotrope_benches::report::Report;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The container that clients read.
const CONTAINER: i64 = 9;
const STREAMS: usize = 8;
/// The source that clients read from.
const WATCHED: usize = 2;
/// Bytes of a read.
const LEN: usize = 64 << 10;
/// Blocks of each stream.
const BLOCKS: i64 = 32;
/// Reads a second, of all streams.
const RATE: f64 = 200.0;

fn fill(client: &Client, place: &Place) {
    let (data, chunk) = payload(LEN);
    client.streams((place.address, &place.node), STREAMS, move |_, mut connection, stream| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            for n in 0..BLOCKS {
                let block = id(CONTAINER, 1 + n + BLOCKS * stream as i64);
                connection.ask(connection.put_small(block, chunk.clone(), data.clone())).await;
            }
        }
    });
}

/// Latencies in microseconds, from the moment each read was due.
fn read(client: &Client, place: &Place, time: Duration) -> Histogram<u64> {
    let (_, chunk) = payload(LEN);
    let every = Duration::from_secs_f64(STREAMS as f64 / RATE);
    let began = Instant::now() + Duration::from_millis(100);
    let taken =
        client.streams((place.address, &place.node), STREAMS, move |shard, mut connection, stream| {
            let chunk = chunk.clone();
            async move {
                let mut taken = Histogram::<u64>::new(3).unwrap();
                let mut due = began + every.mul_f64(stream as f64 / STREAMS as f64);
                for n in 0.. {
                    if due > began + time {
                        break;
                    }
                    shard.clock().sleep(due.saturating_duration_since(Instant::now())).await;
                    let block = id(CONTAINER, 1 + n % BLOCKS + BLOCKS * stream as i64);
                    connection.ask(connection.read_chunk(block, &chunk, LEN as u64)).await;
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

/// Starts the datanodes, with so many stripes a block.
type Start = fn(u64) -> Group;

/// What one group's clients met: quiet, and beside so many reconstructions.
struct Met {
    quiet: Histogram<u64>,
    busy: Histogram<u64>,
    rebuilt: u32,
}

fn meet(mut group: Group, time: Duration) -> Met {
    let place = group.sources[WATCHED].clone();
    let client = Client::new();
    fill(&client, &place);
    let quiet = read(&client, &place, time);
    let (over, mut rebuilt) = (AtomicBool::new(false), 0);
    let busy = std::thread::scope(|threads| {
        let repairing = threads.spawn(|| {
            while !over.load(Relaxed) {
                group.rebuild(1);
                rebuilt += 1;
            }
        });
        let busy = read(&client, &place, time);
        over.store(true, Relaxed);
        repairing.join().unwrap();
        busy
    });
    Met { quiet, busy, rebuilt }
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Reads beside a reconstruction",
        "ReadChunk of 64 KiB from one of the sources, 200 a second, latencies from the moment each was due: quiet, and while replicas of \
         rs-6-3-1024k are rebuilt one after the other from it and five others, at the rate that a datanode leaves for it beside clients. \
         The client and all ten datanodes share the two cores: in the first pair of rows all alike, in the second the other nine datanodes \
         run only when a core is idle (SCHED_IDLE), as if they were other machines.",
        "beside | reads | p50 ms | p99 ms | p99.9 ms | p99 beside quiet | aim",
    );
    let time = Duration::from_secs(effort.seconds * 3);
    let groups: [(&str, Start); 2] = [
        ("all alike", |stripes| Group::new("rs-6-3-1024k", 1, stripes)),
        ("others when idle", |stripes| Group::around("rs-6-3-1024k", 1, stripes, WATCHED)),
    ];
    for (how, group) in groups {
        let Met { quiet, busy, rebuilt } = meet(group(effort.stripes), time);
        let alone = quiet.value_at_quantile(0.99) as f64;
        for (name, taken) in [("nothing".to_owned(), quiet), (format!("{rebuilt} reconstructions"), busy)] {
            let at = |quantile: f64| format!("{:.2}", taken.value_at_quantile(quantile) as f64 / 1e3);
            let ratio = taken.value_at_quantile(0.99) as f64 / alone;
            let aim = if name == "nothing" { "–".to_owned() } else { at_most(2.0, ratio) };
            report.row(&[
                format!("{name}, {how}"),
                taken.len().to_string(),
                at(0.5),
                at(0.99),
                at(0.999),
                format!("{ratio:.2}"),
                aim,
            ]);
        }
    }
}
