//! An object as S3 sees a key: its notes, its ETag, its parts.

use allotrope_client::{Key, KeyEntry};
use allotrope_types::OmStatus;
use s3s::S3ErrorCode;
use s3s::dto::{ETag, Timestamp};

use super::timestamp;
use super::versions::{check_id, id, is_marker, no_such_version};
use crate::call::Call;
use crate::fault::{Fault, of_client};
use crate::notes::Notes;

/// A key with its notes read.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: Key,
    pub(crate) notes: Notes,
}

impl Object {
    pub(crate) fn etag(&self) -> ETag {
        ETag::Strong(self.etag_text())
    }

    /// The ETag without quotes. A key that no S3 client wrote has one of its generation, which cannot be an MD5.
    pub(crate) fn etag_text(&self) -> String {
        match &self.notes.etag {
            Some(etag) => etag.trim_matches('"').to_owned(),
            None => format!("{:016x}{:016x}-0", self.key.generation.unwrap_or(0), self.key.len),
        }
    }

    /// The id of its version, in a bucket that keeps them.
    pub(crate) fn version(&self) -> Option<String> {
        id(&self.key.metadata)
    }

    /// When it last changed, in whole seconds: HTTP dates have no more.
    pub(crate) fn modified(&self) -> Timestamp {
        timestamp(self.key.modified_ms / 1000 * 1000)
    }

    fn read(key: Key, asked: &str) -> Result<Object, Fault> {
        // A directory of a tree is an object only under its name with a slash.
        if !key.is_file && !asked.ends_with('/') {
            return Err(no_such_key());
        }
        let notes = Notes::read(&key.metadata);
        Ok(Object { key, notes })
    }
}

/// Looks an object up, without where its bytes are.
pub(crate) async fn find(
    call: &Call,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Object, Fault> {
    check_id(version)?;
    let found = call.client.head_key(&call.key(bucket, key), version).await;
    judged(found, key, version)
}

/// Looks an object up to read it.
pub(crate) async fn open(
    call: &Call,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Object, Fault> {
    check_id(version)?;
    let path = call.key(bucket, key);
    let found = match version {
        None => call.client.key(&path).await,
        Some(version) => call.client.key_version(&path, version).await,
    };
    judged(found, key, version)
}

fn judged(
    found: Result<Key, allotrope_client::Error>,
    key: &str,
    version: Option<&str>,
) -> Result<Object, Fault> {
    let found = match (found, version) {
        (Err(error), Some(version)) if error.om_status() == Some(OmStatus::KeyNotFound) => {
            return Err(no_such_version(version));
        }
        (found, _) => found.map_err(of_client)?,
    };
    if is_marker(&found.metadata) {
        let message = "The specified method is not allowed against this resource.";
        return Err(Fault::new(S3ErrorCode::MethodNotAllowed, message)
            .detail("Method", "GET")
            .detail("ResourceType", "DeleteMarker"));
    }
    Object::read(found, key)
}

pub(crate) fn no_such_key() -> Fault {
    Fault::new(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

/// The ETag that a listing shows.
pub(crate) fn listed_etag(entry: &KeyEntry) -> Option<ETag> {
    entry.etag.as_ref().map(|etag| ETag::Strong(etag.trim_matches('"').to_owned()))
}
