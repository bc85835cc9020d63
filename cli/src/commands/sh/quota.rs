//! Quotas on the command line: given to what is made, set and cleared on what is there.

use std::error::Error;

use allotrope_client::{Quota, QuotaChange};
use allotrope_types::ByteCount;
use clap::{Args, Subcommand};

/// The two commands, which volumes and buckets have alike.
#[derive(Debug, Subcommand)]
pub(super) enum QuotaCommand {
    /// Set quotas. One that is not named stays.
    #[command(name = "setquota")]
    Set {
        /// /volume, or /volume/bucket
        uri: String,
        #[command(flatten)]
        quotas: Quotas,
    },
    /// Take quotas away. One that is not named stays.
    #[command(name = "clrquota")]
    Clear {
        /// /volume, or /volume/bucket
        uri: String,
        #[command(flatten)]
        cleared: Cleared,
    },
}

impl QuotaCommand {
    /// What is meant, and what is to change there.
    pub(super) fn change(self) -> Result<(String, QuotaChange), Box<dyn Error>> {
        Ok(match self {
            QuotaCommand::Set { uri, quotas } => (uri, quotas.change()?),
            QuotaCommand::Clear { uri, cleared } => (uri, cleared.change()?),
        })
    }
}

/// Quotas, as commands take them that make a volume or a bucket, or change one.
#[derive(Debug, Args)]
pub(super) struct Quotas {
    /// Most bytes, with a binary unit: 10GB.
    #[arg(long, visible_alias = "quota", value_name = "SIZE")]
    pub(super) space_quota: Option<ByteCount>,
    /// Most buckets of a volume, or keys of a bucket.
    #[arg(long, value_name = "COUNT")]
    pub(super) namespace_quota: Option<u64>,
}

impl Quotas {
    /// What is to change; a quota that is not named stays.
    fn change(&self) -> Result<QuotaChange, Box<dyn Error>> {
        let bytes = self.space_quota.map(|quota| Quota::Limit(quota.as_u64()));
        let change = QuotaChange { bytes, namespace: self.namespace_quota.map(Quota::Limit) };
        named(change, "--space-quota 10GB, --namespace-quota 1000, or both")
    }
}

/// The quotas that are to be no more.
#[derive(Debug, Args)]
pub(super) struct Cleared {
    /// As many bytes as there is room for.
    #[arg(long)]
    space_quota: bool,
    /// As many buckets of a volume, or keys of a bucket, as anybody wants.
    #[arg(long)]
    namespace_quota: bool,
}

impl Cleared {
    fn change(&self) -> Result<QuotaChange, Box<dyn Error>> {
        let lifted = |named: bool| named.then_some(Quota::Unlimited);
        let change = QuotaChange { bytes: lifted(self.space_quota), namespace: lifted(self.namespace_quota) };
        named(change, "--space-quota, --namespace-quota, or both")
    }
}

fn named(change: QuotaChange, form: &str) -> Result<QuotaChange, Box<dyn Error>> {
    if change == QuotaChange::default() {
        return Err(format!("no quota is named, so nothing would change\n  try: {form}").into());
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays_and_one_must_be_named() {
        let quotas = |space: Option<&str>, namespace_quota| Quotas {
            space_quota: space.map(|text| text.parse().unwrap()),
            namespace_quota,
        };
        let set = quotas(Some("1KB"), None).change().unwrap();
        assert_eq!(set, QuotaChange { bytes: Some(Quota::Limit(1024)), namespace: None });
        let cleared = Cleared { space_quota: false, namespace_quota: true }.change().unwrap();
        assert_eq!(cleared, QuotaChange { bytes: None, namespace: Some(Quota::Unlimited) });
        assert!(quotas(None, None).change().unwrap_err().to_string().contains("--space-quota 10GB"));
        assert!(Cleared { space_quota: false, namespace_quota: false }.change().is_err());
    }
}
