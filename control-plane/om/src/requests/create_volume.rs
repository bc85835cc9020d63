//! CreateVolume: a new top of the namespace.

use allotrope_proto::om::{CreateVolumeResponse, OmRequest, OmResponse, VolumeInfo};
use allotrope_types::{NameRules, OmStatus, VolumeName};

use super::{Plan, Scene};
use crate::namespace::{acls, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{VOLUMES, VolumeKey};
use crate::tx::Tx;

/// The object id of S3's volume: Ozone keeps transaction 2^54 - 1 for it.
const S3_VOLUME_ID: u64 = 2 << 62 | ((1 << 54) - 1) << 8;

/// Checks the name and adds the rights its owner gets.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let info = &mut request.create_volume_request.get_or_insert_default().volume_info;
    VolumeName::new(&info.volume, NameRules::for_volume(scene.settings.s3_strict))
        .map_err(Refusal::name(OmStatus::InvalidVolumeName))?;
    if info.owner_name.is_empty() {
        info.owner_name = scene.who.user.clone();
    }
    if info.admin_name.is_empty() {
        info.admin_name = scene.who.user.clone();
    }
    // The volume of S3's buckets has an id of its own, as with Ozone.
    info.object_id = (info.volume == scene.settings.s3_volume).then_some(S3_VOLUME_ID);
    let volumes_max = scene.settings.volumes_per_owner_max;
    if volumes::of_owner(scene.db, &info.owner_name)?.volume_names.len() >= volumes_max {
        refuse!(
            UserTooManyVolumes,
            "user {} has {volumes_max} volumes, the most one may have",
            info.owner_name
        );
    }
    let mut list = acls::of_maker(&info.owner_name, scene.group_of(&info.owner_name).as_deref());
    acls::add_all(&mut list, std::mem::take(&mut info.volume_acls));
    info.volume_acls = list;
    quota(info.quota_in_bytes.map(u64::cast_signed))?;
    quota(Some(info.quota_in_namespace()))?;
    Ok(Plan::Ready)
}

/// Refuses a quota that is neither positive nor one of the wire's words for "none".
fn quota(given: Option<i64>) -> Result<(), Refusal> {
    match given {
        Some(quota) if quota == 0 || quota < -2 => {
            refuse!(QuotaError, "a quota of {quota} is none: give a positive number, or -1 for no limit")
        }
        _ => Ok(()),
    }
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.create_volume_request.take().unwrap_or_default().volume_info;
    let key = VolumeKey::of(&asked.volume);
    if tx.db().contains(VOLUMES, &key)? {
        refuse!(VolumeAlreadyExists, "Volume already exists");
    }
    let mut info = VolumeInfo {
        quota_in_bytes: Some(asked.quota_in_bytes.unwrap_or(volumes::QUOTA_NONE.cast_unsigned())),
        quota_in_namespace: Some(asked.quota_in_namespace.unwrap_or(volumes::QUOTA_NONE)),
        creation_time: Some(tx.now_ms),
        modification_time: Some(tx.now_ms),
        object_id: asked.object_id.or_else(|| Some(tx.object_id())),
        used_namespace: Some(0),
        ref_count: Some(0),
        ..asked
    };
    volumes::give(tx, &info.owner_name, &info.volume)?;
    volumes::store(tx, &mut info);
    Ok(OmResponse {
        create_volume_response: Some(Box::new(CreateVolumeResponse {})),
        ..OmResponse::default()
    })
}
