//! SetBucketProperty: versioning flag, storage type, quotas, owner, default replication, metadata.

use allotrope_proto::om::{BucketInfo, OmRequest, OmResponse, SetBucketPropertyResponse};
use allotrope_types::OmStatus;

use super::set_volume_property::bucket_quotas;
use super::{Plan, Scene};
use crate::namespace::{buckets, replication, versions, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey};
use crate::tx::{Db, Tx};

/// Refuses replication configs that are not allowed here.
pub(super) fn plan(_: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.set_bucket_property_request.get_or_insert_default();
    let args = asked.bucket_args.get_or_insert_default();
    if let Some(config) = replication::of_bucket(args.default_replication_config.as_ref())? {
        config.allowed_by_default().map_err(|e| Refusal::new(OmStatus::InvalidRequest, e.to_string()))?;
    }
    if args.bek_info.is_some() {
        refuse!(NotSupportedOperation, "buckets with encryption at rest are not supported");
    }
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.set_bucket_property_request.take().unwrap_or_default().bucket_args.unwrap_or_default();
    let mut bucket = buckets::find(tx.db(), &args.volume_name, &args.bucket_name)?;
    let mut changed = true;
    if let Some(owner) = args.owner_name {
        changed = bucket.owner() != owner;
        bucket.owner = Some(owner);
    } else if buckets::is_link(&bucket) {
        refuse!(
            NotSupportedOperation,
            "bucket {} is a link; set the properties of its source",
            args.bucket_name
        );
    }
    if let Some(quota) = args.quota_in_bytes.map(u64::cast_signed).filter(|quota| *quota != -2) {
        check_bytes(tx.db(), &bucket, quota)?;
        bucket.quota_in_bytes = Some(quota);
    }
    if let Some(quota) = args.quota_in_namespace.map(u64::cast_signed).filter(|quota| *quota != -2) {
        check_value(quota)?;
        if quota > 0 && bucket.used_namespace() > quota.cast_unsigned() {
            refuse!(
                QuotaExceeded,
                "bucket {} holds {} keys and directories; a quota of {quota} is below that",
                bucket.bucket_name,
                bucket.used_namespace()
            );
        }
        bucket.quota_in_namespace = Some(quota);
    }
    if let Some(enabled) = args.is_version_enabled {
        versions::switch(&mut bucket, enabled);
    }
    if let Some(storage) = args.storage_type {
        bucket.storage_type = storage;
    }
    if args.default_replication_config.is_some() {
        bucket.default_replication_config = args.default_replication_config;
    }
    for pair in args.metadata.into_iter().filter(|pair| pair.key != versions::STATUS) {
        bucket.metadata.retain(|old| old.key != pair.key);
        bucket.metadata.push(pair);
    }
    if changed {
        bucket.modification_time = Some(tx.now_ms);
        bucket.update_id = Some(tx.number());
        tx.put(BUCKETS, &BucketKey::of(&args.volume_name, &args.bucket_name), &bucket);
    }
    let response = SetBucketPropertyResponse { response: Some(changed) };
    Ok(OmResponse { set_bucket_property_response: Some(Box::new(response)), ..OmResponse::default() })
}

fn check_value(quota: i64) -> Result<(), Refusal> {
    if quota == 0 || quota < volumes::QUOTA_NONE {
        refuse!(QuotaError, "a quota of {quota} is none: give a positive number, or -1 for no limit");
    }
    Ok(())
}

fn check_bytes(db: Db<'_>, bucket: &BucketInfo, quota: i64) -> Result<(), Refusal> {
    check_value(quota)?;
    let volume = volumes::find(db, &bucket.volume_name)?;
    let volume_quota = volume.quota_in_bytes().cast_signed();
    if quota == volumes::QUOTA_NONE {
        if volume_quota > 0 {
            refuse!(QuotaError, "volume {} has a quota, so each of its buckets needs one", volume.volume);
        }
        return Ok(());
    }
    let used = bucket.used_bytes().saturating_add(bucket.snapshot_used_bytes());
    if used > quota.cast_unsigned() {
        refuse!(
            QuotaExceeded,
            "bucket {} uses {used} bytes; a quota of {quota} is below that",
            bucket.bucket_name
        );
    }
    if volume_quota > 0 {
        let others = bucket_quotas(db, &volume.volume, Some(&bucket.bucket_name))?.unwrap_or(0);
        if others + i128::from(quota) > i128::from(volume_quota) {
            refuse!(
                QuotaExceeded,
                "the other buckets of volume {} have quotas of {others} bytes; {quota} more are beyond its own of \
                 {volume_quota}",
                volume.volume
            );
        }
    }
    Ok(())
}
