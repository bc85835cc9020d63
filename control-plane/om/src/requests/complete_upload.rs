//! CompleteMultiPartUpload: the parts that the client lists become the key.

use std::collections::BTreeMap;

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::{
    KeyInfo, MultipartUploadCompleteResponse, OmRequest, OmResponse, Part, PartKeyInfo,
};
use md5::{Digest as _, Md5};

use super::open::{etag, expected_generation, version_zero};
use super::parts::upload;
use crate::namespace::{keys, lease, versions};
use crate::refusal::{Refusal, refuse};
use crate::tables::UPLOADS;
use crate::tx::Tx;

/// The least size of a part that is not the last, in bytes: S3's.
const PART_LEN_MIN: u64 = 5 << 20;

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.complete_multi_part_upload_request.take().unwrap_or_default();
    let args = asked.key_args;
    let (mut bucket, name, row, upload) = upload(tx.db(), &args)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if !target.has_parent() {
        refuse!(DirectoryNotFound, "the directory of {name} does not exist");
    }
    if target.is_directory() {
        refuse!(NotAFile, "{name} has become a directory");
    }
    expected_generation(&args, target.existing.as_ref())?;
    let session = target.place.upload_session(&upload.upload_id);
    let Some(open) = session.get(tx.db())? else {
        refuse!(NoSuchMultipartUploadError, "key {name} has no multipart upload {:?}", upload.upload_id)
    };
    // The hash, and the number in it, cover all parts that were uploaded, as Ozone has it.
    let hash = hash(&upload.part_key_info_list);
    let counted = counted(&upload.part_key_info_list)?;
    let (chosen, unused) = choose(&name, &asked.parts_list, upload.part_key_info_list)?;
    let (key, hash) = joined(open, chosen, hash, &args.metadata, tx);
    bucket.charge(tx, -counted, 0);
    if let Some(other) = &target.existing {
        lease::orphan(tx, &target.place, other, lease::OVERWRITTEN)?;
    }
    let number = tx.number();
    let (_, gone) = versions::store(tx, &mut bucket, &target.place, target.existing, key, number)?;
    session.delete(tx);
    tx.delete(UPLOADS, &row);
    target.place.bury(tx, &bucket, gone.into_iter().chain(unused).collect())?;
    let response = MultipartUploadCompleteResponse {
        volume: Some(args.volume_name),
        bucket: Some(args.bucket_name),
        key: Some(args.key_name),
        hash: Some(hash),
    };
    Ok(OmResponse { complete_multi_part_upload_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// The uploaded parts that `list` names, in its order, and those that it leaves out.
fn choose(
    name: &str,
    list: &[Part],
    uploaded: Vec<PartKeyInfo>,
) -> Result<(Vec<KeyInfo>, Vec<KeyInfo>), Refusal> {
    if list.is_empty() {
        refuse!(InvalidRequest, "the completion of key {name} lists no part");
    }
    if !list.is_sorted_by(|a, b| a.part_number < b.part_number) {
        refuse!(InvalidPartOrder, "the parts of key {name} are not listed in rising order");
    }
    let by_etag = list.iter().all(|part| part.e_tag.is_some());
    let mut uploaded: BTreeMap<u32, PartKeyInfo> =
        uploaded.into_iter().map(|part| (part.part_number, part)).collect();
    let mut chosen = Vec::with_capacity(list.len());
    for (index, part) in list.iter().enumerate() {
        let number = part.part_number;
        let Some(found) = uploaded.remove(&number) else {
            refuse!(InvalidPart, "key {name} has no part {number}")
        };
        let matches = match by_etag {
            true => {
                let given = part.e_tag().trim_matches('"');
                given == found.part_name
                    || etag(&found.part_key_info).map(|e| e.trim_matches('"')) == Some(given)
            }
            false => part.part_name == found.part_name,
        };
        if !matches {
            refuse!(InvalidPart, "part {number} of key {name} is another one than the completion lists");
        }
        let len = found.part_key_info.data_size;
        if index + 1 < list.len() && len < PART_LEN_MIN {
            refuse!(
                EntityTooSmall,
                "part {number} of key {name} has {len} bytes; only the last may have less than 5 MiB"
            );
        }
        chosen.push(found.part_key_info);
    }
    Ok((chosen, uploaded.into_values().map(|part| part.part_key_info).collect()))
}

/// The hash of the ETags of `parts`, and how many they are.
fn hash(parts: &[PartKeyInfo]) -> String {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(etag(&part.part_key_info).unwrap_or(&part.part_name).trim_matches('"').as_bytes());
    }
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}-{}", parts.len())
}

/// The key made of `parts`, and its ETag: the one that the client notes with it, or `hash`.
fn joined(
    open: KeyInfo,
    parts: Vec<KeyInfo>,
    hash: String,
    noted: &[KeyValue],
    tx: &Tx<'_>,
) -> (KeyInfo, String) {
    let data_size = parts.iter().map(|part| part.data_size).fold(0, u64::saturating_add);
    let lists = parts.into_iter().flat_map(|part| part.key_location_list);
    let mut list = version_zero(lists.flat_map(|list| list.key_locations).collect());
    list.is_multipart_key = Some(true);
    let mut metadata = open.metadata;
    let hash = KeyValue { key: "ETag".to_owned(), value: Some(hash) };
    for pair in std::iter::once(&hash).chain(noted) {
        metadata.retain(|old| old.key != pair.key);
        metadata.push(pair.clone());
    }
    let key = KeyInfo {
        data_size,
        metadata,
        modification_time: tx.now_ms,
        update_id: Some(tx.number()),
        key_location_list: vec![list],
        ..open
    };
    let etag = etag(&key).unwrap_or_default().to_owned();
    (key, etag)
}

/// The bytes that `parts` were counted with when they came.
fn counted(parts: &[PartKeyInfo]) -> Result<i64, Refusal> {
    let mut bytes = 0u64;
    for part in parts {
        bytes = bytes.saturating_add(keys::size_on_disk(&part.part_key_info)?);
    }
    keys::signed(bytes)
}
