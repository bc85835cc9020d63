//! `addacl`, `removeacl`, `setacl` and `getacl`, which volumes, buckets, keys and prefixes have alike.

use std::error::Error;

use allotrope_client::{Acl, AclTarget};
use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::{Done, connect, json, out};
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum AclCommand {
    /// Add rights.
    #[command(name = "addacl")]
    Add(Change),
    /// Take rights away.
    #[command(name = "removeacl")]
    Remove(Change),
    /// Replace all rights.
    #[command(name = "setacl")]
    Set(Change),
    /// List the rights.
    #[command(name = "getacl")]
    Get {
        /// /volume, /volume/bucket, /volume/bucket/key; a prefix ends with a slash
        uri: String,
        /// Print JSON; --json=false prints the entries in one line.
        #[arg(
            long,
            value_name = "BOOL",
            action = ArgAction::Set,
            num_args = 0..=1,
            require_equals = true,
            default_value_t = true,
            default_missing_value = "true"
        )]
        json: bool,
        /// The same as --json=false.
        #[arg(long, conflicts_with = "json")]
        no_json: bool,
        #[command(flatten)]
        store: Store,
    },
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// /volume, /volume/bucket, /volume/bucket/key; a prefix ends with a slash
    uri: String,
    /// Entries, with commas between them: `user:alice:rw,group:staff:l[DEFAULT],world::r`. The letters are r READ, w WRITE, c CREATE,
    /// l LIST, d DELETE, x READ_ACL, y WRITE_ACL, a ALL, n NONE, m ASSUME_ROLE.
    #[arg(
        short,
        long,
        visible_alias = "acl",
        value_name = "ACLS",
        value_delimiter = ',',
        num_args = 1,
        required = true
    )]
    acls: Vec<Acl>,
    #[command(flatten)]
    store: Store,
}

/// Ozone asks for it and keeps one list for both, as our OM does.
#[derive(Debug, Args)]
pub(super) struct Store {
    /// Whose list is meant; both are one.
    #[arg(short = 's', long = "store", value_name = "STORE", ignore_case = true)]
    _kind: Option<StoreKind>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StoreKind {
    #[value(name = "OZONE")]
    Ozone,
    #[value(name = "S3")]
    S3,
}

impl AclCommand {
    /// Carries the command out on what `target` makes of its URI.
    pub(super) async fn run(
        self,
        settings: &Settings,
        target: impl Fn(&str) -> Result<AclTarget, Box<dyn Error>>,
    ) -> Done {
        match self {
            AclCommand::Add(Change { uri, acls, .. }) => {
                let (client, target) = (connect(settings, &uri)?, target(&uri)?);
                for acl in &acls {
                    let added = client.add_acl(&target, acl).await?;
                    out::line(&format!("{acl} {}", if added { "added" } else { "was there already" }))?;
                }
            }
            AclCommand::Remove(Change { uri, acls, .. }) => {
                let (client, target) = (connect(settings, &uri)?, target(&uri)?);
                for acl in &acls {
                    let removed = client.remove_acl(&target, acl).await?;
                    out::line(&format!("{acl} {}", if removed { "removed" } else { "was not there" }))?;
                }
            }
            AclCommand::Set(Change { uri, acls, .. }) => {
                let target = target(&uri)?;
                connect(settings, &uri)?.set_acls(&target, &acls).await?;
            }
            AclCommand::Get { uri, json, no_json, .. } => {
                let target = target(&uri)?;
                let acls = connect(settings, &uri)?.acls(&target).await?;
                match json && !no_json {
                    true => out::json(&acls.iter().map(json::acl).collect())?,
                    false => out::line(&acls.iter().map(Acl::to_string).collect::<Vec<_>>().join(","))?,
                }
            }
        }
        Ok(())
    }
}
