//! GetFileStatus: what lies at a path.

use allotrope_proto::om::{
    GetFileStatusResponse, KeyArgs, KeyInfo, OmRequest, OmResponse, OzoneFileStatusProto,
};

use super::Scene;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys;
use crate::namespace::tree::{self, Found};
use crate::refusal::{Refusal, refuse};
use crate::tables::{KEYS, ObjectKey};
use crate::tx::Db;

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let args = request.get_file_status_request.take().unwrap_or_default().key_args;
    let status = find(scene, &args)?;
    let get_file_status_response = Some(Box::new(GetFileStatusResponse { status }));
    Ok(OmResponse { get_file_status_response, ..OmResponse::default() })
}

fn find(scene: &Scene<'_>, args: &KeyArgs) -> Result<OzoneFileStatusProto, Refusal> {
    let bucket = buckets::resolve(scene.db, &args.volume_name, &args.bucket_name)?;
    let path = args.key_name.trim_matches('/');
    if path.is_empty() {
        return Ok(OzoneFileStatusProto { key_info: None, block_size: Some(0), is_directory: Some(true) });
    }
    let name = bucket.key_name(path)?;
    let found =
        if bucket.is_tree() { in_tree(scene.db, &bucket, &name)? } else { flat(scene.db, &bucket, &name)? };
    match found {
        Some(mut status) => {
            if args.head_op()
                && let Some(key) = &mut status.key_info
            {
                key.key_location_list.clear();
            }
            if status.is_directory != Some(true) {
                status.block_size = Some(scene.settings.block_size);
            }
            Ok(status)
        }
        None => refuse!(FileNotFound, "{name} is not found"),
    }
}

fn in_tree(db: Db<'_>, bucket: &Bucket, name: &str) -> Result<Option<OzoneFileStatusProto>, Refusal> {
    Ok(match tree::walk(db, bucket, name)?.found {
        Found::Directory(found) => Some(directory(tree::as_key(bucket, name, &found))),
        Found::File(file) => Some(file_status(keys::shown(*file, name))),
        Found::Root | Found::BelowFile | Found::Nothing => None,
    })
}

/// A key, else a marker `name/`, else anything below that: a directory that only names imply.
fn flat(db: Db<'_>, bucket: &Bucket, name: &str) -> Result<Option<OzoneFileStatusProto>, Refusal> {
    if let Some(key) = keys::find(db, bucket, name)? {
        return Ok(Some(file_status(key)));
    }
    let (volume, of) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    let below = db.scan(KEYS, &ObjectKey::prefix(volume, of, &format!("{name}/")))?.next().transpose()?;
    Ok(below.map(|(at, key)| {
        let implied = KeyInfo {
            key_name: name.to_owned(),
            data_size: 0,
            is_file: Some(false),
            metadata: Vec::new(),
            tags: Vec::new(),
            key_location_list: Vec::new(),
            ..key
        };
        let is_marker = at.parts().2.len() == name.len() + 1;
        directory(KeyInfo { object_id: if is_marker { implied.object_id } else { Some(0) }, ..implied })
    }))
}

pub(super) fn directory(key: KeyInfo) -> OzoneFileStatusProto {
    OzoneFileStatusProto { key_info: Some(key), block_size: Some(0), is_directory: Some(true) }
}

pub(super) fn file_status(key: KeyInfo) -> OzoneFileStatusProto {
    OzoneFileStatusProto { key_info: Some(key), block_size: Some(0), is_directory: Some(false) }
}
