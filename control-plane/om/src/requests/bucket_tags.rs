//! PutBucketTagging, GetBucketTagging, DeleteBucketTagging: the tags written on a bucket.

use allotrope_proto::om::{
    BucketArgs, BucketInfo, DeleteBucketTaggingResponse, GetBucketTaggingResponse, OmRequest, OmResponse,
    PutBucketTaggingResponse,
};

use super::Scene;
use crate::namespace::buckets;
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey};
use crate::tx::Tx;

fn change(tx: &mut Tx<'_>, args: &BucketArgs, how: impl FnOnce(&mut BucketInfo)) -> Result<(), Refusal> {
    let mut bucket = buckets::find(tx.db(), &args.volume_name, &args.bucket_name)?;
    if buckets::is_link(&bucket) {
        refuse!(NotSupportedOperation, "bucket {} is a link; tag its source", args.bucket_name);
    }
    how(&mut bucket);
    (bucket.modification_time, bucket.update_id) = (Some(tx.now_ms), Some(tx.number()));
    tx.put(BUCKETS, &BucketKey::of(&args.volume_name, &args.bucket_name), &bucket);
    Ok(())
}

pub(super) fn put(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.put_bucket_tagging_request.take().unwrap_or_default().bucket_args;
    change(tx, &args, |bucket| bucket.tags.clone_from(&args.tags))?;
    let response = PutBucketTaggingResponse {};
    Ok(OmResponse { put_bucket_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn delete(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.delete_bucket_tagging_request.take().unwrap_or_default().bucket_args;
    change(tx, &args, |bucket| bucket.tags.clear())?;
    let response = DeleteBucketTaggingResponse {};
    Ok(OmResponse { delete_bucket_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn get(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.get_bucket_tagging_request.take().unwrap_or_default().bucket_args;
    let bucket = buckets::find(scene.db, &args.volume_name, &args.bucket_name)?;
    let tags = buckets::as_seen(scene.db, bucket)?.tags;
    let response = GetBucketTaggingResponse { tags };
    Ok(OmResponse { get_bucket_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}
