//! CreateFile: CreateKey as a file system asks for it, with its rules about parents and overwriting.

use allotrope_proto::om::{CreateFileResponse, OmRequest, OmResponse};

use super::open::{self, Rules};
use super::{Plan, Scene};
use crate::refusal::Refusal;
use crate::tx::Tx;

pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    open::prepare(scene, &mut request.create_file_request.get_or_insert_default().key_args)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.create_file_request.take().unwrap_or_default();
    let rules = Rules { make_parents: asked.is_recursive, overwrite: asked.is_overwrite };
    let key_info = open::open(tx, asked.key_args, rules)?;
    let response =
        CreateFileResponse { key_info: Some(key_info), id: Some(tx.number()), open_version: Some(0) };
    Ok(OmResponse { create_file_response: Some(Box::new(response)), ..OmResponse::default() })
}
