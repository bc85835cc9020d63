//! Parts: from a request's body, or from an object that is there.

use std::ops::Range as Bytes;
use std::sync::Arc;

use allotrope_client::PartOfUpload;
use s3s::dto::*;
use s3s::{S3Request, S3Response};

use super::{PartNote, part_number};
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::intake::Intake;
use crate::intake::checksum::Algorithm;
use crate::intake::promise::BodyChecksum;
use crate::notes::Notes;
use crate::ops::conditions::Conditions;
use crate::ops::copy::{SOURCE_LEN_MAX, Source, intake};
use crate::ops::{Gateway, timestamp};

pub(crate) async fn upload(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<UploadPartInput>,
) -> Result<S3Response<UploadPartOutput>, Fault> {
    let input = request.input;
    let number = part_number(input.part_number)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let _held = gateway.budget.write(input.content_length.and_then(|len| u64::try_from(len).ok())).await?;
    let intake = call.intake(input.body, BodyChecksum::Noted(Algorithm::Crc64Nvme), &gateway.pool)?;
    let part = PartOfUpload { upload: input.upload_id, number };
    let note = write(call, &input.bucket, &input.key, part, intake).await?;
    let mut output =
        UploadPartOutput { e_tag: Some(ETag::Strong(note.etag.clone())), ..UploadPartOutput::default() };
    show_part_checksum!(output, note.checksum);
    Ok(S3Response::new(output))
}

async fn write(
    call: &Call,
    bucket: &str,
    key: &str,
    part: PartOfUpload,
    mut intake: Intake,
) -> Result<PartNote, Fault> {
    let key = call.key(bucket, key);
    let mut writer = call.client.write_part(&key, part, intake.announced()).await.map_err(of_client)?;
    intake.pour(&mut writer).await?;
    let note = PartNote::of(&intake.finish()?);
    let noted = Notes { etag: Some(note.text()), ..Notes::default() };
    writer.finish_noting(&noted.metadata()).await.map_err(of_client)?;
    Ok(note)
}

pub(crate) async fn copy(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<UploadPartCopyInput>,
) -> Result<S3Response<UploadPartCopyOutput>, Fault> {
    let input = request.input;
    let number = part_number(input.part_number)?;
    let source = Source::read(input.copy_source)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.check_owner(&source.bucket, input.expected_source_bucket_owner.as_deref()).await?;
    let conditions = Conditions {
        matches: input.copy_source_if_match,
        none_matches: input.copy_source_if_none_match,
        modified_since: input.copy_source_if_modified_since,
        unmodified_since: input.copy_source_if_unmodified_since,
    };
    let object = source.open(call, &conditions).await?;
    let bytes = range(input.copy_source_range.as_deref(), object.key.len)?;
    let _held = gateway.budget.write(Some(bytes.end - bytes.start)).await?;
    let intake = intake(gateway, call, object, bytes, None)?;
    let part = PartOfUpload { upload: input.upload_id, number };
    let note = write(call, &input.bucket, &input.key, part, intake).await?;
    let mut result = CopyPartResult {
        e_tag: Some(ETag::Strong(note.etag.clone())),
        last_modified: Some(now()),
        ..CopyPartResult::default()
    };
    show_part_checksum!(result, note.checksum);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: source.version,
        ..UploadPartCopyOutput::default()
    }))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The bytes of the source that a part takes: `bytes=first-last`, both within the source.
fn range(text: Option<&str>, len: u64) -> Result<Bytes<u64>, Fault> {
    let found = match text {
        None => 0..len,
        Some(text) => {
            let wrong = |why: &str| Fault::argument("x-amz-copy-source-range", text, why);
            let form = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are \
                        the zero-based offsets of the first and last bytes to copy";
            match Range::parse(text) {
                Ok(Range::Int { first, last: Some(last) }) if last < len => first..last + 1,
                Ok(Range::Int { last: Some(_), .. }) => {
                    return Err(wrong(&format!(
                        "Range specified is not valid for source object of size: {len}"
                    )));
                }
                _ => return Err(wrong(form)),
            }
        }
    };
    if found.end - found.start > SOURCE_LEN_MAX {
        let message = format!(
            "The specified copy source is larger than the maximum allowable size for a copy source: {SOURCE_LEN_MAX}"
        );
        return Err(Fault::new(s3s::S3ErrorCode::InvalidRequest, message));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_parts_source_range_lies_in_the_source() {
        assert_eq!(range(None, 7).unwrap(), 0..7);
        assert_eq!(range(Some("bytes=2-6"), 7).unwrap(), 2..7);
        for text in ["bytes=2-7", "bytes=2-", "bytes=-2", "2-3", "bytes=3-2"] {
            assert!(range(Some(text), 7).is_err(), "{text}");
        }
    }
}
