//! `allotrope sh volume`.

use allotrope_client::{AclTarget, VolumeOptions};
use clap::Subcommand;

use super::acl::AclCommand;
use super::quota::{QuotaCommand, Quotas};
use super::with_all::WithAll;
use super::{Done, ListArgs, connect, json, out, user};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Volume {
    /// Make a volume.
    Create {
        /// /volume
        uri: String,
        /// Whose it is to be.
        #[arg(short, long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        quotas: Quotas,
    },
    /// Show a volume.
    Info {
        /// /volume
        uri: String,
    },
    /// List volumes.
    #[command(visible_alias = "ls")]
    List {
        /// o3://host, where OM is not the one of the settings.
        #[arg(default_value = "/")]
        uri: String,
        #[command(flatten)]
        list: ListArgs,
        /// Only those that this user may list.
        #[arg(short, long, value_name = "NAME")]
        user: Option<String>,
    },
    #[command(flatten)]
    Quota(QuotaCommand),
    /// Give a volume another owner, and show it.
    Update {
        /// /volume
        uri: String,
        /// Whose it is to be.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Delete an empty volume, or with -r one with all its buckets and keys.
    Delete {
        /// /volume
        uri: String,
        #[command(flatten)]
        with_all: WithAll,
        /// Buckets that are emptied at once, with -r.
        #[arg(short, long, visible_alias = "thread", value_name = "COUNT", default_value_t = 10)]
        threads: usize,
    },
    #[command(flatten)]
    Acl(AclCommand),
}

/// The one name in `/volume`.
pub(super) fn name(uri: &str) -> Result<String, String> {
    let refused = |why| format!("{uri:?} {why}; the form is /volume");
    let (_, path) = allotrope_client::split_uri(uri).map_err(|error| error.to_string())?;
    let name = path.trim_matches('/');
    match name {
        "" => Err(refused("names no volume")),
        _ if name.contains('/') => Err(refused("names more than a volume")),
        _ => Ok(name.to_owned()),
    }
}

impl Volume {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Volume::Create { uri, user, quotas } => {
                let options = VolumeOptions {
                    owner: user,
                    quota_bytes: quotas.space_quota.map(|quota| quota.as_u64()),
                    quota_namespace: quotas.namespace_quota,
                };
                connect(settings, &uri)?.create_volume(&name(&uri)?, options).await?;
            }
            Volume::Info { uri } => {
                let volume = connect(settings, &uri)?.volume(&name(&uri)?).await?;
                out::json(&json::volume(&volume))?;
            }
            Volume::List { uri, list, user: of } => {
                // As with Ozone, `--all` lists every volume, else those of the caller.
                let of = if list.all { of } else { Some(of.unwrap_or_else(user)) };
                let client = connect(settings, &uri)?;
                let found =
                    client.list_volumes(of.as_deref(), &list.prefix, &list.start, list.count_max()).await?;
                out::json(&found.iter().map(json::volume).collect())?;
            }
            Volume::Quota(command) => {
                let (uri, change) = command.change()?;
                connect(settings, &uri)?.set_volume_quota(&name(&uri)?, change).await?;
            }
            Volume::Update { uri, user: owner } => {
                let (name, client) = (name(&uri)?, connect(settings, &uri)?);
                if let Some(owner) = owner {
                    client.set_volume_owner(&name, &owner).await?;
                }
                out::json(&json::volume(&client.volume(&name).await?))?;
            }
            Volume::Delete { uri, with_all, threads } => {
                let (name, client) = (name(&uri)?, connect(settings, &uri)?);
                if with_all.recursive {
                    with_all.agreed(&format!("volume {name}")).await?;
                    client.delete_volume_with_buckets(&name, threads).await?;
                } else {
                    client.delete_volume(&name).await?;
                }
            }
            Volume::Acl(command) => {
                command.run(settings, |uri| Ok(AclTarget::Volume(name(uri)?))).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_one_name() {
        for uri in ["/vol1", "vol1", "/vol1/", "o3://om:9862/vol1"] {
            assert_eq!(name(uri).unwrap(), "vol1");
        }
        for uri in ["", "/", "/a/b", "s3://a"] {
            assert!(name(uri).is_err(), "{uri}");
        }
    }
}
