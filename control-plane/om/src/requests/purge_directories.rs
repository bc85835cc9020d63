//! PurgeDirectories: what a deleted directory holds is deleted too, level by level. Only OM itself asks this.
//!
//! Law     a step moves at most [`CHILDREN_MAX`] children of each directory; the directory's own row goes with the last. The
//!         bucket's usage falls as children move.

use std::collections::BTreeSet;

use allotrope_proto::om::{KeyInfo, OmRequest, OmResponse, PurgeDirectoriesResponse};

use crate::namespace::buckets::{self, Bucket};
use crate::namespace::keys::{self, Place};
use crate::namespace::tree;
use crate::namespace::tree_list::{self, Child};
use crate::refusal::Refusal;
use crate::tables::{DELETED_DIRECTORIES, DIRECTORIES, DeletedNodeKey, TextKey as _};
use crate::tx::Tx;

/// Most children of one directory that one step moves.
const CHILDREN_MAX: usize = 1000;

pub(super) fn apply(tx: &mut Tx<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.purge_directories_request.take().unwrap_or_default();
    let rows: BTreeSet<String> = asked.deleted_path.into_iter().filter_map(|path| path.deleted_dir).collect();
    for row in rows.into_iter().filter_map(DeletedNodeKey::from_text) {
        if let Some(directory) = tx.db().get(DELETED_DIRECTORIES, &row)? {
            empty(tx, &row, &directory)?;
        }
    }
    let response = PurgeDirectoriesResponse::default();
    Ok(OmResponse { purge_directories_response: Some(Box::new(response)), ..OmResponse::default() })
}

fn empty(tx: &mut Tx<'_>, row: &DeletedNodeKey, directory: &KeyInfo) -> Result<(), Refusal> {
    let mut bucket = match buckets::resolve(tx.db(), &directory.volume_name, &directory.bucket_name) {
        Ok(bucket) => bucket,
        // A bucket goes only when nothing is left below its directories.
        Err(Refusal::Status { .. }) => {
            tx.delete(DELETED_DIRECTORIES, row);
            return Ok(());
        }
        Err(damaged) => return Err(damaged),
    };
    let id = directory.object_id();
    let mut children = Vec::new();
    for child in tree_list::children(tx.db(), &bucket, id, "", "")?.take(CHILDREN_MAX + 1) {
        children.push(child?);
    }
    if children.len() <= CHILDREN_MAX {
        tx.delete(DELETED_DIRECTORIES, row);
    }
    let (mut bytes, mut names) = (0i64, 0i64);
    for child in children.into_iter().take(CHILDREN_MAX) {
        names += 1;
        bytes = bytes.saturating_add(bury(tx, &bucket, id, child)?);
    }
    bucket.charge(tx, -bytes, -names);
    Ok(())
}

/// Takes one child out of the tree. The bytes it used.
fn bury(tx: &mut Tx<'_>, bucket: &Bucket, parent_id: u64, child: Child) -> Result<i64, Refusal> {
    let node = tree::node(bucket, parent_id, child.name());
    match child {
        Child::File(file) => {
            let bytes = keys::signed(keys::size_on_disk(&file)?)?;
            let place = Place::File(node);
            place.delete(tx);
            place.bury(tx, bucket, vec![*file])?;
            Ok(bytes)
        }
        Child::Directory(found) => {
            let row = DeletedNodeKey::of(&node, found.object_id);
            tx.put(DELETED_DIRECTORIES, &row, &tree::as_key(bucket, &found.name, &found));
            tx.delete(DIRECTORIES, &node);
            Ok(0)
        }
    }
}
