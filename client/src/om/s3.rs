//! What an S3 gateway asks of OM besides keys: its volume, access secrets, tags, conditional and bulk deletion.

use std::collections::BTreeMap;

use allotrope_proto::edge::Empty;
use allotrope_proto::edge::om::bucket::BucketTagging;
use allotrope_proto::edge::om::key::{DeleteKeys, NamedKeys};
use allotrope_proto::edge::om::tenant::{GetS3Secret, RevokeS3Secret, SetS3Secret};
use allotrope_proto::edge::om::{OmAnswer, OmCall};
use allotrope_proto::edge::om_bucket::BucketArgs;
use allotrope_proto::edge::om_key::KeyArgs;
use allotrope_types::OmStatus;

use super::bucket::bucket_args;
use super::key::versioned;
use super::{Key, KeyEntry, Om, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::{BucketPath, KeyPath};
use crate::wire::{pairs, wire_pairs};

/// What became of one key of a bulk deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDeletion {
    /// The key's name.
    pub key: String,
    /// Why it was not deleted: OM's status by name, and OM's words.
    pub refused: Option<(String, String)>,
}

type Tags = BTreeMap<String, String>;

impl Client {
    /// The volume that S3 buckets lie in.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn s3_volume(&self) -> Result<String, Error> {
        let act = "look up the volume of S3's buckets";
        let context = ask!(self.om(), act, GetS3VolumeContext(Empty))?;
        Ok(part(act, context.volume_info, "GetS3VolumeContextResponse", "volumeInfo")?.volume)
    }

    /// The secret of `access_id`. With `create`, a new one, for an id that has none.
    ///
    /// # Errors
    /// [`Error::Refused`] with `S3_SECRET_ALREADY_EXISTS` when one was to be created, `ACCESS_ID_NOT_FOUND` when there is
    /// none, `USER_MISMATCH` for somebody else's.
    pub async fn s3_secret(&self, access_id: &str, create: bool) -> Result<String, Error> {
        let act = format!("get the S3 secret of {access_id}");
        let call = GetS3Secret { kerberos_id: access_id.to_owned(), create_if_not_exist: Some(create) };
        Ok(ask!(self.om(), &act, GetS3Secret(call))?.aws_secret)
    }

    /// Gives `access_id` the secret `secret`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `ACCESS_ID_NOT_FOUND`, `INVALID_REQUEST` for one that is too short.
    pub async fn set_s3_secret(&self, access_id: &str, secret: &str) -> Result<(), Error> {
        let call = SetS3Secret { access_id: Some(access_id.to_owned()), secret_key: Some(secret.to_owned()) };
        self.om().order(&format!("set the S3 secret of {access_id}"), OmCall::SetS3Secret(call)).await
    }

    /// Takes the secret of `access_id` away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `S3_SECRET_NOT_FOUND`.
    pub async fn revoke_s3_secret(&self, access_id: &str) -> Result<(), Error> {
        let call = OmCall::RevokeS3Secret(RevokeS3Secret { kerberos_id: access_id.to_owned() });
        self.om().order(&format!("revoke the S3 secret of {access_id}"), call).await
    }

    /// Looks up a key, or one version of it, without where its blocks are: [`Key::locations`] have no members.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`, `INVALID_REQUEST` for an id that is none.
    pub async fn head_key(&self, path: &KeyPath, version: Option<&str>) -> Result<Key, Error> {
        self.om().head_key(path, version).await
    }

    /// Looks up one version of a key and where its blocks are.
    ///
    /// # Errors
    /// As [`Client::head_key`].
    pub async fn key_version(&self, path: &KeyPath, version: &str) -> Result<Key, Error> {
        self.om().key_version(path, version, self.config().use_datanode_hostname).await
    }

    /// Turns a bucket's versioning on, or off, which suspends it: versions that are there stay.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn set_versioning(&self, path: &BucketPath, enabled: bool) -> Result<(), Error> {
        let args = BucketArgs { is_version_enabled: Some(enabled), ..bucket_args(path) };
        self.om().set_bucket(&format!("set the versioning of {path}"), args).await.map(drop)
    }

    /// Keys of a bucket whose names begin with `prefix` and stand behind `after`, in the order of their names, at most
    /// `count_max`, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn list_keys_page(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        after: &str,
        count_max: u16,
    ) -> Result<(Vec<KeyEntry>, bool), Error> {
        self.om().list_keys_page(bucket, prefix, after, i32::from(count_max)).await
    }

    /// Deletes a key, if its ETag is `etag` where one is given, or one version of it. In a bucket with versions it gives the
    /// metadata of the delete marker that was made, or of the version that is gone. As S3 has it, a marker is made there even
    /// if there is no such key.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`, `ETAG_MISMATCH`, `ETAG_NOT_AVAILABLE`.
    pub async fn delete_version(
        &self,
        path: &KeyPath,
        version: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let marker = version.is_none() && etag.is_none();
        self.om().delete_version(path, version, etag.map(str::to_owned), marker).await.map(|(_, info)| info)
    }

    /// Deletes `keys` of a bucket, and says for each what became of it.
    ///
    /// # Errors
    /// As any call to OM; a key that is not deleted is none of the call's.
    pub async fn delete_keys(
        &self,
        bucket: &BucketPath,
        keys: Vec<String>,
    ) -> Result<Vec<KeyDeletion>, Error> {
        self.om().delete_keys(bucket, keys).await
    }

    /// The tags of a key, or of one version of it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn key_tags(&self, path: &KeyPath, version: Option<&str>) -> Result<Tags, Error> {
        let act = format!("look up the tags of {path}");
        ask!(self.om(), &act, GetObjectTagging(versioned(path, version))).map(pairs)
    }

    /// Replaces the tags of a key, or of one version of it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn tag_key(&self, path: &KeyPath, version: Option<&str>, tags: &Tags) -> Result<(), Error> {
        let key_args = KeyArgs { tags: wire_pairs(tags), ..versioned(path, version) };
        self.om().order(&format!("tag {path}"), OmCall::PutObjectTagging(key_args)).await
    }

    /// Takes all tags of a key, or of one version of it, away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn untag_key(&self, path: &KeyPath, version: Option<&str>) -> Result<(), Error> {
        let call = OmCall::DeleteObjectTagging(versioned(path, version));
        self.om().order(&format!("take the tags of {path} away"), call).await
    }

    /// The tags of a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn bucket_tags(&self, path: &BucketPath) -> Result<Tags, Error> {
        let act = format!("look up the tags of {path}");
        ask!(self.om(), &act, GetBucketTagging(bucket_args(path))).map(pairs)
    }

    /// Replaces the tags of a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn tag_bucket(&self, path: &BucketPath, tags: &Tags) -> Result<(), Error> {
        let bucket_args = BucketArgs { tags: wire_pairs(tags), ..bucket_args(path) };
        let call = OmCall::PutBucketTagging(BucketTagging { bucket_args, modification_time: None });
        self.om().order(&format!("tag {path}"), call).await
    }

    /// Takes all tags of a bucket away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn untag_bucket(&self, path: &BucketPath) -> Result<(), Error> {
        let tagging = BucketTagging { bucket_args: bucket_args(path), modification_time: None };
        let call = OmCall::DeleteBucketTagging(tagging);
        self.om().order(&format!("take the tags of {path} away"), call).await
    }
}

impl Om {
    async fn delete_keys(&self, bucket: &BucketPath, keys: Vec<String>) -> Result<Vec<KeyDeletion>, Error> {
        let act = format!("delete {} keys of {bucket}", keys.len());
        let call = DeleteKeys {
            delete_keys: Some(NamedKeys {
                volume_name: bucket.volume.clone(),
                bucket_name: bucket.bucket.clone(),
                keys: keys.clone(),
                update_i_ds: vec![],
            }),
            source_type: None,
            scan_state: None,
        };
        let answer = self.submit_accepting(&act, OmCall::DeleteKeys(call), OmStatus::PartialDelete).await?;
        let OmAnswer::DeleteKeys(deleted) = answer else {
            unreachable!("an answer to another command was refused")
        };
        let mut refused = BTreeMap::new();
        for error in deleted.errors {
            let key = part(&act, error.key, "DeleteKeyError", "key")?;
            // As for Java, a key that is named here was not deleted, whether or not it is said why.
            refused.insert(key, (error.error_code.unwrap_or_default(), error.error_msg.unwrap_or_default()));
        }
        Ok(keys.into_iter().map(|key| KeyDeletion { refused: refused.remove(&key), key }).collect())
    }
}
