//! Keys: where one lies in its bucket's layout, its session while it is written, its way out.
//!
//! Shape   OBJECT_STORE and LEGACY keys lie under their names; files of FILE_SYSTEM_OPTIMIZED buckets under their parent's id and
//!         their last component, and are shown with their whole path.
//! Law     stored locations have no pipeline and no token: containers move, and tokens expire.

use allotrope_proto::om::{KeyInfo, KeyLocation, RepeatedKeyInfo};

use super::buckets::Bucket;
use super::replication;
use super::tree::{self, Found, Walk};
use crate::refusal::{Refusal, refuse};
use crate::tables::{
    DELETED, DeletedKey, FILES, KEYS, NodeKey, OPEN_FILES, OPEN_KEYS, ObjectKey, OpenKey, OpenNodeKey,
};
use crate::tx::{Db, Tx};

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Object(ObjectKey),
    File(NodeKey),
}

/// Where the session of a key being written lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Object(OpenKey),
    File(OpenNodeKey),
}

impl Place {
    pub(crate) fn get(&self, db: Db<'_>) -> Result<Option<KeyInfo>, Refusal> {
        Ok(match self {
            Place::Object(key) => db.get(KEYS, key)?,
            Place::File(key) => db.get(FILES, key)?,
        })
    }

    pub(crate) fn put(&self, tx: &mut Tx<'_>, info: &KeyInfo) {
        match self {
            Place::Object(key) => tx.put(KEYS, key, info),
            Place::File(key) => tx.put(FILES, key, info),
        }
    }

    pub(crate) fn delete(&self, tx: &mut Tx<'_>) {
        match self {
            Place::Object(key) => tx.delete(KEYS, key),
            Place::File(key) => tx.delete(FILES, key),
        }
    }

    /// The row of the writing session `id` of this key.
    pub(crate) fn session(&self, id: u64) -> Session {
        match self {
            Place::Object(key) => Session::Object(OpenKey::of(key, id)),
            Place::File(key) => Session::File(OpenNodeKey::of(key, id)),
        }
    }

    /// The row of the multipart upload `id` of this key.
    pub(crate) fn upload_session(&self, id: &str) -> Session {
        match self {
            Place::Object(key) => Session::Object(OpenKey::of_upload(key, id)),
            Place::File(key) => Session::File(OpenNodeKey::of_upload(key, id)),
        }
    }

    /// Hands the blocks of `gone` to the deletion service; keys without blocks are simply gone.
    pub(crate) fn bury(&self, tx: &mut Tx<'_>, bucket: &Bucket, gone: Vec<KeyInfo>) -> Result<(), Refusal> {
        let key_info: Vec<KeyInfo> = gone.into_iter().filter(|key| blocks(key).next().is_some()).collect();
        if key_info.is_empty() {
            return Ok(());
        }
        self.bury_all(tx, Some(bucket.id()), key_info)
    }

    /// Puts `gone` into this key's grave of this transaction, beside what lies there.
    pub(crate) fn bury_all(
        &self,
        tx: &mut Tx<'_>,
        bucket_id: Option<u64>,
        gone: Vec<KeyInfo>,
    ) -> Result<(), Refusal> {
        let id = tx.burial_id();
        let row = match self {
            Place::Object(key) => DeletedKey::of(key, id),
            Place::File(key) => DeletedKey::of(key, id),
        };
        let mut grave: RepeatedKeyInfo = tx.db().get(DELETED, &row)?.unwrap_or_default();
        grave.key_info.extend(gone);
        tx.put(DELETED, &row, &RepeatedKeyInfo { bucket_id, ..grave });
        Ok(())
    }
}

impl Session {
    pub(crate) fn get(&self, db: Db<'_>) -> Result<Option<KeyInfo>, Refusal> {
        Ok(match self {
            Session::Object(key) => db.get(OPEN_KEYS, key)?,
            Session::File(key) => db.get(OPEN_FILES, key)?,
        })
    }

    pub(crate) fn put(&self, tx: &mut Tx<'_>, info: &KeyInfo) {
        match self {
            Session::Object(key) => tx.put(OPEN_KEYS, key, info),
            Session::File(key) => tx.put(OPEN_FILES, key, info),
        }
    }

    pub(crate) fn delete(&self, tx: &mut Tx<'_>) {
        match self {
            Session::Object(key) => tx.delete(OPEN_KEYS, key),
            Session::File(key) => tx.delete(OPEN_FILES, key),
        }
    }
}

/// A key's name resolved: its place, what is there, and (in a tree) how far its path exists.
pub(crate) struct Target<'p> {
    pub(crate) place: Place,
    pub(crate) existing: Option<KeyInfo>,
    pub(crate) walk: Option<Walk<'p>>,
}

impl Target<'_> {
    /// Whether a directory has the name.
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.walk.as_ref().map(|walk| &walk.found), Some(Found::Root | Found::Directory(_)))
    }

    /// Whether the path goes through a file.
    pub(crate) fn is_below_file(&self) -> bool {
        matches!(self.walk.as_ref().map(|walk| &walk.found), Some(Found::BelowFile))
    }

    /// Whether the directory that the key lies in, or would lie in, exists.
    pub(crate) fn has_parent(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.has_parent() && !matches!(walk.found, Found::BelowFile))
    }
}

/// Finds `name`, which is normalised. In a tree whose parents are missing the place is not yet the final one:
/// `place_after_making` gives that.
pub(crate) fn target<'p>(db: Db<'_>, bucket: &Bucket, name: &'p str) -> Result<Target<'p>, Refusal> {
    if !bucket.is_tree() {
        let place = Place::Object(ObjectKey::of(&bucket.info.volume_name, &bucket.info.bucket_name, name));
        let existing = place.get(db)?;
        return Ok(Target { place, existing, walk: None });
    }
    let walk = tree::walk(db, bucket, name)?;
    let place = Place::File(tree::node(bucket, walk.parent_id, tree::leaf(name)));
    let existing = match &walk.found {
        Found::File(file) => Some(shown(file.as_ref().clone(), name)),
        _ => None,
    };
    Ok(Target { place, existing, walk: Some(walk) })
}

/// The key of that name, shown with its whole name.
pub(crate) fn find(db: Db<'_>, bucket: &Bucket, name: &str) -> Result<Option<KeyInfo>, Refusal> {
    Ok(target(db, bucket, name)?.existing)
}

/// A stored key as clients see it: with its whole name.
pub(crate) fn shown(mut stored: KeyInfo, name: &str) -> KeyInfo {
    if stored.key_name != name {
        stored.key_name = name.to_owned();
    }
    stored
}

/// A key as it is stored at `place`: in a tree by its last component, and nowhere with pipelines or tokens.
pub(crate) fn stored(mut key: KeyInfo, place_is_tree: bool) -> KeyInfo {
    if place_is_tree {
        key.key_name = tree::leaf(&key.key_name).to_owned();
    }
    for location in key.key_location_list.iter_mut().flat_map(|list| &mut list.key_locations) {
        strip(location);
    }
    key
}

/// Takes away what is true only for now.
pub(crate) fn strip(location: &mut KeyLocation) {
    location.pipeline = None;
    location.token = None;
}

/// Every block of every version in `key`.
pub(crate) fn blocks(key: &KeyInfo) -> impl Iterator<Item = &KeyLocation> {
    key.key_location_list.iter().flat_map(|list| &list.key_locations)
}

/// (container id, local id).
pub(crate) fn block_id(location: &KeyLocation) -> (i64, i64) {
    let id = &location.block_id.container_block_id;
    (id.container_id, id.local_id)
}

/// What `key` takes on all datanodes.
pub(crate) fn size_on_disk(key: &KeyInfo) -> Result<u64, Refusal> {
    Ok(replication::size_on_disk(replication::of_key(key)?, key.data_size))
}

/// A size as a signed count.
///
/// # Errors
/// INVALID_REQUEST for more than any disk holds; negative numbers arrive as such.
pub(crate) fn signed(size: u64) -> Result<i64, Refusal> {
    match i64::try_from(size) {
        Ok(size) => Ok(size),
        Err(_) => refuse!(InvalidRequest, "{size} bytes is no size; was it negative?"),
    }
}
