//! CreateKey: opens a session in which a key is written; CommitKey ends it.

use allotrope_proto::om::{CreateKeyResponse, OmRequest, OmResponse};

use super::open::{self, Rules};
use super::{Plan, Scene, parts};
use crate::refusal::Refusal;
use crate::tx::Tx;

pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let args = &mut request.create_key_request.get_or_insert_default().key_args;
    match args.is_multipart_key() {
        true => parts::prepare(scene, args),
        false => open::prepare(scene, args),
    }
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.create_key_request.take().unwrap_or_default().key_args;
    let key_info = match args.is_multipart_key() {
        true => parts::open(tx, args)?,
        false => open::open(tx, args, Rules { make_parents: true, overwrite: true })?,
    };
    let create_key_response = Some(Box::new(CreateKeyResponse {
        key_info: Some(key_info),
        id: Some(tx.number()),
        open_version: Some(0),
        derived_key: None,
    }));
    Ok(OmResponse { create_key_response, ..OmResponse::default() })
}
