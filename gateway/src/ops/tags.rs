//! Tags of objects and of buckets.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::Gateway;
use super::put::check_tags;
use crate::call::Call;
use crate::fault::{Fault, code, of_client};

/// Tags of one object.
const OF_OBJECT_MAX: usize = 10;
/// Tags of one bucket.
const OF_BUCKET_MAX: usize = 50;

fn shown(tags: BTreeMap<String, String>) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

fn read(set: TagSet, most: usize) -> Result<BTreeMap<String, String>, Fault> {
    let count = set.len();
    let tags: BTreeMap<String, String> =
        set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
    if tags.len() != count {
        let message = "Cannot provide multiple Tags with the same key";
        return Err(Fault::new(s3s::S3ErrorCode::InvalidTag, message));
    }
    check_tags(&tags, most)?;
    Ok(tags)
}

pub(crate) async fn of_object(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetObjectTaggingInput>,
) -> Result<S3Response<GetObjectTaggingOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    let tags = call.client.key_tags(&key, input.version_id.as_deref()).await.map_err(of_client)?;
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: shown(tags), version_id: input.version_id }))
}

pub(crate) async fn set_of_object(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutObjectTaggingInput>,
) -> Result<S3Response<PutObjectTaggingOutput>, Fault> {
    let input = request.input;
    let tags = read(input.tagging.tag_set, OF_OBJECT_MAX)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    call.client.tag_key(&key, input.version_id.as_deref(), &tags).await.map_err(of_client)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: input.version_id }))
}

pub(crate) async fn delete_of_object(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<DeleteObjectTaggingInput>,
) -> Result<S3Response<DeleteObjectTaggingOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    call.client.untag_key(&key, input.version_id.as_deref()).await.map_err(of_client)?;
    let output = DeleteObjectTaggingOutput { version_id: input.version_id };
    Ok(S3Response::with_status(output, http::StatusCode::NO_CONTENT))
}

pub(crate) async fn of_bucket(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetBucketTaggingInput>,
) -> Result<S3Response<GetBucketTaggingOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let tags = call.client.bucket_tags(&call.bucket(&input.bucket)).await.map_err(of_client)?;
    if tags.is_empty() {
        return Err(Fault::new(code("NoSuchTagSet"), "The TagSet does not exist"));
    }
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: shown(tags) }))
}

pub(crate) async fn set_of_bucket(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutBucketTaggingInput>,
) -> Result<S3Response<PutBucketTaggingOutput>, Fault> {
    let input = request.input;
    let tags = read(input.tagging.tag_set, OF_BUCKET_MAX)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.client.tag_bucket(&call.bucket(&input.bucket), &tags).await.map_err(of_client)?;
    Ok(S3Response::with_status(PutBucketTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(crate) async fn delete_of_bucket(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<DeleteBucketTaggingInput>,
) -> Result<S3Response<DeleteBucketTaggingOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.client.untag_bucket(&call.bucket(&input.bucket)).await.map_err(of_client)?;
    Ok(S3Response::with_status(DeleteBucketTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}
