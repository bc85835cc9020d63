//! GetS3Secret, SetS3Secret, RevokeS3Secret: the secrets that S3 clients sign with, by access id.
//!
//! Law     the leader draws a new secret and puts it into the request, so every member keeps the same one. A user makes, sets and
//!         revokes the secret of the user's own access id; an administrator anybody's.
//! Errors  USER_MISMATCH, S3_SECRET_ALREADY_EXISTS (a secret is shown once), ACCESS_ID_NOT_FOUND, S3_SECRET_NOT_FOUND.

use allotrope_proto::om::{
    GetS3SecretResponse, OmRequest, OmResponse, S3Secret, SetS3SecretResponse, UpdateGetS3SecretRequest,
};
use sha2::{Digest as _, Sha256};

use super::{Plan, Scene};
use crate::refusal::{Refusal, refuse};
use crate::tables::S3_SECRETS;
use crate::tx::Tx;

/// Fewest characters of a secret that a user chooses.
const SECRET_LEN_MIN: usize = 8;

fn check_access(scene: &Scene<'_>, access_id: &str) -> Result<(), Refusal> {
    let user = &scene.who.user;
    if access_id.is_empty() {
        refuse!(InvalidRequest, "the access id is empty");
    }
    if user != access_id && !scene.is_admin() {
        refuse!(UserMismatch, "access id {access_id} is not that of user {user}, who is no administrator");
    }
    Ok(())
}

/// Draws the secret, in case there is none yet.
pub(super) fn plan_get(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.get_s3_secret_request.get_or_insert_default();
    check_access(scene, &asked.kerberos_id)?;
    let mut hasher = Sha256::new();
    for _ in 0..2 {
        hasher.update(scene.random().to_be_bytes());
    }
    request.update_get_s3_secret_request = Some(Box::new(UpdateGetS3SecretRequest {
        kerberos_id: asked.kerberos_id.clone(),
        aws_secret: hex(&hasher.finalize()),
    }));
    Ok(Plan::Ready)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn get(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.get_s3_secret_request.take().unwrap_or_default();
    let drawn = request.update_get_s3_secret_request.take().unwrap_or_default();
    let access_id = asked.kerberos_id;
    if tx.db().contains(S3_SECRETS, &access_id)? {
        refuse!(
            S3SecretAlreadyExists,
            "access id {access_id} has a secret already; revoke it to get another"
        );
    }
    if !asked.create_if_not_exist.unwrap_or(true) {
        refuse!(AccessIdNotFound, "access id {access_id} has no secret");
    }
    if drawn.aws_secret.is_empty() {
        refuse!(InternalError, "a secret came into the log without having been drawn");
    }
    let s3_secret = S3Secret { kerberos_id: access_id.clone(), aws_secret: drawn.aws_secret };
    tx.put(S3_SECRETS, &access_id, &s3_secret);
    Ok(OmResponse {
        get_s3_secret_response: Some(Box::new(GetS3SecretResponse { s3_secret })),
        ..OmResponse::default()
    })
}

pub(super) fn plan_set(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let asked = request.set_s3_secret_request.get_or_insert_default();
    check_access(scene, asked.access_id())?;
    let len = asked.secret_key().chars().count();
    if len < SECRET_LEN_MIN {
        refuse!(InvalidRequest, "a secret has at least {SECRET_LEN_MIN} characters; this one has {len}");
    }
    Ok(Plan::Ready)
}

pub(super) fn set(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.set_s3_secret_request.take().unwrap_or_default();
    let (access_id, secret) = (asked.access_id().to_owned(), asked.secret_key().to_owned());
    if !tx.db().contains(S3_SECRETS, &access_id)? {
        refuse!(AccessIdNotFound, "access id {access_id} has no secret to set anew; get one first");
    }
    let kept = S3Secret { kerberos_id: access_id.clone(), aws_secret: secret.clone() };
    tx.put(S3_SECRETS, &access_id, &kept);
    let response = SetS3SecretResponse { access_id: Some(access_id), secret_key: Some(secret) };
    Ok(OmResponse { set_s3_secret_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn plan_revoke(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    check_access(scene, &request.revoke_s3_secret_request.get_or_insert_default().kerberos_id)?;
    Ok(Plan::Ready)
}

pub(super) fn revoke(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let access_id = request.revoke_s3_secret_request.take().unwrap_or_default().kerberos_id;
    if !tx.db().contains(S3_SECRETS, &access_id)? {
        refuse!(S3SecretNotFound, "access id {access_id} has no secret");
    }
    tx.delete(S3_SECRETS, &access_id);
    Ok(OmResponse::default())
}
