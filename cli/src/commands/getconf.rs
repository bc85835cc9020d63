//! `allotrope getconf`: settings as they would take effect.

use std::error::Error;
use std::process::ExitCode;

use clap::Args;

use crate::config::{KNOWN, Known, Settings};

#[derive(Debug, Args)]
pub(super) struct Getconf {
    /// The setting to print; all of them when left out.
    name: Option<String>,
}

impl Getconf {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let Some(name) = self.name else {
            for known in KNOWN {
                let (value, origin) = effective(settings, known);
                println!("{} = {value}  # {origin}", known.name);
            }
            return Ok(ExitCode::SUCCESS);
        };
        let known = KNOWN.iter().find(|known| known.name == name);
        let known =
            known.ok_or_else(|| format!("Allotrope reads no setting {name}\n  try: allotrope getconf"))?;
        println!("{}", effective(settings, known).0);
        Ok(ExitCode::SUCCESS)
    }
}

fn effective<'a>(settings: &'a Settings, known: &'static Known) -> (&'a str, String) {
    match settings.given(known.name) {
        Some(setting) => (&setting.value, setting.origin.to_string()),
        None => (known.default, "default".to_owned()),
    }
}
