//! InfoVolume, CheckVolumeAccess: what a volume is.

use allotrope_proto::om::{CheckVolumeAccessResponse, InfoVolumeResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::rights::{Person, Right, grants};
use crate::namespace::volumes;
use crate::refusal::{Refusal, refuse};

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.info_volume_request.take().unwrap_or_default();
    let volume_info = Some(volumes::find(scene.db, &asked.volume_name)?);
    let info_volume_response = Some(Box::new(InfoVolumeResponse { volume_info }));
    Ok(OmResponse { info_volume_response, ..OmResponse::default() })
}

/// Whether the user has the right that is asked about. Where rights are not enforced a volume that exists is open to everyone.
pub(super) fn check_access(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.check_volume_access_request.take().unwrap_or_default();
    let volume = volumes::find(scene.db, &asked.volume_name)?;
    let person = Person { user: asked.user_acl.name.clone(), ..Person::default() };
    let bit =
        |right: Right| asked.user_acl.rights.first().is_some_and(|byte| byte >> (right as u32) & 1 == 1);
    let denied = [Right::Read, Right::Write, Right::List, Right::Delete]
        .into_iter()
        .filter(|right| bit(*right))
        .any(|right| !grants(&volume.volume_acls, &person, right));
    if scene.settings.acl_enabled && volume.owner_name != person.user && denied {
        refuse!(AccessDenied, "user {} has no such right on volume {}", person.user, asked.volume_name);
    }
    Ok(OmResponse {
        check_volume_access_response: Some(Box::new(CheckVolumeAccessResponse {})),
        ..OmResponse::default()
    })
}
