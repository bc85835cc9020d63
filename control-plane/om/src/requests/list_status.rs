//! ListStatus, ListStatusLight: one level of a tree, a page at a time, directories and files by name.
//!
//! Law     the start key is part of the page. A page costs what it holds: in a bucket without a tree, what lies below an implied
//!         directory is stepped over with one seek.

use allotrope_proto::om::{
    KeyInfo, ListStatusLightResponse, ListStatusRequest, ListStatusResponse, OmRequest, OmResponse,
    OzoneFileStatusProto, OzoneFileStatusProtoLight,
};

use super::Scene;
use super::file_status::{directory, file_status};
use super::list_keys::basic;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys;
use crate::namespace::tree::{self, Found};
use crate::namespace::tree_list::{self, Child};
use crate::refusal::{Refusal, refuse};
use crate::tables::{KEYS, ObjectKey, TextKey as _};
use crate::tx::Db;

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_status_request.take().unwrap_or_default();
    let mut statuses = list(scene, &asked)?;
    if asked.key_args.head_op() {
        for key in statuses.iter_mut().filter_map(|status| status.key_info.as_mut()) {
            key.key_location_list.clear();
        }
    }
    Ok(OmResponse {
        list_status_response: Some(Box::new(ListStatusResponse { statuses })),
        ..OmResponse::default()
    })
}

pub(super) fn read_light(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_status_request.take().unwrap_or_default();
    let statuses = list(scene, &asked)?
        .into_iter()
        .map(|status| {
            let key = status.key_info.unwrap_or_default();
            OzoneFileStatusProtoLight {
                volume_name: Some(key.volume_name.clone()),
                bucket_name: Some(key.bucket_name.clone()),
                basic_key_info: Some(basic(key)),
                block_size: status.block_size,
                is_directory: status.is_directory,
            }
        })
        .collect();
    let list_status_light_response = Some(Box::new(ListStatusLightResponse { statuses }));
    Ok(OmResponse { list_status_light_response, ..OmResponse::default() })
}

fn list(scene: &Scene<'_>, asked: &ListStatusRequest) -> Result<Vec<OzoneFileStatusProto>, Refusal> {
    let args = &asked.key_args;
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    if asked.recursive {
        refuse!(NotSupportedOperation, "a recursive ListStatus is not supported; list level by level");
    }
    let count = scene.page(i64::try_from(asked.num_entries).ok());
    let block_size = scene.settings.block_size;
    let mut listed = match bucket.is_tree() {
        true => in_tree(scene.db, &bucket, asked, count)?,
        false => flat(scene.db, &bucket, asked, count)?,
    };
    for status in listed.iter_mut().filter(|status| status.is_directory != Some(true)) {
        status.block_size = Some(block_size);
    }
    Ok(listed)
}

/// Slashes at the ends aside, as a listing takes paths.
fn trimmed(path: &str) -> &str {
    path.trim_matches('/')
}

fn in_tree(
    db: Db<'_>,
    bucket: &Bucket,
    asked: &ListStatusRequest,
    count: usize,
) -> Result<Vec<OzoneFileStatusProto>, Refusal> {
    let path = trimmed(&asked.key_args.key_name);
    let whole_path = match path {
        "" => String::new(),
        path => bucket.key_name(path)?,
    };
    // A directory of that path is listed. With a partial prefix what is no path is the beginning of names.
    let (parent, prefix, id) = match tree::walk(db, bucket, &whole_path)?.found {
        Found::Root => ("", "", bucket.id()),
        Found::Directory(found) => (whole_path.as_str(), "", found.object_id),
        Found::File(file) => return Ok(vec![file_status(keys::shown(*file, &whole_path))]),
        Found::BelowFile | Found::Nothing if asked.allow_partial_prefix() => {
            let (parent, prefix) = whole_path.rsplit_once('/').unwrap_or(("", &whole_path));
            match tree::walk(db, bucket, parent)?.found {
                Found::Root => (parent, prefix, bucket.id()),
                Found::Directory(found) => (parent, prefix, found.object_id),
                Found::File(_) | Found::BelowFile | Found::Nothing => return Ok(Vec::new()),
            }
        }
        Found::BelowFile | Found::Nothing => refuse!(FileNotFound, "{whole_path} is not found"),
    };
    let Some(from) = first_name(parent, trimmed(&asked.start_key)) else { return Ok(Vec::new()) };
    let separator = if parent.is_empty() { "" } else { "/" };
    let mut listed = Vec::new();
    for child in tree_list::children(db, bucket, id, prefix, from)?.take(count) {
        let child = child?;
        let full = format!("{parent}{separator}{}", child.name());
        listed.push(match child {
            Child::Directory(found) => directory(tree::as_key(bucket, &full, &found)),
            Child::File(file) => file_status(keys::shown(*file, &full)),
        });
    }
    Ok(listed)
}

/// The name in directory `parent` at which a page starts; `None` if the start key lies outside.
fn first_name<'s>(parent: &str, start_key: &'s str) -> Option<&'s str> {
    if start_key.is_empty() || start_key == parent {
        return Some("");
    }
    let below = match parent {
        "" => start_key,
        parent => start_key.strip_prefix(parent)?.strip_prefix('/')?,
    };
    below.split('/').next()
}

/// One level of a bucket whose keys only look like paths.
fn flat(
    db: Db<'_>,
    bucket: &Bucket,
    asked: &ListStatusRequest,
    count: usize,
) -> Result<Vec<OzoneFileStatusProto>, Refusal> {
    let (volume, name) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    let path = trimmed(&asked.key_args.key_name);
    let partial = asked.allow_partial_prefix() && !asked.key_args.key_name.ends_with('/');
    let prefix = match path {
        "" => String::new(),
        path if partial => path.to_owned(),
        path => format!("{path}/"),
    };
    let level = prefix.rsplit_once('/').map_or(0, |(parent, _)| parent.len() + 1);
    let scan_prefix = ObjectKey::prefix(volume, name, &prefix);
    let mut from =
        ObjectKey::of(volume, name, trimmed(&asked.start_key).max(&prefix)).as_str().as_bytes().to_vec();
    let mut listed: Vec<OzoneFileStatusProto> = Vec::new();
    let mut anything = false;
    while listed.len() < count {
        let Some((at, key)) = db.scan_from(KEYS, &scan_prefix, from)?.next().transpose()? else { break };
        anything = true;
        let full = at.parts().2;
        let child_len = full[level..].find('/').map(|len| level + len);
        match child_len {
            // The marker of the listed directory itself.
            None if full.len() == level => from = after(&at),
            None => {
                listed.push(file_status(keys::shown(key, full)));
                from = after(&at);
            }
            Some(end) if end == level => from = after(&at),
            Some(end) => {
                let child = &full[..end];
                listed.push(directory(KeyInfo {
                    key_name: child.to_owned(),
                    data_size: 0,
                    is_file: Some(false),
                    key_location_list: Vec::new(),
                    metadata: Vec::new(),
                    tags: Vec::new(),
                    ..key.clone()
                }));
                // '0' is the character after '/': the first key beyond everything below this directory.
                from = ObjectKey::of(volume, name, &format!("{child}0")).as_str().as_bytes().to_vec();
            }
        }
    }
    if !anything && !path.is_empty() && !asked.allow_partial_prefix() {
        return match keys::find(db, bucket, path)? {
            Some(key) => Ok(vec![file_status(key)]),
            None if asked.start_key.is_empty() => refuse!(FileNotFound, "{path} is not found"),
            None => Ok(Vec::new()),
        };
    }
    Ok(listed)
}

fn after(key: &ObjectKey) -> Vec<u8> {
    let mut next = key.as_str().as_bytes().to_vec();
    next.push(0);
    next
}
