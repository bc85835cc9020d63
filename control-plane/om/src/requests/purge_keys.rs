//! PurgeKeys: rows whose blocks SCM has taken leave the table of deleted keys. Only OM itself asks this.

use allotrope_proto::om::{OmRequest, OmResponse, PurgeKeysResponse};

use crate::refusal::Refusal;
use crate::tables::{DELETED, DeletedKey, TextKey as _};
use crate::tx::Tx;

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.purge_keys_request.take().unwrap_or_default();
    for name in asked.deleted_keys.into_iter().flat_map(|deleted| deleted.keys) {
        if let Some(row) = DeletedKey::from_text(name) {
            tx.delete(DELETED, &row);
        }
    }
    Ok(OmResponse {
        purge_keys_response: Some(Box::new(PurgeKeysResponse::default())),
        ..OmResponse::default()
    })
}
