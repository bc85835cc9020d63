//! InfoVolume, CheckVolumeAccess: what a volume is.

use allotrope_proto::om::{CheckVolumeAccessResponse, InfoVolumeResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::volumes;
use crate::refusal::Refusal;

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.info_volume_request.take().unwrap_or_default();
    let volume_info = Some(volumes::find(scene.db, &asked.volume_name)?);
    let info_volume_response = Some(InfoVolumeResponse { volume_info });
    Ok(OmResponse { info_volume_response, ..OmResponse::default() })
}

/// Rights are not enforced, so a volume that exists is open to everyone.
pub(super) fn check_access(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.check_volume_access_request.take().unwrap_or_default();
    volumes::find(scene.db, &asked.volume_name)?;
    Ok(OmResponse {
        check_volume_access_response: Some(CheckVolumeAccessResponse {}),
        ..OmResponse::default()
    })
}
