//! `allotrope perf compare` and `allotrope perf report`: results that were kept, beside each other or as a page.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use allotrope_perf::{RunResult, compare, compare_table, page};
use clap::Args;
use serde_json::json;

pub(super) const EXAMPLES: &str = "Examples:
  allotrope perf key-write -n 1000 --out before.json
  allotrope perf key-write -n 1000 --out after.json
  allotrope perf compare before.json after.json
  allotrope perf compare runs-before/ runs-after/

Of folders every file whose name ends in .json is a run; several runs give ratios a spread.";

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// A result, or a folder of results of the same run.
    a: PathBuf,
    /// What is held against it.
    b: PathBuf,
    /// Compare runs, too, that failed or were interrupted.
    #[arg(long)]
    partial: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let ratios = compare(&results(&self.a)?, &results(&self.b)?, self.partial)?;
        if !self.json {
            print!("{}", compare_table(&ratios));
            return Ok(ExitCode::SUCCESS);
        }
        let ratios: Vec<_> = ratios
            .iter()
            .map(|ratio| {
                json!({
                    "figure": ratio.what,
                    "a": ratio.a,
                    "b": ratio.b,
                    "ratio": ratio.ratio,
                    "spread": ratio.spread.map(|(least, most)| [least, most]),
                    "more_is_better": ratio.more_is_better,
                })
            })
            .collect();
        println!("{:#}", json!({ "ratios": ratios }));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A result that --out wrote.
    result: PathBuf,
    /// The page that is made.
    page: PathBuf,
}

impl Report {
    pub(super) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        write_page(&self.page, &result(&self.result)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a result's page.
pub(super) fn write_page(path: &Path, result: &RunResult) -> Result<(), Box<dyn Error>> {
    fs::write(path, page(result)).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// The result in a file, or those in a folder, by name.
fn results(path: &Path) -> Result<Vec<RunResult>, Box<dyn Error>> {
    if !path.is_dir() {
        return Ok(vec![result(path)?]);
    }
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let files = fs::read_dir(path).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = files.collect::<Result<_, _>>().map_err(failed)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| result(file)).collect()
}

fn result(path: &Path) -> Result<RunResult, Box<dyn Error>> {
    let failed = |error: &dyn Error| format!("cannot read {}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    Ok(RunResult::from_json(&text).map_err(|error| failed(&error))?)
}
