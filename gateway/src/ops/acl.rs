//! Rights, as a bucket answers whose owner owns every object: reading shows the owner, writing anything else is refused.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::object::find;
use super::refused::no_acls;
use super::{Gateway, buckets, owner};
use crate::call::Call;
use crate::fault::Fault;

/// The owner may do everything.
fn grants(name: &str) -> Vec<Grant> {
    let grantee = Grantee {
        display_name: Some(name.to_owned()),
        email_address: None,
        id: Some(name.to_owned()),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    vec![Grant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}

/// Takes what changes nothing: the owner alone, with every right.
fn check(policy: Option<&AccessControlPolicy>, owner: &str) -> Result<(), Fault> {
    let Some(policy) = policy else { return Ok(()) };
    let is_owners = |grant: &Grant| {
        grant.grantee.as_ref().is_some_and(|grantee| grantee.id.as_deref() == Some(owner))
            && grant.permission.as_ref().is_some_and(|right| right.as_str() == Permission::FULL_CONTROL)
    };
    match policy.grants.as_ref().is_none_or(|grants| grants.iter().all(is_owners)) {
        true => Ok(()),
        false => Err(no_acls()),
    }
}

pub(crate) async fn of_bucket(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetBucketAclInput>,
) -> Result<S3Response<GetBucketAclOutput>, Fault> {
    let input = request.input;
    let found = buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(grants(&found.owner)),
        owner: Some(owner(&found.owner)),
    }))
}

pub(crate) async fn set_of_bucket(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutBucketAclInput>,
) -> Result<S3Response<PutBucketAclOutput>, Fault> {
    let input = request.input;
    let found = buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    check(input.access_control_policy.as_ref(), &found.owner)?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(crate) async fn of_object(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetObjectAclInput>,
) -> Result<S3Response<GetObjectAclOutput>, Fault> {
    let input = request.input;
    find(call, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let bucket = buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(grants(&bucket.owner)),
        owner: Some(owner(&bucket.owner)),
        request_charged: None,
    }))
}

pub(crate) async fn set_of_object(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutObjectAclInput>,
) -> Result<S3Response<PutObjectAclOutput>, Fault> {
    let input = request.input;
    find(call, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let bucket = buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    check(input.access_control_policy.as_ref(), &bucket.owner)?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

pub(crate) async fn ownership(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> Result<S3Response<GetBucketOwnershipControlsOutput>, Fault> {
    let input = request.input;
    buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let enforced = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
    let rules = vec![OwnershipControlsRule { object_ownership: enforced }];
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(OwnershipControls { rules }),
    }))
}

pub(crate) async fn set_ownership(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> Result<S3Response<PutBucketOwnershipControlsOutput>, Fault> {
    let input = request.input;
    buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let enforced = |rule: &OwnershipControlsRule| {
        rule.object_ownership.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED
    };
    match input.ownership_controls.rules.iter().all(enforced) {
        true => Ok(S3Response::new(PutBucketOwnershipControlsOutput::default())),
        false => {
            Err(Fault::not_implemented("PutBucketOwnershipControls for anything but BucketOwnerEnforced"))
        }
    }
}
