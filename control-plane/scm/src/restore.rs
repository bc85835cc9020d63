//! An SCM from a backup: its state as it was, the only member of a group of its own.
//!
//! Law     the backup is read, never written. Ids that the old SCM may have given after the backup are never given again:
//!         each sequence goes on [`IDS_SKIPPED`] further. Datanodes may hold containers with those ids.

use std::path::{Path, PathBuf};

use allotrope_consensus::{Batch, ClusterId, RocksShared, TableError};

use crate::config::Config;
use crate::identity::{self, Identity, IdentityError};
use crate::replicated::tables::{SEQUENCES, sequence};
use crate::start::{REPLICA_DIR, founders};

/// The file of identity in a backup.
pub(crate) const VERSION: &str = "VERSION";
/// How many ids of each sequence a restored SCM leaves out.
pub const IDS_SKIPPED: u64 = 1_000_000;

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Who the SCM is.
    pub identity: Identity,
    /// The last log entry in it.
    pub applied: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder is in use.
    #[error("{} holds an SCM already; restore into an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// A group of several is not restored into.
    #[error(
        "a backup starts an SCM that runs alone; restore without the other SCMs' settings, then add members"
    )]
    NotAlone,
    /// The backup, or the folder, does not say who it is.
    #[error("the backup in {} cannot be used", dir.display())]
    Backup {
        /// The backup's folder.
        dir: PathBuf,
        /// What its VERSION says.
        source: IdentityError,
    },
    /// The new VERSION cannot be written.
    #[error("the restored SCM cannot be named")]
    Identity(#[from] IdentityError),
    /// The state.
    #[error("the state is not restored")]
    Replica(#[from] allotrope_consensus::StartError),
}

/// Makes the empty folder of `config` that of an SCM with the state of `backup`. `chance` tells its group from the old one.
pub fn restore(
    config: &Config,
    rocks: &RocksShared,
    backup: &Path,
    chance: u32,
) -> Result<Restored, RestoreError> {
    if !config.members.is_empty() {
        return Err(RestoreError::NotAlone);
    }
    match identity::read(&config.dir) {
        Err(IdentityError::Missing { .. }) => {}
        Err(other) => return Err(other.into()),
        Ok(_) => return Err(RestoreError::NotEmpty { dir: config.dir.clone() }),
    }
    let found = identity::read_file(backup.join(VERSION));
    let found = found.map_err(|source| RestoreError::Backup { dir: backup.to_owned(), source })?;
    let identity =
        Identity { raft_group: format!("{}+{chance:08x}", found.cluster_id), joins: false, ..found };
    let (me, founders) = founders(config);
    let member = founders.into_values().next().expect("an SCM that runs alone is its own founder");
    let group = ClusterId(identity.raft_group.clone());
    let dir = config.dir.join(REPLICA_DIR);
    let applied = allotrope_consensus::restore(rocks, backup, &dir, &group, (me, member), skip_ids)?;
    let identity = identity::init(&config.dir, &identity, config.layout_version)?;
    Ok(Restored { identity, applied })
}

fn skip_ids(batch: &mut Batch<'_>) -> Result<(), TableError> {
    for name in [sequence::CONTAINER, sequence::LOCAL, sequence::DELETION] {
        let last = SEQUENCES.get(batch, &name.to_owned())?;
        // Block ids that were never drawn begin at the time of their first use, far beyond what was given before.
        if name != sequence::LOCAL || last.is_some() {
            SEQUENCES.put(batch, &name.to_owned(), &(last.unwrap_or(0) + IDS_SKIPPED))?;
        }
    }
    Ok(())
}
