//! The flags of every load, named as freon names them where it has them.

use std::path::PathBuf;
use std::time::Duration;

use allotrope_perf::{Clock, Pace, Plan, Until};
use clap::Args;

use crate::config::parse_time;

#[derive(Clone, Debug, Args)]
pub(super) struct RunArgs {
    /// Operations; with --duration, objects that the operations go round.
    #[arg(short = 'n', long = "number-of-tests", value_name = "COUNT", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: u64,
    /// Operations at once; with --rate, the most at once.
    #[arg(short = 't', long = "threads", alias = "thread", value_name = "COUNT", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) threads: u32,
    /// Run this long instead of a number of operations: 30s, 5m, 1h.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) duration: Option<Duration>,
    /// Open loop: begin this many operations a second, whether or not those before have ended; times count from when an
    /// operation was due.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Run this long before anything counts.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_time)]
    pub(super) warm_up: Duration,
    /// Longest time of one operation; then it has failed.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub(super) deadline: Duration,
    /// Go on after a failure.
    #[arg(short = 'f', long)]
    pub(super) fail_at_end: bool,
    /// What the names of objects begin with.
    #[arg(short = 'p', long, value_name = "NAME", default_value = "perf")]
    pub(super) prefix: String,
    /// What content and choices are made from: the same seed gives the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
    /// How often a point of the series is taken.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub(super) interval: Duration,
    /// Note what this process uses: CPU, memory, disk. May be given more than once.
    #[arg(long = "pid", value_name = "PID")]
    pub(super) pids: Vec<u32>,
    /// Print the result as one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Write the result's JSON to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Say what share of the machine's limits the result is; `allotrope perf limits --out` writes them.
    #[arg(long, value_name = "FILE")]
    pub(super) limits: Option<PathBuf>,
    /// Write the result as a page with plots to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write each interval's histogram to this file, as HdrHistogram's tools read it.
    #[arg(long, value_name = "FILE")]
    pub(super) hdr_log: Option<PathBuf>,
}

impl RunArgs {
    pub(super) fn plan(&self) -> Plan {
        Plan {
            pace: self.rate.map_or(Pace::Closed, |per_second| Pace::Open { per_second }),
            at_once: self.threads as usize,
            until: self.duration.map_or(Until::Count(self.count), Until::Time),
            objects: self.count,
            warm_up: self.warm_up,
            deadline: self.deadline.max(Duration::from_millis(1)),
            stop_at_failure: !self.fail_at_end,
            interval: self.interval.max(Duration::from_millis(10)),
            clock: Clock::Kernel,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.001..=10_000_000.0).contains(&number) {
        true => Ok(number),
        false => Err("not from 0.001 to 10000000".to_owned()),
    }
}
