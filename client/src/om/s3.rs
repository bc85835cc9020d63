//! What an S3 gateway asks of OM besides keys: its volume, access secrets, tags, conditional and bulk deletion.

use std::collections::BTreeMap;

use allotrope_proto::om::{
    BucketArgs, DeleteBucketTaggingRequest, DeleteKeyArgs, DeleteKeysRequest, DeleteObjectTaggingRequest,
    GetBucketTaggingRequest, GetObjectTaggingRequest, GetS3SecretRequest, GetS3VolumeContextRequest, KeyArgs,
    PutBucketTaggingRequest, PutObjectTaggingRequest, RevokeS3SecretRequest, SetS3SecretRequest, Type,
};
use allotrope_types::OmStatus;

use super::bucket::bucket_args;
use super::key::{versioned, wire_pairs};
use super::{Key, KeyEntry, Om, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::{BucketPath, KeyPath};
use crate::wire::pairs;

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
        let mut request = self.om().request(Type::GetS3VolumeContext);
        request.get_s3_volume_context_request = Some(Box::new(GetS3VolumeContextRequest::default()));
        let act = "look up the volume of S3's buckets";
        let response = self.om().submit(act, &request).await?;
        let context = part(act, response.get_s3_volume_context_response, "the volume")?;
        Ok(part(act, context.volume_info, "the volume")?.volume)
    }

    /// The secret of `access_id`. With `create`, a new one, for an id that has none.
    ///
    /// # Errors
    /// [`Error::Refused`] with `S3_SECRET_ALREADY_EXISTS` when one was to be created, `ACCESS_ID_NOT_FOUND` when there is
    /// none, `USER_MISMATCH` for somebody else's.
    pub async fn s3_secret(&self, access_id: &str, create: bool) -> Result<String, Error> {
        let act = format!("get the S3 secret of {access_id}");
        let mut request = self.om().request(Type::GetS3Secret);
        request.get_s3_secret_request = Some(Box::new(GetS3SecretRequest {
            kerberos_id: access_id.to_owned(),
            create_if_not_exist: Some(create),
        }));
        let response = self.om().submit(&act, &request).await?;
        Ok(part(&act, response.get_s3_secret_response, "the secret")?.s3_secret.aws_secret)
    }

    /// Gives `access_id` the secret `secret`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `ACCESS_ID_NOT_FOUND`, `INVALID_REQUEST` for one that is too short.
    pub async fn set_s3_secret(&self, access_id: &str, secret: &str) -> Result<(), Error> {
        let mut request = self.om().request(Type::SetS3Secret);
        request.set_s3_secret_request = Some(Box::new(SetS3SecretRequest {
            access_id: Some(access_id.to_owned()),
            secret_key: Some(secret.to_owned()),
        }));
        self.om().submit(&format!("set the S3 secret of {access_id}"), &request).await.map(drop)
    }

    /// Takes the secret of `access_id` away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `S3_SECRET_NOT_FOUND`.
    pub async fn revoke_s3_secret(&self, access_id: &str) -> Result<(), Error> {
        let mut request = self.om().request(Type::RevokeS3Secret);
        request.revoke_s3_secret_request =
            Some(Box::new(RevokeS3SecretRequest { kerberos_id: access_id.to_owned() }));
        self.om().submit(&format!("revoke the S3 secret of {access_id}"), &request).await.map(drop)
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
        let mut request = self.om().request(Type::GetObjectTagging);
        request.get_object_tagging_request =
            Some(Box::new(GetObjectTaggingRequest { key_args: versioned(path, version) }));
        let response = self.om().submit(&act, &request).await?;
        Ok(pairs(part(&act, response.get_object_tagging_response, "the tags")?.tags))
    }

    /// Replaces the tags of a key, or of one version of it.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn tag_key(&self, path: &KeyPath, version: Option<&str>, tags: &Tags) -> Result<(), Error> {
        let mut request = self.om().request(Type::PutObjectTagging);
        let key_args = KeyArgs { tags: wire_pairs(tags), ..versioned(path, version) };
        request.put_object_tagging_request = Some(Box::new(PutObjectTaggingRequest { key_args }));
        self.om().submit(&format!("tag {path}"), &request).await.map(drop)
    }

    /// Takes all tags of a key, or of one version of it, away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `KEY_NOT_FOUND`.
    pub async fn untag_key(&self, path: &KeyPath, version: Option<&str>) -> Result<(), Error> {
        let mut request = self.om().request(Type::DeleteObjectTagging);
        request.delete_object_tagging_request =
            Some(Box::new(DeleteObjectTaggingRequest { key_args: versioned(path, version) }));
        self.om().submit(&format!("take the tags of {path} away"), &request).await.map(drop)
    }

    /// The tags of a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn bucket_tags(&self, path: &BucketPath) -> Result<Tags, Error> {
        let act = format!("look up the tags of {path}");
        let mut request = self.om().request(Type::GetBucketTagging);
        request.get_bucket_tagging_request =
            Some(Box::new(GetBucketTaggingRequest { bucket_args: bucket_args(path) }));
        let response = self.om().submit(&act, &request).await?;
        Ok(pairs(part(&act, response.get_bucket_tagging_response, "the tags")?.tags))
    }

    /// Replaces the tags of a bucket.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn tag_bucket(&self, path: &BucketPath, tags: &Tags) -> Result<(), Error> {
        let mut request = self.om().request(Type::PutBucketTagging);
        let bucket_args = BucketArgs { tags: wire_pairs(tags), ..bucket_args(path) };
        request.put_bucket_tagging_request =
            Some(Box::new(PutBucketTaggingRequest { bucket_args, ..Default::default() }));
        self.om().submit(&format!("tag {path}"), &request).await.map(drop)
    }

    /// Takes all tags of a bucket away.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn untag_bucket(&self, path: &BucketPath) -> Result<(), Error> {
        let mut request = self.om().request(Type::DeleteBucketTagging);
        request.delete_bucket_tagging_request = Some(Box::new(DeleteBucketTaggingRequest {
            bucket_args: bucket_args(path),
            ..Default::default()
        }));
        self.om().submit(&format!("take the tags of {path} away"), &request).await.map(drop)
    }
}

impl Om {
    async fn delete_keys(&self, bucket: &BucketPath, keys: Vec<String>) -> Result<Vec<KeyDeletion>, Error> {
        let act = format!("delete {} keys of {bucket}", keys.len());
        let mut request = self.request(Type::DeleteKeys);
        request.delete_keys_request = Some(Box::new(DeleteKeysRequest {
            delete_keys: Some(DeleteKeyArgs {
                volume_name: bucket.volume.clone(),
                bucket_name: bucket.bucket.clone(),
                keys: keys.clone(),
                ..Default::default()
            }),
            ..Default::default()
        }));
        let response = self.submit_accepting(&act, &request, OmStatus::PartialDelete).await?;
        let response = part(&act, response.delete_keys_response, "what was deleted")?;
        let mut refused: BTreeMap<String, (String, String)> = response
            .errors
            .into_iter()
            .map(|error| {
                let words = (error.error_code.unwrap_or_default(), error.error_msg.unwrap_or_default());
                (error.key.unwrap_or_default(), words)
            })
            .collect();
        Ok(keys.into_iter().map(|key| KeyDeletion { refused: refused.remove(&key), key }).collect())
    }
}
