//! Reading an object, or what is known of it.

use std::ops::Range as Bytes;
use std::sync::Arc;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::StreamBody;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::Gateway;
use super::conditions::{Conditions, Verdict, failed};
use super::object::{Object, find, open};
use crate::answer::AsStatus;
use crate::call::Call;
use crate::fault::{Fault, code, of_client};
use crate::storage_class;

/// What a request asks of an object besides its name.
struct Asked {
    conditions: Conditions,
    range: Option<Range>,
    part: Option<i32>,
    checksum: bool,
}

/// Which of an object's bytes are given, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    bytes: Bytes<u64>,
    /// Whether they are said to be a part of the whole.
    partial: bool,
    parts: Option<i32>,
}

pub(crate) async fn get(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetObjectInput>,
) -> Result<S3Response<GetObjectOutput>, Fault> {
    let overrides = overrides(&request.input)?;
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let object = open(call, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let asked = Asked {
        conditions: Conditions {
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part: input.part_number,
        checksum: input.checksum_mode.is_some(),
    };
    let given = judge(&object, &asked)?;
    let head = describe(&object, &asked, &given);
    let len = given.bytes.end - given.bytes.start;
    let body = match len {
        0 => s3s::Body::empty(),
        _ => stream(gateway, call, object, given.bytes).await?,
    };
    let output = GetObjectOutput {
        accept_ranges: head.accept_ranges,
        body: Some(StreamingBlob::from(body)),
        cache_control: head.cache_control,
        checksum_crc32: head.checksum_crc32,
        checksum_crc32c: head.checksum_crc32c,
        checksum_crc64nvme: head.checksum_crc64nvme,
        checksum_sha1: head.checksum_sha1,
        checksum_sha256: head.checksum_sha256,
        checksum_type: head.checksum_type,
        content_disposition: head.content_disposition,
        content_encoding: head.content_encoding,
        content_language: head.content_language,
        content_length: head.content_length,
        content_range: head.content_range,
        content_type: head.content_type,
        e_tag: head.e_tag,
        expires: head.expires,
        last_modified: head.last_modified,
        metadata: head.metadata,
        parts_count: head.parts_count,
        storage_class: head.storage_class,
        tag_count: head.tags,
        version_id: head.version_id,
        ..GetObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, overrides))
}

/// The object's bytes. The first are there before the answer begins: what cannot be read is still said by an error.
async fn stream(
    gateway: &Gateway,
    call: &Call,
    object: Object,
    bytes: Bytes<u64>,
) -> Result<s3s::Body, Fault> {
    let held = gateway.budget.read(bytes.end - bytes.start).await?;
    let mut reader = call.client.read_found(object.key, bytes).map_err(of_client)?;
    let first = reader.next().await.map_err(of_client)?;
    let first = futures_util::stream::iter(first.map(Ok));
    let frames = first.chain(reader.into_stream()).map(move |read| {
        // The share is held as long as the stream is.
        let _held = &held;
        match read {
            Ok(bytes) => Ok(http_body::Frame::data(bytes)),
            Err(error) => {
                tracing::error!(%error, "an object's bytes end early");
                Err(error)
            }
        }
    });
    Ok(s3s::Body::http_body_unsync(StreamBody::new(frames)))
}

pub(crate) async fn head(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<HeadObjectInput>,
) -> Result<S3Response<HeadObjectOutput>, Fault> {
    let input = request.input;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let object = find(call, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let asked = Asked {
        conditions: Conditions {
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part: input.part_number,
        checksum: input.checksum_mode.is_some(),
    };
    let given = judge(&object, &asked)?;
    let head = describe(&object, &asked, &given);
    let output = HeadObjectOutput {
        accept_ranges: head.accept_ranges,
        cache_control: head.cache_control,
        checksum_crc32: head.checksum_crc32,
        checksum_crc32c: head.checksum_crc32c,
        checksum_crc64nvme: head.checksum_crc64nvme,
        checksum_sha1: head.checksum_sha1,
        checksum_sha256: head.checksum_sha256,
        checksum_type: head.checksum_type,
        content_disposition: head.content_disposition,
        content_encoding: head.content_encoding,
        content_language: head.content_language,
        content_length: head.content_length,
        content_range: head.content_range,
        content_type: head.content_type,
        e_tag: head.e_tag,
        expires: head.expires,
        last_modified: head.last_modified,
        metadata: head.metadata,
        parts_count: head.parts_count,
        storage_class: head.storage_class,
        version_id: head.version_id,
        ..HeadObjectOutput::default()
    };
    let mut response = S3Response::new(output);
    if given.partial {
        response.extensions.insert(AsStatus(StatusCode::PARTIAL_CONTENT));
    }
    Ok(response)
}

/// What GetObject and HeadObject both say.
#[derive(Default)]
struct Head {
    accept_ranges: Option<String>,
    cache_control: Option<String>,
    checksum_crc32: Option<String>,
    checksum_crc32c: Option<String>,
    checksum_crc64nvme: Option<String>,
    checksum_sha1: Option<String>,
    checksum_sha256: Option<String>,
    checksum_type: Option<ChecksumType>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    content_length: Option<i64>,
    content_range: Option<String>,
    content_type: Option<String>,
    e_tag: Option<ETag>,
    expires: Option<Timestamp>,
    last_modified: Option<Timestamp>,
    metadata: Option<Metadata>,
    parts_count: Option<i32>,
    storage_class: Option<StorageClass>,
    tags: Option<i32>,
    version_id: Option<String>,
}

fn describe(object: &Object, asked: &Asked, given: &Given) -> Head {
    let notes = &object.notes;
    let Bytes { start, end } = given.bytes;
    let mut head = Head {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: notes.cache_control.clone(),
        content_disposition: notes.content_disposition.clone(),
        content_encoding: notes.content_encoding.clone(),
        content_language: notes.content_language.clone(),
        content_length: Some((end - start).cast_signed()),
        content_range: given.partial.then(|| format!("bytes {start}-{}/{}", end - 1, object.key.len)),
        content_type: notes.content_type.clone().or(Some("binary/octet-stream".to_owned())),
        e_tag: Some(object.etag()),
        expires: notes.expires_time(),
        last_modified: Some(object.modified()),
        metadata: (!notes.user.is_empty()).then(|| notes.user.clone().into_iter().collect()),
        parts_count: given.parts,
        version_id: object.version(),
        storage_class: storage_class::shown(notes.storage_class.as_deref()).map(StorageClass::from),
        tags: i32::try_from(object.key.tags.len()).ok().filter(|&count| count > 0),
        ..Head::default()
    };
    // A checksum is of the whole: beside a range it would be taken for the range's.
    if asked.checksum && !given.partial {
        show_checksum!(head, notes.checksum);
    }
    head
}

/// Judges the conditions and finds the bytes that are asked for.
fn judge(object: &Object, asked: &Asked) -> Result<Given, Fault> {
    match asked.conditions.judge(&object.etag(), &object.modified()) {
        Verdict::Proceed => {}
        Verdict::NotModified => {
            return Err(
                Fault::new(S3ErrorCode::NotModified, "Not Modified").detail("ETag", object.etag_text())
            );
        }
        Verdict::Failed(condition) => return Err(failed(condition)),
    }
    let len = object.key.len;
    if let Some(number) = asked.part {
        if asked.range.is_some() {
            let message = "Cannot specify both Range header and partNumber query parameter";
            return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
        }
        return part(&object.key.parts(), len, number);
    }
    let Some(range) = &asked.range else { return Ok(Given { bytes: 0..len, partial: false, parts: None }) };
    let unsatisfiable = |_| {
        Fault::new(S3ErrorCode::InvalidRange, "The requested range is not satisfiable")
            .detail("RangeRequested", range.to_header_string())
            .detail("ActualObjectSize", len.to_string())
    };
    if len == 0 {
        // The last bytes of nothing.
        return match range {
            Range::Suffix { length } if *length > 0 => Ok(Given { bytes: 0..0, partial: false, parts: None }),
            _ => Err(unsatisfiable(())),
        };
    }
    let bytes = range.check(len).map_err(|_| unsatisfiable(()))?;
    Ok(Given { bytes, partial: true, parts: None })
}

/// The bytes of part `number`. An object that was put as one has one part.
fn part(parts: &[(u32, u64)], len: u64, number: i32) -> Result<Given, Fault> {
    if !(1..=10_000).contains(&number) {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        return Err(Fault::argument("partNumber", number.to_string(), message));
    }
    let unsatisfiable =
        || Fault::new(code("InvalidPartNumber"), "The requested partnumber is not satisfiable");
    if parts.is_empty() {
        return match number {
            1 => Ok(Given { bytes: 0..len, partial: len > 0, parts: None }),
            _ => Err(unsatisfiable()),
        };
    }
    // Parts are counted as they lie in the object: gaps between their numbers are gone.
    let at = usize::try_from(number).expect("it was compared with its bounds") - 1;
    let (_, part_len) = parts.get(at).ok_or_else(unsatisfiable)?;
    let start: u64 = parts[..at].iter().map(|(_, len)| len).sum();
    let count = i32::try_from(parts.len()).ok();
    Ok(Given { bytes: start..start + part_len, partial: *part_len > 0, parts: count })
}

/// The headers that a request wants instead of the object's own.
fn overrides(input: &GetObjectInput) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    let expires = input.response_expires.as_ref().and_then(crate::notes::http_date);
    for (name, value) in [
        (http::header::CONTENT_TYPE, &input.response_content_type),
        (http::header::CONTENT_LANGUAGE, &input.response_content_language),
        (http::header::CACHE_CONTROL, &input.response_cache_control),
        (http::header::CONTENT_DISPOSITION, &input.response_content_disposition),
        (http::header::CONTENT_ENCODING, &input.response_content_encoding),
        (http::header::EXPIRES, &expires),
    ] {
        let Some(value) = value else { continue };
        let given = HeaderValue::from_str(value)
            .map_err(|_| Fault::argument("response-header", value.clone(), "This value is no header's"))?;
        headers.insert(name, given);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_they_lie() {
        let parts = [(2, 5), (7, 3)];
        assert_eq!(part(&parts, 8, 1).unwrap(), Given { bytes: 0..5, partial: true, parts: Some(2) });
        assert_eq!(part(&parts, 8, 2).unwrap().bytes, 5..8);
        assert_eq!(part(&parts, 8, 3).unwrap_err().code, code("InvalidPartNumber"));
        assert_eq!(part(&parts, 8, 0).unwrap_err().code, S3ErrorCode::InvalidArgument);
        assert_eq!(part(&[], 8, 1).unwrap().bytes, 0..8);
        assert_eq!(part(&[], 8, 2).unwrap_err().code, code("InvalidPartNumber"));
    }
}
