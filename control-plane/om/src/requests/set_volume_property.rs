//! SetVolumeProperty: another owner, or other quotas.

use allotrope_proto::om::{OmRequest, OmResponse, SetVolumePropertyResponse, VolumeInfo};

use super::{Plan, Scene};
use crate::namespace::{buckets, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey};
use crate::tx::{Db, Tx};

/// Refuses an owner who has too many volumes already.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.set_volume_property_request.get_or_insert_default();
    let volume = volumes::find(scene.db, &asked.volume_name)?;
    if let Some(owner) = asked.owner_name.as_ref().filter(|owner| **owner != volume.owner_name) {
        let volumes_max = scene.settings.volumes_per_owner_max;
        if volumes::of_owner(scene.db, owner)?.volume_names.len() >= volumes_max {
            refuse!(UserTooManyVolumes, "user {owner} has {volumes_max} volumes, the most one may have");
        }
    }
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.set_volume_property_request.take().unwrap_or_default();
    let mut volume = volumes::find(tx.db(), &asked.volume_name)?;
    let mut changed = true;
    if let Some(owner) = asked.owner_name {
        changed = owner != volume.owner_name;
        if changed {
            volumes::take(tx, &volume.owner_name, &volume.volume)?;
            volumes::give(tx, &owner, &volume.volume)?;
            volume.owner_name = owner;
        }
    }
    if let Some(quota) = asked.quota_in_bytes.map(u64::cast_signed).filter(|quota| *quota != -2) {
        check_bytes(tx.db(), &volume, quota)?;
        volume.quota_in_bytes = Some(quota.cast_unsigned());
    }
    if let Some(quota) = asked.quota_in_namespace.map(u64::cast_signed).filter(|quota| *quota != -2) {
        check_value(quota)?;
        if quota > 0 && volume.used_namespace() > quota.cast_unsigned() {
            refuse!(
                QuotaExceeded,
                "volume {} has {} buckets; a quota of {quota} is below that",
                volume.volume,
                volume.used_namespace()
            );
        }
        volume.quota_in_namespace = Some(quota);
    }
    if changed {
        volume.modification_time = Some(tx.now_ms);
        volumes::store(tx, &mut volume);
    }
    let response = SetVolumePropertyResponse { response: Some(changed) };
    Ok(OmResponse { set_volume_property_response: Some(Box::new(response)), ..OmResponse::default() })
}

fn check_value(quota: i64) -> Result<(), Refusal> {
    if quota == 0 || quota < volumes::QUOTA_NONE {
        refuse!(QuotaError, "a quota of {quota} is none: give a positive number, or -1 for no limit");
    }
    Ok(())
}

/// A volume's quota bounds the sum of its buckets' quotas, so each of them needs one.
fn check_bytes(db: Db<'_>, volume: &VolumeInfo, quota: i64) -> Result<(), Refusal> {
    check_value(quota)?;
    if quota == volumes::QUOTA_NONE {
        return Ok(());
    }
    let sum = bucket_quotas(db, &volume.volume, None)?;
    match sum {
        None => refuse!(
            QuotaError,
            "volume {} has a bucket without a quota; set the buckets' first",
            volume.volume
        ),
        Some(sum) if sum > i128::from(quota) => refuse!(
            QuotaExceeded,
            "the buckets of volume {} have quotas of {sum} bytes together, more than {quota}",
            volume.volume
        ),
        Some(_) => Ok(()),
    }
}

/// The sum of the quotas in bytes of a volume's buckets, links and the bucket `except` aside; `None` if one has none.
pub(super) fn bucket_quotas(db: Db<'_>, volume: &str, except: Option<&str>) -> Result<Option<i128>, Refusal> {
    let mut sum = 0i128;
    for pair in db.scan(BUCKETS, &BucketKey::prefix(volume, ""))? {
        let (_, bucket) = pair?;
        if buckets::is_link(&bucket) || Some(bucket.bucket_name.as_str()) == except {
            continue;
        }
        match bucket.quota_in_bytes() {
            quota if quota > 0 => sum += i128::from(quota),
            _ => return Ok(None),
        }
    }
    Ok(Some(sum))
}
