//! AllocateBlock: one more block for a key that is being written.

use allotrope_proto::om::{AllocateBlockResponse, OmRequest, OmResponse};
use allotrope_types::OmStatus;

use super::open::version_zero;
use super::{BlockWish, Plan, Scene};
use crate::namespace::keys::{self, Session};
use crate::namespace::{buckets, lease, replication};
use crate::refusal::{Refusal, refuse};
use crate::tx::{Db, Tx};
use allotrope_proto::om::{KeyArgs, KeyInfo};

/// Asks for a block of the kind the session has, away from what the client excludes.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.allocate_block_request.get_or_insert_default();
    asked.key_location = None;
    let (_, _, open) = session(scene.db, &asked.key_args, asked.client_id)?;
    lease::check_session(&open, false)?;
    let config = replication::of_key(&open)?;
    let wish =
        BlockWish { count: 1, size: scene.settings.block_size, config, exclude: asked.exclude_list.clone() };
    Ok(Plan::Blocks(wish))
}

/// The bucket, the row and the key of an open session.
pub(super) fn session(
    db: Db<'_>,
    args: &KeyArgs,
    id: u64,
) -> Result<(buckets::Bucket, Session, KeyInfo), Refusal> {
    let bucket = buckets::resolve(db, &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(db, &bucket, &name)?;
    if !target.has_parent() {
        refuse!(DirectoryNotFound, "the directory of {name} does not exist");
    }
    let row = target.place.session(id);
    match row.get(db)? {
        Some(open) => Ok((bucket, row, open)),
        None => refuse!(KeyNotFound, "session {id} of key {name} is not open"),
    }
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.allocate_block_request.take().unwrap_or_default();
    let location = asked.key_location.ok_or_else(|| {
        Refusal::new(OmStatus::InternalError, "a block came into the log without its location")
    })?;
    let (bucket, row, mut open) = session(tx.db(), &asked.key_args, asked.client_id)?;
    lease::check_session(&open, false)?;
    // The blocks so far are full, and a byte more is to come.
    let config = replication::of_key(&open)?;
    let group = config.ec().map_or(1, |ec| ec.data() as u64);
    let full: u64 =
        keys::blocks(&open).map(|block| block.length.saturating_mul(group)).fold(1, u64::saturating_add);
    let at_least = i64::try_from(replication::size_on_disk(config, full)).unwrap_or(i64::MAX);
    bucket.check_quota(at_least, 0)?;
    let mut kept = location.clone();
    keys::strip(&mut kept);
    match open.key_location_list.last_mut() {
        Some(list) => list.key_locations.push(kept),
        None => open.key_location_list.push(version_zero(vec![kept])),
    }
    open.update_id = Some(tx.number());
    row.put(tx, &open);
    let allocate_block_response = Some(Box::new(AllocateBlockResponse { key_location: Some(location) }));
    Ok(OmResponse { allocate_block_response, ..OmResponse::default() })
}
