//! The versions of a bucket's objects, by key, each key's newest first: what S3 lists as object versions.
//!
//! Shape   the request has the fields of ListMultipartUploads: prefix, a key to start after, and a version of that key to start after
//!         (without one, all its versions are over). Older versions and newest ones are two scans, merged.
//! Law     a page costs what it holds, and the versions of the key it starts in the middle of.

use std::iter::Peekable;

use allotrope_proto::om::{KeyInfo, ListKeysResponse, ListMultipartUploadsRequest};

use super::Scene;
use crate::namespace::versions::{self, Version};
use crate::namespace::{buckets, keys};
use crate::refusal::{Refusal, refuse};
use crate::tables::{KEY_VERSIONS, KEYS, ObjectKey, TextKey as _, VersionKey};

/// A page of versions. Delete markers are among them, told by their metadata.
pub(crate) fn read(
    scene: &Scene<'_>,
    asked: &ListMultipartUploadsRequest,
) -> Result<ListKeysResponse, Refusal> {
    let bucket = buckets::resolve(scene.db, &asked.volume, &asked.bucket)?;
    if bucket.is_tree() {
        refuse!(NotSupportedOperation, "FILE_SYSTEM_OPTIMIZED buckets keep no versions");
    }
    let (volume, name) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    let wanted = scene.page(asked.max_uploads.map(i64::from));
    let (prefix, marker) = (asked.prefix.as_str(), asked.key_marker());
    let mut key_info: Vec<KeyInfo> = Vec::new();
    if !asked.upload_id_marker().is_empty() && !marker.is_empty() {
        let at = ObjectKey::of(volume, name, marker);
        if marker.starts_with(prefix) {
            key_info = rest_of(scene, &at, marker, asked.upload_id_marker(), wanted + 1)?;
        }
    }
    let after = if marker.is_empty() { prefix.to_owned() } else { format!("{marker}\0") };
    let from = ObjectKey::of(volume, name, &after).as_str().as_bytes().to_vec();
    let scan = ObjectKey::prefix(volume, name, prefix);
    let mut newest = scene.db.scan_from(KEYS, &scan, from)?.peekable();
    let mut older = scene
        .db
        .scan_from(
            KEY_VERSIONS,
            &VersionKey::escaped(volume, name, prefix),
            VersionKey::escaped(volume, name, &after),
        )?
        .peekable();
    while key_info.len() <= wanted {
        let Some(next) = next(&mut newest, &mut older)? else { break };
        key_info.push(next);
    }
    let is_truncated = Some(key_info.len() > wanted);
    key_info.truncate(wanted);
    Ok(ListKeysResponse { key_info, is_truncated })
}

/// At most `count` versions of one key, after the version `marker`.
fn rest_of(
    scene: &Scene<'_>,
    at: &ObjectKey,
    name: &str,
    marker: &str,
    count: usize,
) -> Result<Vec<KeyInfo>, Refusal> {
    let after = match versions::find(scene.db, at, versions::parse(marker)?)? {
        Some((versions::Slot::Older(row), _)) => Some(row.version()),
        Some((versions::Slot::Newest(_), _)) => None,
        // It was deleted meanwhile: what is older than it is what is left.
        None => match versions::parse(marker)? {
            Version::Number(number) => Some(number),
            Version::Null => return Ok(Vec::new()),
        },
    };
    let rows = versions::older(scene.db, at)?;
    let mut left = Vec::new();
    for pair in rows {
        let (row, key) = pair?;
        if after.is_none_or(|after| row.version() < after) {
            left.push(keys::shown(key, name));
        }
        if left.len() == count {
            break;
        }
    }
    Ok(left)
}

type Newest<'a> = Peekable<crate::tx::Pairs<'a, ObjectKey, allotrope_consensus::Proto<KeyInfo>>>;
type Older<'a> = Peekable<crate::tx::Pairs<'a, VersionKey, allotrope_consensus::Proto<KeyInfo>>>;

/// The next version of both scans: by key, a key's newest before its older ones.
fn next(newest: &mut Newest<'_>, older: &mut Older<'_>) -> Result<Option<KeyInfo>, Refusal> {
    let take_newest = match (newest.peek(), older.peek()) {
        (None, None) => return Ok(None),
        (Some(_), None) | (Some(Err(_)), _) => true,
        (None, Some(_)) | (_, Some(Err(_))) => false,
        (Some(Ok((a, _))), Some(Ok((b, _)))) => a.as_str() <= b.place(),
    };
    Ok(match take_newest {
        true => newest.next().transpose()?.map(|(at, key)| {
            let name = at.parts().2.to_owned();
            keys::shown(key, &name)
        }),
        false => older.next().transpose()?.map(|(_, key)| key),
    })
}
