//! ListOpenFiles: what is being written, a page at a time: sessions of flat buckets first, then those of trees.

use allotrope_proto::om::{KeyInfo, ListOpenFilesResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::tree::{self, Found};
use crate::namespace::{buckets, volumes};
use crate::refusal::{Refusal, refuse};
use crate::tables::{NodeKey, OPEN_FILES, OPEN_KEYS, ObjectKey, OpenKey, OpenNodeKey, TextKey};
use crate::tx::Db;

/// Sessions that are counted for the total; a larger total is shown as this.
const COUNTED_MAX: usize = 1_000_000;

/// What rows of both tables begin with below the path that was asked for; `None` where there cannot be any.
struct Below {
    flat: Option<Vec<u8>>,
    tree: Option<Vec<u8>>,
}

fn below(db: Db<'_>, path: &str) -> Result<Below, Refusal> {
    let mut parts = path.trim_matches('/').splitn(3, '/').filter(|part| !part.is_empty());
    let Some(volume) = parts.next() else {
        return Ok(Below { flat: Some(b"/".to_vec()), tree: Some(b"/".to_vec()) });
    };
    let Some(bucket) = parts.next() else {
        let id = volumes::find(db, volume)?.object_id().cast_signed();
        let (flat, tree) = (format!("/{volume}/").into_bytes(), format!("/{id}/").into_bytes());
        return Ok(Below { flat: Some(flat), tree: Some(tree) });
    };
    let bucket = buckets::resolve(db, volume, bucket)?;
    let rest = parts.next().unwrap_or("");
    let info = &bucket.info;
    if !bucket.is_tree() {
        let flat = Some(ObjectKey::prefix(&info.volume_name, &info.bucket_name, rest));
        return Ok(Below { flat, tree: None });
    }
    if rest.is_empty() {
        return Ok(Below { flat: None, tree: Some(NodeKey::bucket_prefix(bucket.volume_id, bucket.id())) });
    }
    let walk = tree::walk(db, &bucket, rest)?;
    let tree = match walk.found {
        Found::Root => NodeKey::bucket_prefix(bucket.volume_id, bucket.id()),
        Found::Directory(found) => NodeKey::children(bucket.volume_id, bucket.id(), found.object_id, ""),
        _ if walk.has_parent() => {
            NodeKey::children(bucket.volume_id, bucket.id(), walk.parent_id, tree::leaf(rest))
        }
        _ => refuse!(DirectoryNotFound, "the directory of {rest} does not exist"),
    };
    Ok(Below { flat: None, tree: Some(tree) })
}

/// The session at the end of a row's text; an upload's id is none.
pub(super) fn session_of(row: &str) -> Option<u64> {
    row.rsplit('/').next()?.parse::<i64>().ok().map(i64::cast_unsigned)
}

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_open_files_request.take().unwrap_or_default();
    if !scene.is_admin() && scene.settings.acl_enabled {
        refuse!(PermissionDenied, "only administrators may list open files");
    }
    let below = below(scene.db, asked.path())?;
    let wanted = scene.page(asked.count.map(i64::from));
    let token = asked.token();
    let (mut rows, mut total): (Vec<(String, KeyInfo)>, usize) = (Vec::new(), 0);
    if let Some(prefix) = &below.flat {
        for pair in scene.db.scan(OPEN_KEYS, prefix)?.take(COUNTED_MAX) {
            let (row, key): (OpenKey, KeyInfo) = pair?;
            total += collect(&mut rows, row.as_str(), key, token, wanted);
        }
    }
    if let Some(prefix) = &below.tree {
        for pair in scene.db.scan(OPEN_FILES, prefix)?.take(COUNTED_MAX) {
            let (row, key): (OpenNodeKey, KeyInfo) = pair?;
            total += collect(&mut rows, row.as_str(), key, token, wanted);
        }
    }
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    let continuation_token = rows.last().filter(|_| has_more).map(|(row, _)| row.clone()).unwrap_or_default();
    let (client_id, key_info) =
        rows.into_iter().map(|(row, key)| (session_of(&row).unwrap_or(0), key)).unzip();
    let response = ListOpenFilesResponse {
        total_open_key_count: Some(total as u64),
        has_more: Some(has_more),
        continuation_token: Some(continuation_token),
        client_id,
        key_info,
    };
    Ok(OmResponse { list_open_files_response: Some(Box::new(response)), ..OmResponse::default() })
}

/// Takes a row in if it comes after `token` and there is room. 1 if it is a session.
fn collect(rows: &mut Vec<(String, KeyInfo)>, row: &str, key: KeyInfo, token: &str, wanted: usize) -> usize {
    if session_of(row).is_none() {
        return 0;
    }
    // Rows of trees begin with a negative id, and come after all others.
    let rank = |text: &str| (text.starts_with("/-"), text.to_owned());
    if rows.len() <= wanted && (token.is_empty() || rank(row) > rank(token)) {
        rows.push((row.to_owned(), key));
    }
    1
}
