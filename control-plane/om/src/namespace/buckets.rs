//! Buckets: lookup through links, and what they use of their quotas.
//!
//! Units   used bytes count every copy and parity cell on datanodes; used names count keys and directories.
//! Law     usage changes in the same transaction as the keys it counts, so it is exact at once.

use allotrope_proto::om::BucketInfo;
use allotrope_types::{BucketLayout, KeyName, KeyRules, OmStatus};

use super::volumes;
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey};
use crate::tx::{Db, Tx};

/// Longest chain of links that is followed. A longer one is no use to anybody, and a loop is found by names before.
const LINKS_MAX: usize = 64;

/// A bucket that holds keys: not a link.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) info: BucketInfo,
    /// The object id of its volume.
    pub(crate) volume_id: u64,
}

impl Bucket {
    pub(crate) fn layout(&self) -> BucketLayout {
        layout(&self.info)
    }

    /// Whether its keys form a tree.
    pub(crate) fn is_tree(&self) -> bool {
        self.layout() == BucketLayout::FileSystemOptimized
    }

    pub(crate) fn id(&self) -> u64 {
        self.info.object_id()
    }

    /// How names of its keys are read. (`ozone.om.enable.filesystem.paths` is off, as by default.)
    pub(crate) fn rules(&self) -> KeyRules {
        KeyRules::of(self.layout(), false)
    }

    /// The name of a key that is looked up.
    pub(crate) fn key_name(&self, text: &str) -> Result<String, Refusal> {
        let name = KeyName::new(text, self.rules()).map_err(Refusal::name(OmStatus::InvalidKeyName))?;
        Ok(name.as_str().to_owned())
    }

    /// The name of a key that is made.
    pub(crate) fn new_key_name(&self, text: &str) -> Result<String, Refusal> {
        let name = KeyName::to_create(text, self.rules()).map_err(Refusal::name(OmStatus::InvalidKeyName))?;
        if self.is_tree() && text.ends_with('/') {
            refuse!(InvalidKeyName, "key name {text:?} ends in '/': a file's name does not");
        }
        Ok(name.as_str().to_owned())
    }

    /// Refuses what would go beyond the quotas. Making less use of them is always allowed.
    pub(crate) fn check_quota(&self, bytes_more: i64, names_more: i64) -> Result<(), Refusal> {
        let info = &self.info;
        let beyond = |quota: i64, used: u64, more: i64| {
            more > 0 && quota > volumes::QUOTA_NONE && i128::from(used) + i128::from(more) > i128::from(quota)
        };
        let used_bytes = info.used_bytes().saturating_add(info.snapshot_used_bytes());
        if beyond(info.quota_in_bytes(), used_bytes, bytes_more) {
            refuse!(
                QuotaExceeded,
                "bucket {}/{} uses {used_bytes} of its quota of {} bytes; {bytes_more} more do not fit",
                info.volume_name,
                info.bucket_name,
                info.quota_in_bytes()
            );
        }
        let used_names = info.used_namespace().saturating_add(info.snapshot_used_namespace());
        if beyond(info.quota_in_namespace(), used_names, names_more) {
            refuse!(
                QuotaExceeded,
                "bucket {}/{} holds {used_names} of its quota of {} keys and directories; {names_more} more do not fit",
                info.volume_name,
                info.bucket_name,
                info.quota_in_namespace()
            );
        }
        Ok(())
    }

    /// Counts bytes and names in (or, negative, out) and stores the bucket.
    pub(crate) fn charge(&mut self, tx: &mut Tx<'_>, bytes_more: i64, names_more: i64) {
        let info = &mut self.info;
        info.used_bytes = Some(info.used_bytes().saturating_add_signed(bytes_more));
        info.used_namespace = Some(info.used_namespace().saturating_add_signed(names_more));
        tx.put(BUCKETS, &BucketKey::of(&info.volume_name, &info.bucket_name), info);
    }
}

/// The layout of a stored bucket.
pub(crate) fn layout(info: &BucketInfo) -> BucketLayout {
    info.bucket_layout.and_then(BucketLayout::from_number).unwrap_or(BucketLayout::Legacy)
}

/// Whether `info` is a link to another bucket.
pub(crate) fn is_link(info: &BucketInfo) -> bool {
    info.source_volume.is_some() && info.source_bucket.is_some()
}

/// The bucket, or the link, of that name.
pub(crate) fn find(db: Db<'_>, volume: &str, bucket: &str) -> Result<BucketInfo, Refusal> {
    match db.get(BUCKETS, &BucketKey::of(volume, bucket))? {
        Some(info) => Ok(info),
        None => refuse!(BucketNotFound, "bucket {volume}/{bucket} is not found"),
    }
}

/// The bucket that holds the keys of `volume`/`bucket`: itself, or where its links lead.
///
/// # Errors
/// VOLUME_NOT_FOUND, BUCKET_NOT_FOUND, DETECTED_LOOP_IN_BUCKET_LINKS.
pub(crate) fn resolve(db: Db<'_>, volume: &str, bucket: &str) -> Result<Bucket, Refusal> {
    let (mut at, mut seen) = ((volume.to_owned(), bucket.to_owned()), Vec::new());
    loop {
        let Some(info) = db.get(BUCKETS, &BucketKey::of(&at.0, &at.1))? else {
            volumes::find(db, &at.0)?;
            refuse!(BucketNotFound, "bucket {}/{} is not found", at.0, at.1);
        };
        let (Some(source_volume), Some(source_bucket)) = (&info.source_volume, &info.source_bucket) else {
            let volume_id = volumes::find(db, &at.0)?.object_id();
            return Ok(Bucket { info, volume_id });
        };
        let source = (source_volume.clone(), source_bucket.clone());
        seen.push(std::mem::replace(&mut at, source));
        if seen.contains(&at) || seen.len() > LINKS_MAX {
            refuse!(
                DetectedLoopInBucketLinks,
                "the links from bucket {volume}/{bucket} lead nowhere but in a circle"
            );
        }
    }
}

/// A link's record as clients see it: names, owner, rights and times of the link, everything else of its source.
/// A link whose source is missing is shown as it is.
pub(crate) fn as_seen(db: Db<'_>, link: BucketInfo) -> Result<BucketInfo, Refusal> {
    if !is_link(&link) {
        return Ok(link);
    }
    match resolve(db, &link.volume_name, &link.bucket_name) {
        Ok(source) => Ok(BucketInfo {
            volume_name: link.volume_name,
            bucket_name: link.bucket_name,
            acls: link.acls,
            creation_time: link.creation_time,
            modification_time: link.modification_time,
            object_id: link.object_id,
            update_id: link.update_id,
            source_volume: link.source_volume,
            source_bucket: link.source_bucket,
            owner: link.owner,
            ..source.info
        }),
        Err(Refusal::Status { .. }) => Ok(link),
        Err(damaged) => Err(damaged),
    }
}
