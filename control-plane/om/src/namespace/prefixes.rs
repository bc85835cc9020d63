//! Prefixes: rights written for all keys of a bucket whose names begin with a path.
//!
//! Shape   a row of the prefix table, `/<volume>/<bucket>/<path>/`. A key is under the rights of the longest prefix that is a
//!         path of its name.

use allotrope_proto::om::PrefixInfo;

use super::buckets::Bucket;
use crate::refusal::Refusal;
use crate::tables::{ObjectKey, PREFIXES};
use crate::tx::Db;

/// The longest prefix of `name` in `bucket` that has a row.
pub(crate) fn nearest(db: Db<'_>, bucket: &Bucket, name: &str) -> Result<Option<PrefixInfo>, Refusal> {
    let (volume, of) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    // One look tells a bucket without prefixes, which nearly every bucket is.
    if !db.has_any(PREFIXES, &ObjectKey::prefix(volume, of, ""))? {
        return Ok(None);
    }
    for (at, _) in name.rmatch_indices('/') {
        if let Some(found) = db.get(PREFIXES, &ObjectKey::of(volume, of, &name[..=at]))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
