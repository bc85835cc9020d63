//! The replicated state machine under OM and SCM.
//!
//! Owns    the Raft log and state in RocksDB, snapshots, membership, typed tables, exactly-once commands.
//! Shape   a service brings a `StateMachine` (commands in, answers out, over typed `Table`s) and starts a `Replica`;
//!         through the `Handle` it proposes commands and reads. One member or five: the same code.
//! Law     an answer means: synced on a majority and applied. A state machine sees no clock and no randomness.
//! Never   knows what a command means: OM and SCM bring their own.

mod backup;
mod batch;
mod codec;
mod config;
mod error;
mod files;
mod ids;
#[cfg(feature = "limits")]
pub mod limits;
mod log;
mod machine;
mod membership;
pub mod network;
mod propose;
mod raft;
mod read;
mod replica;
mod restore;
mod retry;
mod rocks;
#[cfg(test)]
mod sim;
mod snapshot;
mod state;
mod status;
mod table;

pub use self::{
    backup::{Backup, BackupError},
    batch::Batch,
    codec::{Be64, Codec, CodecError, Empty, KeyCodec, Proto, Raw, Utf8},
    config::{Beginning, ReplicaConfig, Surroundings},
    error::{MembershipError, ProposeError, ReadError, StartError},
    ids::{CallId, ClientId, Clock, ClusterId, LogTime, Member, MemberId, Origin, SystemClock},
    machine::StateMachine,
    raft::seed_this_thread,
    replica::{Handle, Replica},
    restore::restore,
    rocks::RocksShared,
    state::View,
    status::{Role, Status, StatusWatch},
    table::{Direction, RawPair, RawRange, RawScan, Read, Scan, Table, TableError},
};
