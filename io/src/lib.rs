//! Shards, aligned buffers, disks and streams.
//!
//! Owns    the thread-per-core runtime behind one face (io_uring and a portable back), the buffer pools, files opened
//!         for direct I/O, sockets on shards, the clock; and the in-memory twin that fault tests run on.
//! Never   knows what a container, a block or a message is.
//!
//! ```
//! use allotrope_io::{OpenHow, ShardId, Shards, ShardsConfig};
//! use std::time::Duration;
//! let shards = Shards::start(ShardsConfig { memory_per_shard: 1 << 20, buffer_max: 1 << 18, ..ShardsConfig::portable(1) })?;
//! let read = shards.run_on(ShardId(0), "first use", |shard| async move {
//!     let path = std::env::temp_dir().join(format!("allotrope-io-{}", std::process::id()));
//!     let file = shard.disk().open(&path, OpenHow::create().truncated()).await?;
//!     let mut buf = shard.buffers().try_take(4096).expect("the pool is fresh");
//!     buf.extend_from_slice(b"an acknowledged byte");
//!     let (buf, written) = file.write_at(buf, 0).await;
//!     written?;
//!     file.sync().await?;
//!     let (buf, read) = file.read_at(buf, 3, 12).await;
//!     read?;
//!     shard.disk().remove(&path).await?;
//!     Ok::<_, allotrope_io::DiskError>(buf.freeze())
//! })?;
//! assert_eq!(&read.wait()??[..], b"acknowledged");
//! assert!(shards.stop(Duration::from_secs(5)).is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the door: what others reach through it, it calls"
)]

mod back;
mod blocking;
mod buffer;
mod buffer_pages;
mod bulk;
mod class;
mod clock;
mod disk;
mod engine;
mod error;
mod file;
mod file_direct;
mod file_ranges;
mod flush;
mod fs;
mod http;
mod inode;
mod mesh;
mod net;
mod open_files;
mod probe;
mod probe_dir;
mod probe_speed;
mod ring;
mod shard;
mod shards;
mod sim;
mod sync;
mod sys;
mod task;
mod timers;

pub use blocking::BlockingError;
pub use buffer::{AlignedBuf, BufferPool, PAGE, PoolEmpty};
pub use bulk::{BulkConfig, BulkError, SendBy};
pub use class::Class;
pub use clock::{Clock, Elapsed, Moment, Sleep};
pub use disk::Disk;
pub use error::{Act, DiskError};
pub use file::{File, OpenHow, SharedFile};
pub use file_direct::Around;
pub use fs::{DirEntry, DiskSpace};
pub use http::ShardTimer;
pub use mesh::{Answer, AskError, Inbox, Mesh, Refused, Reply};
pub use net::{NetError, TcpListener, TcpStream};
pub use open_files::raise_open_files;
pub use probe::{Probe, ProbeLine, RegisteredFinding, Severity, UringFinding};
pub use probe_dir::{DirFacts, DirProbe, DirTrouble, FsKind};
pub use probe_speed::{DiskRate, DiskSpeed, DiskSpeedError, DiskSweep};
pub use shard::Shard;
pub use shards::{Back, ShardId, Shards, ShardsConfig, StartError, StopReport};
pub use sim::{Sim, SimConfig, SimDisk, SimFault, SimLatency, SimNetwork, SimRng};
pub use sys::clock_is_kept;
pub use task::{POLL_MAX, ShardCounters, TaskDied, TaskHandle};
