//! Copies of containers between datanodes.

use std::sync::Arc;

use allotrope_perf::{ContainerCopy, Load};
use clap::Args;

use super::flags::RunArgs;
use super::fleet::containers;
use super::session::{NotReady, Ordered};
use crate::config::Settings;

pub(super) const EXAMPLES: &str = "Examples:
  allotrope perf container-copy -n 100 -t 4
  allotrope perf cr -n 10 -t 2 --push

Only closed containers are copied: allotrope admin container close ID closes one. Each is pushed once, and SCM takes away what is too much.";

#[derive(Debug, Args)]
pub(super) struct Copy {
    #[command(flatten)]
    run: RunArgs,
    /// Push each container to a datanode that does not hold it, instead of pulling it only.
    #[arg(long)]
    push: bool,
    /// Copy only from the datanode with this id.
    #[arg(long, value_name = "UUID")]
    datanode: Option<String>,
    /// Most replicas that are copied, over and over.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    replicas: u32,
}

impl Ordered for Copy {
    const NAME: &'static str = "container-copy";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("push", self.push.to_string()), ("replicas", self.replicas.to_string())]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let scm = containers(settings, &self.run)?;
        let (count, at_once) = (self.replicas as usize, self.run.threads as usize);
        let copies = ContainerCopy::find(&scm, count, self.datanode.as_deref(), self.push, at_once).await?;
        Ok(Arc::new(copies))
    }
}
