//! Requests a second of OM, beside empty calls of the same sizes over the same transport, in the same run.
//!
//! Shape   one process: an OM (or three, over loopback) on its own threads with a log that syncs, blocks from memory instead of an
//!         SCM, and clients over gRPC on other threads. Each kind of request runs with so many clients at once, each of which
//!         waits for its answer before it asks again; right after it, the echo of the same sizes does.
//! Units   requests a second of wall time, client included; latencies in milliseconds; CPU in microseconds a request, of all
//!         threads that are not clients', disk and RSS in bytes a key.
//! Never   fails for a time: it prints figures.
//!
//! `cargo bench -p allotrope-benches --features om --bench om` prints the tables; `-- --save` also writes
//! docs/performance/om.md, `-- --quick` takes shorter turns, `-- --keys N` makes the namespace of N keys.
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

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allotrope_benches::process;
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

struct Options {
    turn: Duration,
    keys: usize,
    save: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { turn: Duration::from_secs(2), keys: 100_000, save: false };
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => (options.turn, options.keys) = (Duration::from_millis(400), 5_000),
            "--save" => options.save = true,
            "--keys" => {
                let given = args.next().and_then(|text| text.parse().ok());
                options.keys = given.ok_or("--keys needs a number")?;
            }
            other => {
                return Err(format!("unknown argument {other}\n  try: -- [--quick] [--keys N] [--save]"));
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

fn row(table: &mut String, what: &str, clients: usize, turn: &Turn, echo: Option<f64>) {
    let ratio = echo.map_or_else(|| "–".to_owned(), |echo| format!("{:.2}", turn.per_second / echo));
    let line = format!(
        "| {what} | {clients} | {:.0} | {:.2} | {:.2} | {:.0} | {ratio} |",
        turn.per_second, turn.p50_ms, turn.p99_ms, turn.server_cpu_us
    );
    eprintln!("{line}");
    writeln!(table, "{line}").expect("a string takes it");
}

/// All kinds of requests against `members` OMs.
fn measure(clients_runtime: &Runtime, members: u64, options: &Options) -> String {
    let oms = Oms::start(members);
    let client = clients_runtime.block_on(oms.client());
    let work = Requests::new(clients_runtime, client.clone());
    let mut table = String::from(
        "| request | clients | a second | p50, ms | p99, ms | server CPU, µs | of empty calls |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
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
            row(&mut table, name, clients, &measured, Some(empty.per_second));
        }
    }
    oms.end();
    table
}

/// One namespace of many keys: what a key costs, and what depends on how many there are.
fn large(clients_runtime: &Runtime, options: &Options) -> String {
    let mut oms = Oms::start(1);
    let client = clients_runtime.block_on(oms.client());
    let work = Requests::new(clients_runtime, client.clone());
    let before = (process::rss(), oms.disk_len());
    let began = Instant::now();
    clients_runtime.block_on(work.fill(options.keys));
    let filled = began.elapsed();
    let small = clients_runtime.block_on(work.rename_small());
    let large = clients_runtime.block_on(work.rename_large());
    let (page_first, page_last) = clients_runtime.block_on(work.pages(options.keys));
    let began = Instant::now();
    let listed = clients_runtime.block_on(work.list_all());
    let list_all = began.elapsed();
    assert_eq!(listed, options.keys, "every key is listed once");
    let after = (process::rss(), oms.disk_len());
    let start = oms.restart(clients_runtime);
    let per_key = |after: u64, before: u64| after.saturating_sub(before) as f64 / options.keys as f64;
    let text = format!(
        "{} keys in one directory of a FILE_SYSTEM_OPTIMIZED bucket, made in {:.1} s by 64 clients.\n\n\
         | what | |\n| --- | ---: |\n\
         | rename of a directory with one key | {:.2} ms |\n\
         | rename of the directory with {} keys | {:.2} ms |\n\
         | the first page of 1,000 | {:.2} ms |\n| the last page of 1,000 | {:.2} ms |\n\
         | list of all keys, page by page | {:.2} s |\n\
         | disk, log included, a key | {:.0} bytes |\n| RSS, clients included, a key | {:.0} bytes |\n\
         | start until the first answer | {:.2} s |\n",
        options.keys,
        filled.as_secs_f64(),
        ms(small),
        options.keys,
        ms(large),
        ms(page_first),
        ms(page_last),
        list_all.as_secs_f64(),
        per_key(after.1, before.1),
        per_key(after.0, before.0),
        start.as_secs_f64(),
    );
    eprintln!("{text}");
    oms.end();
    text
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
    let one = measure(&clients, 1, &options);
    let three = measure(&clients, 3, &options);
    let many = large(&clients, &options);
    println!("{one}\n{three}\n{many}");
    if options.save {
        let report = format!(
            "# OM\n\nMade by `cargo bench -p allotrope-benches --features om --bench om -- --save` (`./dev bench om`), turns of \
             {:.1} s. OM's log syncs every entry; blocks come from memory, not from an SCM; gRPC over loopback, one \
             connection, clients in the same process on {} cores. A pair is CreateKey with one block, then CommitKey. The \
             last column is requests a second over empty calls of the same sizes with as many clients, right after. Server \
             CPU is that of all threads that are not clients', gRPC and RocksDB included.\n\n\
             ## One member\n\n{one}\n## Three members\n\nAll three in this process.\n\n{three}\n## Many keys\n\n{many}",
            options.turn.as_secs_f64(),
            std::thread::available_parallelism().map_or(0, usize::from),
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance/om.md");
        std::fs::write(path, report).expect("the report is written");
    }
}
