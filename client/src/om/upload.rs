//! Multipart uploads: a key that is written as numbered parts, and seen when the upload is completed.

use std::collections::BTreeMap;

use allotrope_proto::edge::om::OmCall;
use allotrope_proto::edge::om::multipart::{
    BeginUpload, ClaimedPart, CommitPart, CompleteUpload, ListParts, ListUploads, MultipartUpload,
    UploadedPart,
};
use allotrope_proto::edge::om_key::KeyArgs;
use allotrope_types::{ByteCount, ReplicationConfig};

use super::key::args;
use super::{Om, PutOptions, Session, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::{BucketPath, KeyPath};
use crate::wire::wire_pairs;
use crate::write::KeyWriter;

/// One part of one upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOfUpload {
    /// The upload's id.
    pub upload: String,
    /// The part's number, from 1.
    pub number: u32,
}

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number, from 1.
    pub number: u32,
    /// What OM calls it.
    pub name: String,
    /// Its bytes.
    pub len: u64,
    /// When it was committed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// The ETag that was noted with it.
    pub etag: Option<String>,
}

/// Some parts of an upload, by number.
#[derive(Clone, Debug, PartialEq)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<ListedPart>,
    /// Whether more follow the last.
    pub more: bool,
    /// How the key will be kept safe.
    pub replication: Option<ReplicationConfig>,
}

/// An upload that is in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedUpload {
    /// The key's name.
    pub key: String,
    /// The upload's id.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub created_ms: u64,
    /// How the key will be kept safe.
    pub replication: Option<ReplicationConfig>,
}

/// Some uploads of a bucket, by key and id.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<ListedUpload>,
    /// Whether more follow the last.
    pub more: bool,
}

impl Client {
    /// Begins an upload and gives its id. What is said of the key here is noted with it when the upload is completed.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND` and their kin.
    pub async fn start_upload(&self, key: &KeyPath, options: PutOptions) -> Result<String, Error> {
        self.om().start_upload(key, options).await
    }

    /// Begins to write a part. It belongs to the upload when [`KeyWriter::finish`] has answered; a part of that number
    /// stays as it is until then.
    ///
    /// # Errors
    /// [`Error::Refused`] with `NO_SUCH_MULTIPART_UPLOAD_ERROR`, `INVALID_PART`.
    pub async fn write_part(
        &self,
        key: &KeyPath,
        part: PartOfUpload,
        len: Option<u64>,
    ) -> Result<KeyWriter, Error> {
        let session = self.om().open_part(key, part, len, self.config().use_datanode_hostname).await?;
        KeyWriter::new(self.clone(), session, len)
    }

    /// Makes the key of `parts` (number and ETag), in their order, and notes `also` with it. Gives the key's ETag.
    ///
    /// # Errors
    /// [`Error::Refused`] with `INVALID_PART`, `INVALID_PART_ORDER`, `ENTITY_TOO_SMALL`, `NO_SUCH_MULTIPART_UPLOAD_ERROR`,
    /// and what a conditional write is refused with.
    pub async fn complete_upload(
        &self,
        key: &KeyPath,
        upload: &str,
        parts: Vec<(u32, String)>,
        options: PutOptions,
    ) -> Result<String, Error> {
        self.om().complete_upload(key, upload, parts, options).await
    }

    /// Gives an upload up and deletes its parts.
    ///
    /// # Errors
    /// [`Error::Refused`] with `NO_SUCH_MULTIPART_UPLOAD_ERROR`.
    pub async fn abort_upload(&self, key: &KeyPath, upload: &str) -> Result<(), Error> {
        self.om().abort_upload(key, upload).await
    }

    /// The parts of an upload behind number `after`, at most `count_max`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `NO_SUCH_MULTIPART_UPLOAD_ERROR`.
    pub async fn list_parts(
        &self,
        key: &KeyPath,
        upload: &str,
        after: u32,
        count_max: u32,
    ) -> Result<PartPage, Error> {
        self.om().list_parts(key, upload, after, count_max).await
    }

    /// The uploads of keys that begin with `prefix`, behind the key `after_key` and its upload `after_id`, at most
    /// `count_max`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn list_uploads(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        (after_key, after_id): (&str, &str),
        count_max: u32,
    ) -> Result<UploadPage, Error> {
        self.om().list_uploads(bucket, prefix, (after_key, after_id), count_max).await
    }
}

impl Om {
    async fn start_upload(&self, key: &KeyPath, options: PutOptions) -> Result<String, Error> {
        let key_args = KeyArgs {
            replication: options.replication,
            owner_name: Some(self.user().to_owned()),
            metadata: wire_pairs(&options.metadata),
            tags: wire_pairs(&options.tags),
            ..args(key)
        };
        let call = BeginUpload { key_args, schema_version: None };
        let begun = ask!(self, &format!("begin an upload of {key}"), InitiateMultiPartUpload(call))?;
        Ok(begun.multipart_upload_id)
    }

    async fn open_part(
        &self,
        key: &KeyPath,
        part: PartOfUpload,
        len: Option<u64>,
        use_hostname: bool,
    ) -> Result<Session, Error> {
        let key_args = KeyArgs {
            data_size: len.filter(|&len| len > 0).map(ByteCount::new),
            sort_datanodes: Some(false),
            owner_name: Some(self.user().to_owned()),
            ..part_args(key, &part)
        };
        self.create(key, key_args, BTreeMap::new(), Some(part), use_hostname).await
    }

    /// Makes a written part belong to its upload.
    pub(super) async fn commit_part(
        &self,
        session: &Session,
        part: &PartOfUpload,
        key_args: KeyArgs,
    ) -> Result<(), Error> {
        let act = format!("commit part {} of {}", part.number, session.key);
        let marks = part_args(&session.key, part);
        let key_args = KeyArgs {
            is_multipart_key: marks.is_multipart_key,
            multipart_upload_id: marks.multipart_upload_id,
            multipart_number: marks.multipart_number,
            ..key_args
        };
        let call = CommitPart { key_args, client_id: session.id };
        self.order(&act, OmCall::CommitMultiPartUpload(call)).await
    }

    async fn complete_upload(
        &self,
        key: &KeyPath,
        upload: &str,
        parts: Vec<(u32, String)>,
        options: PutOptions,
    ) -> Result<String, Error> {
        let act = format!("complete the upload of {key}");
        let key_args = KeyArgs {
            multipart_upload_id: Some(upload.to_owned()),
            metadata: wire_pairs(&options.metadata),
            expected_data_generation: options.generation,
            expected_e_tag: options.etag,
            ..args(key)
        };
        let part_of = |(part_number, etag): (u32, String)| ClaimedPart {
            part_number,
            part_name: etag.clone(),
            e_tag: Some(etag),
        };
        let call = CompleteUpload { key_args, parts_list: parts.into_iter().map(part_of).collect() };
        let done = ask!(self, &act, CompleteMultiPartUpload(call))?;
        part(&act, done.hash, "MultipartUploadCompleteResponse", "hash")
    }

    async fn abort_upload(&self, key: &KeyPath, upload: &str) -> Result<(), Error> {
        let key_args = KeyArgs { multipart_upload_id: Some(upload.to_owned()), ..args(key) };
        let call = OmCall::AbortMultiPartUpload(key_args);
        self.order(&format!("abort the upload of {key}"), call).await
    }

    async fn list_parts(
        &self,
        key: &KeyPath,
        upload: &str,
        after: u32,
        count_max: u32,
    ) -> Result<PartPage, Error> {
        let call = ListParts {
            volume: key.bucket.volume.clone(),
            bucket: key.bucket.bucket.clone(),
            key: key.key.clone(),
            upload_id: upload.to_owned(),
            part_numbermarker: Some(after),
            max_parts: Some(count_max),
        };
        let list = ask!(self, &format!("list the parts of {key}"), ListMultiPartUploadParts(call))?;
        Ok(PartPage {
            parts: list.parts_list.into_iter().map(ListedPart::read).collect(),
            // As for Java, an answer that does not say so is the last.
            more: list.is_truncated.unwrap_or(false),
            replication: list.replication,
        })
    }

    async fn list_uploads(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        (after_key, after_id): (&str, &str),
        count_max: u32,
    ) -> Result<UploadPage, Error> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let call = ListUploads {
            volume: bucket.volume.clone(),
            bucket: bucket.bucket.clone(),
            prefix: prefix.to_owned(),
            key_marker: text(after_key),
            upload_id_marker: text(after_id),
            max_uploads: Some(count_max.cast_signed()),
            with_pagination: Some(true),
        };
        let list = ask!(self, &format!("list the uploads of {bucket}"), ListMultipartUploads(call))?;
        Ok(UploadPage {
            uploads: list.uploads_list.into_iter().map(ListedUpload::read).collect(),
            // As for Java, an answer that does not say so is the last.
            more: list.is_truncated.unwrap_or(false),
        })
    }
}

impl ListedPart {
    fn read(part: UploadedPart) -> ListedPart {
        ListedPart {
            number: part.part_number,
            name: part.part_name,
            len: part.size.as_u64(),
            modified_ms: part.modification_time,
            etag: part.e_tag,
        }
    }
}

impl ListedUpload {
    fn read(upload: MultipartUpload) -> ListedUpload {
        ListedUpload {
            key: upload.key_name,
            id: upload.upload_id,
            created_ms: upload.creation_time,
            replication: Some(upload.replication),
        }
    }
}

fn part_args(key: &KeyPath, part: &PartOfUpload) -> KeyArgs {
    KeyArgs {
        is_multipart_key: Some(true),
        multipart_upload_id: Some(part.upload.clone()),
        multipart_number: Some(part.number),
        ..args(key)
    }
}
