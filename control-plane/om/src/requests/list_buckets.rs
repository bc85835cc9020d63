//! ListBuckets: a volume's buckets by name.

use allotrope_proto::om::{ListBucketsResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::{buckets, volumes};
use crate::refusal::Refusal;
use crate::tables::{BUCKETS, BucketKey};

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_buckets_request.take().unwrap_or_default();
    volumes::find(scene.db, &asked.volume_name)?;
    let mut bucket_info = Vec::new();
    // There are no snapshots yet, so no bucket has one.
    if !asked.has_snapshot() {
        let prefix = BucketKey::prefix(&asked.volume_name, asked.prefix());
        let listed = match asked.start_key() {
            "" => scene.db.scan(BUCKETS, &prefix)?,
            after => scene.db.scan_after(BUCKETS, &prefix, &BucketKey::of(&asked.volume_name, after))?,
        };
        for pair in listed.take(scene.page(asked.count.map(i64::from))) {
            bucket_info.push(buckets::as_seen(scene.db, pair?.1)?);
        }
    }
    let list_buckets_response = Some(Box::new(ListBucketsResponse { bucket_info }));
    Ok(OmResponse { list_buckets_response, ..OmResponse::default() })
}
