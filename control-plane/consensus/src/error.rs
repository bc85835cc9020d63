//! What can fail at the replica's face, and what to do about it.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    ids::{ClusterId, Member, MemberId},
    table::TableError,
};

/// Why a replica does not start, or a snapshot cannot be installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder or file around the databases.
    #[error("the files of the replica in {} cannot be prepared", dir.display())]
    Files {
        /// The replica's folder.
        dir: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// RocksDB does not open; a damaged log or state says so here.
    #[error("{} does not open; restore this member from the others or from a checkpoint", dir.display())]
    Open {
        /// The database's folder.
        dir: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// A file of ours does not say what it should.
    #[error("{} holds {found:?}, not the name of a state", file.display())]
    Layout {
        /// The file.
        file: PathBuf,
        /// Its content.
        found: String,
    },
    /// The state's own records do not read.
    #[error("the state in {} is damaged; restore this member from the others or from a checkpoint", dir.display())]
    Damaged {
        /// The state's folder.
        dir: PathBuf,
        /// What does not read.
        source: TableError,
    },
    /// An entry of the log is missing or does not verify.
    #[error("the log in {} is damaged at entry {index} ({reason}); restore this member from the others", dir.display())]
    LogDamaged {
        /// The log's folder.
        dir: PathBuf,
        /// The first entry that is wrong.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The state lacks entries that the log does not have any more.
    #[error("the state in {} ends at entry {applied} and the log begins after {purged}; restore this member from the others", dir.display())]
    Gap {
        /// The replica's folder.
        dir: PathBuf,
        /// The last entry in the state; 0 if none.
        applied: u64,
        /// The last entry that the log has let go of.
        purged: u64,
    },
    /// Written by a newer version of this software.
    #[error("{} is of version {found}; this software knows versions up to {known}: start the newer one", dir.display())]
    Newer {
        /// The database's folder.
        dir: PathBuf,
        /// The version found.
        found: u64,
        /// The newest version known here.
        known: u64,
    },
    /// The files belong to another cluster.
    #[error("{} belongs to cluster {found}, not to {wanted}", dir.display())]
    OtherCluster {
        /// The database's folder.
        dir: PathBuf,
        /// Whose files they are.
        found: ClusterId,
        /// Whose they should be.
        wanted: ClusterId,
    },
    /// The files belong to another member.
    #[error("{} belongs to member {found}, not to member {wanted}", dir.display())]
    OtherMember {
        /// The log's folder.
        dir: PathBuf,
        /// Whose files they are.
        found: MemberId,
        /// Whose they should be.
        wanted: MemberId,
    },
    /// Timings or sizes that cannot work together.
    #[error("the replica's configuration is wrong: {0}")]
    Config(String),
    /// The restored folder has something in it already.
    #[error("{} is not empty; restore into a new folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The replica stopped while it started.
    #[error("the replica stopped while it started: {0}")]
    Stopped(String),
}

/// Why a command was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another member leads, or none does. The command was not applied.
    #[error("this member does not lead{}", hint(leader))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<(MemberId, Member)>,
    },
    /// Too many commands wait already. This one was not taken.
    #[error("too many commands wait to be put into the log; try again")]
    Busy,
    /// No answer in time. The command may still be applied: retry with the same origin.
    #[error("the command was not answered in {after:?}; it may still be applied")]
    Deadline {
        /// How long it was waited for.
        after: Duration,
    },
    /// The encoded command is too large.
    #[error("a command of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The replica has stopped, by request or because its disk failed. The command may still be applied by others.
    #[error("the replica has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
    /// The stored answer does not decode.
    #[error("the answer cannot be read")]
    Answer {
        /// What the codec says.
        source: crate::codec::CodecError,
    },
}

/// Why a read could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Another member leads, or none does.
    #[error("this member does not lead{}", hint(leader))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<(MemberId, Member)>,
    },
    /// No majority confirmed in time that this member still leads.
    #[error("no majority confirmed within {after:?} that this member leads")]
    NoMajority {
        /// How long it was waited for.
        after: Duration,
    },
    /// The replica has stopped.
    #[error("the replica has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

/// Why the membership was not changed, or leadership not handed over.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Another member leads, or none does.
    #[error("this member does not lead{}", hint(leader))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<(MemberId, Member)>,
    },
    /// The change cannot be made now or at all.
    #[error("the membership stays as it is: {0}")]
    Refused(String),
    /// Not done in time; it may still happen.
    #[error("the change of membership was not done in {after:?}; it may still happen")]
    Deadline {
        /// How long it was waited for.
        after: Duration,
    },
    /// The replica has stopped.
    #[error("the replica has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

fn hint(leader: &Option<(MemberId, Member)>) -> String {
    match leader {
        Some((id, member)) => format!("; {} (member {id}, {}) does", member.name, member.address),
        None => "; no leader is known".to_owned(),
    }
}
