//! CreateDirectory: a path of directories, parents included.

use allotrope_proto::om::{CreateDirectoryResponse, KeyInfo, OmRequest, OmResponse};
use allotrope_types::{KeyName, OmStatus};

use super::{Plan, Scene};
use crate::namespace::tree::{self, Found, Maker};
use crate::namespace::{acls, buckets, keys};
use crate::refusal::{Refusal, refuse};
use crate::tx::Tx;

/// Adds who makes the directories and the rights they get.
pub(super) fn plan(scene: &Scene<'_>, request: &mut OmRequest) -> Result<Plan, Refusal> {
    let args = &mut request.create_directory_request.get_or_insert_default().key_args;
    if args.owner_name.as_ref().is_none_or(String::is_empty) {
        args.owner_name = Some(scene.who.user.clone());
    }
    let mut list = acls::of_maker(&scene.who.user, scene.group_of(&scene.who.user).as_deref());
    acls::add_all(&mut list, std::mem::take(&mut args.acls));
    args.acls = list;
    Ok(Plan::Ready)
}

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.create_directory_request.take().unwrap_or_default().key_args;
    let mut bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    if args.key_name.trim_matches('/').is_empty() {
        refuse!(CannotCreateDirectoryAtRoot, "the bucket itself is the root; it exists");
    }
    let name =
        KeyName::to_create_directory(&args.key_name).map_err(Refusal::name(OmStatus::InvalidKeyName))?;
    let name = name.as_str();
    let maker = Maker { owner: args.owner_name.unwrap_or_default(), acls: args.acls };
    if !bucket.is_tree() {
        return flat(tx, &mut bucket, name, maker);
    }
    let walk = tree::walk(tx.db(), &bucket, name)?;
    match walk.found {
        Found::Nothing => {}
        Found::Root | Found::Directory(_) => return Ok(exists()),
        Found::File(_) | Found::BelowFile => {
            refuse!(FileAlreadyExists, "a part of the path {name} is a file")
        }
    }
    bucket.check_quota(0, walk.missing.len() as i64)?;
    tree::make_directories(tx, &bucket, &walk, &walk.missing, &maker)?;
    bucket.charge(tx, 0, walk.missing.len() as i64);
    Ok(done())
}

/// In a bucket without a tree a directory is an empty key whose name ends in `/`; its parents are names only.
fn flat(
    tx: &mut Tx<'_>,
    bucket: &mut buckets::Bucket,
    name: &str,
    maker: Maker,
) -> Result<OmResponse, Refusal> {
    if keys::find(tx.db(), bucket, name)?.is_some() {
        refuse!(FileAlreadyExists, "key {name} exists already");
    }
    let marker = format!("{name}/");
    let target = keys::target(tx.db(), bucket, &marker)?;
    if target.existing.is_some() {
        return Ok(exists());
    }
    bucket.check_quota(0, 1)?;
    let key = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: marker.clone(),
        r#type: 1,
        factor: Some(1),
        key_location_list: vec![super::open::version_zero(Vec::new())],
        creation_time: tx.now_ms,
        modification_time: tx.now_ms,
        latest_version: Some(0),
        acls: maker.acls,
        object_id: Some(tx.object_id()),
        update_id: Some(tx.number()),
        parent_id: Some(0),
        is_file: Some(false),
        owner_name: Some(maker.owner),
        ..KeyInfo::default()
    };
    target.place.put(tx, &key);
    bucket.charge(tx, 0, 1);
    Ok(done())
}

fn done() -> OmResponse {
    OmResponse {
        create_directory_response: Some(Box::new(CreateDirectoryResponse {})),
        ..OmResponse::default()
    }
}

/// Clients take this as success, and look at the payload.
fn exists() -> OmResponse {
    OmResponse {
        status: OmStatus::DirectoryAlreadyExists.number(),
        success: Some(false),
        message: Some("the directory exists already".to_owned()),
        ..done()
    }
}
