//! Listings of a tree: children of one directory, and everything below a path, depth first.
//!
//! Order   children by name, a directory before what it holds. So a page starts where its start key's path leads, and
//!         costs what it holds and the depth of that path.

use std::cmp::Ordering;
use std::iter::Peekable;

use allotrope_consensus::{Proto, TableError};
use allotrope_proto::om::{DirectoryInfo, KeyInfo};

use super::buckets::Bucket;
use super::keys;
use super::tree::{self, Found};
use crate::refusal::Refusal;
use crate::tables::{DIRECTORIES, FILES, NodeKey, TextKey as _};
use crate::tx::{Db, Pairs};

/// A file or directory in a listing.
#[derive(Clone, Debug)]
pub(crate) enum Child {
    Directory(DirectoryInfo),
    File(Box<KeyInfo>),
}

impl Child {
    pub(crate) fn name(&self) -> &str {
        match self {
            Child::Directory(directory) => &directory.name,
            Child::File(file) => &file.key_name,
        }
    }
}

/// The children of one directory by name, directories and files merged.
pub(crate) struct Children<'a> {
    directories: Peekable<Pairs<'a, NodeKey, Proto<DirectoryInfo>>>,
    files: Peekable<Pairs<'a, NodeKey, Proto<KeyInfo>>>,
}

/// The children of the directory `id` whose names begin with `prefix` and are not before `from`.
pub(crate) fn children<'a>(
    db: Db<'a>,
    bucket: &Bucket,
    id: u64,
    prefix: &str,
    from: &str,
) -> Result<Children<'a>, Refusal> {
    let prefix = NodeKey::children(bucket.volume_id, bucket.id(), id, prefix);
    let from = tree::node(bucket, id, from).as_str().as_bytes().to_vec();
    Ok(Children {
        directories: db.scan_from(DIRECTORIES, &prefix, from.clone())?.peekable(),
        files: db.scan_from(FILES, &prefix, from)?.peekable(),
    })
}

impl Iterator for Children<'_> {
    type Item = Result<Child, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.directories.peek(), self.files.peek()) {
            (None, None) => return None,
            (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
            (None, Some(_)) | (_, Some(Err(_))) => Ordering::Greater,
            (Some(Ok((a, _))), Some(Ok((b, _)))) => a.name().cmp(b.name()),
        };
        Some(match order {
            Ordering::Greater => self.files.next()?.map(|(_, file)| Child::File(Box::new(file))),
            _ => self.directories.next()?.map(|(_, directory)| Child::Directory(directory)),
        })
    }
}

/// At most `count` files and directories whose paths begin with `prefix`, after the path `after` ("" for all). A
/// directory's name ends in `/`.
pub(crate) fn list(
    db: Db<'_>,
    bucket: &Bucket,
    prefix: &str,
    after: &str,
    count: usize,
) -> Result<Vec<KeyInfo>, Refusal> {
    let mut listed = Vec::new();
    let (base, leaf) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let root = match tree::walk(db, bucket, base.trim_matches('/'))?.found {
        Found::Root => bucket.id(),
        Found::Directory(directory) => directory.object_id,
        Found::File(_) | Found::BelowFile | Found::Nothing => return Ok(listed),
    };
    // A level is a directory being listed: its path with a slash at the end, and its children still to come.
    let mut levels: Vec<(String, Children<'_>)> = Vec::new();
    let path = if base.is_empty() { String::new() } else { format!("{}/", base.trim_matches('/')) };
    let after = after.trim_end_matches('/');
    let mut steps = match after.strip_prefix(&path) {
        Some(rest) if !rest.is_empty() => rest.split('/').collect::<Vec<_>>(),
        _ if after > path.as_str() && !path.is_empty() => return Ok(listed),
        _ => Vec::new(),
    }
    .into_iter();
    let mut step = steps.next();
    levels.push((path, children(db, bucket, root, leaf, step.unwrap_or(""))?));
    while listed.len() < count {
        let Some((path, rest)) = levels.last_mut() else { break };
        let Some(child) = rest.next().transpose()? else {
            levels.pop();
            step = None;
            continue;
        };
        let full = format!("{path}{}", child.name());
        // The start key's own path was listed before; what lies below it was not.
        let on_the_way = step.is_some_and(|name| name == child.name());
        let next_step = if on_the_way { steps.next() } else { None };
        match child {
            Child::File(file) if !on_the_way => listed.push(keys::shown(*file, &full)),
            Child::File(_) => {}
            Child::Directory(directory) => {
                let full = format!("{full}/");
                if !on_the_way {
                    listed.push(tree::as_key(bucket, &full, &directory));
                }
                levels.push((full, children(db, bucket, directory.object_id, "", next_step.unwrap_or(""))?));
            }
        }
        step = next_step;
    }
    Ok(listed)
}
