//! GetKeyInfo, LookupKey, LookupFile: where a key's bytes are. The server adds pipelines to the locations afterwards.

use allotrope_proto::om::{
    GetKeyInfoResponse, KeyArgs, KeyInfo, LookupFileResponse, LookupKeyResponse, OmRequest, OmResponse,
};

use super::Scene;
use crate::namespace::keys::Place;
use crate::namespace::tree::Found;
use crate::namespace::{buckets, keys, tree, versions, volumes};
use crate::refusal::{Refusal, refuse};

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let mut asked = request.get_key_info_request.take().unwrap_or_default();
    let mut response = GetKeyInfoResponse::default();
    if asked.assume_s3_context() {
        asked.key_args.volume_name = scene.settings.s3_volume.clone();
        response.volume_info = Some(volumes::find(scene.db, &scene.settings.s3_volume)?);
        response.user_principal = Some(scene.who.user.clone());
    }
    response.key_info = Some(find(scene, &asked.key_args)?);
    Ok(OmResponse { get_key_info_response: Some(Box::new(response)), ..OmResponse::default() })
}

pub(super) fn lookup(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.lookup_key_request.take().unwrap_or_default();
    let response =
        LookupKeyResponse { key_info: Some(find(scene, &asked.key_args)?), id: None, open_version: None };
    Ok(OmResponse { lookup_key_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// A file system's lookup: what is missing is a file, and a directory is not one.
pub(super) fn lookup_file(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.lookup_file_request.take().unwrap_or_default().key_args;
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(scene.db, &bucket, &name)?;
    if target.is_directory() {
        refuse!(NotAFile, "{name} is a directory");
    }
    let Some(key) = target.existing else { refuse!(FileNotFound, "file {name} is not found") };
    let response = LookupFileResponse { key_info: Some(trimmed(key, &args)?) };
    Ok(OmResponse { lookup_file_response: Some(Box::new(response)), ..OmResponse::default() })
}

fn find(scene: &Scene<'_>, args: &KeyArgs) -> Result<KeyInfo, Refusal> {
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    let name = bucket.key_name(&args.key_name)?;
    let target = keys::target(scene.db, &bucket, &name)?;
    if let Some(walk) = &target.walk
        && let Found::Directory(directory) = &walk.found
    {
        // S3 tells a directory by its slash.
        return Ok(tree::as_key(&bucket, &format!("{name}/"), directory));
    }
    let found = match (versions::asked(args)?, &target.place) {
        (Some(version), Place::Object(at)) => {
            versions::find(scene.db, at, version)?.map(|(_, key)| keys::shown(key, &name))
        }
        _ => target.existing,
    };
    match found {
        Some(key) => trimmed(key, args),
        None => refuse!(KeyNotFound, "Key:{name} not found"),
    }
}

/// The key with the versions, and the part, that were asked for.
fn trimmed(mut key: KeyInfo, args: &KeyArgs) -> Result<KeyInfo, Refusal> {
    if args.latest_version_location() && key.key_location_list.len() > 1 {
        key.key_location_list.drain(..key.key_location_list.len() - 1);
    }
    let part = args.multipart_number();
    if part == 0 {
        return Ok(key);
    }
    let Some(list) = key.key_location_list.last_mut() else {
        refuse!(InvalidPart, "key {} has no parts", key.key_name)
    };
    if list.is_multipart_key() {
        list.key_locations.retain(|location| u32::try_from(location.part_number()) == Ok(part));
        key.data_size = list.key_locations.iter().map(|location| location.length).sum();
    }
    let missing = if list.is_multipart_key() { list.key_locations.is_empty() } else { part != 1 };
    if missing {
        refuse!(InvalidPart, "key {} has no part {part}", key.key_name);
    }
    Ok(key)
}
