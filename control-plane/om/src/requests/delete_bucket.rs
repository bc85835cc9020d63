//! DeleteBucket: an empty bucket, or a link, goes.

use allotrope_proto::om::{BucketInfo, DeleteBucketResponse, OmRequest, OmResponse};

use crate::namespace::{buckets, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{
    BUCKETS, BucketKey, DIRECTORIES, FILES, KEY_VERSIONS, KEYS, NodeKey, ObjectKey, UPLOADS, UploadKey,
    VOLUMES, VersionKey, VolumeKey,
};
use crate::tx::{Db, Tx};

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.delete_bucket_request.take().unwrap_or_default();
    let bucket = buckets::find(tx.db(), &asked.volume_name, &asked.bucket_name)?;
    let mut volume = volumes::find(tx.db(), &asked.volume_name)?;
    if !buckets::is_link(&bucket) && holds_anything(tx.db(), volume.object_id(), &bucket)? {
        refuse!(BucketNotEmpty, "bucket {}/{} is not empty", asked.volume_name, asked.bucket_name);
    }
    tx.delete(BUCKETS, &BucketKey::of(&asked.volume_name, &asked.bucket_name));
    volume.used_namespace = Some(volume.used_namespace().saturating_sub(1));
    tx.put(VOLUMES, &VolumeKey::of(&volume.volume), &volume);
    Ok(OmResponse {
        delete_bucket_response: Some(Box::new(DeleteBucketResponse {})),
        ..OmResponse::default()
    })
}

/// Whether there are keys, older versions of keys, directories or unfinished multipart uploads.
fn holds_anything(db: Db<'_>, volume_id: u64, bucket: &BucketInfo) -> Result<bool, Refusal> {
    let (volume_name, name) = (&bucket.volume_name, &bucket.bucket_name);
    let nodes = NodeKey::bucket_prefix(volume_id, bucket.object_id());
    Ok(db.has_any(KEYS, &ObjectKey::prefix(volume_name, name, ""))?
        || db.has_any(KEY_VERSIONS, &VersionKey::bucket_prefix(volume_name, name))?
        || db.has_any(UPLOADS, &UploadKey::prefix(volume_name, name, ""))?
        || db.has_any(DIRECTORIES, &nodes)?
        || db.has_any(FILES, &nodes)?)
}
