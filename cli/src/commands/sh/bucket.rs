//! `allotrope sh bucket`.

use allotrope_client::{AclTarget, BucketOptions, BucketPath};
use allotrope_types::BucketLayout;
use clap::Subcommand;

use super::acl::AclCommand;
use super::{Done, ListArgs, Quotas, Replication, connect, json, out};
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
    /// Delete an empty bucket.
    Delete {
        /// /volume/bucket
        uri: String,
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
                let (_, path) = allotrope_client::split_uri(&uri)?;
                let volume = path.trim_matches('/');
                if volume.is_empty() || volume.contains('/') {
                    return Err(format!("{uri:?} is no volume; the form is /volume").into());
                }
                let client = connect(settings, &uri)?;
                let found = client.list_buckets(volume, &list.prefix, &list.start, list.count_max()).await?;
                out::json(&found.iter().map(json::bucket).collect())?;
            }
            Bucket::Delete { uri } => {
                let path: BucketPath = uri.parse()?;
                connect(settings, &uri)?.delete_bucket(&path).await?;
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
