//! InfoBucket: what a bucket is, a link with its source's properties.

use allotrope_proto::om::{InfoBucketResponse, OmRequest, OmResponse};
use allotrope_types::OmStatus;

use super::Scene;
use crate::namespace::{buckets, volumes};
use crate::refusal::Refusal;

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.info_bucket_request.take().unwrap_or_default();
    let found = buckets::find(scene.db, &asked.volume_name, &asked.bucket_name);
    if found.as_ref().is_err_and(|refusal| refusal.is(OmStatus::BucketNotFound)) {
        // ofs makes volume and bucket by itself when it is told which of them is missing.
        volumes::find(scene.db, &asked.volume_name)?;
    }
    let info = found?;
    let bucket_info = Some(buckets::as_seen(scene.db, info)?);
    let info_bucket_response = Some(Box::new(InfoBucketResponse { bucket_info }));
    Ok(OmResponse { info_bucket_response, ..OmResponse::default() })
}
