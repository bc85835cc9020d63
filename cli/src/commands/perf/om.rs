//! Loads on OM's metadata.

use std::sync::Arc;

use allotrope_perf::{Load, OmCreate, OmMetadata, OmOperation};
use clap::Args;

use super::flags::RunArgs;
use super::keys::{Place, written};
use super::session::{NotReady, Ordered};
use crate::config::Settings;

pub(super) const METADATA_EXAMPLES: &str = "Examples:
  allotrope perf om-metadata --duration 30s -t 64 --operation get-key-info
  allotrope perf om-metadata --duration 30s --ops create-key=1,get-key-info=8,list-keys=1
  allotrope perf ommg -n 10000 -t 100 --operation CREATE_KEY

Operations: create-key, get-key-info, list-keys, rename-key, delete-key, info-bucket, info-volume; also as freon writes them.";

#[derive(Debug, Args)]
pub(super) struct KeyCreate {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
}

impl Ordered for KeyCreate {
    const NAME: &'static str = "om-key-create";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(OmCreate { keys: self.place.made(settings, &self.run, 0).await? }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Metadata {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    /// One operation only.
    #[arg(short = 'o', long, value_name = "OPERATION", conflicts_with = "ops")]
    operation: Option<OmOperation>,
    /// Operations with their weights: OPERATION=WEIGHT,… Without it: 1 create-key, 8 get-key-info, 1 list-keys.
    #[arg(long, value_name = "WEIGHTS", value_delimiter = ',', value_parser = weight)]
    ops: Vec<(OmOperation, u32)>,
}

fn weight(text: &str) -> Result<(OmOperation, u32), String> {
    let (operation, weight) = text.split_once('=').unwrap_or((text, "1"));
    let operation = operation.parse::<OmOperation>().map_err(|error| error.to_string())?;
    match weight.parse() {
        Ok(weight @ 1..=1_000_000) => Ok((operation, weight)),
        _ => Err(format!("{weight:?} is no weight: 1 to 1000000")),
    }
}

impl Metadata {
    fn weights(&self) -> Vec<(OmOperation, u32)> {
        match (self.operation, self.ops.is_empty()) {
            (Some(operation), _) => vec![(operation, 1)],
            (None, false) => self.ops.clone(),
            (None, true) => {
                vec![(OmOperation::CreateKey, 1), (OmOperation::GetKeyInfo, 8), (OmOperation::ListKeys, 1)]
            }
        }
    }
}

impl Ordered for Metadata {
    const NAME: &'static str = "om-metadata";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let ops: Vec<String> = self.weights().iter().map(|(op, weight)| format!("{op}={weight}")).collect();
        vec![("ops", ops.join(","))]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let keys = self.place.made(settings, &self.run, 0).await?;
        written(Arc::new(OmCreate { keys: keys.clone() }), &self.run).await?;
        Ok(Arc::new(OmMetadata::new(keys, self.weights(), self.run.seed)))
    }
}
