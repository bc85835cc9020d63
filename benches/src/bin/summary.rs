//! Writes what all benches came to into docs/performance.md: `summary FOLDER`, whose files NAME.md are what the benches printed and
//! limits.txt what `allotrope perf limits` did.
#![allow(clippy::disallowed_methods, reason = "it reads the benches' pages and writes their sum")]
#![allow(clippy::print_stderr, reason = "it says what it cannot do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use allotrope_benches::{machine, summary};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
const TITLE: &str = "All benches in one run";
const ABOUT: &str = "Made by `./dev bench all`: every bench in its short form, one after the other, in one run; longer runs are on the pages. A ratio is to \
the machine's limit, or to what the row names, in the same run.";

fn sum(folder: &Path) -> Result<(), String> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut pages = BTreeMap::new();
    for pick in summary::PICKS {
        if let Ok(page) = read(&format!("{}.md", pick.bench)) {
            pages.insert(pick.bench.to_owned(), page);
        }
    }
    let took = read("took.txt").unwrap_or_default();
    let text =
        format!("{ABOUT}\n\n{}\n{}", summary::text(&machine::words(), &read("limits.txt")?, &pages), took);
    let before = std::fs::read_to_string(PAGE).map_err(|error| format!("{PAGE}: {error}"))?;
    std::fs::write(PAGE, summary::with_section(&before, TITLE, &text))
        .map_err(|error| format!("{PAGE}: {error}"))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = args.as_slice() else {
        eprintln!("usage: summary FOLDER");
        return ExitCode::from(2);
    };
    match sum(Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
