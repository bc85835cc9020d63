//! `allotrope debug volume check PATH`.

use std::path::PathBuf;

use allotrope_datanode::offline;
use clap::Subcommand;

use super::{Done, print_finding, print_verified};

#[derive(Debug, Subcommand)]
pub(super) enum Volume {
    /// Read and verify everything on a volume; print each damaged block and all that is not as it should be.
    Check {
        /// A folder of hdds.datanode.dir, or one below it.
        path: PathBuf,
        /// A JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

impl Volume {
    pub(super) fn run(self) -> Done {
        let Volume::Check { path, json } = self;
        let done = offline::check(&path, move |finding| print_finding(&finding, json))?;
        Ok(print_verified(done, json))
    }
}
