//! Calls to OM alone: names without bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use allotrope_client::{Error, PutOptions};
use allotrope_types::OmStatus;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::KeySet;
use crate::content::mixed;
use crate::load::{Done, Load, Trouble, TroubleKind};

/// Keys that one listing of OM takes.
const LISTED: usize = 100;

/// Makes keys without bytes: a session is opened and committed.
#[derive(Clone, Debug)]
pub struct OmCreate {
    /// The keys.
    pub keys: KeySet,
}

impl Load for OmCreate {
    fn kinds(&self) -> &[&'static str] {
        &["create"]
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move { create(&self.keys, number).await.map(|()| Done::moved(0)) }.boxed()
    }
}

async fn create(keys: &KeySet, number: u64) -> Result<(), Trouble> {
    let options = PutOptions { len: Some(0), ..PutOptions::default() };
    let writer = keys.client(number).write_key(&keys.path(number), options).await?;
    writer.finish().await?;
    Ok(())
}

/// One operation on OM's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OmOperation {
    /// Makes a key without bytes.
    CreateKey,
    /// Looks up a key, with where its blocks are.
    GetKeyInfo,
    /// Lists up to 100 keys.
    ListKeys,
    /// Gives a key another name, and its own back the next time.
    RenameKey,
    /// Deletes a key; one that is not there is no failure.
    DeleteKey,
    /// Looks up the bucket.
    InfoBucket,
    /// Looks up the volume.
    InfoVolume,
}

impl OmOperation {
    /// Every operation, in the order of [`Load::kinds`].
    pub const ALL: [OmOperation; 7] = [
        OmOperation::CreateKey,
        OmOperation::GetKeyInfo,
        OmOperation::ListKeys,
        OmOperation::RenameKey,
        OmOperation::DeleteKey,
        OmOperation::InfoBucket,
        OmOperation::InfoVolume,
    ];
    const NAMES: [&'static str; 7] =
        ["create-key", "get-key-info", "list-keys", "rename-key", "delete-key", "info-bucket", "info-volume"];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        OmOperation::NAMES[self as usize]
    }
}

impl fmt::Display for OmOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word for no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no operation; one of: create-key, get-key-info, list-keys, rename-key, delete-key, info-bucket, info-volume"
)]
pub struct UnknownOperation(String);

impl FromStr for OmOperation {
    type Err = UnknownOperation;

    /// Also as freon writes them: `CREATE_KEY`, `LOOKUP_KEY`, `LIST_KEYS_LIGHT`.
    fn from_str(text: &str) -> Result<OmOperation, UnknownOperation> {
        let word = text.trim().to_ascii_lowercase().replace('_', "-");
        let word = match word.as_str() {
            "lookup-key" | "get-keyinfo" | "head-key" => "get-key-info",
            "list-keys-light" => "list-keys",
            word => word,
        };
        let found = OmOperation::ALL.into_iter().find(|operation| operation.name() == word);
        found.ok_or_else(|| UnknownOperation(text.to_owned()))
    }
}

/// A mix of operations on OM's metadata, by their weights.
#[derive(Debug)]
pub struct OmMetadata {
    keys: KeySet,
    weights: Vec<(OmOperation, u32)>,
    seed: u64,
    turn: AtomicU64,
}

impl OmMetadata {
    /// Operations by weight, chosen by `seed`.
    ///
    /// # Panics
    /// If no weight is more than 0.
    pub fn new(keys: KeySet, weights: Vec<(OmOperation, u32)>, seed: u64) -> OmMetadata {
        assert!(weights.iter().any(|(_, weight)| *weight > 0), "a mix has an operation");
        OmMetadata { keys, weights, seed, turn: AtomicU64::new(0) }
    }

    fn choose(&self, chance: u64) -> OmOperation {
        let sum: u64 = self.weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut left = chance % sum;
        for (operation, weight) in &self.weights {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *operation,
            }
        }
        unreachable!("the rest of a division by the sum is less than the sum")
    }

    async fn carry_out(&self, operation: OmOperation, number: u64) -> Result<(), Trouble> {
        let keys = &self.keys;
        let (client, path) = (keys.client(number), keys.path(number));
        match operation {
            OmOperation::CreateKey => create(keys, number).await,
            OmOperation::GetKeyInfo => Ok(client.key(&path).await.map(drop)?),
            OmOperation::ListKeys => self.list(number).await,
            OmOperation::RenameKey => self.rename(number).await,
            OmOperation::DeleteKey => Ok(absent_is_fine(client.delete_key(&path).await.map(drop))?),
            OmOperation::InfoBucket => Ok(client.bucket(&keys.bucket).await.map(drop)?),
            OmOperation::InfoVolume => Ok(client.volume(&keys.bucket.volume).await.map(drop)?),
        }
    }

    async fn list(&self, number: u64) -> Result<(), Trouble> {
        let keys = &self.keys;
        let prefix = format!("{}/", keys.prefix);
        let mut listing = keys.client(number).list_keys(&keys.bucket, &prefix, "").await?;
        for _ in 0..LISTED {
            let Some(entry) = listing.next().await? else { break };
            if !entry.name.starts_with(&prefix) {
                let text = format!("a listing of {prefix} gives {}", entry.name);
                return Err(Trouble::new(TroubleKind::Corrupt, text));
            }
        }
        Ok(())
    }

    /// Others may have renamed it meanwhile: then its other name is there, and that one is given back.
    async fn rename(&self, number: u64) -> Result<(), Trouble> {
        let keys = &self.keys;
        let (own, other) = (keys.path(number), format!("{}-renamed", keys.name(number)));
        match keys.client(number).rename_key(&own, &other).await {
            Err(error) if is_about_presence(&error) => {
                let back = keys.client(number).rename_key(&keys.bucket.key(other), &keys.name(number)).await;
                Ok(absent_is_fine(back)?)
            }
            done => Ok(done?),
        }
    }
}

fn is_about_presence(error: &Error) -> bool {
    matches!(error.om_status(), Some(OmStatus::KeyNotFound | OmStatus::KeyAlreadyExists))
}

fn absent_is_fine(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if is_about_presence(&error) => Ok(()),
        other => other,
    }
}

impl Load for OmMetadata {
    fn kinds(&self) -> &[&'static str] {
        &OmOperation::NAMES
    }

    fn operate(&self, number: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let operation = self.choose(mixed(self.seed ^ mixed(turn)));
            self.carry_out(operation, number).await?;
            Ok(Done::of(operation as usize, 0))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_their_own_names_and_freons() {
        for operation in OmOperation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
        }
        assert_eq!("LIST_KEYS_LIGHT".parse(), Ok(OmOperation::ListKeys));
        assert_eq!("LOOKUP_KEY".parse(), Ok(OmOperation::GetKeyInfo));
        assert!("FORMAT_DISKS".parse::<OmOperation>().is_err());
    }
}
