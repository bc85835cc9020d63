//! CreateBucket: a new set of keys in a volume, or a link to one.

use allotrope_proto::om::{BucketInfo, CreateBucketResponse, OmRequest, OmResponse};
use allotrope_types::{BucketLayout, BucketName, NameRules, OmStatus};

use super::set_volume_property::bucket_quotas;
use super::{Plan, Scene};
use crate::namespace::{acls, buckets, replication, versions, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey};
use crate::tx::Tx;

/// Checks what the bucket asks for, and fills in what it leaves open: layout, owner, rights.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let info = &mut request.create_bucket_request.get_or_insert_default().bucket_info;
    volumes::find(scene.db, &info.volume_name)?;
    let layout = match info.bucket_layout {
        None => scene.settings.default_layout,
        Some(number) => match BucketLayout::from_number(number) {
            Some(layout) => layout,
            None => refuse!(InvalidRequest, "a bucket layout of number {number} is unknown"),
        },
    };
    info.bucket_layout = Some(layout.number());
    let rules = NameRules::for_bucket(scene.settings.s3_strict, layout);
    BucketName::new(&info.bucket_name, rules).map_err(Refusal::name(OmStatus::InvalidBucketName))?;
    let blank = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    if blank(&info.source_volume) != blank(&info.source_bucket) {
        refuse!(InvalidRequest, "a link needs both a source volume and a source bucket");
    }
    if blank(&info.source_volume) {
        (info.source_volume, info.source_bucket) = (None, None);
    }
    if info.beinfo.is_some() {
        refuse!(NotSupportedOperation, "buckets with encryption at rest are not supported");
    }
    if let Some(config) = replication::of_bucket(info.default_replication_config.as_ref())? {
        config.allowed_by_default().map_err(|e| Refusal::new(OmStatus::InvalidRequest, e.to_string()))?;
    }
    for quota in [info.quota_in_bytes, info.quota_in_namespace].into_iter().flatten() {
        if quota == 0 || quota < -2 {
            refuse!(QuotaError, "a quota of {quota} is none: give a positive number, or -1 for no limit");
        }
    }
    if info.owner.as_ref().is_none_or(String::is_empty) {
        info.owner = Some(scene.who.user.clone());
    }
    let mut list = acls::of_maker(&scene.who.user, scene.group_of(&scene.who.user).as_deref());
    acls::add_all(&mut list, std::mem::take(&mut info.acls));
    info.acls = list;
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.create_bucket_request.take().unwrap_or_default().bucket_info;
    let mut volume = volumes::find(tx.db(), &asked.volume_name)?;
    let key = BucketKey::of(&asked.volume_name, &asked.bucket_name);
    if tx.db().contains(BUCKETS, &key)? {
        refuse!(BucketAlreadyExists, "Bucket already exists");
    }
    let quota_names = volume.quota_in_namespace();
    if quota_names > 0 && volume.used_namespace() >= quota_names.cast_unsigned() {
        refuse!(
            QuotaExceeded,
            "volume {} has {quota_names} buckets, all that its quota allows",
            volume.volume
        );
    }
    let volume_quota = volume.quota_in_bytes().cast_signed();
    if volume_quota > 0 && !buckets::is_link(&asked) {
        let wanted = asked.quota_in_bytes();
        if wanted <= 0 {
            refuse!(QuotaError, "volume {} has a quota, so each of its buckets needs one", volume.volume);
        }
        let others = bucket_quotas(tx.db(), &volume.volume, None)?.unwrap_or(0);
        if others + i128::from(wanted) > i128::from(volume_quota) {
            refuse!(
                QuotaExceeded,
                "the other buckets of volume {} have quotas of {others} bytes; {wanted} more are beyond its own of \
                 {volume_quota}",
                volume.volume
            );
        }
    }
    let mut list = asked.acls.clone();
    acls::add_all(&mut list, acls::inherited(&volume.volume_acls).collect::<Vec<_>>());
    let metadata = asked.metadata.iter().filter(|pair| pair.key != versions::STATUS).cloned().collect();
    let info = BucketInfo {
        acls: list,
        metadata,
        storage_type: if asked.storage_type == 0 { 1 } else { asked.storage_type },
        creation_time: Some(tx.now_ms),
        modification_time: Some(tx.now_ms),
        object_id: Some(tx.object_id()),
        update_id: Some(tx.number()),
        used_bytes: Some(0),
        used_namespace: Some(0),
        quota_in_bytes: Some(asked.quota_in_bytes.unwrap_or(volumes::QUOTA_NONE)),
        quota_in_namespace: Some(asked.quota_in_namespace.unwrap_or(volumes::QUOTA_NONE)),
        snapshot_used_bytes: Some(0),
        snapshot_used_namespace: Some(0),
        ..asked
    };
    tx.put(BUCKETS, &key, &info);
    volume.used_namespace = Some(volume.used_namespace() + 1);
    // The count is no property of the volume, so its update id stays: clients compare it.
    tx.put(crate::tables::VOLUMES, &crate::tables::VolumeKey::of(&volume.volume), &volume);
    Ok(OmResponse {
        create_bucket_response: Some(Box::new(CreateBucketResponse {})),
        ..OmResponse::default()
    })
}
