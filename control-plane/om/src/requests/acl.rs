//! AddAcl, RemoveAcl, SetAcl, GetAcl: the rights written on a volume, a bucket, a key or a directory.
//!
//! A prefix gets its row with its first entry and loses it with its last; it begins with what it inherits.

use allotrope_proto::om::ozone_obj::ObjectType;
use allotrope_proto::om::{
    AddAclResponse, BucketInfo, DirectoryInfo, GetAclResponse, KeyInfo, OmRequest, OmResponse, OzoneAclInfo,
    OzoneObj, PrefixInfo, RemoveAclResponse, SetAclRequest, SetAclResponse, VolumeInfo,
};

use super::Scene;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys::{self, Place};
use crate::namespace::tree::{self, Found};
use crate::namespace::{acls, prefixes, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{BUCKETS, BucketKey, DIRECTORIES, NodeKey, ObjectKey, PREFIXES, TextKey as _};
use crate::tx::{Db, Tx};

/// Something that has rights, as it was found.
enum Holder {
    Volume(VolumeInfo),
    Bucket(Box<BucketInfo>),
    Key(Box<Bucket>, Place, Box<KeyInfo>),
    Directory(NodeKey, DirectoryInfo),
    Prefix(ObjectKey, PrefixInfo),
}

impl Holder {
    fn list(&mut self) -> &mut Vec<OzoneAclInfo> {
        match self {
            Holder::Volume(volume) => &mut volume.volume_acls,
            Holder::Bucket(bucket) => &mut bucket.acls,
            Holder::Key(_, _, key) => &mut key.acls,
            Holder::Directory(_, directory) => &mut directory.acls,
            Holder::Prefix(_, prefix) => &mut prefix.acls,
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
            Holder::Prefix(row, prefix) if prefix.acls.is_empty() => tx.delete(PREFIXES, &row),
            Holder::Prefix(row, mut prefix) => {
                prefix.object_id.get_or_insert_with(|| tx.object_id());
                prefix.update_id = Some(tx.number());
                tx.put(PREFIXES, &row, &prefix);
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
        (Ok(ObjectType::Prefix), [volume, bucket, prefix]) if prefix.ends_with('/') => {
            find_prefix(db, volume, bucket, prefix)
        }
        _ => Err(wrong()),
    }
}

/// The prefix, or a new one that begins with the DEFAULT entries of what it lies in.
fn find_prefix(db: Db<'_>, volume: &str, bucket: &str, prefix: &str) -> Result<Holder, Refusal> {
    let bucket = buckets::resolve(db, volume, bucket)?;
    let row = ObjectKey::of(&bucket.info.volume_name, &bucket.info.bucket_name, prefix);
    if let Some(found) = db.get(PREFIXES, &row)? {
        return Ok(Holder::Prefix(row, found));
    }
    let above = prefixes::nearest(db, &bucket, prefix.trim_end_matches('/'))?;
    let from = above.map_or_else(|| bucket.info.acls.clone(), |found| found.acls);
    let inherited: Vec<OzoneAclInfo> = from.into_iter().filter(|entry| entry.acl_scope != 0).collect();
    let name = row.as_str().to_owned();
    Ok(Holder::Prefix(row, PrefixInfo { name, acls: inherited, ..PrefixInfo::default() }))
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
    must_exist: bool,
    how: impl FnOnce(&mut Vec<OzoneAclInfo>) -> bool,
) -> Result<bool, Refusal> {
    let mut holder = find(tx.db(), object)?;
    if let Holder::Prefix(row, _) = &holder
        && must_exist
        && !tx.db().contains(PREFIXES, row)?
    {
        refuse!(PrefixNotFound, "no rights are written for prefix {}", object.path);
    }
    let changed = how(holder.list());
    if changed {
        holder.store(tx);
    }
    Ok(changed)
}

pub(super) fn add(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.add_acl_request.take().unwrap_or_default();
    let response = change(tx, &asked.obj, false, |list| acls::add(list, &asked.acl))?;
    Ok(OmResponse { add_acl_response: Some(Box::new(AddAclResponse { response })), ..OmResponse::default() })
}

pub(super) fn remove(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.remove_acl_request.take().unwrap_or_default();
    let response = change(tx, &asked.obj, true, |list| acls::remove(list, &asked.acl))?;
    Ok(OmResponse {
        remove_acl_response: Some(Box::new(RemoveAclResponse { response })),
        ..OmResponse::default()
    })
}

pub(super) fn set(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let SetAclRequest { obj, acl, .. } = *request.set_acl_request.take().unwrap_or_default();
    let response = change(tx, &obj, false, |list| {
        *list = acl;
        true
    })?;
    Ok(OmResponse { set_acl_response: Some(Box::new(SetAclResponse { response })), ..OmResponse::default() })
}

pub(super) fn get(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.get_acl_request.take().unwrap_or_default();
    let acls = match find(scene.db, &asked.obj)? {
        // A prefix without a row shows the rights that hold for it.
        Holder::Prefix(row, _) if !scene.db.contains(PREFIXES, &row)? => {
            let (volume, bucket, name) = row.parts();
            let bucket = buckets::resolve(scene.db, volume, bucket)?;
            prefixes::nearest(scene.db, &bucket, name)?.map(|found| found.acls).unwrap_or_default()
        }
        mut holder => std::mem::take(holder.list()),
    };
    Ok(OmResponse { get_acl_response: Some(Box::new(GetAclResponse { acls })), ..OmResponse::default() })
}
