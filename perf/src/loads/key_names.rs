//! The keys of a load: where they are, how they are named, what is in them.

use allotrope_client::{BucketOptions, BucketPath, Client, Error, KeyPath, VolumeOptions};
use allotrope_types::OmStatus;

use crate::content::Content;
use crate::load::{Trouble, TroubleKind};

/// The keys that a load works on: number N is `PREFIX/N`, holds `len` bytes, and which ones the content's seed says.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// One client after the other takes the operations: each has connections of its own.
    pub clients: Vec<Client>,
    /// The bucket.
    pub bucket: BucketPath,
    /// What the names begin with.
    pub prefix: String,
    /// Bytes of a key.
    pub len: u64,
    /// What is in them.
    pub content: Content,
}

impl KeySet {
    pub(crate) fn client(&self, number: u64) -> &Client {
        &self.clients[(number % self.clients.len().max(1) as u64) as usize]
    }

    pub(crate) fn path(&self, number: u64) -> KeyPath {
        self.bucket.key(self.name(number))
    }

    pub(crate) fn name(&self, number: u64) -> String {
        format!("{}/{number}", self.prefix)
    }

    /// Compares bytes of key `number` with what was written.
    pub(crate) fn check(&self, number: u64, at: u64, bytes: &[u8]) -> Result<(), Trouble> {
        self.content
            .check(number, at, bytes)
            .map_err(|wrong| Trouble::new(TroubleKind::Corrupt, format!("{}: {wrong}", self.path(number))))
    }
}

/// Makes the volume and the bucket of `path`, where they are not there.
///
/// # Errors
/// What OM refused, or that it cannot be reached.
pub async fn prepare_keys(client: &Client, path: &BucketPath, options: BucketOptions) -> Result<(), Trouble> {
    let there = |done: Result<(), Error>, status| match done {
        Err(error) if error.om_status() == Some(status) => Ok(()),
        other => other,
    };
    there(client.create_volume(&path.volume, VolumeOptions::default()).await, OmStatus::VolumeAlreadyExists)?;
    there(client.create_bucket(path, options).await, OmStatus::BucketAlreadyExists)?;
    Ok(())
}
