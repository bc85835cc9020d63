//! ListKeys, ListKeysLight: a bucket's keys in order, a page at a time.
//!
//! Law     a page is one range scan from its start key: it costs what it holds, however large the bucket is.

use allotrope_proto::om::{
    BasicKeyInfo, KeyInfo, ListKeysLightResponse, ListKeysRequest, ListKeysResponse, OmRequest, OmResponse,
};

use super::Scene;
use super::open::etag;
use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys;
use crate::namespace::tree_list;
use crate::refusal::Refusal;
use crate::tables::{KEYS, ObjectKey};

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_keys_request.take().unwrap_or_default();
    let (key_info, more) = page(scene, &asked)?;
    let list_keys_response = Some(Box::new(ListKeysResponse { key_info, is_truncated: Some(more) }));
    Ok(OmResponse { list_keys_response, ..OmResponse::default() })
}

pub(super) fn read_light(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_keys_request.take().unwrap_or_default();
    let (keys, more) = page(scene, &asked)?;
    let basic_key_info = keys.into_iter().map(basic).collect();
    let response = ListKeysLightResponse { basic_key_info, is_truncated: Some(more) };
    Ok(OmResponse { list_keys_light_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// What the light listings show of a key.
pub(super) fn basic(key: KeyInfo) -> BasicKeyInfo {
    BasicKeyInfo {
        e_tag: etag(&key).map(str::to_owned),
        is_encrypted: Some(key.file_encryption_info.is_some()),
        is_file: Some(key.is_file.unwrap_or(!key.key_name.ends_with('/'))),
        key_name: Some(key.key_name),
        data_size: Some(key.data_size),
        creation_time: Some(key.creation_time),
        modification_time: Some(key.modification_time),
        r#type: Some(key.r#type),
        factor: key.factor,
        ec_replication_config: key.ec_replication_config,
        owner_name: key.owner_name,
    }
}

fn page(scene: &Scene<'_>, asked: &ListKeysRequest) -> Result<(Vec<KeyInfo>, bool), Refusal> {
    let bucket = buckets::resolve(scene.db, &asked.volume_name, &asked.bucket_name)?;
    let wanted = scene.page(asked.count.map(i64::from));
    let mut found = if bucket.is_tree() {
        tree_list::list(scene.db, &bucket, asked.prefix(), asked.start_key(), wanted + 1)?
    } else {
        flat(scene, &bucket, asked, wanted + 1)?
    };
    let more = found.len() > wanted;
    found.truncate(wanted);
    Ok((found, more))
}

fn flat(
    scene: &Scene<'_>,
    bucket: &Bucket,
    asked: &ListKeysRequest,
    count: usize,
) -> Result<Vec<KeyInfo>, Refusal> {
    let (volume, name) = (&bucket.info.volume_name, &bucket.info.bucket_name);
    let prefix = ObjectKey::prefix(volume, name, asked.prefix());
    let pairs = match asked.start_key() {
        "" => scene.db.scan(KEYS, &prefix)?,
        after => scene.db.scan_after(KEYS, &prefix, &ObjectKey::of(volume, name, after))?,
    };
    let mut listed = Vec::new();
    for pair in pairs.take(count) {
        let (at, key) = pair?;
        listed.push(keys::shown(key, at.parts().2));
    }
    Ok(listed)
}
