//! Files that are read while they are written: hsync, and taking a lost writer's file over.
//!
//! Shape   a file that was synced before its end is a key whose metadata names its session ([`HSYNC`]); the session stays open. The
//!         words are Ozone's, in the metadata of the key and of its session's row.
//! Law     the blocks of a synced key are its session's too: only one of both hands them to the deletion service.

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::om::KeyInfo;

use super::keys::{self, Place};
use crate::refusal::{Refusal, refuse};
use crate::tx::Tx;

/// The session that still writes the key.
pub(crate) const HSYNC: &str = "hsyncClientId";
/// The session's file is being taken over by another client.
pub(crate) const RECOVERY: &str = "leaseRecovery";
/// The session's synced key was written again by another.
pub(crate) const OVERWRITTEN: &str = "overwrittenHsyncKey";
/// The session's synced key was deleted.
pub(crate) const DELETED: &str = "deletedHsyncKey";

/// The words above, which a finished key has none of.
const WORDS: [&str; 4] = [HSYNC, RECOVERY, OVERWRITTEN, DELETED];

/// Writes a word into metadata.
pub(crate) fn set(metadata: &mut Vec<KeyValue>, word: &str, value: &str) {
    metadata.retain(|pair| pair.key != word);
    metadata.push(KeyValue { key: word.to_owned(), value: Some(value.to_owned()) });
}

/// Whether `key` carries `word`.
pub(crate) fn has(key: &KeyInfo, word: &str) -> bool {
    key.metadata.iter().any(|pair| pair.key == word)
}

/// Takes all of these words away.
pub(crate) fn clear(metadata: &mut Vec<KeyValue>) {
    metadata.retain(|pair| !WORDS.contains(&pair.key.as_str()));
}

/// The session that still writes `key`.
pub(crate) fn writer(key: &KeyInfo) -> Option<u64> {
    let text = key.metadata.iter().find(|pair| pair.key == HSYNC)?.value.as_deref()?;
    text.parse::<i64>().ok().map(i64::cast_unsigned).or_else(|| text.parse().ok())
}

/// Refuses to go on with a session whose file is gone or is being taken over.
pub(crate) fn check_session(open: &KeyInfo, recovering: bool) -> Result<(), Refusal> {
    let name = &open.key_name;
    if has(open, OVERWRITTEN) || has(open, DELETED) {
        refuse!(KeyNotFound, "file {name} was deleted or written again since it was synced");
    }
    if has(open, RECOVERY) && !recovering {
        refuse!(KeyUnderLeaseRecovery, "file {name} is being recovered by another client");
    }
    Ok(())
}

/// The synced key `gone` at `place` goes: its session may not commit any more, and keeps only the blocks that the key does not
/// have.
pub(crate) fn orphan(tx: &mut Tx<'_>, place: &Place, gone: &KeyInfo, word: &str) -> Result<(), Refusal> {
    let Some(session) = writer(gone) else { return Ok(()) };
    let row = place.session(session);
    let Some(mut open) = row.get(tx.db())? else { return Ok(()) };
    let committed: Vec<(i64, i64)> = keys::blocks(gone).map(keys::block_id).collect();
    for list in &mut open.key_location_list {
        list.key_locations.retain(|location| !committed.contains(&keys::block_id(location)));
    }
    set(&mut open.metadata, word, "true");
    row.put(tx, &open);
    Ok(())
}
