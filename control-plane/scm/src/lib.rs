//! The storage container manager: the block layer's brain.
//!
//! Owns    nodes, pipelines, containers, placement, block allocation, deletions, safe mode, the replication manager. The
//!         certificate authority is not here yet.
//! Shape   decisions are pure functions ([`container::lifecycle::next`], [`placement::Policy::choose`],
//!         [`safe_mode::rules`], …) over one [`cluster::Cluster`] in memory; what must survive goes through the
//!         replicated tables and comes back to memory when it is applied. [`start`] runs it all.
//! Never   sees a byte of user data; never depends on OM's or the datanode's code.

mod audit;
pub mod blocks;
pub mod clock;
pub mod cluster;
mod config;
pub mod container;
pub mod deletion;
mod identity;
mod loops;
mod members;
mod metrics;
pub mod node;
mod pages;
pub mod pipeline;
pub mod placement;
pub mod replicated;
pub mod replication;
mod restore;
pub mod safe_mode;
mod scm;
mod service;
mod start;
mod wire;

pub use config::{Config, ConfigError, ScmMember, member_number};
pub use identity::{Identity, IdentityError, init, read as identity};
pub use restore::{IDS_SKIPPED, RestoreError, Restored, restore};
pub use start::{Running, StartError, start};
pub use wire::NotOurs;
