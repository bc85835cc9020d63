//! `allotrope genconf`: a settings file to start from.

use std::error::Error;
use std::process::ExitCode;

use crate::config::KNOWN;

pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    println!(
        "# Every setting that Allotrope reads, at its default. Take the '#' away from those that you change."
    );
    for known in KNOWN {
        let shown = if known.default.is_empty() { known.example } else { known.default };
        let note = if known.default.is_empty() { " No default; the value is an example." } else { "" };
        // Quoted names: a setting may be the beginning of another's name, which TOML's tables do not allow.
        println!("\n# {}{note}\n# \"{}\" = \"{shown}\"", known.about, known.name);
    }
    Ok(ExitCode::SUCCESS)
}
