//! What is measured.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use allotrope_benches::report::Report;
use allotrope_client::{BucketPath, PutOptions};
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::Method;
use tokio::task::JoinSet;

use crate::World;
use crate::cluster::Server;
use crate::load::{Turn, turn};
use crate::machine;
use crate::wire::{Connection, Payload};

const SIZES: [(&str, usize); 4] =
    [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20), ("16 MiB", 16 << 20)];
const CLIENTS: [usize; 3] = [1, 8, 32];
const GIB: f64 = (1u64 << 30) as f64;

fn body(len: usize) -> Bytes {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn make_bucket(world: &World, name: &str) {
    world.runtime.block_on(async {
        let mut connection = Connection::open(&world.account).await;
        connection.ok(Method::PUT, &format!("/{name}"), "", Bytes::new()).await;
    });
}

/// Puts objects of `len` bytes, each with a name of its own; gets give them back in the same order.
fn puts(world: &World, bucket: &str, len: usize, clients: usize, payload: Payload) -> Turn {
    let bytes = body(len);
    let folder = format!("/{bucket}/{len}-{clients}-{payload:?}");
    turn(&world.runtime, &world.account, clients, world.turn, &watched(world), move |connection, number| {
        let (bytes, path) = (bytes.clone(), format!("{folder}/{number}"));
        async move {
            let answer = connection.call(Method::PUT, &path, "", bytes, payload).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.status);
        }
        .boxed()
    })
}

fn gets(world: &World, bucket: &str, len: usize, clients: usize, count: u64) -> Turn {
    let folder = format!("/{bucket}/{len}-{clients}-{:?}", Payload::Unsigned);
    turn(&world.runtime, &world.account, clients, world.turn, &watched(world), move |connection, number| {
        let path = format!("{folder}/{}", number % count);
        async move {
            let answer = connection.ok(Method::GET, &path, "", Bytes::new()).await;
            assert_eq!(answer.len, len as u64);
        }
        .boxed()
    })
}

/// The gateway, the datanode, OM.
fn watched(world: &World) -> [u32; 3] {
    [Server::S3g, Server::Datanode(0), Server::Om].map(|server| world.cluster.pid(server))
}

fn a_gib(cpu: f64, turn: &Turn, len: usize) -> f64 {
    cpu * GIB / (turn.count as f64 * len as f64)
}

fn row(report: &mut Report, what: &str, size: &str, clients: usize, len: usize, turn: &Turn) {
    let cpu = turn.cpu.iter().map(|cpu| format!("{:.2}", a_gib(*cpu, turn, len)));
    let mut cells = vec![
        what.to_owned(),
        size.to_owned(),
        clients.to_string(),
        format!("{:.0}", turn.per_second),
        format!("{:.1}", turn.per_second * len as f64 / (1 << 20) as f64),
        format!("{:.2}", turn.p50_ms),
        format!("{:.2}", turn.p99_ms),
    ];
    cells.extend(cpu);
    report.row(&cells);
}

/// Put and get of single objects.
pub(crate) fn objects(world: &World, report: &mut Report) {
    report.section(
        "Objects",
        "Each put makes a new object; each get reads one of them whole.",
        "what | size | clients | a second | MiB/s | p50 ms | p99 ms | gateway s/GiB | datanode s/GiB | OM s/GiB",
    );
    make_bucket(world, "objects");
    for (size, len) in SIZES {
        for clients in CLIENTS {
            let put = puts(world, "objects", len, clients, Payload::Unsigned);
            row(report, "put", size, clients, len, &put);
            let get = gets(world, "objects", len, clients, put.count);
            row(report, "get", size, clients, len, &get);
        }
    }
    report.note(&format!(
        "After these the gateway's resident memory was {} MiB at the most.",
        machine::rss_max_mib(world.gateway())
    ));
}

/// What the gateway adds to the native client, and what of it is digests.
pub(crate) fn share(world: &World, report: &mut Report) {
    report.section(
        "The gateway's share",
        "Objects of 16 MiB by 8 clients at once. 'Digests' is the CPU of the gateway's own kernels over as many streams at once, measured \
         apart: MD5 of each body, which S3 wants of every put, and SHA-256 where bodies are signed. 'Receiving' is what the kernel takes to \
         hand a GiB from a loopback socket to a thread that only reads it, into 128 MiB in turn, measured in this run: a gateway does that once more than \
         the native client, so a put's floor is both together.",
        "what | CPU s/GiB | of it digests | without digests | beside the native client | aim | beside native and receiving",
    );
    make_bucket(world, "share");
    let (len, clients) = (16 << 20, 8);
    let (native_put, native_get) = (native(world, len, clients, true), native(world, len, clients, false));
    let own = std::process::id();
    let digests = |sha256: bool| {
        let bodies: Vec<Bytes> = (0..clients).map(|_| body(4 * len)).collect();
        let before = machine::cpu(own);
        world.runtime.block_on(allotrope_gateway::limits::digest(bodies, sha256));
        (machine::cpu(own) - before).as_secs_f64() * GIB / (clients * 4 * len) as f64
    };
    let receiving = received();
    let mut line = |what: &str, cpu: f64, digests: f64, native: f64, receiving: f64| {
        let ratio = (cpu - digests) / native;
        let aim = if ratio <= 1.3 { "≤ 1.3: met" } else { "≤ 1.3: **missed**" };
        let text = |value: f64| format!("{value:.2}");
        let floor = text((cpu - digests) / (native + receiving));
        report.row(&[
            what.into(),
            text(cpu),
            text(digests),
            text(cpu - digests),
            text(ratio),
            aim.into(),
            floor,
        ]);
    };
    let put = puts(world, "share", len, clients, Payload::Unsigned);
    let get = gets(world, "share", len, clients, put.count);
    let signed = puts(world, "share", len, clients, Payload::Signed);
    line("put", a_gib(put.cpu[0], &put, len), digests(false), native_put, receiving);
    line("put, body signed", a_gib(signed.cpu[0], &signed, len), digests(true), native_put, receiving);
    line("get", a_gib(get.cpu[0], &get, len), 0.0, native_get, 0.0);
    report.note(&format!(
        "The native client itself: {native_put:.2} s/GiB to put and {native_get:.2} to get, of this bench's process. Receiving alone: \
         {receiving:.2} s/GiB."
    ));
}

/// CPU seconds of a thread that reads 4 GiB from a loopback socket and does nothing with them, a GiB.
fn received() -> f64 {
    const GIBS: usize = 4;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let sending = std::thread::spawn(move || {
        let bytes = body(1 << 20);
        (0..GIBS << 10).for_each(|_| sender.write_all(&bytes).unwrap());
    });
    let reading = std::thread::spawn(move || {
        // As much memory as the bodies under way have: what is read is still wanted when the next bytes come.
        let mut memory = vec![1; 128 << 20];
        let before = machine::cpu_of_thread();
        loop {
            for buffer in memory.chunks_mut(256 << 10) {
                if receiver.read(buffer).unwrap() == 0 {
                    return machine::cpu_of_thread() - before;
                }
            }
        }
    });
    sending.join().unwrap();
    reading.join().unwrap().as_secs_f64() / GIBS as f64
}

/// CPU seconds a GiB of the native client, writing or reading keys.
fn native(world: &World, len: usize, clients: usize, write: bool) -> f64 {
    let bytes = body(len);
    let own = std::process::id();
    let (before, began) = (machine::cpu(own), Instant::now());
    let time = world.turn;
    let count: usize = world.runtime.block_on(async {
        let mut loops = JoinSet::new();
        for client in 0..clients {
            let (native, bytes) = (world.native.clone(), bytes.clone());
            loops.spawn(async move {
                let bucket = BucketPath::new("native", "bench");
                let mut count = 0;
                while began.elapsed() < time {
                    if write {
                        let key = bucket.key(format!("{client}/{count}"));
                        let mut writer = native.write_key(&key, PutOptions::default()).await.unwrap();
                        writer.write(bytes.clone()).await.unwrap();
                        writer.finish().await.unwrap();
                    } else {
                        let mut reader = native.read_key(&bucket.key(format!("{client}/0"))).await.unwrap();
                        while reader.next().await.unwrap().is_some() {}
                    }
                    count += 1;
                }
                count
            });
        }
        loops.join_all().await.into_iter().sum()
    });
    (machine::cpu(own) - before).as_secs_f64() * GIB / (count * len) as f64
}

/// One object of 1 GiB in parts.
pub(crate) fn multipart(world: &World, report: &mut Report) {
    report.section(
        "Multipart",
        "One object of 1 GiB in parts of 16 MiB, from the upload's beginning to the answer of its completion.",
        "clients | seconds | MiB/s | gateway s/GiB",
    );
    make_bucket(world, "multipart");
    for clients in [1, 8] {
        let cpu = machine::cpu(world.gateway());
        let began = Instant::now();
        world.runtime.block_on(upload(world, clients));
        let seconds = began.elapsed().as_secs_f64();
        let cpu = (machine::cpu(world.gateway()) - cpu).as_secs_f64();
        let mib = format!("{:.1}", 1024.0 / seconds);
        report.row(&[clients.to_string(), format!("{seconds:.1}"), mib, format!("{cpu:.2}")]);
    }
}

async fn upload(world: &World, clients: usize) {
    const PARTS: usize = 64;
    let mut connection = Connection::open(&world.account).await;
    let begun = connection.ok(Method::POST, "/multipart/large", "uploads=", Bytes::new()).await;
    let text = String::from_utf8(begun.body.to_vec()).unwrap();
    let id = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
    let bytes = body(16 << 20);
    let mut loops = JoinSet::new();
    for client in 0..clients {
        let (account, bytes, id) = (world.account.clone(), bytes.clone(), id.clone());
        loops.spawn(async move {
            let mut connection = Connection::open(&account).await;
            let mut made = Vec::new();
            for number in (client + 1..=PARTS).step_by(clients) {
                let query = format!("partNumber={number}&uploadId={id}");
                made.push((
                    number,
                    connection.ok(Method::PUT, "/multipart/large", &query, bytes.clone()).await.etag,
                ));
            }
            made
        });
    }
    let mut parts = loops.join_all().await.concat();
    parts.sort();
    let list: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let done = connection.ok(Method::POST, "/multipart/large", &format!("uploadId={id}"), list.into()).await;
    // An upload can fail behind a status of 200.
    assert!(String::from_utf8_lossy(&done.body).contains("<ETag>"), "the upload is completed");
}

/// The list of some thousands of keys.
pub(crate) fn list(world: &World, report: &mut Report) {
    listed(world, report, 20_000);
}

/// The list of a million keys.
pub(crate) fn million(world: &World, report: &mut Report) {
    listed(world, report, 1_000_000);
}

fn listed(world: &World, report: &mut Report, count: usize) {
    let title = if count == 1_000_000 { "List of a million keys" } else { "List" };
    report.section(
        title,
        "Every key of a bucket, in pages of 1,000, one after the other, by one client. The objects are empty.",
        "keys | seconds | ms a page | seconds for a million at this pace | aim",
    );
    let name = format!("list-{count}");
    make_bucket(world, &name);
    world.runtime.block_on(async {
        let mut loops = JoinSet::new();
        for client in 0..64 {
            let (native, name) = (world.native.clone(), name.clone());
            loops.spawn(async move {
                let bucket = BucketPath::new("s3v", name);
                for number in (client..count).step_by(64) {
                    let key = bucket.key(format!("folder{:03}/object-{number:07}", number % 1000));
                    native.write_key(&key, PutOptions::default()).await.unwrap().finish().await.unwrap();
                }
            });
        }
        loops.join_all().await;
    });
    let began = Instant::now();
    let account = Arc::clone(&world.account);
    let (keys, pages) = world.runtime.block_on(async {
        let mut connection = Connection::open(&account).await;
        let (mut keys, mut pages, mut query) = (0, 0, "list-type=2".to_owned());
        loop {
            let page = connection.ok(Method::GET, &format!("/{name}"), &query, Bytes::new()).await;
            let text = String::from_utf8(page.body.to_vec()).unwrap();
            (keys, pages) = (keys + text.matches("<Key>").count(), pages + 1);
            let token = text.split("<NextContinuationToken>").nth(1).and_then(|rest| rest.split('<').next());
            match token {
                Some(token) => query = format!("continuation-token={token}&list-type=2"),
                None => return (keys, pages),
            }
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(keys, count, "every key is listed");
    let million = seconds * 1e6 / count as f64;
    let aim = if million < 10.0 { "< 10: met" } else { "< 10: **missed**" };
    report.row(&[
        count.to_string(),
        format!("{seconds:.2}"),
        format!("{:.1}", 1000.0 * seconds / f64::from(pages)),
        format!("{million:.1}"),
        aim.to_owned(),
    ]);
}
