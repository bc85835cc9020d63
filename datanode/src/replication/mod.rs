//! Containers on their way between datanodes, and replicas that are rebuilt from an erasure code.
//!
//! Owns    [`export`]: a sealed container as an archive; [`import`]: an archive verified and put in its place; [`server`]
//!         and [`client`]: Ozone's gRPC between datanodes; [`stream`]: our own transport; `calls`: container commands between
//!         datanodes; [`courtesy`]: what all of them leave to clients; [`queue`] and [`supervisor`]: SCM's commands in their order;
//!         [`rebuild`]: the coordinator of an erasure-coded reconstruction.
//! Shape   bytes of an archive pass as a [`Feed`]: whoever makes them puts them in, whoever takes them waits; nothing
//!         holds more than a few pieces.
//! Errors  [`CommandError`]; a copy that fails leaves nothing behind, at its source or its target.
//! Source  docs/replication.md, docs/formats/container-archive.md; wire facts: scm.md 3, datapath.md 5.

mod calls;
pub mod client;
mod compress;
pub mod courtesy;
pub mod export;
pub mod import;
pub mod queue;
pub mod rebuild;
mod serve;
pub mod server;
pub mod stream;
pub mod supervisor;

pub use courtesy::Courtesy;
pub use import::Imports;
pub(crate) use serve::answer;
pub use serve::{Ask, Peer};

use crate::commands::CommandError;
use allotrope_io::Moment;
pub use allotrope_proto::container::CopyContainerCompressProto as Compression;
use allotrope_types::ByteCount;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces of an archive that wait between two steps of its way.
const PIECES: usize = 4;
/// The longest piece, in bytes: what Ozone's datanodes send at once.
const PIECE: usize = 1 << 20;
/// Longest that either side of a copy may do nothing (Ozone waits as long for a stream to be ready).
const STALL_MAX: Duration = Duration::from_secs(300);

/// How long a datanode of another transport is not asked again.
const FOREIGN_FOR: Duration = Duration::from_secs(600);

/// An archive's bytes in order, or why there are no more. That the sender is gone means the end.
pub type Feed = mpsc::Receiver<Result<Bytes, CommandError>>;

/// A feed, and the way into it.
fn feed() -> (mpsc::Sender<Result<Bytes, CommandError>>, Feed) {
    mpsc::channel(PIECES)
}

/// What copies and reconstruction are told.
#[derive(Clone, Debug)]
pub struct ReplicationConfig {
    /// Where other datanodes are served (`hdds.datanode.replication.port`, 9886). Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Copies and reconstructions that this datanode does at once, and as many that it receives
    /// (`hdds.datanode.replication.streams.limit`).
    pub streams: usize,
    /// By how much more it does while it goes out of service
    /// (`hdds.datanode.replication.outofservice.limit.factor`), in tenths.
    pub out_of_service_tenths: usize,
    /// Commands that may wait (`hdds.datanode.replication.queue.limit`).
    pub waiting_max: usize,
    /// How archives are compressed that this datanode sends (`hdds.container.replication.compression`).
    pub compression: Compression,
    /// Bytes that leave in a second by our own transport, all copies together; 0 is no limit
    /// (`allotrope.datanode.replication.bandwidth`).
    pub bandwidth: ByteCount,
    /// Bytes a second that copies and reconstructions move while clients use the datanode; 0 is no limit
    /// (`allotrope.datanode.replication.busy.bandwidth`).
    pub busy_bandwidth: ByteCount,
    /// Room that is kept for a container of unknown size, in bytes.
    pub size_unknown: ByteCount,
}

/// What of copies may change while the datanode runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyLimits {
    /// Copies and reconstructions that this datanode does at once, and as many that it receives.
    pub streams: usize,
    /// Commands that may wait.
    pub waiting_max: usize,
    /// Bytes that leave in a second by our own transport, all copies together; 0 is no limit.
    pub bandwidth: ByteCount,
    /// Bytes a second that copies and reconstructions move while clients use the datanode; 0 is no limit.
    pub busy_bandwidth: ByteCount,
}

impl ReplicationConfig {
    /// Takes these limits from the start on.
    pub fn set_limits(&mut self, limits: &CopyLimits) {
        (self.streams, self.waiting_max, self.bandwidth) =
            (limits.streams, limits.waiting_max, limits.bandwidth);
        self.busy_bandwidth = limits.busy_bandwidth;
    }
}

impl Default for ReplicationConfig {
    fn default() -> ReplicationConfig {
        ReplicationConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 9886)),
            streams: 10,
            out_of_service_tenths: 20,
            waiting_max: 4096,
            compression: Compression::NoCompression,
            bandwidth: ByteCount::ZERO,
            busy_bandwidth: ByteCount::mib(32),
            size_unknown: ByteCount::gib(5),
        }
    }
}

/// What a shard remembers of its copies.
#[derive(Debug, Default)]
pub struct Copies {
    exports: Cell<u64>,
    /// Datanodes that do not speak our transport.
    foreign: RefCell<BTreeMap<SocketAddr, Moment>>,
}

impl Copies {
    /// A number that no other export of this shard has.
    fn next_export(&self) -> u64 {
        self.exports.replace(self.exports.get() + 1)
    }

    /// Whether the datanode there did not speak our transport, a while ago.
    fn is_foreign(&self, peer: SocketAddr, now: Moment) -> bool {
        self.foreign.borrow().get(&peer).is_some_and(|since| now.since(*since) < FOREIGN_FOR)
    }

    /// Remembers a datanode that does not speak our transport: it may be another release, or only starting.
    fn set_foreign(&self, peer: SocketAddr, now: Moment) {
        let mut foreign = self.foreign.borrow_mut();
        foreign.retain(|_, since| now.since(*since) < FOREIGN_FOR);
        foreign.insert(peer, now);
    }
}
