//! Copying an object: its bytes are read, verified, hashed and written again.

use std::sync::Arc;

use allotrope_client::PutOptions;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::Gateway;
use super::conditions::{Conditions, Verdict, WriteCondition, failed};
use super::object::{Object, open};
use super::put::{finish, tags_of_header};
use crate::auth::Payload;
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::intake::Intake;
use crate::intake::checksum::Algorithm;
use crate::intake::promise::{BodyChecksum, Promise};
use crate::notes::{Notes, content_encoding, http_date};
use crate::storage_class;

/// Bytes of an object that one request may copy.
pub(crate) const SOURCE_LEN_MAX: u64 = 5 << 30;

/// What is copied.
pub(crate) struct Source {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Option<String>,
}

impl Source {
    pub(crate) fn read(source: CopySource) -> Result<Source, Fault> {
        match source {
            CopySource::Bucket { bucket, key, version_id } => {
                Ok(Source { bucket: bucket.into(), key: key.into(), version: version_id.map(Into::into) })
            }
            _ => Err(Fault::not_implemented("Copying from an access point")),
        }
    }

    /// Looks the source up and judges the conditions on it.
    pub(crate) async fn open(&self, call: &Call, conditions: &Conditions) -> Result<Object, Fault> {
        let object = open(call, &self.bucket, &self.key, self.version.as_deref()).await?;
        match conditions.judge(&object.etag(), &object.modified()) {
            Verdict::Proceed => Ok(object),
            Verdict::NotModified => Err(failed("x-amz-copy-source-If-None-Match")),
            Verdict::Failed(_) => Err(failed("x-amz-copy-source-If-Match")),
        }
    }
}

pub(crate) async fn copy(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<CopyObjectInput>,
) -> Result<S3Response<CopyObjectOutput>, Fault> {
    let condition = write_condition(&request.headers)?;
    let input = request.input;
    let source = Source::read(input.copy_source.clone())?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.check_owner(&source.bucket, input.expected_source_bucket_owner.as_deref()).await?;
    let conditions = Conditions {
        matches: input.copy_source_if_match.clone(),
        none_matches: input.copy_source_if_none_match.clone(),
        modified_since: input.copy_source_if_modified_since.clone(),
        unmodified_since: input.copy_source_if_unmodified_since.clone(),
    };
    let object = source.open(call, &conditions).await?;
    if object.key.len > SOURCE_LEN_MAX {
        let message = format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {SOURCE_LEN_MAX}"
        );
        return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
    }
    let storage_class = input.storage_class.as_ref().map(|class| class.as_str().to_owned());
    let replication = storage_class::replication(storage_class.as_deref())?;
    let replaces =
        directive(input.metadata_directive.as_ref().map(|word| word.as_str()), "x-amz-metadata-directive")?;
    let retags =
        directive(input.tagging_directive.as_ref().map(|word| word.as_str()), "x-amz-tagging-directive")?;
    // An older version that is copied onto its key becomes the newest.
    let itself = source.bucket == input.bucket && source.key == input.key && source.version.is_none();
    if itself && !replaces && !retags && storage_class.is_none() {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
    }
    let tags = match (retags, &input.tagging) {
        (true, Some(text)) => tags_of_header(text)?,
        (true, None) => Default::default(),
        (false, _) => object.key.tags.clone(),
    };
    let algorithm = input.checksum_algorithm.as_ref().and_then(|name| Algorithm::of_name(name.as_str()));
    let noted = object.notes.checksum.as_ref().map(|checksum| checksum.algorithm);
    let mut notes = if replaces { given(input.clone()) } else { object.notes.clone() };
    notes.storage_class = storage_class;
    notes.check()?;
    let options = PutOptions {
        replication,
        len: Some(object.key.len),
        metadata: notes.metadata(),
        tags,
        generation: condition.generation,
        etag: condition.etag,
    };
    let key = call.key(&input.bucket, &input.key);
    let versioning = call.versioning(&input.bucket).await?;
    let source_version = object.version();
    let _held = gateway.budget.write(Some(object.key.len)).await?;
    let mut writer = call.client.write_key(&key, options).await.map_err(of_client)?;
    let version_id = versioning.written(writer.session());
    let len = object.key.len;
    let mut intake = intake(gateway, call, object, 0..len, algorithm.or(noted))?;
    intake.pour(&mut writer).await?;
    let taken = intake.finish()?;
    let etag = finish(writer, &mut notes, &taken).await?;
    let written = call.client.head_key(&key, None).await.map_err(of_client)?;
    let mut result = CopyObjectResult {
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(super::timestamp(written.modified_ms)),
        ..CopyObjectResult::default()
    };
    show_checksum!(result, notes.checksum);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source_version,
        version_id,
        ..CopyObjectOutput::default()
    }))
}

/// An object's bytes as an intake, so that a copy is hashed as a put is.
pub(crate) fn intake(
    gateway: &Gateway,
    call: &Call,
    object: Object,
    bytes: std::ops::Range<u64>,
    algorithm: Option<Algorithm>,
) -> Result<Intake, Fault> {
    let len = bytes.end - bytes.start;
    let reader = call.client.read_found(object.key, bytes).map_err(of_client)?;
    let stream = futures_util::StreamExt::map(reader.into_stream(), |read| read.map(http_body::Frame::data));
    let body = s3s::Body::http_body_unsync(http_body_util::StreamBody::new(stream));
    let promise = Promise {
        len: Some(len),
        len_max: len,
        md5: None,
        sha256: None,
        checksum: Some(BodyChecksum::Noted(algorithm.unwrap_or(Algorithm::Crc64Nvme))),
    };
    Ok(Intake::new(StreamingBlob::from(body), Payload::Unsigned, promise, gateway.pool.clone()))
}

/// Conditions on what the copy replaces: newer than s3s' model of the operation.
fn write_condition(headers: &http::HeaderMap) -> Result<WriteCondition, Fault> {
    let read = |name: http::HeaderName| {
        let value = headers.get(&name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        value.transpose().map_err(|_| Fault::argument("ETag", name.as_str(), "This value is no ETag"))
    };
    WriteCondition::read(read(http::header::IF_MATCH)?, read(http::header::IF_NONE_MATCH)?)
}

/// Whether the request brings its own instead of copying the source's.
fn directive(word: Option<&str>, header: &'static str) -> Result<bool, Fault> {
    match word {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(Fault::argument(header, other, "Unknown directive.")),
    }
}

fn given(input: CopyObjectInput) -> Notes {
    Notes {
        content_type: input.content_type,
        content_encoding: content_encoding(input.content_encoding),
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires.as_ref().and_then(http_date),
        user: input.metadata.unwrap_or_default().into_iter().collect(),
        ..Notes::default()
    }
}
