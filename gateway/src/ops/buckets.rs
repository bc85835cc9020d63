//! Buckets: create, head, list, delete, and where they are.

use std::sync::Arc;

use allotrope_client::{Bucket as Found, BucketOptions};
use allotrope_types::{BucketLayout, OmStatus};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::{Gateway, owner, timestamp};
use crate::call::Call;
use crate::fault::{Fault, of_client};

/// Buckets of one answer, at most.
const PAGE: i32 = 10_000;

pub(crate) async fn list(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListBucketsInput>,
) -> Result<S3Response<ListBucketsOutput>, Fault> {
    let input = request.input;
    let wanted = match input.max_buckets {
        None => PAGE,
        Some(count @ 1..=PAGE) => count,
        Some(other) => {
            let message = "Argument max-buckets must be an integer between 1 and 10000";
            return Err(Fault::argument("max-buckets", other.to_string(), message));
        }
    };
    let (prefix, after) = (input.prefix.unwrap_or_default(), input.continuation_token.unwrap_or_default());
    let elsewhere = input.bucket_region.is_some_and(|region| region != gateway.region);
    let mut found = match elsewhere {
        true => vec![],
        false => {
            let most = wanted as usize + 1;
            call.client.list_buckets(&call.volume, &prefix, &after, most).await.map_err(of_client)?
        }
    };
    let more = found.len() > wanted as usize;
    found.truncate(wanted as usize);
    let last = found.last().map(|bucket| bucket.path.bucket.clone()).filter(|_| more);
    let buckets = found.into_iter().map(|bucket| Bucket {
        bucket_region: Some(gateway.region.clone()),
        creation_date: Some(timestamp(bucket.created_ms)),
        name: Some(bucket.path.bucket),
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        continuation_token: last,
        owner: Some(owner(&call.user)),
        prefix: (!prefix.is_empty()).then_some(prefix),
    }))
}

pub(crate) async fn create(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<CreateBucketInput>,
) -> Result<S3Response<CreateBucketOutput>, Fault> {
    let input = request.input;
    if let Some(config) = &input.create_bucket_configuration {
        check_location(gateway, config)?;
    }
    let enforced = ObjectOwnership::BUCKET_OWNER_ENFORCED;
    if input.object_ownership.is_some_and(|ownership| ownership.as_str() != enforced) {
        return Err(super::refused::no_acls());
    }
    let options = BucketOptions { layout: Some(BucketLayout::ObjectStore), ..BucketOptions::default() };
    let path = call.bucket(&input.bucket);
    match call.client.create_bucket(&path, options).await {
        Ok(()) => Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) })),
        Err(error) if error.om_status() == Some(OmStatus::BucketAlreadyExists) => {
            let found = call.client.bucket(&path).await.map_err(of_client)?;
            Err(taken(&found, call))
        }
        Err(error) => Err(of_client(error)),
    }
}

fn check_location(gateway: &Gateway, config: &CreateBucketConfiguration) -> Result<(), Fault> {
    if config.bucket.is_some() || config.location.is_some() {
        return Err(Fault::not_implemented("CreateBucket for directory buckets"));
    }
    match &config.location_constraint {
        Some(asked) if !asked.as_str().is_empty() && asked.as_str() != gateway.region => {
            let message = "The specified location-constraint is not valid";
            Err(Fault::new(S3ErrorCode::InvalidLocationConstraint, message)
                .detail("LocationConstraint", asked.as_str()))
        }
        _ => Ok(()),
    }
}

fn taken(found: &Found, call: &Call) -> Fault {
    if found.owner == call.user {
        let message = "Your previous request to create the named bucket succeeded and you already own it.";
        return Fault::new(S3ErrorCode::BucketAlreadyOwnedByYou, message);
    }
    let message = "The requested bucket name is not available. The bucket namespace is shared by all users of the \
                   system. Please select a different name and try again.";
    Fault::new(S3ErrorCode::BucketAlreadyExists, message)
}

pub(crate) async fn head(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<HeadBucketInput>,
) -> Result<S3Response<HeadBucketOutput>, Fault> {
    let input = request.input;
    find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(gateway.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub(crate) async fn delete(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<DeleteBucketInput>,
) -> Result<S3Response<DeleteBucketOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.client.delete_bucket(&call.bucket(&input.bucket)).await.map_err(of_client)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(crate) async fn location(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetBucketLocationInput>,
) -> Result<S3Response<GetBucketLocationOutput>, Fault> {
    let input = request.input;
    find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    // The first region has no name here, by S3's history.
    let named =
        (gateway.region != "us-east-1").then(|| BucketLocationConstraint::from(gateway.region.clone()));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: named }))
}

/// The bucket, if it is there and its owner is who the sender expects.
pub(crate) async fn find(call: &Call, bucket: &str, expected: Option<&str>) -> Result<Found, Fault> {
    let found = call.client.bucket(&call.bucket(bucket)).await.map_err(of_client)?;
    match expected.is_some_and(|expected| expected != found.owner) {
        true => Err(Fault::new(S3ErrorCode::AccessDenied, "Access Denied")),
        false => Ok(found),
    }
}
