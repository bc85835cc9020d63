//! Putting an object: its bytes go to the cluster while they are hashed, and count when both are done.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_client::{KeyWriter, PutOptions};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::Gateway;
use super::conditions::WriteCondition;
use crate::auth::sigv4::{hex, query_pairs};
use crate::call::Call;
use crate::fault::{Fault, code, of_client};
use crate::intake::checksum::Algorithm;
use crate::intake::promise::BodyChecksum;
use crate::intake::{Intake, Taken};
use crate::notes::{Notes, content_encoding, http_date};
use crate::storage_class;

/// Tags of one object.
const TAGS_MAX: usize = 10;

pub(crate) async fn put(
    gateway: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutObjectInput>,
) -> Result<S3Response<PutObjectOutput>, Fault> {
    let input = request.input;
    let condition = WriteCondition::read(input.if_match, input.if_none_match)?;
    let storage_class = input.storage_class.map(|class| class.as_str().to_owned());
    let replication = storage_class::replication(storage_class.as_deref())?;
    let mut notes = Notes {
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
    let versioning = call.versioning(&input.bucket).await?;
    let _held = gateway.budget.write(input.content_length.and_then(|len| u64::try_from(len).ok())).await?;
    let mut intake = call.intake(input.body, BodyChecksum::Noted(Algorithm::Crc64Nvme), &gateway.pool)?;
    let options = PutOptions {
        replication,
        len: intake.announced(),
        metadata: notes.metadata(),
        tags,
        generation: condition.generation,
        etag: condition.etag,
    };
    let key = call.key(&input.bucket, &input.key);
    let mut writer = call.client.write_key(&key, options).await.map_err(of_client)?;
    intake.pour(&mut writer).await?;
    let taken = intake.finish()?;
    let version_id = versioning.written(writer.session());
    let etag = finish(writer, &mut notes, &taken).await?;
    let mut output =
        PutObjectOutput { e_tag: Some(ETag::Strong(etag)), version_id, ..PutObjectOutput::default() };
    show_checksum!(output, notes.checksum);
    Ok(S3Response::new(output))
}

/// Makes the object visible, with what is known only now. Gives its ETag.
pub(crate) async fn finish(writer: KeyWriter, notes: &mut Notes, taken: &Taken) -> Result<String, Fault> {
    let etag = hex(&taken.md5);
    notes.etag = Some(etag.clone());
    notes.checksum = taken.checksum.clone().map(Into::into);
    let late = Notes { etag: notes.etag.clone(), checksum: notes.checksum.clone(), ..Notes::default() };
    writer.finish_noting(&late.metadata()).await.map_err(of_client)?;
    Ok(etag)
}

impl Intake {
    /// Reads the body to its end: each batch is written and hashed while the next comes in.
    pub(crate) async fn pour(&mut self, writer: &mut KeyWriter) -> Result<(), Fault> {
        let mut batch = self.next().await?;
        while let Some(now) = batch.take() {
            let data = now.data();
            let write = async {
                for bytes in data {
                    writer.write(bytes).await.map_err(of_client)?;
                }
                Ok(())
            };
            let (next, ()) = tokio::try_join!(self.next_while_hashing(now), write)?;
            batch = next;
        }
        Ok(())
    }
}

/// Reads `a=1&b=2`.
pub(crate) fn tags_of_header(text: &str) -> Result<BTreeMap<String, String>, Fault> {
    let malformed = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                       without tag name duplicates.";
        Fault::argument("x-amz-tagging", text, message)
    };
    let pairs = query_pairs(text).ok_or_else(malformed)?;
    let count = pairs.len();
    let tags: BTreeMap<String, String> = pairs.into_iter().collect();
    if tags.len() != count {
        return Err(malformed());
    }
    check_tags(&tags, TAGS_MAX)?;
    Ok(tags)
}

/// Refuses what S3 refuses as tags.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>, most: usize) -> Result<(), Fault> {
    if tags.len() > most {
        let message = format!("Object tags cannot be greater than {most}");
        return Err(Fault::new(code("BadRequest"), message));
    }
    for (name, value) in tags {
        if name.is_empty() || name.chars().count() > 128 {
            return Err(Fault::new(S3ErrorCode::InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(Fault::new(S3ErrorCode::InvalidTag, "The TagValue you have provided is invalid"));
        }
        if name.starts_with("aws:") {
            let message = "Your TagKey cannot be prefixed with aws:";
            return Err(Fault::new(S3ErrorCode::InvalidTag, message));
        }
    }
    Ok(())
}
