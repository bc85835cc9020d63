//! Pipelines under load: three datanodes that keep each key together, beside one datanode that is sent the same bytes three times.
//!
//! Shape   the clients run in this process, each datanode in a child of its own; a key is one chunk and its PutBlock, sent
//!         together and answered when all members have them. The two pipelines take turns; a ratio is the median over the turns.
//! Units   GiB/s of what clients wrote, milliseconds a key, CPU seconds a GiB.
//! Aim     the three write what clients send at no less than 0.9 of the rate at which one would write it thrice.
//! Never   fails for a time: it prints ratios beside their aims.
//!
//! `./dev bench pipelines` prints the table; with `-- --save` it is written to docs/performance/pipelines.md, with `-- --quick`
//! turns are fewer and shorter.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the machine and writes its report itself")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where")]

mod child;
mod client;
mod role;
mod shape;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use allotrope_benches::report::Report;
use allotrope_types::PipelineId;
use child::Server;
use client::{Client, Load};

// As in the binary, so that memory is what the binary would use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &str = "# Pipelines under load\n\n\
Made by `./dev bench pipelines -- --save`. Clients and datanodes are processes of one machine and share its cores and its disk, so a \
figure beside the other in its row says more than the figure alone. CPU is user and system time of the datanodes together, in \
core-seconds a GiB that clients wrote.\n";
const GIB: f64 = (1u64 << 30) as f64;
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Lengths of keys, and their names.
const KEYS: [(usize, &str); 2] = [(4 << 20, "4 MiB"), (64 << 10, "64 KiB")];
/// Members of both pipelines' larger one.
const MEMBERS: usize = 3;
const AIM: f64 = 0.9;

/// What one turn came to.
struct Turn {
    /// Bytes of clients a second.
    rate: f64,
    /// CPU seconds of the datanodes a GiB.
    cpu: f64,
    /// How long each key took, in ms, sorted.
    keys_ms: Vec<f64>,
}

impl Turn {
    fn quantile(&self, of: f64) -> f64 {
        let last = self.keys_ms.len() - 1;
        self.keys_ms[(last as f64 * of).round() as usize]
    }
}

/// The middle one.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "serve") {
        return role::serve(&args[1..]);
    }
    if let Some(wrong) = args.iter().find(|arg| !["--save", "--quick"].contains(&arg.as_str())) {
        eprintln!("error: unknown argument {wrong}\n  try: -- [--quick] [--save]");
        std::process::exit(2);
    }
    let (turns, time) = match args.iter().any(|arg| arg == "--quick") {
        true => (1, Duration::from_secs(1)),
        false => (3, Duration::from_secs(2)),
    };
    let mut report = Report::new(HEAD);
    report.section(
        "Keys through a pipeline of three",
        "A key is a WriteChunk and the PutBlock behind it, on one ordered stream a client; keys lie in three containers, as SCM gives \
         them out. `one, thrice` is a pipeline of one on the leader, which is sent each key three times as keys of their own: its rate \
         is a third of what it writes.",
        "durability | keys | clients | three GiB/s | p50 ms | p99 ms | CPU | one, thrice GiB/s | CPU | ratio | aim",
    );
    let dir = scratch();
    for durability in ["disk", "page-cache"] {
        measure(&mut report, &dir, durability, turns, time);
    }
    drop(std::fs::remove_dir_all(&dir));
    shapes(&mut report, turns, time);
    println!("{}", report.text());
    if args.iter().any(|arg| arg == "--save") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/pipelines.md");
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, report.merged_into(&before))
            .expect("the repository's docs folder can be written");
        eprintln!("wrote {path}");
    }
}

fn measure(report: &mut Report, dir: &Path, durability: &str, turns: usize, time: Duration) {
    let mut servers: Vec<Server> =
        (0..MEMBERS).map(|n| Server::start(&dir.join(format!("{durability}{n}")), durability)).collect();
    let [three, one] = [3, 1].map(|n| PipelineId::from_random_bytes([n; 16]));
    child::make(&mut servers, three);
    child::make(&mut servers[..1], one);
    let client = Client::new();
    // No container comes back once it was deleted.
    let mut first = 1;
    for (len, name) in KEYS {
        for clients in CLIENTS {
            let mut turn = |pipeline, times: u64| {
                first += 1000;
                let load = Load { pipeline, len, clients, first, time };
                let done = one_turn(&client, &servers, &load, times);
                let members = if times == 1 { &servers[..] } else { &servers[..1] };
                members.iter().for_each(|server| client.remove(server, first));
                done
            };
            let pairs: Vec<(Turn, Turn)> = (0..turns).map(|_| (turn(three, 1), turn(one, 3))).collect();
            row(report, [durability, name], clients, &pairs);
        }
    }
}

/// Writes keys for a while; each is sent `times` times before it counts as one.
fn one_turn(client: &Client, servers: &[Server], load: &Load, times: u64) -> Turn {
    let cpu = || servers.iter().map(Server::cpu).sum::<f64>();
    let (before, began) = (cpu(), Instant::now());
    let mut keys_ms = client.write(&servers[0], load);
    let wall = began.elapsed().as_secs_f64();
    let bytes = (keys_ms.len() * load.len) as f64 / times as f64;
    keys_ms.sort_by(f64::total_cmp);
    Turn { rate: bytes / wall, cpu: (cpu() - before) / (bytes / GIB), keys_ms }
}

fn row(report: &mut Report, names: [&str; 2], clients: usize, pairs: &[(Turn, Turn)]) {
    let three = |value: fn(&Turn) -> f64| median(pairs.iter().map(|pair| value(&pair.0)));
    let one = |value: fn(&Turn) -> f64| median(pairs.iter().map(|pair| value(&pair.1)));
    let ratio = median(pairs.iter().map(|(three, one)| three.rate / one.rate));
    let met = if ratio >= AIM { "met" } else { "**missed**" };
    report.row(&[
        names[0].to_owned(),
        names[1].to_owned(),
        clients.to_string(),
        format!("{:.3}", three(|turn| turn.rate) / GIB),
        format!("{:.2}", three(|turn| turn.quantile(0.5))),
        format!("{:.2}", three(|turn| turn.quantile(0.99))),
        format!("{:.2}", three(|turn| turn.cpu)),
        format!("{:.3}", one(|turn| turn.rate) / GIB),
        format!("{:.2}", one(|turn| turn.cpu)),
        format!("{ratio:.2}"),
        format!("≥ {AIM}: {met}"),
    ]);
}

/// How a leader's bytes might travel to the two others.
fn shapes(report: &mut Report, turns: usize, time: Duration) {
    report.section(
        "A star or a chain",
        "A leader that sends a message to both others, and one that sends it to the first, which passes each piece of 128 KiB on as it \
         comes: plain sockets, one message after the other, nothing written. The datanodes use the star. A chain's leader sends half, \
         which counts where its network card is the limit; with leaders spread over the datanodes, as SCM spreads them, each card sends \
         as much either way.",
        "message | star p50 ms | star p99 ms | chain p50 ms | chain p99 ms | chain's p50 of the star's",
    );
    for (len, name) in KEYS {
        let runs = |form| (0..turns).map(|_| shape::measure(form, len, time / 2)).collect::<Vec<_>>();
        let (star, chain) = (runs(shape::Form::Star), runs(shape::Form::Chain));
        let at = |runs: &[Vec<f64>], of: f64| {
            median(runs.iter().map(|run| run[((run.len() - 1) as f64 * of) as usize]))
        };
        report.row(&[
            name.to_owned(),
            format!("{:.3}", at(&star, 0.5)),
            format!("{:.3}", at(&star, 0.99)),
            format!("{:.3}", at(&chain, 0.5)),
            format!("{:.3}", at(&chain, 0.99)),
            format!("{:.2}", at(&chain, 0.5) / at(&star, 0.5)),
        ]);
    }
}

/// An empty folder for the files of this run, on the file system of the build directory.
fn scratch() -> PathBuf {
    let name = format!("pipelines-bench-{}", std::process::id());
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&dir));
    std::fs::create_dir_all(&dir).expect("the build directory can be written");
    dir
}
