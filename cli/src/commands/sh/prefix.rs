//! `allotrope sh prefix`: rights for all keys whose names begin with a path.

use std::error::Error;

use allotrope_client::{AclTarget, KeyPath};
use clap::Subcommand;

use super::Done;
use super::acl::AclCommand;
use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Prefix {
    #[command(flatten)]
    Acl(AclCommand),
}

impl Prefix {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let Prefix::Acl(command) = self;
        command.run(settings, target).await
    }
}

fn target(uri: &str) -> Result<AclTarget, Box<dyn Error>> {
    let path: KeyPath = uri.parse()?;
    if !path.key.ends_with('/') {
        return Err(
            format!("{uri:?} is no prefix; the form is /volume/bucket/path/, with its last slash").into()
        );
    }
    Ok(AclTarget::Prefix(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_with_a_slash() {
        let path: KeyPath = "/v/b/a/b/".parse().unwrap();
        assert_eq!(target("o3://om/v/b/a/b/").unwrap(), AclTarget::Prefix(path));
        assert_eq!(
            target("/v/b/a").unwrap_err().to_string(),
            "\"/v/b/a\" is no prefix; the form is /volume/bucket/path/, with its last slash"
        );
        assert!(target("/v/b/").is_err());
    }
}
