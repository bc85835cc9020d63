//! Paths of FILE_SYSTEM_OPTIMIZED buckets: a tree of rows, each under its parent's object id.
//!
//! Shape   the bucket's object id is the root. A directory's row and a file's row have the same key shape in two tables;
//!         a name is in one of them at most.
//! Law     renaming a directory rewrites one row, because its children name their parent by id.

use allotrope_proto::om::{DirectoryInfo, KeyInfo, OzoneAclInfo};

use super::acls;
use super::buckets::Bucket;
use crate::refusal::{Refusal, refuse};
use crate::tables::{DIRECTORIES, FILES, NodeKey};
use crate::tx::{Db, Tx};

/// Most directories that one request makes.
pub(crate) const MADE_MAX: usize = 255;

/// What lies at a path.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The bucket itself.
    Root,
    Directory(DirectoryInfo),
    File(Box<KeyInfo>),
    /// The path goes through a file.
    BelowFile,
    Nothing,
}

/// A path walked as far as it exists.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'p> {
    pub(crate) found: Found,
    /// The object id of the directory in which the last existing step lies, or in which `missing` would be made.
    pub(crate) parent_id: u64,
    /// The components that do not exist, the last included; empty if something was found.
    pub(crate) missing: Vec<&'p str>,
    /// The row of the last directory walked through; `None` for the root.
    pub(crate) parent: Option<DirectoryInfo>,
}

impl Walk<'_> {
    /// Whether the path's parent exists, so that the path itself can be made in one step.
    pub(crate) fn has_parent(&self) -> bool {
        self.missing.len() <= 1
    }
}

/// The key of `name` in the directory `parent_id` of `bucket`.
pub(crate) fn node(bucket: &Bucket, parent_id: u64, name: &str) -> NodeKey {
    NodeKey::of(bucket.volume_id, bucket.id(), parent_id, name)
}

/// The path's last component.
pub(crate) fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Walks the normalised `path`.
pub(crate) fn walk<'p>(db: Db<'_>, bucket: &Bucket, path: &'p str) -> Result<Walk<'p>, Refusal> {
    let mut at = Walk { found: Found::Root, parent_id: bucket.id(), missing: Vec::new(), parent: None };
    if path.is_empty() {
        return Ok(at);
    }
    let mut rest = path.split('/').peekable();
    while let Some(name) = rest.next() {
        let key = node(bucket, at.parent_id, name);
        let is_last = rest.peek().is_none();
        match db.get(DIRECTORIES, &key)? {
            Some(directory) if is_last => at.found = Found::Directory(directory),
            Some(directory) => {
                at.parent_id = directory.object_id;
                at.parent = Some(directory);
            }
            None => {
                at.found = match db.get(FILES, &key)? {
                    Some(file) if is_last => Found::File(Box::new(file)),
                    Some(_) => Found::BelowFile,
                    None => {
                        at.missing = std::iter::once(name).chain(rest).collect();
                        Found::Nothing
                    }
                };
                return Ok(at);
            }
        }
    }
    Ok(at)
}

/// Makes the directories `names`, one below the other, in the directory that `walk` ended in. The last one's id.
///
/// # Errors
/// INVALID_KEY_NAME if they are more than one request may make.
pub(crate) fn make_directories(
    tx: &mut Tx<'_>,
    bucket: &Bucket,
    walk: &Walk<'_>,
    names: &[&str],
    maker: &Maker,
) -> Result<u64, Refusal> {
    if names.len() > MADE_MAX {
        refuse!(
            InvalidKeyName,
            "the path needs {} new directories; one request makes at most {MADE_MAX}",
            names.len()
        );
    }
    let above = walk.parent.as_ref().map_or(&bucket.info.acls, |parent| &parent.acls);
    let mut list = maker.acls.clone();
    let kept: Vec<OzoneAclInfo> = above.iter().filter(|entry| entry.acl_scope != 0).cloned().collect();
    acls::add_all(&mut list, acls::inherited(above).chain(kept).collect::<Vec<_>>());
    let mut parent_id = walk.parent_id;
    for name in names {
        let info = DirectoryInfo {
            name: (*name).to_owned(),
            creation_time: tx.now_ms,
            modification_time: tx.now_ms,
            metadata: Vec::new(),
            acls: list.clone(),
            object_id: tx.object_id(),
            update_id: tx.number(),
            parent_id,
            owner_name: Some(maker.owner.clone()),
        };
        tx.put(DIRECTORIES, &node(bucket, parent_id, name), &info);
        parent_id = info.object_id;
    }
    Ok(parent_id)
}

/// Who makes keys and directories, and the rights they get.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maker {
    pub(crate) owner: String,
    pub(crate) acls: Vec<OzoneAclInfo>,
}

/// Whether the directory `id` has children.
pub(crate) fn has_children(db: Db<'_>, bucket: &Bucket, id: u64) -> Result<bool, Refusal> {
    let children = NodeKey::children(bucket.volume_id, bucket.id(), id, "");
    Ok(db.has_any(DIRECTORIES, &children)? || db.has_any(FILES, &children)?)
}

/// A directory as the messages that have room for keys only show it.
pub(crate) fn as_key(bucket: &Bucket, path: &str, directory: &DirectoryInfo) -> KeyInfo {
    KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: path.to_owned(),
        creation_time: directory.creation_time,
        modification_time: directory.modification_time,
        metadata: directory.metadata.clone(),
        acls: directory.acls.clone(),
        object_id: Some(directory.object_id),
        update_id: Some(directory.update_id),
        parent_id: Some(directory.parent_id),
        owner_name: directory.owner_name.clone(),
        is_file: Some(false),
        ..directory_replication()
    }
}

/// A directory has no bytes; the messages require a config all the same, and Ozone shows RATIS/ONE.
fn directory_replication() -> KeyInfo {
    KeyInfo { r#type: 1, factor: Some(1), latest_version: Some(0), ..KeyInfo::default() }
}
