//! Backups: a checkpoint of the state in a folder of its own, with what its service keeps beside it.
//!
//! Shape   `ROOT/NAME/state/` is RocksDB's checkpoint, the other files of `ROOT/NAME/` are the service's (its VERSION).
//!         On the file system of the state it costs links, not copies. `crate::restore` starts a member from it.
//! Law     a folder with its final name is whole: it is made as `NAME.part`, synced, and renamed. One at a time.

use std::path::{Path, PathBuf};

use crate::{
    error::StartError, files, ids::LogTime, machine::StateMachine, raft::blocking, replica::Handle, state,
};

/// What the name of a folder ends with while it is not whole.
const PART: &str = ".part";
/// The checkpoint within a backup.
pub(crate) const STATE_DIR: &str = "state";
/// The longest name of a backup.
const NAME_LEN_MAX: usize = 100;

/// A backup that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its folder.
    pub dir: PathBuf,
    /// The last log entry in it; 0 if none.
    pub applied: u64,
    /// The time of that entry.
    pub time: LogTime,
}

/// Why there is no backup. What was begun is removed by the next one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The name would not be a plain folder.
    #[error(
        "{name:?} cannot name a backup: up to {NAME_LEN_MAX} letters, digits, '-', '_' and '.', none at its start"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// There is one of this name.
    #[error("{} exists already; choose another name", dir.display())]
    Exists {
        /// Its folder.
        dir: PathBuf,
    },
    /// The folder or a file in it cannot be written.
    #[error("{} cannot be written", dir.display())]
    Files {
        /// The folder.
        dir: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// RocksDB makes no checkpoint.
    #[error("no checkpoint can be made in {}", dir.display())]
    Checkpoint {
        /// The folder.
        dir: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// What was written does not read.
    #[error("the new checkpoint does not read")]
    Unreadable(#[source] StartError),
}

impl<S: StateMachine> Handle<S> {
    /// Writes a backup named `name` below `root`, while the replica runs, with the files `beside` (names and bytes) next
    /// to the state. On the leader it has everything that was answered before this call.
    pub async fn backup(
        &self,
        root: &Path,
        name: &str,
        beside: &[(&str, &[u8])],
    ) -> Result<Backup, BackupError> {
        check_name(name)?;
        let _one = self.core().backing_up.lock().await;
        let db = self.core().state.current();
        blocking(|| write(&db, root, name, beside))
    }
}

fn check_name(name: &str) -> Result<(), BackupError> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if name.is_empty() || name.len() > NAME_LEN_MAX || name.starts_with('.') || name.ends_with(PART) || !plain
    {
        return Err(BackupError::Name { name: name.to_owned() });
    }
    Ok(())
}

fn write(
    db: &state::StateDb,
    root: &Path,
    name: &str,
    beside: &[(&str, &[u8])],
) -> Result<Backup, BackupError> {
    let (dir, part) = (root.join(name), root.join(format!("{name}{PART}")));
    let disk = |source| BackupError::Files { dir: part.clone(), source };
    files::make_dir(root).map_err(disk)?;
    let there = files::folders(root).map_err(disk)?;
    if there.contains(&dir) {
        return Err(BackupError::Exists { dir });
    }
    for left in there.iter().filter(|left| left.to_string_lossy().ends_with(PART)) {
        files::remove_dir(left).map_err(disk)?;
    }
    files::make_dir(&part).map_err(disk)?;
    let state = part.join(STATE_DIR);
    db.checkpoint(&state).map_err(|source| BackupError::Checkpoint { dir: state.clone(), source })?;
    let position = state::read_position(&state).map_err(BackupError::Unreadable)?;
    for (file, bytes) in beside {
        files::replace(&part.join(file), bytes).map_err(disk)?;
    }
    files::sync_dir(&state).and_then(|()| files::rename(&part, &dir)).map_err(disk)?;
    Ok(Backup { dir, applied: position.applied.map_or(0, |id| id.index), time: position.time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backups_name_is_a_plain_folder() {
        for name in ["a", "2026-11-21", "before_upgrade.2"] {
            check_name(name).unwrap();
        }
        for name in ["", ".", "..", "../a", "a/b", "a.part", "ü", "a\0", &"a".repeat(101)] {
            check_name(name).unwrap_err();
        }
    }
}
