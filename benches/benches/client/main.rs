//! The native client on a whole cluster: one long key, many short ones, and a long one with a datanode gone.
//!
//! Shape   one SCM, one OM and nine datanodes, each a process of the binary that `ALLOTROPE_BINARY` names; the client runs in this
//!         process, and has one key at a time open for long keys and `AT_ONCE` for short ones.
//! Units   GiB/s of the keys' bytes, objects a second, CPU seconds of this process a GiB, MiB resident at the most in a row.
//! Never   fails for a time: it prints figures beside their aims.
//!
//! `./dev bench client` prints the tables; with `-- --save` it writes docs/performance/client.md, with `-- --quick` keys are shorter
//! and fewer, with `-- rs-3-2-1024k` one replication is measured.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock, the machine and its files itself")]
#![allow(clippy::disallowed_types, reason = "a bench reads the clock itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

#[path = "../../../tests/cluster/mod.rs"]
mod cluster;
#[path = "../s3/machine.rs"]
#[allow(dead_code, reason = "the S3 gateway's bench asks more of it")]
mod machine;

use std::time::{Duration, Instant};

use allotrope_benches::report::Report;
use allotrope_client::{BucketOptions, BucketPath, Client, Config, KeyPath, PutOptions, Written};
use bytes::Bytes;
use cluster::{Cluster, Server};
use futures_util::stream::{self, TryStreamExt};

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &str = "# The native client\n\n\
Made by `./dev bench client -- --save`. The client, OM, SCM and nine datanodes are processes of one machine and share its cores and its \
disk; a put is answered when it is on stable storage, and every byte that is read was verified twice. CPU is user and system time of the \
client's process. Its memory is what was resident at the most while the row was measured; the client holds up to 32 MiB of a key that it \
writes and asks for 16 MiB ahead of one that it reads.\n";

const REPLICATIONS: [&str; 3] = ["rs-3-2-1024k", "rs-6-3-1024k", "STANDALONE/ONE"];
const DATANODES: usize = 9;
/// Short keys that are open at once.
const AT_ONCE: usize = 32;
const SHORT: usize = 4 << 10;
const MIB: usize = 1 << 20;
/// Longest wait for a cluster, or a datanode of it, that was just started.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// The memory that the client may take beside its window, in MiB.
const MEMORY_AIM: u64 = 64 + 32;

struct World {
    cluster: Cluster,
    client: Client,
    long_mib: usize,
    short_count: usize,
}

/// What a row came to.
struct Cost {
    took: Duration,
    cpu: Duration,
    rss_mib: u64,
}

impl World {
    async fn start(long_mib: usize, short_count: usize) -> World {
        let cluster = Cluster::start_with(
            DATANODES,
            &["allotrope.datanode.memory=64MB", "ozone.scm.container.size=1GB"],
        );
        let config = Config { user: "bench".to_owned(), ..Config::at("127.0.0.1", cluster.om_grpc()) };
        let client = Client::new(config).unwrap();
        cluster.sh_eventually(&["volume", "create", "/bench"]);
        World { cluster, client, long_mib, short_count }
    }

    /// Waits until SCM hands out blocks for the bucket, and a key with a cell on each datanode is written without a failure.
    async fn until_ready(&self, bucket: &BucketPath) {
        let (ready, began) = (bucket.key("ready"), Instant::now());
        loop {
            let tried = self.try_put(&ready).await;
            match tried {
                Ok(written) if written.failures == 0 => return,
                _ => assert!(began.elapsed() < READY_WITHIN, "no key can be written: {tried:?}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn try_put(&self, key: &KeyPath) -> Result<Written, allotrope_client::Error> {
        let mut writer = self.client.write_key(key, PutOptions::default()).await?;
        for _ in 0..DATANODES {
            writer.write(Bytes::from_static(&[1; MIB])).await?;
        }
        writer.finish().await
    }

    async fn measured(&self, work: impl Future<Output = ()>) -> Cost {
        // Peaks are counted from here on.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let (began, cpu) = (Instant::now(), machine::cpu(std::process::id()));
        work.await;
        let took = began.elapsed();
        let cpu = machine::cpu(std::process::id()) - cpu;
        Cost { took, cpu, rss_mib: machine::rss_max_mib(std::process::id()) }
    }

    async fn put(&self, key: &KeyPath) {
        let piece = Bytes::from((0..MIB).map(|x| (x ^ (x >> 8)) as u8).collect::<Vec<u8>>());
        let len = Some((self.long_mib * MIB) as u64);
        let options = PutOptions { len, ..PutOptions::default() };
        let mut writer = self.client.write_key(key, options).await.unwrap();
        for _ in 0..self.long_mib {
            writer.write(piece.clone()).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap().failures, 0);
    }

    async fn get(&self, key: &KeyPath) {
        let mut reader = self.client.read_key(key).await.unwrap();
        let mut len = 0;
        while let Some(bytes) = reader.next().await.unwrap() {
            len += bytes.len();
        }
        assert_eq!(len, self.long_mib * MIB);
    }

    async fn short(&self, bucket: &BucketPath, put: bool) {
        let bytes = Bytes::from(vec![7; SHORT]);
        let keys = stream::iter((0..self.short_count).map(|n| Ok(bucket.key(format!("short-{n}")))));
        keys.try_for_each_concurrent(AT_ONCE, |key| {
            let bytes = bytes.clone();
            async move {
                if !put {
                    let read = self.client.read_key(&key).await?.read_all().await?;
                    assert_eq!(read.len(), SHORT);
                    return Ok::<(), allotrope_client::Error>(());
                }
                let options = PutOptions { len: Some(SHORT as u64), ..PutOptions::default() };
                let mut writer = self.client.write_key(&key, options).await?;
                writer.write(bytes).await?;
                writer.finish().await.map(drop)
            }
        })
        .await
        .unwrap();
    }

    /// The datanode that holds the first data cell of the key's first block.
    async fn holder_of_data(&self, key: &KeyPath) -> Server {
        let key = self.client.key(key).await.unwrap();
        let first = key.locations[0].members.iter().find(|m| m.replica.is_some_and(|r| r.position() == 0));
        let port = first.unwrap().address.port();
        (0..DATANODES)
            .map(Server::Datanode)
            .find(|&datanode| self.cluster.listens_at(datanode).port() == port)
            .unwrap()
    }

    /// Deletes the bucket's keys and waits a little for their blocks' room.
    async fn clear(&self, bucket: &BucketPath) {
        let keys = self.client.list_keys(bucket, "", "").await.unwrap().into_stream();
        keys.try_for_each_concurrent(AT_ONCE, |entry| async move {
            self.client.delete_key(&bucket.key(entry.name)).await.map(drop)
        })
        .await
        .unwrap();
    }
}

fn long_row(report: &mut Report, what: &str, cost: &Cost, mib: usize) {
    let gib = mib as f64 / 1024.0;
    let memory = if cost.rss_mib <= MEMORY_AIM { "met" } else { "**missed**" };
    report.row(&[
        what.to_owned(),
        format!("{:.2} GiB/s", gib / cost.took.as_secs_f64()),
        format!("{:.2}", cost.cpu.as_secs_f64() / gib),
        format!("{} MiB (≤ {MEMORY_AIM}: {memory})", cost.rss_mib),
    ]);
}

fn short_row(report: &mut Report, what: &str, cost: &Cost, count: usize) {
    let gib = (count * SHORT) as f64 / f64::from(1 << 30);
    report.row(&[
        what.to_owned(),
        format!("{:.0} objects/s", count as f64 / cost.took.as_secs_f64()),
        format!("{:.0}", cost.cpu.as_secs_f64() / gib),
        format!("{} MiB", cost.rss_mib),
    ]);
}

async fn measure(world: &mut World, report: &mut Report, replication: &str) {
    let bucket = BucketPath::new("bench", replication.to_lowercase().replace('/', "-"));
    let kept = BucketOptions { replication: Some(replication.parse().unwrap()), ..BucketOptions::default() };
    world.client.create_bucket(&bucket, kept).await.unwrap();
    world.until_ready(&bucket).await;
    let about =
        format!("One key of {} MiB; {} keys of 4 KiB, {AT_ONCE} at once.", world.long_mib, world.short_count);
    report.section(replication, &about, "what | speed | CPU seconds a GiB | memory");
    let [long, like_it] = ["long", "like-it"].map(|name| bucket.key(name));
    let put = world.measured(world.put(&long)).await;
    long_row(report, "put a long key", &put, world.long_mib);
    world.put(&like_it).await;
    let whole = world.measured(world.get(&long)).await;
    long_row(report, "get it", &whole, world.long_mib);
    if replication.starts_with("rs") {
        let again = world.measured(world.get(&long)).await;
        long_row(report, "get it again", &again, world.long_mib);
        let victim = world.holder_of_data(&like_it).await;
        world.cluster.kill(victim);
        // Read for the first time, too: what was read before lies in the page cache.
        let degraded = world.measured(world.get(&like_it)).await;
        long_row(report, "get another one, one datanode gone", &degraded, world.long_mib);
        let again = world.measured(world.get(&like_it)).await;
        long_row(report, "get that again, the datanode still gone", &again, world.long_mib);
        world.cluster.run(victim);
        world.until_ready(&bucket).await;
        let share = whole.took.as_secs_f64() / degraded.took.as_secs_f64();
        let verdict = if share >= 0.7 { "met" } else { "**missed**" };
        report.note(&format!(
            "With one datanode gone a get has {share:.2} of the whole one's speed (≥ 0.7: {verdict})."
        ));
    }
    // A table of its own, behind the note.
    let short = world.measured(world.short(&bucket, true)).await;
    report.note("| what | speed | CPU seconds a GiB | memory |\n| --- | --- | --- | --- |");
    short_row(report, "put short keys", &short, world.short_count);
    let short = world.measured(world.short(&bucket, false)).await;
    short_row(report, "get them", &short, world.short_count);
    world.clear(&bucket).await;
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let (flags, names): (Vec<_>, Vec<_>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let wrong = flags.iter().find(|flag| !["--save", "--quick"].contains(flag));
    if let Some(wrong) = wrong.or(names.iter().find(|name| !REPLICATIONS.contains(name))) {
        let parts = REPLICATIONS.join("|");
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save] [{parts}]...");
        std::process::exit(2);
    }
    let (long_mib, short_count) = if flags.contains(&"--quick") { (128, 500) } else { (1024, 10_000) };
    let mut report = Report::new(HEAD);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut world = World::start(long_mib, short_count).await;
        for replication in REPLICATIONS {
            if names.is_empty() || names.contains(&replication) {
                measure(&mut world, &mut report, replication).await;
            }
        }
    });
    println!("{}", report.text());
    if flags.contains(&"--save") {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/client.md");
        let before = std::fs::read_to_string(page).unwrap_or_default();
        std::fs::write(page, report.merged_into(&before)).unwrap();
    }
}
