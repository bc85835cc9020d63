//! A new member from a backup: the state as it was, a cluster of one.
//!
//! Law     the backup is read, never written. The folder becomes a replica's only with its last file.

use std::{collections::BTreeSet, path::Path};

use openraft::{Membership, StoredMembership};

use crate::{
    backup::STATE_DIR,
    batch::Batch,
    error::StartError,
    files,
    ids::{ClusterId, Member, MemberId},
    log,
    raft::{LogId, Vote},
    rocks::RocksShared,
    state::{self, StateDb},
    table::TableError,
};

/// Prepares the new folder `dir` so that `Replica::start` finds the backup's state there, with `me` as the only
/// member of `cluster`. Give the new cluster another id than the old one's, so that members of the two never talk.
/// `amend` changes the state before anybody sees it. Returns the last entry in it.
pub fn restore(
    rocks: &RocksShared,
    backup: &Path,
    dir: &Path,
    cluster: &ClusterId,
    me: (MemberId, Member),
    amend: impl FnOnce(&mut Batch<'_>) -> Result<(), TableError>,
) -> Result<u64, StartError> {
    let checkpoint = &backup.join(STATE_DIR);
    let disk = |source| StartError::Files { dir: dir.to_owned(), source };
    files::make_dir(dir).map_err(disk)?;
    if !(files::list(dir).map_err(disk)?.is_empty() && files::folders(dir).map_err(disk)?.is_empty()) {
        return Err(StartError::NotEmpty { dir: dir.to_owned() });
    }
    let mut position = state::read_position(checkpoint)?;
    let root = dir.join("state");
    let first = state::generation_dir(&root, 1);
    files::make_dir(&root).map_err(disk)?;
    files::copy_dir(checkpoint, &first).map_err(disk)?;

    let (id, member) = me;
    let applied = position.applied.unwrap_or_default();
    let membership = Membership::new(
        vec![BTreeSet::from([id.0])],
        [(id.0, member)].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    );
    position.applied = Some(applied);
    position.membership = StoredMembership::new(Some(applied), membership);
    position.cluster = cluster.0.clone();
    {
        let db = StateDb::open(rocks, &first, &[])
            .map_err(|source| StartError::Open { dir: first.clone(), source })?;
        let damaged = |source| StartError::Damaged { dir: first.clone(), source };
        let mut batch = Batch::new(&db);
        amend(&mut batch).map_err(damaged)?;
        state::put_position(&mut batch, &position).and_then(|()| batch.write()).map_err(damaged)?;
        db.sync().map_err(|source| StartError::Open { dir: first.clone(), source })?;
    }
    // The log begins after what the state holds, in a term of its own.
    log::rocks::found(rocks, &dir.join("log"), cluster, id, applied, next_vote(applied, id))?;
    state::name_first(&root).map_err(disk)?;
    Ok(applied.index)
}

fn next_vote(applied: LogId, id: MemberId) -> Vote {
    Vote::new(applied.leader_id.term + 1, id.0)
}
