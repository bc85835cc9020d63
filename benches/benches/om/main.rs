//! Requests a second of OM, beside empty calls of the same sizes over the same transport, in the same run.
//!
//! Shape   one process: an OM (or three, over loopback) on its own threads with a log that syncs, blocks from memory instead of an
//!         SCM, and clients over gRPC on other threads. Each kind of request runs with so many clients at once, each of which
//!         waits for its answer before it asks again; right after it, the echo of the same sizes does.
//! Units   requests a second of wall time, client included; latencies in milliseconds; CPU in microseconds a request, of all
//!         threads that are not clients', disk and RSS in bytes a key.
//! Never   fails for a time: it prints figures.
//!
//! `./dev bench om` prints the tables; with `-- --save` their sections of docs/performance/om.md are written anew, with `-- --quick`
//! turns are shorter, with `-- one`, `-- three` or `-- many` one part is measured, and `-- --keys N` makes `many` of N keys.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its findings")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the clock and writes its report itself"
)]

mod echo;
mod machine;
mod requests;
mod servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allotrope_benches::process;
use allotrope_benches::report::Report;
use allotrope_proto::om::{OmRequest, OmResponse};
use allotrope_proto::rpc::catalog::OmSubmit;
use allotrope_proto::rpc::{CallOptions, RpcClient as _};
use hdrhistogram::Histogram;
use requests::Requests;
use servers::{Client, Oms};
use tokio::runtime::Runtime;

/// The allocator of the binary, so that the figures are its.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clients at once.
const CLIENTS: [usize; 4] = [1, 8, 64, 512];

const HEAD: &str = "# OM\n\nMade by `./dev bench om -- --save`, section by section. OM's log syncs every entry; blocks come from memory, \
not from an SCM; gRPC over loopback, clients in the same process. Server CPU is that of all threads that are not clients', gRPC and \
RocksDB included.\n";

/// Measures one part.
type Measure = fn(&mut Report, &Runtime, &Options);

const PARTS: [(&str, Measure); 3] = [
    ("one", |report, clients, options| measure(report, clients, 1, options)),
    ("three", |report, clients, options| measure(report, clients, 3, options)),
    ("many", large),
];

struct Options {
    turn: Duration,
    keys: usize,
    save: bool,
    parts: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { turn: Duration::from_secs(2), keys: 100_000, save: false, parts: Vec::new() };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => (options.turn, options.keys) = (Duration::from_millis(400), 5_000),
            "--save" => options.save = true,
            "--keys" => {
                let given = args.next().and_then(|text| text.parse().ok());
                options.keys = given.ok_or("--keys needs a number")?;
            }
            part if PARTS.iter().any(|(name, _)| *name == part) => options.parts.push(arg),
            other => {
                return Err(format!(
                    "unknown argument {other}\n  try: -- [--quick] [--keys N] [--save] [one|three|many]..."
                ));
            }
        }
    }
    Ok(options)
}

/// What a turn found.
struct Turn {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_cpu_us: f64,
}

/// Asks with `clients` at once for `time`; `step` makes one unit of work, and says how many of its calls there were.
fn turn<F, W>(runtime: &Runtime, clients: usize, time: Duration, step: F) -> Turn
where
    F: Fn(u64) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    let step = Arc::new(step);
    let number = Arc::new(AtomicU64::new(0));
    let cpu = machine::server_cpu();
    let began = Instant::now();
    let histogram = runtime.block_on(async {
        let asking: Vec<_> = (0..clients)
            .map(|_| {
                let (step, number) = (Arc::clone(&step), Arc::clone(&number));
                tokio::spawn(async move {
                    let mut seen = Histogram::<u64>::new(3).expect("three digits");
                    while began.elapsed() < time {
                        let asked = Instant::now();
                        step(number.fetch_add(1, Ordering::Relaxed)).await;
                        let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                        seen.record(took).expect("it grows with what it records");
                    }
                    seen
                })
            })
            .collect();
        let mut all = Histogram::<u64>::new(3).expect("three digits");
        for each in asking {
            all.add(each.await.expect("a client does not panic")).expect("the same digits");
        }
        all
    });
    let (took, cpu) = (began.elapsed().as_secs_f64(), machine::server_cpu().saturating_sub(cpu));
    let count = histogram.len() as f64;
    Turn {
        per_second: count / took,
        p50_ms: histogram.value_at_quantile(0.5) as f64 / 1000.0,
        p99_ms: histogram.value_at_quantile(0.99) as f64 / 1000.0,
        server_cpu_us: cpu.as_secs_f64() * 1e6 / count,
    }
}

/// The calls of one kind of work: their requests by number, and what answers are used for.
type Work = Arc<dyn Fn(Client, u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) async fn ask(client: &Client, request: &OmRequest) -> OmResponse {
    let answer = client.call::<OmSubmit>(request, &CallOptions::default()).await.expect("OM answers");
    assert_eq!(answer.success, Some(true), "{:?}", answer.message);
    answer
}

fn row(report: &mut Report, what: &str, clients: usize, turn: &Turn, echo: f64) {
    report.row(&[
        what.to_owned(),
        clients.to_string(),
        format!("{:.0}", turn.per_second),
        format!("{:.2}", turn.p50_ms),
        format!("{:.2}", turn.p99_ms),
        format!("{:.0}", turn.server_cpu_us),
        format!("{:.2}", turn.per_second / echo),
    ]);
}

/// All kinds of requests against `members` OMs.
fn measure(report: &mut Report, clients_runtime: &Runtime, members: u64, options: &Options) {
    let title = if members == 1 { "One member" } else { "Three members" };
    let about = format!(
        "Turns of {:.1} s. A pair is CreateKey with one block, then CommitKey. The last column is requests a second over empty calls of \
         the same sizes with as many clients, right after. Aims at 64 clients of one member: lookups ≥ 0.6 and ≤ 40 µs, pairs ≥ 0.2 \
         and ≤ 150 µs.{}",
        options.turn.as_secs_f64(),
        if members == 1 { "" } else { " All three members are in this process, on one disk." },
    );
    report.section(
        title,
        &about,
        "request | clients | a second | p50, ms | p99, ms | server CPU, µs | of empty calls",
    );
    let oms = Oms::start(members);
    let client = clients_runtime.block_on(oms.client());
    let work = Requests::new(clients_runtime, client.clone());
    for (name, kind) in work.kinds() {
        let echo = clients_runtime.block_on(echo::Echo::like(&kind.sample));
        for clients in CLIENTS {
            let (asked, of) = (client.clone(), Arc::clone(&kind.work));
            let measured = turn(clients_runtime, clients, options.turn, move |n| of(asked.clone(), n));
            let calls = echo.clone();
            let empty = turn(clients_runtime, clients, options.turn / 2, move |_| {
                let calls = calls.clone();
                async move { calls.call().await }
            });
            row(report, name, clients, &measured, empty.per_second);
        }
    }
    oms.end();
}

/// One namespace of many keys: what a key costs, and what depends on how many there are.
fn large(report: &mut Report, clients_runtime: &Runtime, options: &Options) {
    let mut oms = Oms::start(1);
    let client = clients_runtime.block_on(oms.client());
    let work = Requests::new(clients_runtime, client.clone());
    let before = (process::rss(), oms.disk_len());
    let began = Instant::now();
    clients_runtime.block_on(work.fill(options.keys));
    let about = format!(
        "{} keys in one directory of a FILE_SYSTEM_OPTIMIZED bucket, made in {:.0} s by {} clients.",
        options.keys,
        began.elapsed().as_secs_f64(),
        requests::FILLERS,
    );
    report.section("Many keys", &about, "what | ");
    let row = |report: &mut Report, what: &str, value: String| report.row(&[what.to_owned(), value]);
    let small = clients_runtime.block_on(work.rename_small());
    row(report, "rename of a directory with one key", format!("{:.2} ms", ms(small)));
    let renamed = clients_runtime.block_on(work.rename_large());
    row(report, "rename of the directory with all keys", format!("{:.2} ms", ms(renamed)));
    let (first, last) = clients_runtime.block_on(work.pages(options.keys));
    row(report, "the first page of 1,000", format!("{:.2} ms", ms(first)));
    row(report, "the last page of 1,000", format!("{:.2} ms", ms(last)));
    let began = Instant::now();
    let listed = clients_runtime.block_on(work.list_all());
    assert_eq!(listed, options.keys, "every key is listed once");
    row(report, "list of all keys, page by page", format!("{:.2} s", began.elapsed().as_secs_f64()));
    let after = (process::rss(), oms.disk_len());
    let a_key = |after: u64, before: u64| {
        format!("{:.0} bytes", after.saturating_sub(before) as f64 / options.keys as f64)
    };
    row(report, "disk, log included, a key", a_key(after.1, before.1));
    row(report, "RSS, clients included, a key", a_key(after.0, before.0));
    let start = oms.restart(clients_runtime);
    row(report, "start until the first answer", format!("{:.2} s", start.as_secs_f64()));
    oms.end();
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() {
    let options = options().unwrap_or_else(|wrong| {
        eprintln!("error: {wrong}");
        std::process::exit(2);
    });
    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(machine::CLIENT_THREAD)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let mut report = Report::new(HEAD);
    for (name, measure) in PARTS {
        if options.parts.is_empty() || options.parts.iter().any(|part| part == name) {
            measure(&mut report, &clients, &options);
        }
    }
    println!("{}", report.text());
    if options.save {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/om.md");
        let before = std::fs::read_to_string(page).unwrap_or_default();
        std::fs::write(page, report.merged_into(&before)).expect("the report is written");
    }
}
