//! `allotrope sh bucket`.

use allotrope_client::{AclTarget, BucketOptions, BucketPath};
use allotrope_types::BucketLayout;
use clap::Subcommand;

use super::acl::AclCommand;
use super::quota::{QuotaCommand, Quotas};
use super::with_all::WithAll;
use super::{Done, ListArgs, Replication, connect, json, out, volume};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Bucket {
    /// Make a bucket.
    Create {
        /// /volume/bucket
        uri: String,
        #[command(flatten)]
        replication: Replication,
        /// OBJECT_STORE (obs), FILE_SYSTEM_OPTIMIZED (fso) or LEGACY; the server's default when left out.
        #[arg(short, long, value_name = "LAYOUT", value_parser = layout)]
        layout: Option<BucketLayout>,
        /// Whose it is to be.
        #[arg(short, long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        quotas: Quotas,
    },
    /// Show a bucket.
    Info {
        /// /volume/bucket
        uri: String,
    },
    /// List the buckets of a volume.
    #[command(visible_alias = "ls")]
    List {
        /// /volume
        uri: String,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Make a bucket that leads to another: both have the same keys.
    Link {
        /// The bucket that it leads to: /volume/bucket
        source: String,
        /// The bucket that is made: /volume/bucket
        target: String,
    },
    #[command(flatten)]
    Quota(QuotaCommand),
    /// Set how keys are kept safe that do not say it themselves. Keys that are there stay as they are.
    #[command(name = "set-replication-config")]
    SetReplication {
        /// /volume/bucket
        uri: String,
        #[command(flatten)]
        replication: Replication,
    },
    /// Give a bucket another owner, and show it.
    Update {
        /// /volume/bucket
        uri: String,
        /// Whose it is to be.
        #[arg(short, long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Delete an empty bucket, or with -r one with all its keys.
    Delete {
        /// /volume/bucket
        uri: String,
        #[command(flatten)]
        with_all: WithAll,
    },
    #[command(flatten)]
    Acl(AclCommand),
}

pub(in crate::commands) fn layout(text: &str) -> Result<BucketLayout, String> {
    match text.to_ascii_uppercase().as_str() {
        "OBS" => Ok(BucketLayout::ObjectStore),
        "FSO" => Ok(BucketLayout::FileSystemOptimized),
        name => BucketLayout::from_name(name).ok_or_else(|| {
            "it is none of OBJECT_STORE (obs), FILE_SYSTEM_OPTIMIZED (fso), LEGACY".to_owned()
        }),
    }
}

impl Bucket {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Bucket::Create { uri, replication, layout, user, quotas } => {
                let path: BucketPath = uri.parse()?;
                let options = BucketOptions {
                    replication: replication.config()?,
                    layout,
                    owner: user,
                    quota_bytes: quotas.space_quota.map(|quota| quota.as_u64()),
                    quota_namespace: quotas.namespace_quota,
                };
                connect(settings, &uri)?.create_bucket(&path, options).await?;
            }
            Bucket::Info { uri } => {
                let path: BucketPath = uri.parse()?;
                out::json(&json::bucket(&connect(settings, &uri)?.bucket(&path).await?))?;
            }
            Bucket::List { uri, list } => {
                let (volume, client) = (volume::name(&uri)?, connect(settings, &uri)?);
                let found = client.list_buckets(&volume, &list.prefix, &list.start, list.count_max()).await?;
                out::json(&found.iter().map(json::bucket).collect())?;
            }
            Bucket::Link { source, target } => {
                let (from, link): (BucketPath, BucketPath) = (source.parse()?, target.parse()?);
                connect(settings, &source)?.link_bucket(&from, &link).await?;
            }
            Bucket::Quota(command) => {
                let (uri, change) = command.change()?;
                connect(settings, &uri)?.set_bucket_quota(&uri.parse()?, change).await?;
            }
            Bucket::SetReplication { uri, replication } => {
                let path: BucketPath = uri.parse()?;
                let config = replication
                    .config()?
                    .ok_or("no replication is named\n  try: --type EC --replication rs-3-2-1024k")?;
                connect(settings, &uri)?.set_bucket_replication(&path, config).await?;
            }
            Bucket::Update { uri, user } => {
                let (path, client): (BucketPath, _) = (uri.parse()?, connect(settings, &uri)?);
                if let Some(owner) = user {
                    client.set_bucket_owner(&path, &owner).await?;
                }
                out::json(&json::bucket(&client.bucket(&path).await?))?;
            }
            Bucket::Delete { uri, with_all } => {
                let (path, client): (BucketPath, _) = (uri.parse()?, connect(settings, &uri)?);
                if with_all.recursive {
                    with_all.agreed(&format!("bucket {path}")).await?;
                    client.delete_bucket_with_keys(&path).await?;
                } else {
                    client.delete_bucket(&path).await?;
                }
            }
            Bucket::Acl(command) => {
                command.run(settings, |uri| Ok(AclTarget::Bucket(uri.parse()?))).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_short_names() {
        assert_eq!(layout("obs"), Ok(BucketLayout::ObjectStore));
        assert_eq!(layout("FSO"), Ok(BucketLayout::FileSystemOptimized));
        assert_eq!(layout("legacy"), Ok(BucketLayout::Legacy));
        assert!(layout("x").is_err());
    }
}
