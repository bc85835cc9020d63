//! `allotrope perf limits`: what this machine can, so that results have something to be held against.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use allotrope_ec::{Codec, Scheme};
use allotrope_io::{Back, DiskSweep};
use allotrope_perf::{Limit, Machine, limits_table, limits_to_json, of_memory_and_loopback, rate_of};
use allotrope_types::EcCodec;
use clap::Args;

use super::session::kept_limits;
use crate::config::parse_time;

pub(super) const EXAMPLES: &str = "Examples:
  allotrope perf limits --dir /data/disk1
  allotrope perf limits --dir /data/disk1 --out limits.json
  allotrope perf key-write --duration 30s -s 16MB --limits limits.json

They are kept in ~/.cache/allotrope, too, and every run on this machine says from then on what share of them it had.";

/// Bytes of a cell that is coded.
const CELL: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Limits {
    /// A folder on the disk that is measured; its file is removed at the end. Without it disks are left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long measuring may take, about.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_time)]
    time: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the JSON to this file as well, for --limits of later runs.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Limits {
    pub(super) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let turn = self.time / 16;
        let mut limits = of_memory_and_loopback(turn)?;
        for (data, parity) in [(3, 2), (6, 3)] {
            limits.push(Limit::rate(format!("rs-{data}-{parity} encode"), encode(data, parity, turn)?));
        }
        if let Some(dir) = &self.dir {
            limits.extend(disk(&DiskSweep::measure(dir, Back::of_this_machine(), self.time / 2)?));
        }
        let kept = limits_to_json(&limits, &Machine::here());
        if let Some(path) = &self.out {
            fs::write(path, format!("{kept:#}\n"))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        // Kept for later runs, too; where that is not possible they are run with --limits.
        if let Some(path) = kept_limits()
            && path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok())
        {
            let _ = fs::write(&path, format!("{kept:#}\n"));
        }
        match self.json {
            true => println!("{kept:#}"),
            false => print!("{}", limits_table(&limits)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Bytes of data a second that are encoded, on one core.
fn encode(data: u8, parity: u8, turn: Duration) -> Result<f64, Box<dyn Error>> {
    let codec = Codec::new(Scheme::new(EcCodec::Rs, data.into(), parity.into())?);
    let cells: Vec<Vec<u8>> = (0..data).map(|cell| (0..CELL).map(|at| at as u8 ^ cell).collect()).collect();
    let mut made = vec![vec![0; CELL]; parity.into()];
    let cells: Vec<&[u8]> = cells.iter().map(Vec::as_slice).collect();
    let mut made: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
    codec.encode(&cells, &mut made)?;
    Ok(rate_of(turn, CELL * usize::from(data), || {
        codec.encode(std::hint::black_box(&cells), &mut made).expect("the same cells were encoded before");
    }))
}

fn disk(sweep: &DiskSweep) -> Vec<Limit> {
    let length =
        |len: usize| if len >= 1 << 20 { format!("{} MiB", len >> 20) } else { format!("{} KiB", len >> 10) };
    let rate = |rate: &allotrope_io::DiskRate| {
        let what = if rate.write { "write" } else { "read" };
        Limit::rate(format!("disk {what} {} x {}", length(rate.len), rate.depth), rate.per_second)
    };
    let mut limits: Vec<Limit> = sweep.rates.iter().map(rate).collect();
    limits.push(Limit::time("disk durable page, median", sweep.sync_p50));
    limits.push(Limit::time("disk durable page, p99", sweep.sync_p99));
    limits
}
