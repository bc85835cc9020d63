//! DeleteOpenKeys, AbortExpiredMultiPartUploads: what was begun and never ended. Only OM itself asks these.
//!
//! Shape   a request names rows of the open tables, or of the upload table, by their text.
//! Law     a session that is not open any more is passed over: its writer came in between. The blocks of an expired session go to
//!         the deletion service; a synced file keeps what was synced and is closed.

use allotrope_proto::om::{MultipartUploadsExpiredAbortResponse, OmRequest, OmResponse};

use super::uploads;
use crate::namespace::buckets;
use crate::namespace::keys::{self, Place, Session};
use crate::namespace::lease;
use crate::refusal::Refusal;
use crate::tables::{NodeKey, ObjectKey, OpenKey, OpenNodeKey, TextKey as _, UPLOADS, UploadKey};
use crate::tx::Tx;

/// A row of one of the open tables, with the place of the key it writes.
fn row(text: &str) -> Option<(Session, Place)> {
    let (place, session) = text.rsplit_once('/')?;
    session.parse::<i64>().ok()?;
    // Rows of trees begin with a negative object id; no volume's name begins so.
    match text.starts_with("/-") {
        true => Some((
            Session::File(OpenNodeKey::from_text(text.to_owned())?),
            Place::File(NodeKey::from_text(place.to_owned())?),
        )),
        false => Some((
            Session::Object(OpenKey::from_text(text.to_owned())?),
            Place::Object(ObjectKey::from_text(place.to_owned())?),
        )),
    }
}

pub(super) fn delete_open_keys(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.delete_open_keys_request.take().unwrap_or_default();
    for name in asked.open_keys_per_bucket.into_iter().flat_map(|bucket| bucket.keys) {
        if let Some((session, place)) = row(&name.name) {
            end(tx, &session, &place, &name.name)?;
        }
    }
    Ok(OmResponse::default())
}

fn end(tx: &mut Tx<'_>, session: &Session, place: &Place, text: &str) -> Result<(), Refusal> {
    let Some(mut open) = session.get(tx.db())? else { return Ok(()) };
    let id = super::list_open_files::session_of(text);
    if let Some(mut key) = place.get(tx.db())?
        && lease::writer(&key).is_some()
        && lease::writer(&key) == id
    {
        let synced: Vec<(i64, i64)> = keys::blocks(&key).map(keys::block_id).collect();
        for list in &mut open.key_location_list {
            list.key_locations.retain(|location| !synced.contains(&keys::block_id(location)));
        }
        lease::clear(&mut key.metadata);
        key.update_id = Some(tx.number());
        place.put(tx, &key);
    }
    session.delete(tx);
    if keys::blocks(&open).next().is_none() {
        return Ok(());
    }
    let bucket_id = match buckets::resolve(tx.db(), &open.volume_name, &open.bucket_name) {
        Ok(bucket) => Some(bucket.id()),
        Err(Refusal::Status { .. }) => None,
        Err(damaged) => return Err(damaged),
    };
    place.bury_all(tx, bucket_id, vec![open])
}

pub(super) fn abort_uploads(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.multipart_uploads_expired_abort_request.take().unwrap_or_default();
    let expired = asked.expired_multipart_uploads_per_bucket.into_iter().flat_map(|b| b.multipart_uploads);
    for name in expired {
        let Some(row) = UploadKey::from_text(name.name) else { continue };
        if let Some(upload) = tx.db().get(UPLOADS, &row)? {
            uploads::give_up(tx, &row, upload)?;
        }
    }
    let response = MultipartUploadsExpiredAbortResponse {};
    Ok(OmResponse {
        multipart_uploads_expired_abort_response: Some(Box::new(response)),
        ..OmResponse::default()
    })
}
