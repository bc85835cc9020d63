//! SetTimes, PutObjectTagging, GetObjectTagging, DeleteObjectTagging: what is written beside a key's bytes.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::{
    DeleteObjectTaggingResponse, GetObjectTaggingResponse, KeyArgs, KeyInfo, OmRequest, OmResponse,
    PutObjectTaggingResponse, SetTimesResponse,
};

use super::Scene;
use crate::namespace::keys::Place;
use crate::namespace::tree::{self, Found};
use crate::namespace::{buckets, keys, versions};
use crate::refusal::{Refusal, refuse};
use crate::tables::DIRECTORIES;
use crate::tx::Tx;

/// "Leave it as it is", as a time on the wire.
const UNCHANGED: i64 = -1;

/// Changes a key, and with it its generation.
fn change(tx: &mut Tx<'_>, args: &KeyArgs, how: impl FnOnce(&mut KeyInfo)) -> Result<(), Refusal> {
    let bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if let (Some(version), Place::Object(at)) = (versions::asked(args)?, &target.place) {
        let Some((slot, mut key)) = versions::find(tx.db(), at, version)? else {
            refuse!(KeyNotFound, "key {name} has no such version")
        };
        how(&mut key);
        key.update_id = Some(tx.number());
        slot.put(tx, &key);
        return Ok(());
    }
    let Some(mut key) = target.existing else { refuse!(KeyNotFound, "Key:{name} not found") };
    how(&mut key);
    key.update_id = Some(tx.number());
    target.place.put(tx, &keys::stored(key, bucket.is_tree()));
    Ok(())
}

/// The time of the last change; the access time is not kept.
pub(super) fn set_times(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.set_times_request.take().unwrap_or_default();
    let args = asked.key_args;
    let time = asked.mtime.cast_signed();
    if time < UNCHANGED {
        refuse!(InvalidRequest, "{time} is no time: give milliseconds since 1970, or -1 to leave it");
    }
    let done =
        OmResponse { set_times_response: Some(Box::new(SetTimesResponse {})), ..OmResponse::default() };
    let bucket = buckets::resolve(tx.db(), &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(tx.db(), &bucket, &name)?;
    if let Some(walk) = &target.walk
        && let Found::Directory(directory) = &walk.found
    {
        let mut directory = directory.clone();
        if time != UNCHANGED {
            (directory.modification_time, directory.update_id) = (asked.mtime, tx.number());
            tx.put(DIRECTORIES, &tree::node(&bucket, walk.parent_id, tree::leaf(&name)), &directory);
        }
        return Ok(done);
    }
    if target.existing.is_none() {
        refuse!(FileNotFound, "{name} is not found");
    }
    if time != UNCHANGED {
        change(tx, &args, |key| key.modification_time = asked.mtime)?;
    }
    Ok(done)
}

pub(super) fn put_tags(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.put_object_tagging_request.take().unwrap_or_default().key_args;
    change(tx, &args, |key| key.tags.clone_from(&args.tags))?;
    let response = PutObjectTaggingResponse {};
    Ok(OmResponse { put_object_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn delete_tags(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.delete_object_tagging_request.take().unwrap_or_default().key_args;
    change(tx, &args, |key| key.tags = Vec::<KeyValue>::new())?;
    let response = DeleteObjectTaggingResponse {};
    Ok(OmResponse { delete_object_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn get_tags(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.get_object_tagging_request.take().unwrap_or_default().key_args;
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(scene.db, &bucket, &name)?;
    let found = match (versions::asked(&args)?, &target.place) {
        (Some(version), Place::Object(at)) => versions::find(scene.db, at, version)?.map(|(_, key)| key),
        _ => target.existing,
    };
    let Some(key) = found else { refuse!(KeyNotFound, "Key:{name} not found") };
    let response = GetObjectTaggingResponse { tags: key.tags };
    Ok(OmResponse { get_object_tagging_response: Some(Box::new(response)), ..OmResponse::default() })
}
