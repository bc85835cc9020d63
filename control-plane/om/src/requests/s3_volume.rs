//! GetS3VolumeContext: the volume that S3 buckets lie in.

use allotrope_proto::om::{GetS3VolumeContextResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::volumes;
use crate::refusal::Refusal;

pub(super) fn read(scene: &Scene<'_>, _: OmRequest) -> Result<OmResponse, Refusal> {
    let response = GetS3VolumeContextResponse {
        volume_info: Some(volumes::find(scene.db, &scene.settings.s3_volume)?),
        user_principal: Some(scene.who.user.clone()),
    };
    Ok(OmResponse { get_s3_volume_context_response: Some(Box::new(response)), ..OmResponse::default() })
}
