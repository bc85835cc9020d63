//! Counting buckets anew: what they hold against what their rows say.
//!
//! Shape   one moment of the tables gives both the rows and the usage that was kept with them, so their difference is true whatever
//!         changes meanwhile; the log adds it.
//! Law     usage is kept in the transaction of what it counts, so differences mean a fault; each is logged.

use std::collections::BTreeMap;

use allotrope_proto::om::{BucketInfo, BucketQuotaCount, KeyInfo};

use crate::namespace::buckets;
use crate::namespace::versions::is_marker;
use crate::namespace::{keys, volumes};
use crate::refusal::Refusal;
use crate::tables::{
    BUCKETS, BucketKey, DIRECTORIES, FILES, KEY_VERSIONS, KEYS, NodeKey, ObjectKey, UPLOADS, UploadKey,
    VersionKey,
};
use crate::tx::Db;

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    bytes: u64,
    names: u64,
}

impl Held {
    fn add(&mut self, key: &KeyInfo) -> Result<(), Refusal> {
        self.names += 1;
        if !is_marker(key) {
            self.bytes = self.bytes.saturating_add(keys::size_on_disk(key)?);
        }
        Ok(())
    }
}

/// The differences of the buckets `named` (`/volume/bucket`; all of them if none is named).
pub(crate) fn differences(db: Db<'_>, named: &[String]) -> Result<Vec<BucketQuotaCount>, Refusal> {
    let mut found = Vec::new();
    let mut volume_ids = BTreeMap::new();
    for pair in db.scan(BUCKETS, b"/")? {
        let (at, bucket): (BucketKey, BucketInfo) = pair?;
        let (volume, name) = at.parts();
        let is_named =
            named.is_empty() || named.iter().any(|path| path.trim_matches('/') == format!("{volume}/{name}"));
        if buckets::is_link(&bucket) || !is_named {
            continue;
        }
        let volume_id = match volume_ids.get(volume) {
            Some(id) => *id,
            None => *volume_ids.entry(volume.to_owned()).or_insert(volumes::find(db, volume)?.object_id()),
        };
        let held = count(db, volume_id, &bucket)?;
        let difference = |held: u64, kept: u64| held.cast_signed().wrapping_sub(kept.cast_signed());
        let (bytes, names) =
            (difference(held.bytes, bucket.used_bytes()), difference(held.names, bucket.used_namespace()));
        if (bytes, names) != (0, 0) {
            tracing::error!(volume, bucket = name, bytes, names, "a bucket's usage was wrong by so much");
            found.push(BucketQuotaCount {
                vol_name: volume.to_owned(),
                bucket_name: name.to_owned(),
                diff_used_bytes: bytes,
                diff_used_namespace: names,
                ..BucketQuotaCount::default()
            });
        }
    }
    Ok(found)
}

/// What a bucket holds: keys and their versions, files and directories, parts of uploads. What lies below a deleted directory
/// still counts until it is moved out.
fn count(db: Db<'_>, volume_id: u64, bucket: &BucketInfo) -> Result<Held, Refusal> {
    let (volume, name) = (&bucket.volume_name, &bucket.bucket_name);
    let nodes = NodeKey::bucket_prefix(volume_id, bucket.object_id());
    let mut held = Held::default();
    for pair in db.scan(KEYS, &ObjectKey::prefix(volume, name, ""))? {
        held.add(&pair?.1)?;
    }
    for pair in db.scan(KEY_VERSIONS, &VersionKey::bucket_prefix(volume, name))? {
        held.add(&pair?.1)?;
    }
    for pair in db.scan(FILES, &nodes)? {
        held.add(&pair?.1)?;
    }
    for pair in db.scan(DIRECTORIES, &nodes)? {
        pair?;
        held.names += 1;
    }
    for pair in db.scan(UPLOADS, &UploadKey::prefix(volume, name, ""))? {
        for part in pair?.1.part_key_info_list {
            held.bytes = held.bytes.saturating_add(keys::size_on_disk(&part.part_key_info)?);
        }
    }
    Ok(held)
}
