//! Versions: whether a bucket keeps them, and what there is of them.

use std::sync::Arc;

use allotrope_client::{Bucket, DELETE_MARKER, Key, VERSION_ID};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::list::Spelling;
use super::walk::{LAST, rolled_up};
use super::{Gateway, buckets, count, owner, timestamp};
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::notes::Notes;
use crate::storage_class;

/// Versions of one answer.
const PAGE: u16 = 1000;
/// The id of what was written without versioning.
pub(crate) const NULL: &str = "null";
/// Metadata of a bucket whose versioning was on and is off.
const STATUS: &str = "ozone-s3-internal-versioning";

/// What a bucket does with what is written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    Off,
    Enabled,
    Suspended,
}

impl Versioning {
    pub(crate) fn of(bucket: &Bucket) -> Versioning {
        match bucket.versioning {
            true => Versioning::Enabled,
            false if bucket.metadata.contains_key(STATUS) => Versioning::Suspended,
            false => Versioning::Off,
        }
    }

    /// The id of the version that the write of `session` becomes.
    pub(crate) fn written(self, session: u64) -> Option<String> {
        match self {
            Versioning::Off => None,
            Versioning::Enabled => Some(format!("{session:016x}")),
            Versioning::Suspended => Some(NULL.to_owned()),
        }
    }
}

/// The version's id in a key's metadata, as S3 shows it. A key that was never in a bucket with versions has none.
pub(crate) fn id(metadata: &std::collections::BTreeMap<String, String>) -> Option<String> {
    let text = metadata.get(VERSION_ID)?;
    Some(if text.starts_with(NULL) { NULL.to_owned() } else { text.clone() })
}

pub(crate) fn is_marker(metadata: &std::collections::BTreeMap<String, String>) -> bool {
    metadata.contains_key(DELETE_MARKER)
}

/// What S3 says to a version that is not there.
pub(crate) fn no_such_version(version: &str) -> Fault {
    Fault::new(S3ErrorCode::NoSuchVersion, "The specified version does not exist.")
        .detail("VersionId", version)
}

/// Refuses what cannot be the id of a version: 16 hex digits, or `null`.
pub(crate) fn check_id(version: Option<&str>) -> Result<(), Fault> {
    match version {
        None | Some(NULL) => Ok(()),
        Some(text) if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(()),
        Some(text) => Err(Fault::argument("versionId", text, "Invalid version id specified")),
    }
}

pub(crate) async fn get(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<GetBucketVersioningInput>,
) -> Result<S3Response<GetBucketVersioningOutput>, Fault> {
    let input = request.input;
    let found = buckets::find(call, &input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let status = match Versioning::of(&found) {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
    };
    Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
}

pub(crate) async fn put(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<PutBucketVersioningInput>,
) -> Result<S3Response<PutBucketVersioningOutput>, Fault> {
    let input = request.input;
    let config = input.versioning_configuration;
    if config.mfa_delete.is_some_and(|mfa| mfa.as_str() == MFADelete::ENABLED) {
        return Err(Fault::not_implemented("PutBucketVersioning with MFA delete"));
    }
    let enabled = match config.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => true,
        Some(BucketVersioningStatus::SUSPENDED) => false,
        _ => {
            let message = "The Versioning element must be specified";
            return Err(Fault::new(S3ErrorCode::IllegalVersioningConfigurationException, message));
        }
    };
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    call.client.set_versioning(&call.bucket(&input.bucket), enabled).await.map_err(of_client)?;
    call.forget_versioning(&input.bucket);
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

pub(crate) async fn list(
    _: &Gateway,
    call: &Arc<Call>,
    request: S3Request<ListObjectVersionsInput>,
) -> Result<S3Response<ListObjectVersionsOutput>, Fault> {
    let input = request.input;
    let spelling = Spelling::read(input.encoding_type.as_ref())?;
    let count_max = count("max-keys", input.max_keys, PAGE)?;
    let delimiter = input.delimiter.unwrap_or_default();
    let (key_marker, id_marker) =
        (input.key_marker.unwrap_or_default(), input.version_id_marker.unwrap_or_default());
    if key_marker.is_empty() && !id_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(Fault::argument("version-id-marker", id_marker, message));
    }
    call.check_owner(&input.bucket, input.expected_bucket_owner.as_deref()).await?;
    let prefix = input.prefix.unwrap_or_default();
    let wish = Wish {
        prefix: &prefix,
        delimiter: &delimiter,
        after: (&key_marker, &id_marker),
        count_max: usize::from(count_max),
    };
    let found = walk(call, &input.bucket, wish).await?;
    let (next_key, next_id) = found.next.clone().unzip();
    let mut output = ListObjectVersionsOutput {
        common_prefixes: Some(
            found.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(spelling.of(prefix)) }).collect(),
        ),
        delimiter: spelling.some(&delimiter),
        encoding_type: spelling.named(),
        is_truncated: Some(found.next.is_some()),
        key_marker: Some(spelling.of(&key_marker)),
        max_keys: Some(i32::from(count_max)),
        name: Some(input.bucket),
        next_key_marker: next_key.map(|key| spelling.of(&key)),
        next_version_id_marker: next_id.filter(|id| !id.is_empty()),
        prefix: Some(spelling.of(&prefix)),
        version_id_marker: Some(id_marker),
        ..ListObjectVersionsOutput::default()
    };
    let (markers, versions): (Vec<_>, Vec<_>) =
        found.versions.into_iter().partition(|(key, _)| is_marker(&key.metadata));
    output.versions =
        Some(versions.into_iter().map(|(key, latest)| version(key, latest, spelling)).collect());
    output.delete_markers =
        Some(markers.into_iter().map(|(key, latest)| marker(key, latest, spelling)).collect());
    Ok(S3Response::new(output))
}

fn version(key: Key, latest: bool, spelling: Spelling) -> ObjectVersion {
    let notes = Notes::read(&key.metadata);
    ObjectVersion {
        e_tag: notes.etag.map(|etag| ETag::Strong(etag.trim_matches('"').to_owned())),
        is_latest: Some(latest),
        key: Some(spelling.of(&key.path.key)),
        last_modified: Some(timestamp(key.modified_ms)),
        owner: Some(owner(key.owner.as_deref().unwrap_or_default())),
        size: Some(key.len.cast_signed()),
        storage_class: Some(ObjectVersionStorageClass::from(
            storage_class::listed(Some(key.replication)).to_owned(),
        )),
        version_id: Some(id(&key.metadata).unwrap_or_else(|| NULL.to_owned())),
        ..ObjectVersion::default()
    }
}

fn marker(key: Key, latest: bool, spelling: Spelling) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(latest),
        key: Some(spelling.of(&key.path.key)),
        last_modified: Some(timestamp(key.modified_ms)),
        owner: Some(owner(key.owner.as_deref().unwrap_or_default())),
        version_id: Some(id(&key.metadata).unwrap_or_else(|| NULL.to_owned())),
    }
}

#[derive(Clone, Copy)]
struct Wish<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    after: (&'a str, &'a str),
    count_max: usize,
}

#[derive(Default)]
struct Found {
    /// With whether it is its key's newest.
    versions: Vec<(Key, bool)>,
    prefixes: Vec<String>,
    /// Key and version to go on behind.
    next: Option<(String, String)>,
}

/// Walks a bucket's versions as S3 lists them.
async fn walk(call: &Call, bucket: &str, wish: Wish<'_>) -> Result<Found, Fault> {
    let mut found = Found::default();
    if wish.count_max == 0 {
        buckets::find(call, bucket, None).await?;
        return Ok(found);
    }
    let path = call.bucket(bucket);
    let (mut key, mut version) = (wish.after.0.to_owned(), wish.after.1.to_owned());
    // In the middle of a key's versions none is its newest.
    let mut last_key = (!version.is_empty()).then(|| key.clone());
    loop {
        let page = call.client.list_versions(&path, wish.prefix, (&key, &version), PAGE.into()).await;
        let page = page.map_err(of_client)?;
        let more = page.more && !page.versions.is_empty();
        for each in page.versions {
            let name = each.path.key.clone();
            let latest = last_key.as_ref() != Some(&name);
            last_key = Some(name.clone());
            let rolled = rolled(&name, &wish);
            if rolled.as_ref().is_some_and(|prefix| {
                found.prefixes.last() == Some(prefix) || wish.after.0.starts_with(prefix.as_str())
            }) {
                (key, version) = (name, String::new());
                continue;
            }
            if found.versions.len() + found.prefixes.len() == wish.count_max {
                found.next = Some((key, version));
                return Ok(found);
            }
            match rolled {
                Some(prefix) => {
                    (key, version) = (prefix.clone(), String::new());
                    found.prefixes.push(prefix);
                }
                None => {
                    (key, version) = (name, id(&each.metadata).unwrap_or_else(|| NULL.to_owned()));
                    found.versions.push((each, latest));
                }
            }
        }
        if !more {
            return Ok(found);
        }
        if let Some(prefix) = found.prefixes.last().filter(|prefix| key.starts_with(prefix.as_str())) {
            (key, version) = (format!("{prefix}{LAST}"), String::new());
        }
    }
}

fn rolled(name: &str, wish: &Wish<'_>) -> Option<String> {
    rolled_up(name, wish.prefix, wish.delimiter).map(str::to_owned)
}
