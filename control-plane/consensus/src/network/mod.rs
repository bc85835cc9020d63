//! What members say to each other, and how it gets there.
//!
//! Shape   a request is bytes and so is its answer: an `Envelope` (version, cluster, sender, receiver) around a
//!         `Request`. A `Network` opens a `Peer` to a member; a `Peer` makes one call at a time.
//! Law     a member answers only its own cluster, in its own name; anything else is refused by name.
//! Errors  a call fails, or its answer says what was refused. A dropped call closes its connection.

pub mod memory;
mod peers;
mod server;
pub mod tcp;

use std::{future::Future, io, pin::Pin};

use bytes::Bytes;
use openraft::raft::{AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use serde::{Deserialize, Serialize};

pub(crate) use self::{peers::Peers, server::Server};
use crate::{
    ids::{Member, MemberId},
    raft::{LogId, Vote},
    snapshot::{Manifest, Piece},
};

/// The version of the messages between members.
const WIRE_VERSION: u16 = 1;

/// A call in progress.
pub type Answering<'a> = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send + 'a>>;

/// The way to the other members.
pub trait Network: Send + Sync + 'static {
    /// A way to call one member; it connects when first used.
    fn peer(&self, id: MemberId, member: &Member) -> Box<dyn Peer>;
}

/// The way to one member. One call at a time.
pub trait Peer: Send + Sync + 'static {
    /// Sends a request and waits for its answer, with no deadline of its own. Cancel safety: dropping the call may
    /// leave the request with the member, answered or not; the next call does not see its answer.
    fn call(&mut self, request: Bytes) -> Answering<'_>;
}

/// What answers other members' calls: a running replica.
pub trait Service: Send + Sync + 'static {
    /// The answer to a request. Never fails: what is wrong is said in the answer.
    fn answer(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>>;
}

/// Around every request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) version: u16,
    pub(crate) cluster: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) request: Request,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Append(Append),
    Vote(VoteRequest<u64>),
    SnapshotBegin(Vote, Manifest),
    SnapshotPiece(Piece),
    SnapshotEnd(Vote),
    /// The leader hands over: stand for election now.
    Elect,
    /// Would a snapshot of this leader be taken? Asked before one is made: that costs disk, and the member may be away.
    SnapshotOffer(Vote),
}

/// Entries as log records: checked again when they arrive.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Append {
    pub(crate) vote: Vote,
    pub(crate) prev: Option<LogId>,
    pub(crate) committed: Option<LogId>,
    pub(crate) records: Vec<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(SnapshotResponse<u64>),
    /// A piece or a beginning was taken, or the election was started.
    Taken,
    /// The request was not served, and why.
    Refused(String),
}

pub(crate) fn to_bytes(message: &impl Serialize) -> Bytes {
    postcard::to_stdvec(message).expect("messages are plain data").into()
}
