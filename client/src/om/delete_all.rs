//! Buckets and volumes that go with all that is in them.
//!
//! Shape   a bucket's keys go a thousand at a time as they are listed; its directories follow, the deepest first, because a directory
//!         that goes with something below it keeps its bucket until OM has cleared it away. What a bucket with versions still has
//!         goes version by version. A link goes alone: what it leads to stays.
//! Errors  the first thing that OM does not delete ends it. What went before is gone; another call goes on.

use std::collections::BTreeMap;
use std::mem;

use allotrope_types::{BucketLayout, OmStatus};
use futures_util::TryStreamExt;

use super::{Bucket, Key, VERSION_ID};
use crate::client::Client;
use crate::error::Error;
use crate::path::BucketPath;

/// Keys, or versions, in one call.
const BATCH: usize = 1000;
/// The id of a version that has none.
const NULL_VERSION: &str = "null";

impl Client {
    /// Deletes a bucket with all keys, directories and versions in it. Nothing brings them back. Of a link only the link goes.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`; with `BUCKET_NOT_EMPTY` while uploads of parts are unfinished, when somebody writes
    /// meanwhile, and for a while after a directory was deleted with what it held.
    pub async fn delete_bucket_with_keys(&self, path: &BucketPath) -> Result<(), Error> {
        let bucket = self.bucket(path).await?;
        self.delete_with_keys(&bucket).await
    }

    /// Deletes a volume with all its buckets, `parallel` of them at a time, as [`Client::delete_bucket_with_keys`] does.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND`, and as [`Client::delete_bucket_with_keys`].
    pub async fn delete_volume_with_buckets(&self, name: &str, parallel: usize) -> Result<(), Error> {
        let each = |bucket: Bucket| async move { self.delete_with_keys(&bucket).await };
        self.buckets(name, "", "").try_for_each_concurrent(parallel.max(1), each).await?;
        self.delete_volume(name).await
    }

    async fn delete_with_keys(&self, bucket: &Bucket) -> Result<(), Error> {
        let path = &bucket.path;
        if bucket.source.is_some() {
            return self.delete_bucket(path).await;
        }
        self.delete_keys_of(bucket).await?;
        match self.delete_bucket(path).await {
            // Where versions are kept, keys that were deleted left theirs, and a marker.
            Err(error) if error.om_status() == Some(OmStatus::BucketNotEmpty) => {
                if bucket.layout == BucketLayout::FileSystemOptimized
                    || !self.delete_versions_of(path).await?
                {
                    return Err(error);
                }
                self.delete_bucket(path).await
            }
            deleted => deleted,
        }
    }

    async fn delete_keys_of(&self, bucket: &Bucket) -> Result<(), Error> {
        let path = &bucket.path;
        let is_tree = bucket.layout == BucketLayout::FileSystemOptimized;
        let mut listing = self.list_keys(path, "", "").await?;
        let mut files = vec![];
        // By how deep they lie.
        let mut directories: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        while let Some(entry) = listing.next().await? {
            if entry.is_file {
                files.push(entry.name);
                if files.len() == BATCH {
                    self.delete_batch(path, mem::take(&mut files)).await?;
                }
                continue;
            }
            let name = entry.name.trim_end_matches('/');
            let depth = name.matches('/').count();
            // Without a tree the slash is part of a key's name.
            let name = if is_tree { name.to_owned() } else { entry.name };
            directories.entry(depth).or_default().push(name);
        }
        self.delete_batch(path, files).await?;
        for level in directories.into_values().rev() {
            for batch in level.chunks(BATCH) {
                self.delete_batch(path, batch.to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Deletes these keys; those that are gone already are no trouble.
    async fn delete_batch(&self, bucket: &BucketPath, keys: Vec<String>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        for done in self.delete_keys(bucket, keys).await? {
            let Some((name, message)) = done.refused else { continue };
            let status = OmStatus::from_name(&name).unwrap_or(OmStatus::InternalError);
            if status != OmStatus::KeyNotFound {
                return Err(Error::Refused {
                    act: format!("delete key {}", bucket.key(done.key)),
                    status,
                    message,
                });
            }
        }
        Ok(())
    }

    /// Deletes every version, and every delete marker, of every key. False if there were none.
    async fn delete_versions_of(&self, bucket: &BucketPath) -> Result<bool, Error> {
        let id = |version: &Key| version.metadata.get(VERSION_ID).cloned().unwrap_or(NULL_VERSION.to_owned());
        let (mut any, mut before) = (false, None);
        loop {
            let page = match self.list_versions(bucket, "", ("", ""), BATCH as u32).await {
                Ok(page) => page.versions,
                // A bucket without versions, or a server that has none.
                Err(Error::Refused { .. } | Error::OmSilent { .. }) if !any => return Ok(false),
                Err(error) => return Err(error),
            };
            let first = page.first().map(|version| (version.path.clone(), id(version)));
            // What was deleted and is still listed would be for ever; the bucket says then that it is not empty.
            if first.is_none() || first == before {
                return Ok(any);
            }
            for version in page {
                self.delete_version(&version.path, Some(&id(&version)), None).await?;
            }
            (any, before) = (true, first);
        }
    }
}
