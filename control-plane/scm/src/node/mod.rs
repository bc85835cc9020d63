//! Datanodes as SCM knows them: who registered, how long they have been silent, what room they have.
//!
//! Owns    [`Nodes`] (the registry), [`Health`] and the clock that silence is measured with, [`Usage`].
//! Never   written to disk: every datanode registers again after SCM restarts. A node's operational state is kept by
//!         the node itself and comes back with its registration.
//! Source  wire facts: scm.md 1.4, 1.5, 2.6.

mod health;
pub mod racks;
mod registry;
mod usage;

pub(crate) use health::WatchClock;
pub use health::{Health, Thresholds};
pub use registry::{Layout, Node, Nodes, OperationalState, Refusal, Registered};
pub use usage::{Usage, Volume};
