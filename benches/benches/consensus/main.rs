//! Proposals a second through the replicated state machine, beside RocksDB's own synced batches on the same disk.
//!
//! Shape   1 and 3 members (all in this process, each with its own files) at 1, 64 and 512 proposers, 200-byte
//!         commands, every answer synced on a majority; then a follower that was away catches up.
//! Limit   records a second of one RocksDB, the same 200 bytes, as many to a synced batch as there are proposers. The
//!         two take turns, so that a busy disk hits both.
//! Never   fails for a time: it prints ratios beside their targets.
//!
//! `cargo bench -p allotrope-benches --features consensus --bench consensus` prints the tables; with `-- --save` it
//! also writes them to docs/performance/consensus.md, with `-- --quick` it measures for a shorter time.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench reads the machine and the clock and writes its report itself"
)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use allotrope_benches::machine;
use allotrope_consensus::{
    Batch, Be64, Beginning, CallId, ClientId, ClusterId, Handle, LogTime, Member, MemberId, Origin, Raw,
    Replica, ReplicaConfig, RocksShared, Role, StateMachine, Surroundings, SystemClock, Table, TableError,
    limits::{BareRaft, BareRocks},
    network::memory::MemoryNetwork,
};

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMMAND_LEN: usize = 200;
const PROPOSERS: [usize; 3] = [1, 64, 512];
const VALUES: Table<Raw, Raw> = Table::new("valueTable");

/// Keeps the last value of each of 65,536 keys.
struct LastValue;
impl StateMachine for LastValue {
    type Command = Raw;
    type Answer = Be64;
    fn tables(&self) -> Vec<&'static str> {
        vec![VALUES.name()]
    }
    fn apply(&mut self, batch: &mut Batch<'_>, value: Vec<u8>, _: LogTime) -> Result<u64, TableError> {
        VALUES.put(batch, &value[..2].to_vec(), &value)?;
        Ok(1)
    }
}

struct Cluster {
    members: Vec<Handle<LastValue>>,
    network: MemoryNetwork,
    rocks: RocksShared,
}

impl Cluster {
    async fn start(dir: &Path, count: u64) -> Cluster {
        let network = MemoryNetwork::default();
        let rocks = RocksShared::new(64 << 20, 256 << 20).unwrap();
        let mut cluster = Cluster { members: Vec::new(), network, rocks };
        for id in 1..=count {
            let member = cluster.start_member(dir, id, count).await;
            cluster.members.push(member);
        }
        cluster
    }

    async fn start_member(&self, dir: &Path, id: u64, count: u64) -> Handle<LastValue> {
        let member = |id| Member { name: format!("m{id}"), address: String::new() };
        let founders: BTreeMap<_, _> = (1..=count).map(|id| (MemberId(id), member(id))).collect();
        let (cluster, me) = (ClusterId("bench".into()), MemberId(id));
        let mut config =
            ReplicaConfig::new(dir.join(format!("m{id}")), cluster, me, Beginning::Found(founders));
        config.entries_kept = 1_000_000; // so that the follower below catches up by log
        let surroundings = Surroundings {
            rocks: self.rocks.clone(),
            network: Arc::new(self.network.clone()),
            clock: Arc::new(SystemClock),
        };
        let handle = Replica::start(config, surroundings, LastValue).await.unwrap();
        self.network.join(me, &handle.service());
        handle
    }

    async fn leader(&self) -> Handle<LastValue> {
        loop {
            for member in &self.members {
                if member.status().now().role == Role::Leader && member.read(|_| ()).await.is_ok() {
                    return member.clone();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        for member in &self.members {
            member.shutdown(Duration::from_secs(5)).await;
        }
    }
}

/// What one round of proposals did.
struct Round {
    a_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Round {
    fn of(mut took: Vec<Duration>, all: Duration) -> Round {
        took.sort();
        let a_second = took.len() as f64 / all.as_secs_f64();
        Round { a_second, p50: took[took.len() / 2], p99: took[took.len() * 99 / 100] }
    }
}

fn command(proposer: usize, n: u64) -> Vec<u8> {
    let mut bytes = vec![0; COMMAND_LEN];
    // Does not compress: the limit's records are the same.
    let mut x = (proposer as u64) << 32 | n | 1 << 63;
    for chunk in bytes.chunks_mut(8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        chunk.copy_from_slice(&x.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// `proposers` tasks propose one command after another for `time`.
/// A proposer whose member does not lead, or no longer, goes on to the next: the time it takes counts.
async fn propose(members: &[Handle<LastValue>], proposers: usize, time: Duration) -> Round {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for proposer in 0..proposers {
        let members = members.to_vec();
        tasks.spawn(async move {
            let (mut took, mut at) = (Vec::new(), 0);
            let mut client = [0; 16];
            client[..8].copy_from_slice(&(proposer as u64).to_le_bytes());
            client[8..].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
            for n in 0.. {
                let origin = Origin::Client { client: ClientId(client), call: CallId(n) };
                let asked = Instant::now();
                while let Err(error) = members[at].propose(origin, &command(proposer, n)).await {
                    assert!(asked.elapsed() < Duration::from_secs(30), "no answer in 30 s: {error}");
                    at = (at + 1) % members.len();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                took.push(asked.elapsed());
                if start.elapsed() > time {
                    break;
                }
            }
            took
        });
    }
    Round::of(tasks.join_all().await.concat(), start.elapsed())
}

/// Records a second of one RocksDB, `group` of them to a synced batch, for `time`.
fn raw(db: &BareRocks, group: usize, time: Duration) -> f64 {
    let start = Instant::now();
    let mut records = 0_u64;
    while start.elapsed() < time {
        let batch: Vec<_> = (0..group)
            .map(|proposer| {
                records += 1;
                (records.to_be_bytes().to_vec(), command(proposer, records))
            })
            .collect();
        db.write_synced(&batch).unwrap();
    }
    records as f64 / start.elapsed().as_secs_f64()
}

/// What openraft does over a store in memory, one member, no disk: for scale.
async fn in_memory(proposers: usize, time: Duration) -> Round {
    let raft = BareRaft::start().await;
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for proposer in 0..proposers {
        let raft = raft.clone();
        tasks.spawn(async move {
            let mut took = Vec::new();
            for n in 0.. {
                let asked = Instant::now();
                raft.propose(command(proposer, n)).await;
                took.push(asked.elapsed());
                if start.elapsed() > time {
                    break;
                }
            }
            took
        });
    }
    let round = Round::of(tasks.join_all().await.concat(), start.elapsed());
    raft.stop().await;
    round
}

/// How fast a member that was away takes in what it missed: MB of commands a second.
async fn catch_up(dir: &Path, seconds: u64) -> (u64, f64) {
    let mut cluster = Cluster::start(dir, 3).await;
    let leader = cluster.leader().await;
    let away = cluster.members.iter().position(|m| m.member() != leader.member()).unwrap();
    let away = cluster.members.remove(away);
    away.shutdown(Duration::from_secs(1)).await;
    let id = away.member().0;
    drop(away);
    let mut missed = 0.0;
    for _ in 0..seconds {
        let round = Instant::now();
        let a_second = propose(&cluster.members, 512, Duration::from_secs(1)).await.a_second;
        missed += a_second * round.elapsed().as_secs_f64();
    }
    let applied = cluster.leader().await.status().now().applied;
    let began = Instant::now();
    let back = cluster.start_member(dir, id, 3).await;
    back.status().wait_for(Duration::from_secs(120), |s| s.applied >= applied).await.expect("it catches up");
    let took = began.elapsed().as_secs_f64();
    cluster.members.push(back);
    cluster.stop().await;
    (missed as u64, missed * COMMAND_LEN as f64 / 1e6 / took)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn report(quick: bool) -> String {
    let (turns, time) =
        if quick { (5, Duration::from_millis(200)) } else { (15, Duration::from_millis(300)) };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut text = format!(
        "# Consensus\n\nMade by `cargo bench -p allotrope-benches --features consensus --bench consensus -- --save` \
         (`./dev bench consensus`).\n\nMachine: {}, {} cores; others may have used it meanwhile. All members are in one \
         process and on one disk, each with its own files, so three members share the disk's syncs. Commands have \
         {COMMAND_LEN} bytes and carry a retry record. 'Raw' is one RocksDB writing the same bytes, as many to a synced \
         batch as there are proposers. 'In memory' is openraft over a plain store in memory, each command an entry of \
         its own, nothing synced. The ratio is the median over {turns} turns of {time:?} each.\n\n\
         | members | proposers | proposals/s | p50 ms | p99 ms | raw records/s | ratio | target |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
        machine::cpu_model(),
        machine::cores(),
    );
    let shared = RocksShared::new(64 << 20, 256 << 20).unwrap();
    let raw_db = BareRocks::open(&shared, &dir.path().join("raw")).unwrap();
    for count in [1, 3] {
        let cluster = Cluster::start(&dir.path().join(format!("of-{count}")), count).await;
        cluster.leader().await;
        for proposers in PROPOSERS {
            eprintln!("measuring: {count} members, {proposers} proposers");
            let (mut ours, mut raws, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            let mut last = None;
            for _ in 0..turns {
                let limit = tokio::task::block_in_place(|| raw(&raw_db, proposers, time));
                let round = propose(&cluster.members, proposers, time).await;
                ours.push(round.a_second);
                raws.push(limit);
                ratios.push(round.a_second / limit);
                last = Some(round);
            }
            let round = last.unwrap();
            let ratio = median(ratios);
            let target = match (count, proposers) {
                (1, 512) if ratio >= 0.5 => "≥ 0.5: met",
                (1, 512) => "≥ 0.5: missed",
                _ => "–",
            };
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let (ours, raws, p50, p99) = (median(ours), median(raws), ms(round.p50), ms(round.p99));
            writeln!(text, "| {count} | {proposers} | {ours:.0} | {p50:.2} | {p99:.2} | {raws:.0} | {ratio:.2} | {target} |")
                .unwrap();
        }
        cluster.stop().await;
    }
    eprintln!("measuring: openraft in memory");
    for proposers in PROPOSERS {
        let round = in_memory(proposers, time).await;
        let (p50, p99) = (round.p50.as_secs_f64() * 1e3, round.p99.as_secs_f64() * 1e3);
        writeln!(
            text,
            "| 1, in memory | {proposers} | {:.0} | {p50:.2} | {p99:.2} | – | – | for scale |",
            round.a_second
        )
        .unwrap();
    }
    eprintln!("measuring: catch-up");
    let (missed, mb_s) = catch_up(&dir.path().join("catch-up"), if quick { 1 } else { 5 }).await;
    writeln!(
        text,
        "\nA follower that missed {missed} commands, from its start to the last of them applied: {mb_s:.1} MB of \
         commands a second, by log."
    )
    .unwrap();
    text
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(wrong) = args.iter().find(|arg| !["--save", "--quick"].contains(&arg.as_str())) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let text = runtime.block_on(report(args.iter().any(|arg| arg == "--quick")));
    println!("{text}");
    if args.iter().any(|arg| arg == "--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/consensus.md");
        std::fs::write(path, text).expect("the repository's docs folder can be written");
    }
}
