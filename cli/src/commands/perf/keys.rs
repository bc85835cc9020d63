//! Loads on keys, through the native client.

use std::sync::Arc;
use std::time::Duration;

use allotrope_client::{BucketOptions, BucketPath, Client, Config, RetryPolicy};
use allotrope_perf::{
    Content, KeyMixed, KeyRead, KeyRemove, KeySet, KeyWrite, Load, Mix, Plan, ReadWhat, Until, Watch,
    prepare_keys,
};
use allotrope_types::{BucketLayout, ByteCount, ReplicationConfig, ReplicationType};
use clap::Args;

use super::flags::RunArgs;
use super::session::{NotReady, Ordered};
use crate::commands::sh;
use crate::config::Settings;

pub(super) const WRITE_EXAMPLES: &str = "Examples:
  allotrope perf key-write -n 10000 -t 32 -s 64KB
  allotrope perf key-write --duration 1m --rate 200 -s 1MB --replication rs-3-2-1024k
  allotrope perf ockg -n 1000 -t 10 -s 10KB -p run1";
pub(super) const READ_EXAMPLES: &str = "Examples, after allotrope perf key-write -n 1000 -s 1MB:
  allotrope perf key-validate -n 1000 -s 1MB
  allotrope perf key-read-one --duration 30s -t 8 -s 1MB -k 7
  allotrope perf key-range --duration 30s -s 1MB --range-size 4KB";
pub(super) const MIXED_EXAMPLES: &str = "Examples:
  allotrope perf key-mixed --duration 1m -n 500 --percentage-read 70 --percentage-list 5 -s 64KB
  allotrope perf ockrw -n 5000 --percentage-read 90 -m";

/// Where the keys are, and how the cluster is reached.
#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    /// The volume; made where it is not there.
    #[arg(short = 'v', long, value_name = "NAME", default_value = "vol1")]
    pub(super) volume: String,
    /// The bucket; made where it is not there.
    #[arg(short = 'b', long, value_name = "NAME", default_value = "bucket1")]
    pub(super) bucket: String,
    /// Clients with connections of their own, which take the operations in turn.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) clients: u32,
    /// Layout of a bucket that is made: OBJECT_STORE, FILE_SYSTEM_OPTIMIZED or LEGACY.
    #[arg(long, value_name = "LAYOUT", default_value = "OBJECT_STORE", value_parser = sh::layout)]
    layout: BucketLayout,
}

impl Place {
    pub(super) fn bucket(&self) -> BucketPath {
        BucketPath::new(self.volume.clone(), self.bucket.clone())
    }

    /// The keys, with clients that give up in time to say why.
    pub(super) fn keys(&self, settings: &Settings, run: &RunArgs, len: u64) -> Result<KeySet, NotReady> {
        let budget = (run.deadline / 2).min(Duration::from_secs(10));
        let config = Config {
            connect_deadline: Duration::from_secs(5).min(budget),
            ..sh::client_config(settings, "/")?
        };
        let config = Config {
            om_retry: RetryPolicy { budget, ..RetryPolicy::default() },
            read_retry: RetryPolicy { budget, ..config.read_retry },
            om_deadline: run.deadline,
            datanode_deadline: run.deadline,
            ..config
        };
        let client = |n: u32| Client::new(Config { seed: run.seed.wrapping_add(n.into()), ..config.clone() });
        Ok(KeySet {
            clients: (0..self.clients).map(client).collect::<Result<_, _>>()?,
            bucket: self.bucket(),
            prefix: run.prefix.clone(),
            len,
            content: Content::of_seed(run.seed),
        })
    }

    /// As [`Place::keys`], with the volume and the bucket there.
    pub(super) async fn made(
        &self,
        settings: &Settings,
        run: &RunArgs,
        len: u64,
    ) -> Result<KeySet, NotReady> {
        let keys = self.keys(settings, run, len)?;
        let options = BucketOptions { layout: Some(self.layout), ..BucketOptions::default() };
        prepare_keys(&keys.clients[0], &keys.bucket, options).await?;
        Ok(keys)
    }
}

/// How many bytes a key has.
#[derive(Clone, Debug, Args)]
pub(super) struct Size {
    /// Bytes of a key.
    #[arg(short = 's', long, value_name = "SIZE", default_value = "10KB")]
    size: ByteCount,
}

impl Size {
    fn said(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size.to_string())]
    }
}

/// How written keys are kept safe.
#[derive(Clone, Debug, Args)]
pub(super) struct Kept {
    /// How keys are kept safe: rs-3-2-1024k, or ONE or THREE. The bucket's default without it.
    #[arg(long, value_name = "REPLICATION")]
    replication: Option<String>,
    /// EC, STAND_ALONE or RATIS, where --replication alone does not say it.
    #[arg(long = "type", alias = "replication-type", value_name = "TYPE", requires = "replication")]
    kind: Option<String>,
}

impl Kept {
    fn config(&self) -> Result<Option<ReplicationConfig>, NotReady> {
        let Some(replication) = &self.replication else { return Ok(None) };
        let kind = match self.kind.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None => return Ok(Some(replication.parse()?)),
            Some("EC") => ReplicationType::Ec,
            Some("RATIS") => ReplicationType::Ratis,
            Some("STAND_ALONE" | "STANDALONE") => ReplicationType::StandAlone,
            Some(other) => {
                return Err(format!(
                    "--type {other:?} is no replication type\n  try: EC, STAND_ALONE or RATIS"
                )
                .into());
            }
        };
        Ok(Some(ReplicationConfig::of_type(kind, replication)?))
    }

    fn said(&self) -> (&'static str, String) {
        let kind = self.kind.as_deref().map(|kind| format!("{kind}/")).unwrap_or_default();
        ("replication", format!("{kind}{}", self.replication.as_deref().unwrap_or("the bucket's")))
    }
}

#[derive(Debug, Args)]
pub(super) struct Write {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    kept: Kept,
}

impl Ordered for Write {
    const NAME: &'static str = "key-write";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.size.said();
        said.push(self.kept.said());
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let replication = self.kept.config()?;
        let keys = self.place.made(settings, &self.run, self.size.size.as_u64()).await?;
        Ok(Arc::new(KeyWrite { keys, replication }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    size: Size,
}

impl Ordered for Validate {
    const NAME: &'static str = "key-validate";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.size.said()
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let keys = self.place.keys(settings, &self.run, self.size.size.as_u64())?;
        Ok(Arc::new(KeyRead::new(keys, ReadWhat::Each, self.run.seed)))
    }
}

#[derive(Debug, Args)]
pub(super) struct ReadOne {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    size: Size,
    /// The number of the key that is read.
    #[arg(short = 'k', long, value_name = "NUMBER", default_value_t = 0)]
    key: u64,
}

impl Ordered for ReadOne {
    const NAME: &'static str = "key-read-one";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.size.said()
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let keys = self.place.keys(settings, &self.run, self.size.size.as_u64())?;
        Ok(Arc::new(KeyRead::new(keys, ReadWhat::One(self.key), self.run.seed)))
    }
}

#[derive(Debug, Args)]
pub(super) struct ReadRange {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    size: Size,
    /// Bytes of a part.
    #[arg(long, value_name = "SIZE", default_value = "4KB")]
    range_size: ByteCount,
}

impl Ordered for ReadRange {
    const NAME: &'static str = "key-range";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.size.said();
        said.push(("range-size", self.range_size.to_string()));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let keys = self.place.keys(settings, &self.run, self.size.size.as_u64())?;
        Ok(Arc::new(KeyRead::new(keys, ReadWhat::Range(self.range_size.as_u64()), self.run.seed)))
    }
}

#[derive(Debug, Args)]
pub(super) struct Mixed {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    kept: Kept,
    /// Operations of a hundred that read; what is left is written.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    percentage_read: u32,
    /// Operations of a hundred that list.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    percentage_list: u32,
    /// Most keys of one listing.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    max_list_result: usize,
    /// Reads ask OM for the key and fetch no bytes.
    #[arg(short = 'm', long)]
    read_metadata_only: bool,
}

impl Ordered for Mixed {
    const NAME: &'static str = "key-mixed";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.size.said();
        said.extend([
            self.kept.said(),
            ("percentage-read", self.percentage_read.to_string()),
            ("percentage-list", self.percentage_list.to_string()),
            ("max-list-result", self.max_list_result.to_string()),
            ("read-metadata-only", self.read_metadata_only.to_string()),
        ]);
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let mix = Mix { read: self.percentage_read, list: self.percentage_list };
        if mix.read + mix.list > 100 {
            return Err("--percentage-read and --percentage-list are more than 100 together".into());
        }
        let replication = self.kept.config()?;
        let keys = self.place.made(settings, &self.run, self.size.size.as_u64()).await?;
        let write = KeyWrite { keys, replication };
        written(Arc::new(write.clone()), &self.run).await?;
        let (metadata_only, list_max) = (self.read_metadata_only, self.max_list_result);
        Ok(Arc::new(KeyMixed::new(write, mix, metadata_only, list_max, self.run.seed)))
    }
}

/// Carries out `load` once for each of the run's objects.
pub(super) async fn written(load: Arc<dyn Load>, run: &RunArgs) -> Result<(), NotReady> {
    let plan = Plan {
        until: Until::Count(run.count),
        pace: allotrope_perf::Pace::Closed,
        warm_up: Duration::ZERO,
        stop_at_failure: true,
        ..run.plan()
    };
    let measured = allotrope_perf::run(load, &plan, Watch::default()).await;
    match measured.failures.into_iter().next() {
        None => Ok(()),
        Some((kind, failures)) => {
            let text = format!("what is to be read could not be written: {}", failures.first);
            Err(NotReady::Servers(allotrope_perf::Trouble::new(kind, text)))
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
}

impl Ordered for Remove {
    const NAME: &'static str = "key-remove";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(KeyRemove { keys: self.place.keys(settings, &self.run, 0)? }))
    }
}
