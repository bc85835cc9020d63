//! AddAcl, RemoveAcl, SetAcl, GetAcl: the rights written on a volume, a bucket, a key or a directory.
//!
//! The lists are kept, inherited and shown; nothing is denied by them, as with `ozone.acl.enabled=false`.

use allotrope_proto::om::ozone_obj::ObjectType;
use allotrope_proto::om::{
    AddAclResponse, BucketInfo, DirectoryInfo, GetAclResponse, KeyInfo, OmRequest, OmResponse, OzoneAclInfo,
    OzoneObj, RemoveAclResponse, SetAclResponse, VolumeInfo,
};

use super::Scene;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys::{self, Place};
use crate::namespace::tree::{self, Found};
use crate::namespace::{acls, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey, DIRECTORIES, NodeKey};
use crate::tx::{Db, Tx};

/// Something that has rights, as it was found.
enum Holder {
    Volume(VolumeInfo),
    Bucket(Box<BucketInfo>),
    Key(Box<Bucket>, Place, Box<KeyInfo>),
    Directory(NodeKey, DirectoryInfo),
}

impl Holder {
    fn list(&mut self) -> &mut Vec<OzoneAclInfo> {
        match self {
            Holder::Volume(volume) => &mut volume.volume_acls,
            Holder::Bucket(bucket) => &mut bucket.acls,
            Holder::Key(_, _, key) => &mut key.acls,
            Holder::Directory(_, directory) => &mut directory.acls,
        }
    }

    fn store(self, tx: &mut Tx<'_>) {
        match self {
            Holder::Volume(mut volume) => {
                volume.modification_time = Some(tx.now_ms);
                volumes::store(tx, &mut volume);
            }
            Holder::Bucket(mut bucket) => {
                (bucket.modification_time, bucket.update_id) = (Some(tx.now_ms), Some(tx.number()));
                tx.put(BUCKETS, &BucketKey::of(&bucket.volume_name, &bucket.bucket_name), &bucket);
            }
            Holder::Key(bucket, place, mut key) => {
                (key.modification_time, key.update_id) = (tx.now_ms, Some(tx.number()));
                place.put(tx, &keys::stored(*key, bucket.is_tree()));
            }
            Holder::Directory(row, mut directory) => {
                (directory.modification_time, directory.update_id) = (tx.now_ms, tx.number());
                tx.put(DIRECTORIES, &row, &directory);
            }
        }
    }
}

/// What `object` names: `/volume`, `/volume/bucket` or `/volume/bucket/key`.
fn find(db: Db<'_>, object: &OzoneObj) -> Result<Holder, Refusal> {
    let path = object.path.trim_start_matches('/');
    let parts: Vec<&str> = path.splitn(3, '/').collect();
    let wrong = || {
        let status = allotrope_types::OmStatus::InvalidPathInAclRequest;
        Refusal::new(status, format!("path {:?} does not name what the request is about", object.path))
    };
    match (ObjectType::try_from(object.res_type), parts.as_slice()) {
        (Ok(ObjectType::Volume), [volume]) if !volume.is_empty() => {
            volumes::find(db, volume).map(Holder::Volume)
        }
        (Ok(ObjectType::Bucket), [volume, bucket]) => {
            volumes::find(db, volume)?;
            Ok(Holder::Bucket(Box::new(buckets::find(db, volume, bucket)?)))
        }
        (Ok(ObjectType::Key), [volume, bucket, name]) if !name.is_empty() => {
            find_key(db, volume, bucket, name)
        }
        (Ok(ObjectType::Prefix), _) => {
            refuse!(NotSupportedOperation, "rights on prefixes are not supported yet")
        }
        _ => Err(wrong()),
    }
}

fn find_key(db: Db<'_>, volume: &str, bucket: &str, name: &str) -> Result<Holder, Refusal> {
    let bucket = buckets::resolve(db, volume, bucket)?;
    let name = bucket.key_name(name)?;
    let target = keys::target(db, &bucket, &name)?;
    if let Some(walk) = &target.walk
        && let Found::Directory(directory) = &walk.found
    {
        return Ok(Holder::Directory(
            tree::node(&bucket, walk.parent_id, tree::leaf(&name)),
            directory.clone(),
        ));
    }
    match target.existing {
        Some(key) => Ok(Holder::Key(Box::new(bucket), target.place, Box::new(key))),
        None => refuse!(KeyNotFound, "key {name} is not found"),
    }
}

/// Changes the list of what `object` names, and says whether it changed.
fn change(
    tx: &mut Tx<'_>,
    object: &OzoneObj,
    how: impl FnOnce(&mut Vec<OzoneAclInfo>) -> bool,
) -> Result<bool, Refusal> {
    let mut holder = find(tx.db(), object)?;
    let changed = how(holder.list());
    if changed {
        holder.store(tx);
    }
    Ok(changed)
}

pub(super) fn add(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.add_acl_request.take().unwrap_or_default();
    let response = change(tx, &asked.obj, |list| acls::add(list, &asked.acl))?;
    Ok(OmResponse { add_acl_response: Some(AddAclResponse { response }), ..OmResponse::default() })
}

pub(super) fn remove(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.remove_acl_request.take().unwrap_or_default();
    let response = change(tx, &asked.obj, |list| acls::remove(list, &asked.acl))?;
    Ok(OmResponse { remove_acl_response: Some(RemoveAclResponse { response }), ..OmResponse::default() })
}

pub(super) fn set(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.set_acl_request.take().unwrap_or_default();
    let response = change(tx, &asked.obj, |list| {
        *list = asked.acl;
        true
    })?;
    Ok(OmResponse { set_acl_response: Some(SetAclResponse { response }), ..OmResponse::default() })
}

pub(super) fn get(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.get_acl_request.take().unwrap_or_default();
    let acls = std::mem::take(find(scene.db, &asked.obj)?.list());
    Ok(OmResponse { get_acl_response: Some(GetAclResponse { acls }), ..OmResponse::default() })
}
