//! RecoverLease: another client takes over a file whose writer is gone; it then closes the blocks and commits the file.

use allotrope_proto::om::{KeyInfo, OmRequest, OmResponse, RecoverLeaseRequest, RecoverLeaseResponse};

use super::{Plan, Scene};
use crate::namespace::keys::{self, Session};
use crate::namespace::{buckets, lease};
use crate::refusal::{Refusal, refuse};
use crate::tx::{Db, Tx};

/// The file, its session's row and what is in it.
fn find(db: Db<'_>, asked: &RecoverLeaseRequest) -> Result<(KeyInfo, Session, KeyInfo), Refusal> {
    let bucket = buckets::resolve(db, asked.volume_name(), asked.bucket_name())?;
    let name = bucket.key_name(asked.key_name())?;
    let target = keys::target(db, &bucket, &name)?;
    let Some(key) = target.existing else { refuse!(KeyNotFound, "Key:{name} not found") };
    let Some(session) = lease::writer(&key) else {
        refuse!(KeyAlreadyClosed, "file {name} is closed already")
    };
    let row = target.place.session(session);
    let Some(open) = row.get(db)? else {
        refuse!(KeyNotFound, "the session that writes file {name} is not open")
    };
    lease::check_session(&open, true)?;
    Ok((key, row, open))
}

/// Refuses to take a file from a writer that was heard of a moment ago.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.recover_lease_request.get_or_insert_default();
    let (_, _, open) = find(scene.db, asked)?;
    let quiet_ms = scene.now_ms.saturating_sub(open.modification_time);
    let limit = scene.settings.lease_soft_limit;
    if !asked.force() && !lease::has(&open, lease::RECOVERY) && u128::from(quiet_ms) < limit.as_millis() {
        refuse!(
            KeyUnderLeaseSoftLimitPeriod,
            "the writer of file {} was heard of {quiet_ms} ms ago; it has {limit:?}",
            open.key_name
        );
    }
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.recover_lease_request.take().unwrap_or_default();
    let (key, row, mut open) = find(tx.db(), &asked)?;
    if !lease::has(&open, lease::RECOVERY) {
        lease::set(&mut open.metadata, lease::RECOVERY, "true");
        (open.modification_time, open.update_id) = (tx.now_ms, Some(tx.number()));
        row.put(tx, &open);
    }
    let open = keys::shown(open, &key.key_name);
    let response =
        RecoverLeaseResponse { response: Some(true), key_info: Some(key), open_key_info: Some(open) };
    Ok(OmResponse { recover_lease_response: Some(Box::new(response)), ..OmResponse::default() })
}
