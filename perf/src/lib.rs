//! Load generators and their reports.
//!
//! Owns    loads that speak only the wire, exact latency histograms, comparisons of results.
//! Never   links a server: what it measures, it measures from outside, and so it drives Ozone's servers as it drives ours.
//! Shape   a [`Load`] is one operation, repeated; [`run`] repeats it by a [`Plan`] and gives back what was [`Measured`];
//!         a [`RunResult`] is that with what it was measured of, as JSON, table or page.
//! Units   bytes, and times of tokio's clock, which tests can stop and move.
//! Errors  a [`Trouble`] is one operation that failed and a part of the result; a run itself always ends with a result.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the edge: a load generator reads the clock and /proc, and writes its own result files"
)]

mod compare;
mod content;
mod engine;
mod hdr_log;
mod html;
mod limits;
mod load;
mod loads;
mod processes;
mod record;
mod result;
mod table;
mod wire;

pub use futures_util::future::BoxFuture;

pub use compare::{Ratio, Unlike, compare, compare_table};
pub use content::{Content, Wrong};
pub use engine::{Clock, End, Kind, Measured, Pace, Plan, Progress, Until, Watch, run};
pub use hdr_log::HdrLog;
pub use html::page;
pub use limits::{
    Limit, Share, Unit, limits_from_json, limits_table, limits_to_json, of_memory_and_loopback, rate_of,
    shares,
};
pub use load::{Done, Load, Trouble, TroubleKind};
pub use loads::{
    BlockAllocate, BlockPut, Blocks, ChunkRead, ChunkWrite, ContainerCopy, CopyPace, EcStress, EcStressParts,
    Echo, Faults, Fleet, FleetParts, KeyMixed, KeyRead, KeyRemove, KeySet, KeyWrite, Mix, OmCreate,
    OmMetadata, OmOperation, ReadWhat, ReplicationStorm, S3Bucket, S3Get, S3List, S3Mixed, S3Multipart,
    S3Objects, S3Put, ScmHeartbeat, SmallFileRead, SmallFileWrite, UnknownOperation, Written, prepare_keys,
};
pub use processes::{Machine, ProcessPoint, ProcessUse};
pub use record::{Failures, Point};
pub use result::{Described, FORMAT, Operation, RunResult, UnreadableResult, VERSION};
pub use table::table;
pub use wire::{BlockTarget, Containers, Reports, S3Account, Scm, ScmTransport, SimulatedDatanode};
