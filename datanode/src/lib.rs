//! The datanode: containers, blocks and chunks, durable, on shards.
//!
//! Owns    volumes and their layout on disk, container and block life cycles, chunk I/O, replication and
//!         reconstruction of containers, scanners.
//! Never   knows a key, a bucket or a volume of the namespace; never depends on SCM's or OM's code.
//! Shape   a container lives on its home shard ([`store`]); [`commands`] holds what clients ask; [`server`] is their
//!         port; [`control`] speaks with SCM; [`start`] runs it all.

pub mod block;
pub mod boot;
pub mod commands;
pub mod config;
pub mod container;
pub mod control;
pub mod format;
pub mod identity;
pub mod metadata;
pub mod metrics;
pub mod node;
pub mod offline;
pub mod pipeline;
pub mod replication;
pub mod running;
pub mod scan;
mod seldom;
pub mod server;
pub mod store;
pub mod volume;

pub use config::{Config, ScmTransport, Seats, VolumeChoice};
pub use metadata::Durability;
pub use pipeline::PipelineConfig;
pub use running::{Running, StartError, pool, start, start_with};
