//! Volumes: lookup, and the list of volumes each owner has.

use allotrope_proto::om::{UserVolumeInfo, VolumeInfo};

use crate::refusal::{Refusal, refuse};
use crate::tables::{USERS, VOLUMES, VolumeKey};
use crate::tx::{Db, Tx};

/// "No limit" of a quota on the wire: -1.
pub(crate) const QUOTA_NONE: i64 = -1;

/// The volume of that name.
pub(crate) fn find(db: Db<'_>, volume: &str) -> Result<VolumeInfo, Refusal> {
    match db.get(VOLUMES, &VolumeKey::of(volume))? {
        Some(info) => Ok(info),
        None => refuse!(VolumeNotFound, "volume {volume} is not found"),
    }
}

/// Stores `info` as changed by this transaction.
pub(crate) fn store(tx: &mut Tx<'_>, info: &mut VolumeInfo) {
    info.update_id = Some(tx.number());
    let key = VolumeKey::of(&info.volume);
    tx.put(VOLUMES, &key, info);
}

/// The names of the volumes that `owner` has.
pub(crate) fn of_owner(db: Db<'_>, owner: &str) -> Result<UserVolumeInfo, Refusal> {
    Ok(db.get(USERS, &owner.to_owned())?.unwrap_or_default())
}

/// Adds `volume` to the list of `owner`.
pub(crate) fn give(tx: &mut Tx<'_>, owner: &str, volume: &str) -> Result<(), Refusal> {
    let mut list = of_owner(tx.db(), owner)?;
    if !list.volume_names.iter().any(|name| name == volume) {
        list.volume_names.push(volume.to_owned());
    }
    store_list(tx, owner, list);
    Ok(())
}

/// Takes `volume` from the list of `owner`.
pub(crate) fn take(tx: &mut Tx<'_>, owner: &str, volume: &str) -> Result<(), Refusal> {
    let mut list = of_owner(tx.db(), owner)?;
    list.volume_names.retain(|name| name != volume);
    store_list(tx, owner, list);
    Ok(())
}

fn store_list(tx: &mut Tx<'_>, owner: &str, mut list: UserVolumeInfo) {
    if list.volume_names.is_empty() {
        return tx.delete(USERS, &owner.to_owned());
    }
    if list.object_id.is_none() {
        list.object_id = Some(tx.object_id());
    }
    list.update_id = Some(tx.number());
    tx.put(USERS, &owner.to_owned(), &list);
}
