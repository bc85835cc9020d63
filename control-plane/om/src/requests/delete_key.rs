//! DeleteKey, DeleteKeys: rows leave the namespace at once, their blocks follow through the deletion service.

use std::collections::BTreeSet;

use allotrope_proto::om::{
    DeleteKeyArgs, DeleteKeyError, DeleteKeyResponse, DeleteKeysResponse, KeyInfo, OmRequest, OmResponse,
};
use allotrope_types::OmStatus;

use super::open::check_etag;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys::{self, Place};
use crate::namespace::lease;
use crate::namespace::tree::{self, Found};
use crate::namespace::versions::{self, Version, Versioning};
use crate::refusal::{Refusal, refuse};
use crate::tables::{DELETED_DIRECTORIES, DIRECTORIES, DeletedNodeKey};
use crate::tx::Tx;

/// What a deletion asks for.
#[derive(Clone, Copy, Default)]
struct Wish<'a> {
    recursive: bool,
    etag: Option<&'a str>,
    update_id: Option<u64>,
    version: Option<Version>,
    marker: bool,
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.delete_key_request.take().unwrap_or_default().key_args;
    let mut bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    let wish = Wish {
        recursive: args.recursive(),
        etag: args.expected_e_tag.as_deref(),
        update_id: None,
        version: versions::asked(&args)?,
        marker: versions::wants_marker(&args),
    };
    let key_info = delete(tx, &mut bucket, &args.key_name, wish)?;
    let delete_key_response = Some(Box::new(DeleteKeyResponse { key_info, ..DeleteKeyResponse::default() }));
    Ok(OmResponse { delete_key_response, ..OmResponse::default() })
}

/// Deletes what it can; the rest is listed with its errors and the answer is PARTIAL_DELETE.
pub(super) fn apply_all(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.delete_keys_request.take().unwrap_or_default().delete_keys.unwrap_or_default();
    let mut bucket = buckets::resolve(tx.db(), &asked.volume_name, &asked.bucket_name)?;
    let mut left = DeleteKeyArgs {
        volume_name: asked.volume_name,
        bucket_name: asked.bucket_name,
        ..DeleteKeyArgs::default()
    };
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, key) in asked.keys.into_iter().enumerate() {
        if !seen.insert(key.clone()) {
            continue;
        }
        let wish = Wish { update_id: asked.update_i_ds.get(index).copied(), ..Wish::default() };
        match delete(tx, &mut bucket, &key, wish) {
            Ok(_) => {}
            Err(Refusal::Status { status, message }) => {
                errors.push(DeleteKeyError {
                    key: Some(key.clone()),
                    error_code: Some(status.name().to_owned()),
                    error_msg: Some(message),
                });
                left.keys.push(key);
            }
            Err(damaged) => return Err(damaged),
        }
    }
    let all = errors.is_empty();
    let mut response = OmResponse {
        delete_keys_response: Some(Box::new(DeleteKeysResponse {
            un_deleted_keys: Some(left),
            status: Some(all),
            errors,
        })),
        ..OmResponse::default()
    };
    if !all {
        response.status = OmStatus::PartialDelete.number();
        response.success = Some(false);
    }
    Ok(response)
}

/// Deletes one key. In a bucket with versions: the delete marker that was made, or the version that is gone.
fn delete(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    name: &str,
    wish: Wish<'_>,
) -> Result<Option<KeyInfo>, Refusal> {
    let name = bucket.key_name(name)?;
    let target = keys::target(tx.db(), bucket, &name)?;
    if let Some(walk) = &target.walk
        && let Found::Directory(directory) = &walk.found
    {
        if !wish.recursive && tree::has_children(tx.db(), bucket, directory.object_id)? {
            refuse!(DirectoryNotEmpty, "directory {name} is not empty");
        }
        let node = tree::node(bucket, walk.parent_id, tree::leaf(&name));
        let row = DeletedNodeKey::of(&node, directory.object_id);
        tx.put(DELETED_DIRECTORIES, &row, &tree::as_key(bucket, tree::leaf(&name), directory));
        tx.delete(DIRECTORIES, &node);
        bucket.charge(tx, 0, -1);
        return Ok(None);
    }
    if let (Some(version), Place::Object(at)) = (wish.version, &target.place) {
        let gone = versions::delete(tx, bucket, at, version)?;
        target.place.bury(tx, bucket, vec![gone.clone()])?;
        return Ok(Some(gone));
    }
    let keeps = versions::of(&bucket.info) != Versioning::Off;
    if target.existing.is_none() && !(wish.marker && keeps && wish.etag.is_none()) {
        refuse!(KeyNotFound, "Key:{name} not found");
    }
    if let (Some(etag), Some(key)) = (wish.etag, &target.existing) {
        check_etag(key, etag)?;
    }
    let update_id = target.existing.as_ref().and_then(|key| key.update_id);
    if wish.update_id.is_some_and(|wanted| wanted != 0 && update_id != Some(wanted)) {
        refuse!(UpdateIdNotMatch, "key {name} was changed since");
    }
    if let (Place::Object(at), true) = (&target.place, keeps) {
        let (marker, gone) = versions::mark_deleted(tx, bucket, at, target.existing)?;
        target.place.bury(tx, bucket, gone)?;
        return Ok(Some(marker));
    }
    let Some(key) = target.existing else { refuse!(KeyNotFound, "Key:{name} not found") };
    let bytes = keys::signed(keys::size_on_disk(&key)?)?;
    lease::orphan(tx, &target.place, &key, lease::DELETED)?;
    target.place.delete(tx);
    target.place.bury(tx, bucket, vec![keys::stored(key, bucket.is_tree())])?;
    bucket.charge(tx, -bytes, -1);
    Ok(None)
}
