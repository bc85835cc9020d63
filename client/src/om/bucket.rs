//! Buckets.

use std::collections::BTreeMap;

use allotrope_proto::om::{
    BucketArgs, BucketInfo, CreateBucketRequest, DeleteBucketRequest, InfoBucketRequest, ListBucketsRequest,
    OzoneAclInfo, SetBucketPropertyRequest, Type,
};
use allotrope_types::{BucketLayout, ReplicationConfig};

use super::{Acl, Om, QuotaChange, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::BucketPath;
use crate::wire::{ReplicationFields, default_replication, pairs};

/// A bucket as OM shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Where it is.
    pub path: BucketPath,
    /// How it keeps its keys.
    pub layout: BucketLayout,
    /// How keys are kept safe that do not say it themselves; the server's default when `None`.
    pub replication: Option<ReplicationConfig>,
    /// Whose it is.
    pub owner: String,
    /// The bucket that this one links to, if it is a link.
    pub source: Option<BucketPath>,
    /// Whether it keeps old versions.
    pub versioning: bool,
    /// Most bytes, replicas counted; -1 without a limit.
    pub quota_bytes: i64,
    /// Most keys; -1 without a limit.
    pub quota_namespace: i64,
    /// Bytes there are, replicas counted.
    pub used_bytes: u64,
    /// Keys and folders there are.
    pub used_namespace: u64,
    /// Bytes of deleted keys that are still there, replicas counted.
    pub pending_bytes: u64,
    /// Deleted keys and folders that are still there.
    pub pending_namespace: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What else was noted with it.
    pub metadata: BTreeMap<String, String>,
}

/// What may be said of a new bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketOptions {
    /// How keys are kept safe that do not say it themselves; the server's default when `None`.
    pub replication: Option<ReplicationConfig>,
    /// How it keeps its keys; the server's default when `None`.
    pub layout: Option<BucketLayout>,
    /// Whose it is to be; the caller's when `None`.
    pub owner: Option<String>,
    /// Most bytes, replicas counted; without a limit when `None`.
    pub quota_bytes: Option<u64>,
    /// Most keys; without a limit when `None`.
    pub quota_namespace: Option<u64>,
}

impl Bucket {
    fn read(act: &str, info: BucketInfo) -> Result<Bucket, Error> {
        let unusable = |why| Error::OmAnswer { act: act.to_owned(), why };
        let layout = info.bucket_layout.unwrap_or(BucketLayout::Legacy.number());
        let layout = BucketLayout::from_number(layout)
            .ok_or_else(|| unusable(format!("bucket layout {layout} is unknown")))?;
        let replication = info.default_replication_config.map(|config| {
            ReplicationFields { kind: config.r#type, factor: config.factor, ec: config.ec_replication_config }
                .read()
        });
        Ok(Bucket {
            path: BucketPath::new(info.volume_name, info.bucket_name),
            layout,
            replication: replication.transpose().map_err(unusable)?,
            owner: info.owner.unwrap_or_default(),
            source: info.source_volume.zip(info.source_bucket).map(|(v, b)| BucketPath::new(v, b)),
            versioning: info.is_version_enabled,
            quota_bytes: info.quota_in_bytes.unwrap_or(-1),
            quota_namespace: info.quota_in_namespace.unwrap_or(-1),
            used_bytes: info.used_bytes.unwrap_or(0),
            used_namespace: info.used_namespace.unwrap_or(0),
            pending_bytes: info.snapshot_used_bytes.unwrap_or(0),
            pending_namespace: info.snapshot_used_namespace.unwrap_or(0),
            created_ms: info.creation_time.unwrap_or(0),
            modified_ms: info.modification_time.unwrap_or(0),
            metadata: pairs(info.metadata),
        })
    }
}

impl Client {
    /// Makes a bucket that leads to another: what is done with its keys is done with those of `source`, which may lie in another
    /// volume. Whether there is such a bucket shows when the link is used.
    ///
    /// # Errors
    /// [`Error::Refused`] as [`Client::create_bucket`].
    pub async fn link_bucket(&self, source: &BucketPath, link: &BucketPath) -> Result<(), Error> {
        // The rights that count are those of the source.
        let everyone =
            Acl { kind: "WORLD", name: "WORLD".to_owned(), scope: "ACCESS", rights: vec!["READ", "WRITE"] };
        let info = BucketInfo {
            acls: vec![OzoneAclInfo::from(&everyone)],
            source_volume: Some(source.volume.clone()),
            source_bucket: Some(source.bucket.clone()),
            ..self.om().new_bucket(link)
        };
        self.om().submit_new_bucket(&format!("link bucket {link} to {source}"), info).await
    }

    /// Changes the quotas of a bucket: how many bytes it may hold, replicas counted, and how many keys and directories.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`; with `NOT_SUPPORTED_OPERATION` for a link; with `QUOTA_EXCEEDED` where the bucket is
    /// beyond the quota already, or its volume's would be; with `QUOTA_ERROR` for a quota of 0, and for no limit where the volume has one.
    pub async fn set_bucket_quota(&self, path: &BucketPath, change: QuotaChange) -> Result<(), Error> {
        let now = self.bucket(path).await?;
        let (bytes, namespace) = change.sent(now.quota_bytes, now.quota_namespace);
        let args = BucketArgs {
            quota_in_bytes: Some(bytes),
            quota_in_namespace: Some(namespace),
            ..bucket_args(path)
        };
        self.om().set_bucket(&format!("set the quotas of bucket {path}"), args).await.map(drop)
    }

    /// Gives a bucket, or a link, another owner; false if it was the owner already.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`.
    pub async fn set_bucket_owner(&self, path: &BucketPath, owner: &str) -> Result<bool, Error> {
        let args = BucketArgs { owner_name: Some(owner.to_owned()), ..bucket_args(path) };
        self.om().set_bucket(&format!("set the owner of bucket {path}"), args).await
    }

    /// Sets how keys of a bucket are kept safe that do not say it themselves. Keys that are there stay as they are.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`, `NOT_SUPPORTED_OPERATION` for a link, `INVALID_REQUEST` for a replication that OM does
    /// not allow.
    pub async fn set_bucket_replication(
        &self,
        path: &BucketPath,
        replication: ReplicationConfig,
    ) -> Result<(), Error> {
        let config = default_replication(replication);
        let args = BucketArgs { default_replication_config: Some(config), ..bucket_args(path) };
        self.om().set_bucket(&format!("set the replication of bucket {path}"), args).await.map(drop)
    }
}

/// A bucket of which nothing is to change.
pub(super) fn bucket_args(path: &BucketPath) -> BucketArgs {
    BucketArgs { volume_name: path.volume.clone(), bucket_name: path.bucket.clone(), ..Default::default() }
}

impl Om {
    pub(crate) async fn create_bucket(&self, path: &BucketPath, options: BucketOptions) -> Result<(), Error> {
        let limit = |quota: Option<u64>| Some(quota.map_or(-1, u64::cast_signed));
        let mut info = BucketInfo {
            quota_in_bytes: limit(options.quota_bytes),
            quota_in_namespace: limit(options.quota_namespace),
            bucket_layout: options.layout.map(|layout| layout.number()),
            default_replication_config: options.replication.map(default_replication),
            ..self.new_bucket(path)
        };
        if options.owner.is_some() {
            info.owner = options.owner;
        }
        self.submit_new_bucket(&format!("create bucket {path}"), info).await
    }

    /// A bucket of the caller's, with all else left to OM.
    fn new_bucket(&self, path: &BucketPath) -> BucketInfo {
        BucketInfo {
            volume_name: path.volume.clone(),
            bucket_name: path.bucket.clone(),
            is_version_enabled: false,
            storage_type: allotrope_proto::hdds::StorageTypeProto::Disk as i32,
            quota_in_bytes: Some(-1),
            quota_in_namespace: Some(-1),
            owner: Some(self.user().to_owned()),
            ..Default::default()
        }
    }

    async fn submit_new_bucket(&self, act: &str, info: BucketInfo) -> Result<(), Error> {
        let mut request = self.request(Type::CreateBucket);
        request.create_bucket_request = Some(Box::new(CreateBucketRequest { bucket_info: info }));
        self.submit(act, &request).await.map(drop)
    }

    /// Whether OM says that something changed.
    pub(super) async fn set_bucket(&self, act: &str, args: BucketArgs) -> Result<bool, Error> {
        let mut request = self.request(Type::SetBucketProperty);
        request.set_bucket_property_request =
            Some(Box::new(SetBucketPropertyRequest { bucket_args: Some(args), ..Default::default() }));
        let response = self.submit(act, &request).await?;
        let changed = response.set_bucket_property_response.and_then(|response| response.response);
        Ok(changed.unwrap_or(true))
    }

    pub(crate) async fn bucket(&self, path: &BucketPath) -> Result<Bucket, Error> {
        let act = format!("look up bucket {path}");
        let mut request = self.request(Type::InfoBucket);
        request.info_bucket_request = Some(Box::new(InfoBucketRequest {
            volume_name: path.volume.clone(),
            bucket_name: path.bucket.clone(),
        }));
        let response = self.submit(&act, &request).await?;
        let info = response.info_bucket_response.and_then(|response| response.bucket_info);
        Bucket::read(&act, part(&act, info, "the bucket")?)
    }

    pub(crate) async fn delete_bucket(&self, path: &BucketPath) -> Result<(), Error> {
        let mut request = self.request(Type::DeleteBucket);
        request.delete_bucket_request = Some(Box::new(DeleteBucketRequest {
            volume_name: path.volume.clone(),
            bucket_name: path.bucket.clone(),
        }));
        self.submit(&format!("delete bucket {path}"), &request).await.map(drop)
    }

    /// One page: buckets of `volume` behind `after` whose names begin with `prefix`.
    pub(crate) async fn list_buckets(
        &self,
        volume: &str,
        prefix: &str,
        after: &str,
        count_max: i32,
    ) -> Result<Vec<Bucket>, Error> {
        let act = format!("list buckets of volume {volume}");
        let mut request = self.request(Type::ListBuckets);
        request.list_buckets_request = Some(Box::new(ListBucketsRequest {
            volume_name: volume.to_owned(),
            start_key: Some(after.to_owned()),
            prefix: Some(prefix.to_owned()),
            count: Some(count_max),
            ..Default::default()
        }));
        let response = self.submit(&act, &request).await?;
        let list = part(&act, response.list_buckets_response, "the list")?;
        list.bucket_info.into_iter().map(|info| Bucket::read(&act, info)).collect()
    }
}
