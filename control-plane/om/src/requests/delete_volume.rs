//! DeleteVolume: an empty volume goes.

use allotrope_proto::om::{DeleteVolumeResponse, OmRequest, OmResponse};

use crate::namespace::volumes;
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey, VOLUMES, VolumeKey};
use crate::tx::Tx;

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.delete_volume_request.take().unwrap_or_default();
    let volume = volumes::find(tx.db(), &asked.volume_name)?;
    if volume.ref_count() > 0 {
        refuse!(VolumeIsReferenced, "volume {} is referenced {} times", volume.volume, volume.ref_count());
    }
    if tx.db().has_any(BUCKETS, &BucketKey::prefix(&volume.volume, ""))? {
        refuse!(VolumeNotEmpty, "volume {} has buckets", volume.volume);
    }
    volumes::take(tx, &volume.owner_name, &volume.volume)?;
    tx.delete(VOLUMES, &VolumeKey::of(&volume.volume));
    Ok(OmResponse {
        delete_volume_response: Some(Box::new(DeleteVolumeResponse {})),
        ..OmResponse::default()
    })
}
