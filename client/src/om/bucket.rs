//! Buckets.

use std::collections::BTreeMap;

use allotrope_proto::edge::hdds::StorageTypeProto;
use allotrope_proto::edge::om::OmCall;
use allotrope_proto::edge::om::bucket::{ListBuckets, NamedBucket, SetBucketProperty};
use allotrope_proto::edge::om_bucket::{self as edge, BucketArgs, BucketInfo};
use allotrope_types::{BucketLayout, ByteCount, ReplicationConfig};

use super::quota::{limit, shown};
use super::{Acl, Om, QuotaChange, part};
use crate::client::Client;
use crate::error::Error;
use crate::path::BucketPath;
use crate::wire::pairs;

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

impl From<BucketInfo> for Bucket {
    fn from(info: BucketInfo) -> Bucket {
        let bytes = |count: Option<ByteCount>| count.map_or(0, ByteCount::as_u64);
        Bucket {
            path: BucketPath::new(info.volume_name, info.bucket_name),
            // As for Java, a bucket from before there were layouts.
            layout: info.bucket_layout.unwrap_or(BucketLayout::Legacy),
            replication: info.default_replication_config,
            // Rows older than the field have none.
            owner: info.owner.unwrap_or_default(),
            source: info.source_volume.zip(info.source_bucket).map(|(v, b)| BucketPath::new(v, b)),
            versioning: info.is_version_enabled,
            quota_bytes: shown(info.quota_in_bytes),
            quota_namespace: shown(info.quota_in_namespace),
            // As for Java, what is not counted is 0, and so is a time that was not noted.
            used_bytes: bytes(info.used_bytes),
            used_namespace: info.used_namespace.unwrap_or(0),
            pending_bytes: bytes(info.snapshot_used_bytes),
            pending_namespace: info.snapshot_used_namespace.unwrap_or(0),
            created_ms: info.creation_time.unwrap_or(0),
            modified_ms: info.modification_time.unwrap_or(0),
            metadata: pairs(info.metadata),
        }
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
            acls: vec![edge::Acl::from(&everyone)],
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
        let args = BucketArgs { default_replication_config: Some(replication), ..bucket_args(path) };
        self.om().set_bucket(&format!("set the replication of bucket {path}"), args).await.map(drop)
    }
}

/// A bucket of which nothing is to change.
pub(super) fn bucket_args(path: &BucketPath) -> BucketArgs {
    BucketArgs::named(&path.volume, &path.bucket)
}

fn named(path: &BucketPath) -> NamedBucket {
    NamedBucket { volume_name: path.volume.clone(), bucket_name: path.bucket.clone() }
}

impl Om {
    pub(crate) async fn create_bucket(&self, path: &BucketPath, options: BucketOptions) -> Result<(), Error> {
        let mut info = BucketInfo {
            quota_in_bytes: limit(options.quota_bytes),
            quota_in_namespace: limit(options.quota_namespace),
            bucket_layout: options.layout,
            default_replication_config: options.replication,
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
            acls: vec![],
            is_version_enabled: false,
            storage_type: StorageTypeProto::Disk,
            creation_time: None,
            metadata: vec![],
            beinfo: None,
            object_id: None,
            update_id: None,
            modification_time: None,
            source_volume: None,
            source_bucket: None,
            used_bytes: None,
            quota_in_bytes: limit(None),
            quota_in_namespace: limit(None),
            used_namespace: None,
            bucket_layout: None,
            owner: Some(self.user().to_owned()),
            default_replication_config: None,
            snapshot_used_bytes: None,
            snapshot_used_namespace: None,
            tags: vec![],
        }
    }

    async fn submit_new_bucket(&self, act: &str, info: BucketInfo) -> Result<(), Error> {
        self.order(act, OmCall::CreateBucket(info)).await
    }

    /// Whether OM says that something changed. Java's OM says it of owners alone: all else that it does is a change.
    pub(super) async fn set_bucket(&self, act: &str, args: BucketArgs) -> Result<bool, Error> {
        let call = SetBucketProperty { bucket_args: Some(args), modification_time: None };
        Ok(ask!(self, act, SetBucketProperty(call))?.response.unwrap_or(true))
    }

    pub(crate) async fn bucket(&self, path: &BucketPath) -> Result<Bucket, Error> {
        let act = format!("look up bucket {path}");
        let info = ask!(self, &act, InfoBucket(named(path)))?;
        part(&act, info, "InfoBucketResponse", "bucketInfo").map(Bucket::from)
    }

    pub(crate) async fn delete_bucket(&self, path: &BucketPath) -> Result<(), Error> {
        self.order(&format!("delete bucket {path}"), OmCall::DeleteBucket(named(path))).await
    }

    /// One page: buckets of `volume` behind `after` whose names begin with `prefix`.
    pub(crate) async fn list_buckets(
        &self,
        volume: &str,
        prefix: &str,
        after: &str,
        count_max: i32,
    ) -> Result<Vec<Bucket>, Error> {
        let call = ListBuckets {
            volume_name: volume.to_owned(),
            start_key: Some(after.to_owned()),
            prefix: Some(prefix.to_owned()),
            count: Some(count_max),
            has_snapshot: None,
        };
        let page = ask!(self, &format!("list buckets of volume {volume}"), ListBuckets(call))?;
        Ok(page.into_iter().map(Bucket::from).collect())
    }
}
