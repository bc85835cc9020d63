//! One run from its flags to its exit code, the same for every load.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use allotrope_perf::{
    Described, HdrLog, Limit, Load, Machine, Plan, RunResult, Share, Trouble, Watch, limits_from_json,
    shares, table,
};
use serde_json::Value;
use tokio::sync::watch;

use super::compare::write_page;
use super::flags::RunArgs;
use super::live::Live;
use crate::config::Settings;

/// Exit code of a run that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// Why a load could not be made ready.
pub(super) enum NotReady {
    /// Its flags or settings do not do: there is nothing to measure.
    Words(Box<dyn Error>),
    /// The servers do not do: that is a result.
    Servers(Trouble),
}

impl<E: Into<Box<dyn Error>>> From<E> for NotReady {
    fn from(error: E) -> NotReady {
        let error = error.into();
        match error.downcast::<Trouble>() {
            Ok(trouble) => NotReady::Servers(*trouble),
            Err(error) => NotReady::Words(error),
        }
    }
}

/// A load as the command line names it.
pub(super) trait Ordered {
    /// The load's name in results.
    const NAME: &'static str;

    /// The flags that every load has.
    fn run_args(&self) -> &RunArgs;

    /// What else makes its runs alike.
    fn settings(&self) -> Vec<(&'static str, String)>;

    /// How it is run.
    fn plan(&self) -> Plan {
        self.run_args().plan()
    }

    /// Makes ready what must be there before the clock runs.
    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady>;
}

/// Runs a load to its end and prints its result.
pub(super) fn run(load: impl Ordered, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
    let limits = limits_of(load.run_args().limits.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(measure(&load, settings));
    // A connection that waits for a server must not keep the command.
    runtime.shutdown_timeout(Duration::from_millis(100));
    let Some(Measured { result, rest }) = result? else { return Ok(ExitCode::from(INTERRUPTED)) };
    let args = load.run_args();
    // A full disk must not cost the result: it is printed before anything is kept, and each file is tried.
    let printed = match print(&result, &limits, args.json) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    };
    let out = args.out.as_deref().map_or(Ok(()), |path| write(path, &result, &limits));
    let html = args.html.as_deref().map_or(Ok(()), |path| write_page(path, &result));
    printed.and(rest).and(out).and(html)?;
    Ok(match (result.end.as_str(), result.is_whole()) {
        ("interrupted", _) => ExitCode::from(INTERRUPTED),
        (_, true) => ExitCode::SUCCESS,
        (_, false) => ExitCode::FAILURE,
    })
}

/// What a run found, and whether all that comes after it worked: the servers are as they were, its log is kept.
struct Measured {
    result: RunResult,
    rest: Result<(), Box<dyn Error>>,
}

/// The result; `None` if the run was interrupted before it began.
async fn measure<L: Ordered>(load: &L, settings: &Settings) -> Result<Option<Measured>, Box<dyn Error>> {
    let (args, plan) = (load.run_args(), load.plan());
    let (interrupt, stop) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupt.send_replace(true);
        }
        // Whoever waits for the signal waits for ever without it.
        std::future::pending::<()>().await;
    });
    let mut interrupted = stop.clone();
    let prepared = tokio::select! {
        prepared = load.prepare(settings) => prepared,
        _ = interrupted.wait_for(|&on| on) => return Ok(None),
    };
    let began = SystemTime::now();
    let described = describe(load, began);
    let ready = match prepared {
        Ok(ready) => ready,
        Err(NotReady::Words(error)) => return Err(error),
        Err(NotReady::Servers(trouble)) => {
            let result = RunResult::not_begun(described, &plan, &trouble, Machine::here());
            return Ok(Some(Measured { result, rest: Ok(()) }));
        }
    };
    let failed = |path: &Path, error: io::Error| format!("cannot write {}: {error}", path.display());
    let log = match &args.hdr_log {
        Some(path) => Some((path, HdrLog::create(path, began).map_err(|error| failed(path, error))?)),
        None => None,
    };
    let watch = Watch {
        stop,
        processes: args.pids.clone(),
        log: log.as_ref().map(|(_, log)| log.clone()),
        ..Watch::default()
    };
    let live = Live::begin(watch.progress.clone(), &plan);
    let measured = allotrope_perf::run(Arc::clone(&ready), &plan, watch).await;
    drop(live);
    let left = tokio::time::timeout(plan.deadline, ready.leave()).await;
    let left = left.unwrap_or_else(|_| Err(Trouble::late(plan.deadline)));
    let left = left.map_err(|trouble| format!("the servers are not as they were before: {trouble}"));
    let log = log.map_or(Ok(()), |(path, log)| log.close().map_err(|error| failed(path, error)));
    let result = RunResult::new(described, &plan, measured, Machine::here());
    Ok(Some(Measured { result, rest: left.and(log).map_err(Into::into) }))
}

fn describe<L: Ordered>(load: &L, began: SystemTime) -> Described {
    let args = load.run_args();
    let mut settings: BTreeMap<String, String> =
        load.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    settings.insert("seed".to_owned(), args.seed.to_string());
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Described {
        load: L::NAME.to_owned(),
        settings,
        named: [("prefix".to_owned(), args.prefix.clone())].into(),
        began_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The limits in the file that was named, or else those that `perf limits` kept of this machine, if it did.
fn limits_of(named: Option<&Path>) -> Result<Vec<Limit>, Box<dyn Error>> {
    let failed = |path: &Path, error: &dyn Error| format!("cannot read {}: {error}", path.display());
    if let Some(path) = named {
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, &error))?;
        return Ok(limits_from_json(&text).map_err(|error| failed(path, &error))?);
    }
    // What was kept is a help and never a hindrance.
    let kept = kept_limits().and_then(|path| std::fs::read_to_string(path).ok());
    Ok(kept.and_then(|text| limits_from_json(&text).ok()).unwrap_or_default())
}

/// Where `perf limits` keeps what it measured of this machine, for later runs; `None` where there is no home.
pub(super) fn kept_limits() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // A home may be shared by machines.
    Some(cache.join("allotrope").join(format!("limits-{}.json", host.trim())))
}

/// The result as JSON, with what it has of the limits.
fn json(result: &RunResult, limits: &[Limit]) -> Value {
    let mut json = result.to_json();
    let shares = shares(result, limits);
    if !shares.is_empty() {
        json["shares"] = shares.iter().map(Share::to_json).collect();
    }
    json
}

fn print(result: &RunResult, limits: &[Limit], is_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match is_json {
        true => writeln!(out, "{:#}", json(result, limits))?,
        false => write!(out, "{}", table(result))?,
    }
    for share in shares(result, limits).iter().filter(|_| !is_json) {
        writeln!(out, "{share}")?;
    }
    out.flush()
}

fn write(path: &Path, result: &RunResult, limits: &[Limit]) -> Result<(), Box<dyn Error>> {
    let written = File::create(path).and_then(|mut file| writeln!(file, "{:#}", json(result, limits)));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
