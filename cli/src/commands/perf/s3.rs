//! Loads on an S3 gateway.

use std::sync::Arc;

use allotrope_perf::{
    Content, Load, Mix, S3Account, S3Bucket, S3Get, S3List, S3Mixed, S3Multipart, S3Objects, S3Put,
};
use allotrope_types::ByteCount;
use clap::Args;

use super::flags::RunArgs;
use super::keys::written;
use super::session::{NotReady, Ordered};
use crate::config::Settings;

pub(super) const EXAMPLES: &str =
    "Examples, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY exported as quickstart prints them:
  allotrope perf s3-put -n 1000 -t 16 -s 1MB
  allotrope perf s3-get -n 1000 --duration 30s -s 1MB
  allotrope perf s3-get -n 1000 --duration 30s -s 1MB --range-size 4KB
  allotrope perf s3-multipart -n 10 -s 5MB --parts 10
  allotrope perf s3kg -n 1000 -s 10KB -b bucket1";

/// What all loads on S3 share.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    run: RunArgs,
    /// The gateway. The one of the settings (ozone.s3g.http-address) without it.
    #[arg(short = 'e', long, value_name = "URL")]
    endpoint: Option<String>,
    /// The bucket; made where it is not there.
    #[arg(short = 'b', long, value_name = "NAME", default_value = "bucket1")]
    bucket: String,
    /// Bytes of an object; of a part of an upload.
    #[arg(short = 's', long, value_name = "SIZE", default_value = "10KB")]
    size: ByteCount,
    /// The access key.
    #[arg(long, value_name = "KEY", env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    /// Its secret.
    #[arg(long, value_name = "SECRET", env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// The region that signatures name.
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    region: String,
}

impl Common {
    fn address(&self, settings: &Settings) -> Result<String, NotReady> {
        let Some(endpoint) = &self.endpoint else {
            let (host, port) = settings.address("ozone.s3g.http-address", 9878)?;
            let host = if host == "0.0.0.0" { "127.0.0.1" } else { &host };
            return Ok(format!("{host}:{port}"));
        };
        let address = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
        if address.contains('/') || address.is_empty() {
            return Err(format!("--endpoint {endpoint:?} is no HTTP address\n  try: http://HOST:PORT").into());
        }
        Ok(if address.contains(':') { address.to_owned() } else { format!("{address}:80") })
    }

    fn objects(&self, settings: &Settings) -> Result<S3Objects, NotReady> {
        let account = S3Account {
            address: self.address(settings)?,
            region: self.region.clone(),
            id: self.access_key.clone(),
            secret: self.secret_key.clone(),
        };
        let (bucket, prefix) = (self.bucket.clone(), self.run.prefix.clone());
        Ok(S3Objects::new(account, bucket, prefix, self.size.as_u64(), Content::of_seed(self.run.seed)))
    }

    /// The objects, with their bucket there.
    async fn made(&self, settings: &Settings) -> Result<S3Objects, NotReady> {
        let objects = self.objects(settings)?;
        objects.make_bucket(self.run.plan().deadline).await?;
        Ok(objects)
    }

    fn said(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size.to_string())]
    }
}

#[derive(Debug, Args)]
pub(super) struct Put {
    #[command(flatten)]
    common: Common,
    /// Write objects in parts of --size bytes each, as s3-multipart does.
    #[arg(long)]
    multi_part_upload: bool,
    /// Parts of an object that is written in parts.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parts: u32,
}

impl Ordered for Put {
    const NAME: &'static str = "s3-put";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        if self.multi_part_upload {
            said.push(("parts", self.parts.to_string()));
        }
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let objects = self.common.made(settings).await?;
        Ok(match self.multi_part_upload {
            true => Arc::new(S3Multipart { objects, parts: self.parts }),
            false => Arc::new(S3Put { objects }),
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct Multipart {
    #[command(flatten)]
    common: Common,
    /// Parts of an object.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    parts: u32,
}

impl Ordered for Multipart {
    const NAME: &'static str = "s3-multipart";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        said.push(("parts", self.parts.to_string()));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(S3Multipart { objects: self.common.made(settings).await?, parts: self.parts }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Get {
    #[command(flatten)]
    common: Common,
    /// Read parts of this many bytes, at places that the seed chooses, instead of whole objects.
    #[arg(long, value_name = "SIZE")]
    range_size: Option<ByteCount>,
}

impl Ordered for Get {
    const NAME: &'static str = "s3-get";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        said.extend(self.range_size.map(|size| ("range-size", size.to_string())));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let range = self.range_size.map(ByteCount::as_u64);
        Ok(Arc::new(S3Get::new(self.common.objects(settings)?, range, self.common.run.seed)))
    }
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    common: Common,
    /// Most names of one listing.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_list_result: u32,
}

impl Ordered for List {
    const NAME: &'static str = "s3-list";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("max-list-result", self.max_list_result.to_string())]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(S3List { objects: self.common.objects(settings)?, count_max: self.max_list_result }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Mixed {
    #[command(flatten)]
    common: Common,
    /// Operations of a hundred that get; what is left is put.
    #[arg(long, value_name = "PERCENT", default_value_t = 70, value_parser = clap::value_parser!(u32).range(0..=100))]
    percentage_read: u32,
    /// Operations of a hundred that list.
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    percentage_list: u32,
    /// Most names of one listing.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_list_result: u32,
}

impl Ordered for Mixed {
    const NAME: &'static str = "s3-mixed";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.common.said();
        said.push(("percentage-read", self.percentage_read.to_string()));
        said.push(("percentage-list", self.percentage_list.to_string()));
        said.push(("max-list-result", self.max_list_result.to_string()));
        said
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let mix = Mix { read: self.percentage_read, list: self.percentage_list };
        if mix.read + mix.list > 100 {
            return Err("--percentage-read and --percentage-list are more than 100 together".into());
        }
        let objects = self.common.made(settings).await?;
        written(Arc::new(S3Put { objects: objects.clone() }), &self.common.run).await?;
        Ok(Arc::new(S3Mixed::new(objects, mix, self.max_list_result, self.common.run.seed)))
    }
}

#[derive(Debug, Args)]
pub(super) struct Bucket {
    #[command(flatten)]
    common: Common,
}

impl Ordered for Bucket {
    const NAME: &'static str = "s3-bucket";

    fn run_args(&self) -> &RunArgs {
        &self.common.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(S3Bucket { objects: self.common.objects(settings)? }))
    }
}
