//! RenameKey, RenameKeys: one row moves. In a tree that moves a directory with everything in it.

use allotrope_proto::om::{
    KeyInfo, OmRequest, OmResponse, RenameKeyResponse, RenameKeysMap, RenameKeysResponse,
};
use allotrope_types::OmStatus;

use crate::namespace::buckets::{self, Bucket};
use crate::namespace::tree::{self, Found};
use crate::namespace::versions::{self, Versioning};
use crate::namespace::{keys, lease};
use crate::refusal::{Refusal, refuse};
use crate::tables::DIRECTORIES;
use crate::tx::Tx;

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.rename_key_request.take().unwrap_or_default();
    let args = asked.key_args;
    let mut bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    rename(tx, &mut bucket, &args.key_name, &asked.to_key_name, asked.update_id)?;
    Ok(OmResponse { rename_key_response: Some(Box::new(RenameKeyResponse {})), ..OmResponse::default() })
}

/// Renames what it can; the rest is listed and the answer is PARTIAL_RENAME.
pub(super) fn apply_all(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.rename_keys_request.take().unwrap_or_default().rename_keys_args;
    let mut bucket = buckets::resolve(tx.db(), &asked.volume_name, &asked.bucket_name)?;
    if bucket.is_tree() {
        refuse!(
            NotSupportedOperation,
            "RenameKeys is for buckets whose keys do not form a tree; use RenameKey"
        );
    }
    let mut left: Vec<RenameKeysMap> = Vec::new();
    for pair in asked.rename_keys_map {
        match rename(tx, &mut bucket, &pair.from_key_name, &pair.to_key_name, None) {
            Ok(()) => {}
            Err(Refusal::Status { .. }) => left.push(pair),
            Err(damaged) => return Err(damaged),
        }
    }
    let all = left.is_empty();
    let mut response = OmResponse {
        rename_keys_response: Some(Box::new(RenameKeysResponse { un_renamed_keys: left, status: Some(all) })),
        ..OmResponse::default()
    };
    if !all {
        response.status = OmStatus::PartialRename.number();
        response.success = Some(false);
    }
    Ok(response)
}

fn rename(
    tx: &mut Tx<'_>,
    bucket: &mut Bucket,
    from: &str,
    to: &str,
    update_id: Option<u64>,
) -> Result<(), Refusal> {
    let from = bucket.key_name(from)?;
    if bucket.is_tree() {
        return rename_in_tree(tx, bucket, &from, to, update_id);
    }
    let to = bucket.new_key_name(to)?;
    let source = keys::target(tx.db(), bucket, &from)?;
    let Some(mut key) = source.existing else { refuse!(KeyNotFound, "key {from} is not found") };
    check_closed(&key)?;
    check_update_id(&from, key.update_id, update_id)?;
    let target = keys::target(tx.db(), bucket, &to)?;
    if target.existing.is_some() {
        refuse!(KeyAlreadyExists, "key {to} exists already");
    }
    key.key_name = to.clone();
    key.modification_time = tx.now_ms;
    key.update_id = Some(tx.number());
    if versions::of(&bucket.info) != Versioning::Off {
        return versions::rename(tx, bucket, (&source.place, &target.place), key);
    }
    source.place.delete(tx);
    target.place.put(tx, &key);
    Ok(())
}

/// Refuses to rename what is still written: its session would not find it again.
fn check_closed(key: &KeyInfo) -> Result<(), Refusal> {
    match lease::writer(key) {
        Some(_) => refuse!(RenameOpenFile, "file {} is still being written", key.key_name),
        None => Ok(()),
    }
}

fn check_update_id(name: &str, now: Option<u64>, wanted: Option<u64>) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if now != Some(wanted) => {
            refuse!(UpdateIdNotMatch, "key {name} was changed since update {wanted}")
        }
        _ => Ok(()),
    }
}

fn rename_in_tree(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    from: &str,
    to: &str,
    update_id: Option<u64>,
) -> Result<(), Refusal> {
    let source = tree::walk(tx.db(), bucket, from)?;
    let (is_directory, now) = match &source.found {
        Found::Directory(directory) => (true, Some(directory.update_id)),
        Found::File(file) => {
            check_closed(file)?;
            (false, file.update_id)
        }
        Found::Root | Found::BelowFile | Found::Nothing => refuse!(KeyNotFound, "{from} is not found"),
    };
    check_update_id(from, now, update_id)?;
    // An existing directory takes the source in, under its own last name.
    let mut to = match to.trim_matches('/') {
        "" => String::new(),
        _ => bucket.new_key_name(to.trim_end_matches('/'))?,
    };
    if to == from {
        return match is_directory {
            true => refuse!(KeyAlreadyExists, "{to} exists already"),
            false => Ok(()),
        };
    }
    if is_directory && to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
        refuse!(KeyRenameError, "directory {from} cannot move into itself, to {to}");
    }
    if matches!(tree::walk(tx.db(), bucket, &to)?.found, Found::Root | Found::Directory(_)) {
        let separator = if to.is_empty() { "" } else { "/" };
        to = format!("{to}{separator}{}", tree::leaf(from));
    }
    let target = tree::walk(tx.db(), bucket, &to)?;
    match target.found {
        Found::Nothing if target.has_parent() => {}
        Found::Nothing | Found::BelowFile => refuse!(KeyRenameError, "the directory of {to} does not exist"),
        _ => refuse!(KeyAlreadyExists, "{to} exists already"),
    }
    let (old, new) = (
        tree::node(bucket, source.parent_id, tree::leaf(from)),
        tree::node(bucket, target.parent_id, tree::leaf(&to)),
    );
    match source.found {
        Found::Directory(mut directory) => {
            directory.name = tree::leaf(&to).to_owned();
            directory.parent_id = target.parent_id;
            directory.modification_time = tx.now_ms;
            directory.update_id = tx.number();
            tx.delete(DIRECTORIES, &old);
            tx.put(DIRECTORIES, &new, &directory);
        }
        Found::File(mut file) => {
            file.key_name = tree::leaf(&to).to_owned();
            file.parent_id = Some(target.parent_id);
            file.modification_time = tx.now_ms;
            file.update_id = Some(tx.number());
            tx.delete(crate::tables::FILES, &old);
            tx.put(crate::tables::FILES, &new, &file);
        }
        Found::Root | Found::BelowFile | Found::Nothing => unreachable!("refused above"),
    }
    Ok(())
}
