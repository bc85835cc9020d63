//! `allotrope completions`: what a shell needs to complete commands and flags.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Allotrope;

/// Arguments of `allotrope completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell to complete for.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        clap_complete::generate(self.shell, &mut Allotrope::command(), "allotrope", &mut io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}
