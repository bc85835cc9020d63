//! Completing an upload: the parts that the client lists become the object.
//!
//! Law     the ETag is S3's: the MD5 of the listed parts' MD5s, and how many they are. The checksum is of the whole object where
//!         its kind can be joined and that is wanted, else of the parts' checksums.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_client::{KeyPath, ListedPart, PutOptions};
use md5::{Digest as _, Md5};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::PartNote;
use crate::auth::sigv4::hex;
use crate::call::Call;
use crate::fault::{Fault, INVALID_PART, of_client};
use crate::intake::checksum::{Algorithm, Checksum};
use crate::notes::{NotedChecksum, Notes};
use crate::ops::Gateway;
use crate::ops::conditions::WriteCondition;
use crate::ops::versions::{self, Versioning};

/// The least size of a part that is not the last.
const PART_LEN_MIN: u64 = 5 << 20;
/// Parts of one object.
const PARTS_MAX: usize = 10_000;

/// A part that was uploaded and is listed.
#[derive(Clone, Debug)]
struct Chosen {
    number: u32,
    len: u64,
    /// As OM keeps it.
    text: String,
    note: PartNote,
}

pub(crate) async fn complete(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<CompleteMultipartUploadInput>,
) -> Result<S3Response<CompleteMultipartUploadOutput>, Fault> {
    let headers = request.headers;
    let input = request.input;
    let condition = WriteCondition::read(input.if_match, input.if_none_match)?;
    let wanted = listed(input.multipart_upload)?;
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let key = call.key(&input.bucket, &input.key);
    let uploaded = uploaded(call, &key, &input.upload_id).await?;
    let chosen = choose(&wanted, &uploaded)?;
    let len: u64 = chosen.iter().map(|part| part.len).sum();
    if input.mpu_object_size.is_some_and(|size| size != len.cast_signed()) {
        let message = "The provided 'x-amz-mp-object-size' header does not match what was computed.";
        return Err(Fault::new(S3ErrorCode::InvalidRequest, message));
    }
    let given = given_checksum(&headers)?;
    let whole = match input.checksum_type.as_ref().map(ChecksumType::as_str) {
        Some(ChecksumType::FULL_OBJECT) => true,
        Some(ChecksumType::COMPOSITE) => false,
        _ => given.as_ref().is_some_and(|(_, text)| !text.contains('-')),
    };
    let checksum = checksum(&chosen, whole);
    if let (Some((algorithm, text)), Some(found)) = (&given, &checksum)
        && (*algorithm != found.algorithm || *text != found.text)
    {
        let message =
            format!("The {} you specified did not match the calculated checksum.", algorithm.name());
        return Err(Fault::new(S3ErrorCode::BadDigest, message));
    }
    let notes = Notes { etag: Some(etag(&chosen)), checksum, ..Notes::default() };
    let parts = chosen.into_iter().map(|part| (part.number, part.text)).collect();
    let options = PutOptions {
        metadata: notes.metadata(),
        generation: condition.generation,
        etag: condition.etag,
        ..PutOptions::default()
    };
    call.client.complete_upload(&key, &input.upload_id, parts, options).await.map_err(of_client)?;
    let version_id = match call.versioning(&input.bucket).await? {
        Versioning::Off => None,
        // Its number is OM's alone.
        _ => versions::id(&call.client.head_key(&key, None).await.map_err(of_client)?.metadata),
    };
    let mut output = CompleteMultipartUploadOutput {
        version_id,
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: notes.etag.clone().map(ETag::Strong),
        ..CompleteMultipartUploadOutput::default()
    };
    show_checksum!(output, notes.checksum);
    Ok(S3Response::new(output))
}

/// The parts that the client lists, in order.
fn listed(upload: Option<CompletedMultipartUpload>) -> Result<Vec<CompletedPart>, Fault> {
    let parts = upload.and_then(|upload| upload.parts).unwrap_or_default();
    let malformed = || {
        let message =
            "The XML you provided was not well-formed or did not validate against our published schema";
        Fault::new(S3ErrorCode::MalformedXML, message)
    };
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    if parts.iter().any(|part| part.part_number.is_none()) {
        return Err(malformed());
    }
    for part in &parts {
        super::part_number(part.part_number.unwrap_or(0))?;
    }
    if !parts.is_sorted_by(|a, b| a.part_number < b.part_number) {
        let message = "The list of parts was not in ascending order. The parts list must be specified in order by part \
                       number.";
        return Err(Fault::new(S3ErrorCode::InvalidPartOrder, message));
    }
    Ok(parts)
}

async fn uploaded(call: &Call, key: &KeyPath, upload: &str) -> Result<BTreeMap<u32, ListedPart>, Fault> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(0, |(number, _)| *number);
        let page = call.client.list_parts(key, upload, after, 1000).await.map_err(of_client)?;
        let more = page.more && !page.parts.is_empty();
        found.extend(page.parts.into_iter().map(|part| (part.number, part)));
        if !more {
            return Ok(found);
        }
    }
}

fn choose(wanted: &[CompletedPart], uploaded: &BTreeMap<u32, ListedPart>) -> Result<Vec<Chosen>, Fault> {
    let mut chosen = Vec::with_capacity(wanted.len());
    for part in wanted {
        let number = part.part_number.unwrap_or(0).cast_unsigned();
        let invalid =
            || Fault::new(S3ErrorCode::InvalidPart, INVALID_PART).detail("PartNumber", number.to_string());
        let found = uploaded.get(&number).ok_or_else(invalid)?;
        let text = found.etag.clone().unwrap_or_default();
        let note = PartNote::read(&text);
        if part.e_tag.as_ref().is_some_and(|etag| etag.value() != note.etag) {
            return Err(invalid());
        }
        if let Some((algorithm, text)) = part_checksum(part)
            && note.checksum.as_ref().is_some_and(|sum| sum.algorithm == algorithm && sum.text() != text)
        {
            return Err(invalid());
        }
        chosen.push(Chosen { number, len: found.len, text, note });
    }
    let but_last = &chosen[..chosen.len().saturating_sub(1)];
    if let Some(small) = but_last.iter().find(|part| part.len < PART_LEN_MIN) {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(Fault::new(S3ErrorCode::EntityTooSmall, message)
            .detail("ProposedSize", small.len.to_string())
            .detail("MinSizeAllowed", PART_LEN_MIN.to_string())
            .detail("PartNumber", small.number.to_string())
            .detail("ETag", small.note.etag.clone()));
    }
    Ok(chosen)
}

fn part_checksum(part: &CompletedPart) -> Option<(Algorithm, &str)> {
    let given = [
        (Algorithm::Crc32, &part.checksum_crc32),
        (Algorithm::Crc32c, &part.checksum_crc32c),
        (Algorithm::Crc64Nvme, &part.checksum_crc64nvme),
        (Algorithm::Sha1, &part.checksum_sha1),
        (Algorithm::Sha256, &part.checksum_sha256),
    ];
    given.into_iter().find_map(|(algorithm, text)| Some((algorithm, text.as_deref()?)))
}

/// The checksum of the object that the request's headers bring.
fn given_checksum(headers: &http::HeaderMap) -> Result<Option<(Algorithm, String)>, Fault> {
    let given = Algorithm::ALL.into_iter().find_map(|algorithm| {
        let text = headers.get(algorithm.header())?.to_str().ok()?;
        Some((algorithm, text.to_owned()))
    });
    Ok(given)
}

/// The MD5 of the parts' MD5s, and how many they are.
fn etag(parts: &[Chosen]) -> String {
    let mut hasher = Md5::new();
    for part in parts {
        match part.note.md5() {
            Some(md5) => hasher.update(md5),
            None => hasher.update(part.note.etag.as_bytes()),
        }
    }
    format!("{}-{}", hex(&hasher.finalize()), parts.len())
}

/// The object's checksum from its parts', if these are all of one kind.
fn checksum(parts: &[Chosen], whole: bool) -> Option<NotedChecksum> {
    let sums: Vec<(Checksum, u64)> =
        parts.iter().map(|part| Some((part.note.checksum.clone()?, part.len))).collect::<Option<_>>()?;
    let algorithm = sums.first()?.0.algorithm;
    if sums.iter().any(|(sum, _)| sum.algorithm != algorithm) {
        return None;
    }
    // S3 knows no composite CRC64NVME.
    if whole || algorithm == Algorithm::Crc64Nvme {
        return Checksum::whole(&sums).map(Into::into);
    }
    let sums: Vec<Checksum> = sums.into_iter().map(|(sum, _)| sum).collect();
    let text = Checksum::composite(&sums)?;
    Some(NotedChecksum { algorithm, text, composite: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploaded(lens: &[u64]) -> BTreeMap<u32, ListedPart> {
        let part = |(at, &len): (usize, &u64)| {
            let number = 2 * at as u32 + 1;
            let etag = Some(format!("{:032x}:CRC32=y/Q5Jg==", number));
            (number, ListedPart { number, name: String::new(), len, modified_ms: 0, etag })
        };
        lens.iter().enumerate().map(part).collect()
    }

    fn wanted(numbers: &[i32]) -> Vec<CompletedPart> {
        let part = |&number: &i32| CompletedPart {
            part_number: Some(number),
            e_tag: Some(ETag::Strong(format!("{number:032x}"))),
            ..CompletedPart::default()
        };
        numbers.iter().map(part).collect()
    }

    #[test]
    fn parts_are_chosen_by_number_and_etag() {
        let there = uploaded(&[PART_LEN_MIN, PART_LEN_MIN - 1, 7]);
        let code = |numbers: &[i32]| choose(&wanted(numbers), &there).unwrap_err().code;
        assert_eq!(choose(&wanted(&[1, 5]), &there).unwrap().len(), 2);
        assert_eq!(choose(&wanted(&[3]), &there).unwrap().len(), 1);
        assert_eq!(code(&[1, 2]), S3ErrorCode::InvalidPart);
        assert_eq!(code(&[3, 5]), S3ErrorCode::EntityTooSmall);
        let mut other = wanted(&[1]);
        other[0].e_tag = Some(ETag::Strong("0".repeat(32)));
        assert_eq!(choose(&other, &there).unwrap_err().code, S3ErrorCode::InvalidPart);
        let mut other = wanted(&[1]);
        other[0].checksum_crc32 = Some("AAAAAA==".to_owned());
        assert_eq!(choose(&other, &there).unwrap_err().code, S3ErrorCode::InvalidPart);
    }

    #[test]
    fn a_list_of_parts_is_in_order_and_of_some_length() {
        let list = |numbers: &[i32]| listed(Some(CompletedMultipartUpload { parts: Some(wanted(numbers)) }));
        let code = |numbers: &[i32]| list(numbers).unwrap_err().code;
        assert!(list(&[1, 3, 10_000]).is_ok());
        assert_eq!(code(&[]), S3ErrorCode::MalformedXML);
        assert_eq!(code(&[2, 1]), S3ErrorCode::InvalidPartOrder);
        assert_eq!(code(&[1, 1]), S3ErrorCode::InvalidPartOrder);
        assert_eq!(code(&[0]), S3ErrorCode::InvalidArgument);
        assert_eq!(code(&(1..=10_001).collect::<Vec<_>>()), S3ErrorCode::MalformedXML);
    }

    #[test]
    fn an_etag_is_that_of_the_listed_parts_alone() {
        let there = uploaded(&[PART_LEN_MIN, 3]);
        let one = etag(&choose(&wanted(&[1]), &there).unwrap());
        // printf '%032x' 1 | xxd -r -p | md5sum
        assert!(one.ends_with("-1") && one != etag(&choose(&wanted(&[3]), &there).unwrap()), "{one}");
        let both = choose(&wanted(&[1, 3]), &there).unwrap();
        assert!(etag(&both).ends_with("-2"));
        assert!(checksum(&both, false).unwrap().text.ends_with("-2"));
        assert!(!checksum(&both, true).unwrap().text.contains('-'));
    }
}
