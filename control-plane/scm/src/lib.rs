//! The storage container manager: the block layer's brain.
//!
//! Owns    nodes, pipelines, containers, placement, block allocation, the replication manager, the certificate
//!         authority.
//! Shape   decisions are pure functions ([`container::lifecycle::next`], [`placement::Policy::choose`],
//!         [`safe_mode::rules`], …) over one [`cluster::Cluster`] in memory; what must survive goes through the
//!         replicated tables and comes back to memory when it is applied.
//! Never   sees a byte of user data; never depends on OM's or the datanode's code.

pub mod blocks;
pub mod clock;
pub mod cluster;
mod config;
pub mod deletion;
pub mod container;
pub mod node;
pub mod pipeline;
pub mod placement;
pub mod replicated;
pub mod safe_mode;
mod wire;

pub use config::{Config, ConfigError};
pub use wire::NotOurs;
