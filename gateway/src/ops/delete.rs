//! Deleting objects, one or up to a thousand.

use std::sync::Arc;

use allotrope_client::KeyDeletion;
use allotrope_types::OmStatus;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::Gateway;
use super::conditions::failed;
use super::object::{Object, find};
use super::versions::{Versioning, check_id, id, is_marker};
use crate::call::Call;
use crate::fault::{Fault, of_client};

/// Keys of one request.
const KEYS_MAX: usize = 1000;

/// What must hold of an object that is to be deleted.
#[derive(Debug, Default)]
struct Condition {
    etag: Option<ETagCondition>,
    size: Option<i64>,
    modified: Option<Timestamp>,
}

impl Condition {
    fn is_none(&self) -> bool {
        self.etag.is_none() && self.size.is_none() && self.modified.is_none()
    }

    fn check(&self, object: &Object) -> Result<(), Fault> {
        if let Some(ETagCondition::ETag(wanted)) = &self.etag
            && wanted.value() != object.etag().value()
        {
            return Err(failed("If-Match"));
        }
        if self.size.is_some_and(|size| size != object.key.len.cast_signed()) {
            return Err(failed("x-amz-if-match-size"));
        }
        if self.modified.as_ref().is_some_and(|at| *at != object.modified()) {
            return Err(failed("x-amz-if-match-last-modified-time"));
        }
        Ok(())
    }
}

pub(crate) async fn one(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<DeleteObjectInput>,
) -> Result<S3Response<DeleteObjectOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let condition = Condition {
        etag: input.if_match,
        size: input.if_match_size,
        modified: input.if_match_last_modified_time,
    };
    let gone = delete(call, &input.bucket, &input.key, input.version_id.as_deref(), condition).await?;
    let output = DeleteObjectOutput {
        delete_marker: gone.marker.then_some(true),
        version_id: gone.version,
        ..DeleteObjectOutput::default()
    };
    Ok(S3Response::with_status(output, http::StatusCode::NO_CONTENT))
}

/// What a deletion came to.
#[derive(Debug, Default)]
struct Gone {
    /// The version that is gone, or the delete marker that was made.
    version: Option<String>,
    /// Whether that is a delete marker.
    marker: bool,
}

async fn delete(
    call: &Call,
    bucket: &str,
    key: &str,
    version: Option<&str>,
    condition: Condition,
) -> Result<Gone, Fault> {
    check_id(version)?;
    let path = call.key(bucket, key);
    let mut etag = None;
    if !condition.is_none() {
        let object = find(call, bucket, key, version).await?;
        condition.check(&object)?;
        // What was looked at is what is deleted, or nothing; a version never changes.
        etag = version.is_none().then(|| object.etag().value().to_owned());
    }
    let gone = match call.client.delete_version(&path, version, etag.as_deref()).await {
        Ok(gone) => gone,
        Err(error) if error.om_status() == Some(OmStatus::KeyNotFound) && condition.is_none() => None,
        Err(error) => return Err(of_client(error)),
    };
    Ok(match gone {
        None => Gone { version: version.map(str::to_owned), marker: false },
        Some(metadata) => Gone { version: id(&metadata), marker: is_marker(&metadata) },
    })
}

pub(crate) async fn many(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<DeleteObjectsInput>,
) -> Result<S3Response<DeleteObjectsOutput>, Fault> {
    let input = request.input;
    let objects = input.delete.objects;
    if objects.is_empty() || objects.len() > KEYS_MAX {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        return Err(Fault::new(S3ErrorCode::MalformedXML, message));
    }
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let quiet = input.delete.quiet == Some(true);
    let (mut deleted, mut errors) = (vec![], vec![]);
    let mut plain = vec![];
    // Only where nothing is kept need nothing be said of versions.
    let keeps = call.versioning(&input.bucket).await? != Versioning::Off;
    for object in objects {
        let condition = Condition {
            etag: object.e_tag.map(ETagCondition::ETag),
            size: object.size,
            modified: object.last_modified_time,
        };
        if object.key.len() > 1024 {
            let fault = Fault::new(S3ErrorCode::KeyTooLongError, "Your key is too long");
            errors.push(error(object.key, object.version_id, &fault));
        } else if condition.is_none() && object.version_id.is_none() && !keeps {
            plain.push(object.key);
        } else {
            let (key, version) = (object.key, object.version_id);
            match delete(call, &input.bucket, &key, version.as_deref(), condition).await {
                Ok(gone) => deleted.push(done(key, version, gone)),
                Err(fault) => errors.push(error(key, version, &fault)),
            }
        }
    }
    if !plain.is_empty() {
        let ended = call.client.delete_keys(&call.bucket(&input.bucket), plain).await.map_err(of_client)?;
        for KeyDeletion { key, refused } in ended {
            match refused {
                Some((status, message)) if status != OmStatus::KeyNotFound.name() => {
                    tracing::warn!(key, status, message, "a key of many is not deleted");
                    let fault = Fault::new(S3ErrorCode::InternalError, format!("{status}: {message}"));
                    errors.push(error(key, None, &fault));
                }
                _ => deleted.push(done(key, None, Gone::default())),
            }
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        request_charged: None,
    }))
}

fn done(key: String, version_id: Option<String>, gone: Gone) -> DeletedObject {
    DeletedObject {
        delete_marker: gone.marker.then_some(true),
        delete_marker_version_id: gone.version.filter(|_| gone.marker),
        key: Some(key),
        version_id,
    }
}

fn error(key: String, version_id: Option<String>, fault: &Fault) -> Error {
    Error {
        code: Some(fault.code.as_str().to_owned()),
        key: Some(key),
        message: Some(fault.message.clone()),
        version_id,
    }
}
