//! Uploads: begin, list their parts, abort.

use std::sync::Arc;

use allotrope_client::PutOptions;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::PartNote;
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::notes::{Notes, content_encoding, http_date};
use crate::ops::put::tags_of_header;
use crate::ops::{Gateway, count, owner, timestamp};
use crate::storage_class;

/// Parts, or uploads, of one answer.
const PAGE: u16 = 1000;

pub(crate) async fn create(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<CreateMultipartUploadInput>,
) -> Result<S3Response<CreateMultipartUploadOutput>, Fault> {
    let input = request.input;
    let storage_class = input.storage_class.map(|class| class.as_str().to_owned());
    let replication = storage_class::replication(storage_class.as_deref())?;
    let notes = Notes {
        content_type: input.content_type,
        content_encoding: content_encoding(input.content_encoding),
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires.as_ref().and_then(http_date),
        storage_class,
        user: input.metadata.unwrap_or_default().into_iter().collect(),
        ..Notes::default()
    };
    notes.check()?;
    let tags = input.tagging.map(|text| tags_of_header(&text)).transpose()?.unwrap_or_default();
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let options = PutOptions { replication, metadata: notes.metadata(), tags, ..PutOptions::default() };
    let key = call.key(&input.bucket, &input.key);
    let upload_id = call.client.start_upload(&key, options).await.map_err(of_client)?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload_id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(crate) async fn abort(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<AbortMultipartUploadInput>,
) -> Result<S3Response<AbortMultipartUploadOutput>, Fault> {
    let input = request.input;
    if input.if_match_initiated_time.is_some() {
        return Err(Fault::not_implemented("AbortMultipartUpload with x-amz-if-match-initiated-time"));
    }
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    call.client.abort_upload(&key, &input.upload_id).await.map_err(of_client)?;
    Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(crate) async fn list_parts(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListPartsInput>,
) -> Result<S3Response<ListPartsOutput>, Fault> {
    let input = request.input;
    let count_max = count("max-parts", input.max_parts, PAGE)?;
    let after = input.part_number_marker.unwrap_or(0);
    let after_number = u32::try_from(after).map_err(|_| {
        Fault::argument(
            "part-number-marker",
            after.to_string(),
            "Argument part-number-marker must be positive",
        )
    })?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    // A page of none still says whether the upload is there.
    let asked = u32::from(count_max.max(1));
    let mut page =
        call.client.list_parts(&key, &input.upload_id, after_number, asked).await.map_err(of_client)?;
    if count_max == 0 {
        page.more = false;
        page.parts.clear();
    }
    let last = page.parts.last().and_then(|part| i32::try_from(part.number).ok()).filter(|_| page.more);
    let parts = page.parts.into_iter().map(|part| {
        let note = PartNote::read(part.etag.as_deref().unwrap_or_default());
        let mut shown = Part {
            e_tag: Some(ETag::Strong(note.etag)),
            last_modified: Some(timestamp(part.modified_ms)),
            part_number: i32::try_from(part.number).ok(),
            size: Some(part.len.cast_signed()),
            ..Part::default()
        };
        show_part_checksum!(shown, note.checksum);
        shown
    });
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        initiator: Some(initiator(&call.user)),
        owner: Some(owner(&call.user)),
        is_truncated: Some(page.more),
        max_parts: Some(i32::from(count_max)),
        next_part_number_marker: last,
        part_number_marker: Some(after),
        parts: Some(parts.collect()),
        storage_class: Some(StorageClass::from(storage_class::listed(page.replication).to_owned())),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn initiator(name: &str) -> Initiator {
    Initiator { display_name: Some(name.to_owned()), id: Some(name.to_owned()) }
}
