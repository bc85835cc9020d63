//! What work in the background costs clients: a scan at its budget, and deletions at their rate.

use crate::child::{DISK, How, Server};
use crate::client::{Client, id, payload};
use crate::report::{Aim, Report, median};
use crate::roles::DELETIONS_A_SECOND;
use crate::small::{CONTAINERS, LEN, STREAMS, What, closed, open};
use crate::{Effort, clean, scratch};
use hdrhistogram::Histogram;
use std::path::Path;
use std::time::Duration;

/// Budgets of the scan: Ozone's default, and ten times it.
const BUDGETS: [usize; 2] = [5 << 20, 50 << 20];
/// The container of long blocks that is scanned, how many it has, and their bytes.
const LONG: i64 = 99;
const LONG_BLOCKS: usize = 8;
const LONG_LEN: usize = 64 << 20;
/// Bytes of a chunk of a long block.
const CHUNK: usize = 4 << 20;
/// The first container whose blocks are deleted, and how far apart those of two rounds are.
const DOOMED: i64 = 101;
/// The share of the rate that was reached at which latencies are taken: there is room for others' work.
const SHARE: f64 = 0.25;
/// How long gets, or deletions, have been under way when latencies are taken.
const LEAD: Duration = Duration::from_millis(1500);

/// One row's latencies and what the datanode did besides.
struct Row {
    taken: Histogram<u64>,
    /// CPU seconds a second.
    cpu: f64,
    /// Bytes a second that it read from the disk.
    read: f64,
}

fn gets(client: &Client, server: &Server, rate: f64, time: Duration) -> Row {
    let (cpu, read) = (server.cpu(), server.read_bytes());
    // Only files that every stream has put.
    let taken = open(client, server, What::Get, 0, STREAMS as i64, rate, time);
    let (cpu, read) = (server.cpu() - cpu, (server.read_bytes() - read) as f64);
    Row { taken, cpu: cpu / time.as_secs_f64(), read: read / time.as_secs_f64() }
}

/// Puts long blocks and closes their container.
fn fill_long(client: &Client, server: &Server) {
    let (data, chunk) = payload(CHUNK);
    client.streams((server.address, &server.node), LONG_BLOCKS, move |_, mut connection, n| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            let (block, mut chunks) = (id(LONG, 1 + n as i64), Vec::new());
            for at in (0..LONG_LEN).step_by(CHUNK) {
                let mut one = chunk.clone();
                (one.offset, one.chunk_name) = (at as u64, format!("chunk_{at}"));
                chunks.push(one.clone());
                connection.ask(connection.write_chunk(block, one, data.clone())).await;
            }
            connection.ask(connection.put_block(block, chunks, true)).await;
        }
    });
    close_all(client, server, LONG, 1);
}

/// Puts `count` blocks that are not read again, in as many containers as the files have, from `first` on.
fn fill_doomed(client: &Client, server: &Server, first: i64, count: i64) {
    let (data, chunk) = payload(LEN);
    client.streams((server.address, &server.node), STREAMS, move |_, mut connection, stream| {
        let (data, chunk) = (data.clone(), chunk.clone());
        async move {
            for n in (stream as i64..count).step_by(STREAMS) {
                let block = id(first + n % CONTAINERS, 1 + n);
                connection.ask(connection.put_small(block, chunk.clone(), data.clone())).await;
            }
        }
    });
    close_all(client, server, first, CONTAINERS);
}

fn close_all(client: &Client, server: &Server, first: i64, count: i64) {
    client.streams((server.address, &server.node), 1, move |_, mut connection, _| async move {
        for container in first..first + count {
            connection.ask(connection.close_container(container)).await;
        }
    });
}

/// Files of blocks below `dir`.
fn block_files(dir: &Path) -> usize {
    let (mut count, mut folders) = (0, vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => count += usize::from(entry.path().extension().is_some_and(|kind| kind == "block")),
            }
        }
    }
    count
}

/// What a kind of work cost in one round: gets alone, and beside it, on the same files.
type Round = [Row; 2];

fn scanned(client: &Client, dir: &Path, scan: usize, rate: f64, time: Duration) -> Round {
    [0, scan].map(|scan| {
        let server = Server::datanode(dir, How { scan, ..DISK });
        settled(client, &server, rate, time)
    })
}

/// After a moment, in which files are opened.
fn settled(client: &Client, server: &Server, rate: f64, time: Duration) -> Row {
    gets(client, server, rate, LEAD);
    gets(client, server, rate, time)
}

/// Beside the deletion of blocks, which are made before: more of them than go meanwhile. How many went in a second, too.
fn deleted(client: &Client, dir: &Path, round: i64, rate: f64, time: Duration) -> (f64, Round) {
    let first = DOOMED * (1 + round);
    let mut server = Server::datanode(dir, DISK);
    let count =
        (DELETIONS_A_SECOND as f64 * (time + LEAD * 3).as_secs_f64()) as i64 / CONTAINERS * CONTAINERS;
    fill_doomed(client, &server, first, count);
    let alone = settled(client, &server, rate, time);
    for n in 0..CONTAINERS {
        server.tell(&format!("delete {} {} {CONTAINERS} {}", first + n, 1 + n, count / CONTAINERS));
    }
    std::thread::sleep(LEAD);
    let before = block_files(dir);
    let beside = gets(client, &server, rate, time);
    let gone = (before - block_files(dir)) as f64 / time.as_secs_f64();
    (gone, [alone, beside])
}

/// Beside a process that deletes as many files and knows nothing of the datanode: what the machine asks for that by itself.
fn unlinked(client: &Client, dir: &Path, rate: f64, time: Duration) -> Round {
    let server = Server::datanode(dir, DISK);
    let files = scratch("unlinked");
    let count = DELETIONS_A_SECOND as f64 * (time + LEAD * 2).as_secs_f64();
    let mut other = Server::unlink(&files, count as u64, LEN);
    let alone = settled(client, &server, rate, time);
    other.tell("begin");
    std::thread::sleep(LEAD);
    let beside = gets(client, &server, rate, time);
    drop(other);
    clean("unlinked");
    [alone, beside]
}

fn row(report: &mut Report, name: &str, rate: f64, rounds: &[Round]) {
    let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value));
    let at = |quantile: f64| move |row: &Row| row.taken.value_at_quantile(quantile) as f64 / 1e3;
    let (half, p99, p999) = (at(0.5), at(0.99), at(0.999));
    let both = |value: &dyn Fn(&Row) -> f64| {
        let [alone, beside] = [0, 1].map(|n| of(&|round| value(&round[n])));
        format!("{alone:.2} → {beside:.2}")
    };
    let ratio = of(&|round| p99(&round[1]) / p99(&round[0]));
    report.row(&[
        name.to_owned(),
        format!("{rate:.0}"),
        both(&half),
        both(&p99),
        both(&p999),
        both(&|row| row.cpu),
        format!("{:.1}", of(&|round| round[1].read / f64::from(1 << 20))),
        format!("{ratio:.2}"),
        Aim::AtMost(1.2).judge(ratio),
    ]);
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Background work",
        "GetSmallFile of 4 KiB at a quarter of the rate that 64 waiting streams reach, from the moment an operation was due, alone \
         and then while the datanode works by itself: it scans closed containers over and over at a budget, or deletes blocks of \
         4 KiB as SCM asked, a file each. The last row is the machine's share: there the datanode deletes nothing, and a process that does \
         nothing else deletes as many files. Medians of rounds; the ratio is that of the two p99 of a round.",
        "besides | gets a second | p50 ms | p99 ms | p99.9 ms | CPU s a second | disk reads, MiB/s | p99 beside alone | aim",
    );
    let dir = scratch("life");
    let time = effort.turn * 2;
    let client = Client::new();
    let server = Server::datanode(&dir, DISK);
    closed(&client, &server, What::Put, 0, i64::MAX / 2, time);
    fill_long(&client, &server);
    let (rate, _) = closed(&client, &server, What::Get, 0, STREAMS as i64, time);
    let rate = rate * SHARE;
    drop(server);
    for budget in BUDGETS {
        let rounds: Vec<Round> =
            (0..effort.pairs).map(|_| scanned(&client, &dir, budget, rate, time)).collect();
        row(report, &format!("a scan of long blocks, {} MiB/s", budget >> 20), rate, &rounds);
    }
    let server = Server::datanode(&dir, DISK);
    close_all(&client, &server, 1, CONTAINERS);
    drop(server);
    let rounds: Vec<Round> =
        (0..effort.pairs).map(|_| scanned(&client, &dir, BUDGETS[0], rate, time)).collect();
    row(report, &format!("a scan of these and of files of 4 KiB, {} MiB/s", BUDGETS[0] >> 20), rate, &rounds);
    let (gone, rounds): (Vec<f64>, Vec<Round>) =
        (0..effort.pairs as i64).map(|round| deleted(&client, &dir, round, rate, time)).unzip();
    row(report, &format!("{:.0} deletions a second", median(gone)), rate, &rounds);
    let rounds: Vec<Round> = (0..effort.pairs).map(|_| unlinked(&client, &dir, rate, time)).collect();
    let name = format!("no deletions, and another process that deletes {DELETIONS_A_SECOND} files a second");
    row(report, &name, rate, &rounds);
    clean("life");
}
