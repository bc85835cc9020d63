//! The replication manager: what containers lack or have too much of, and the commands that mend it.
//!
//! Owns    [`Manager`]: which containers have changed, what ails which, the operations under way, the queue.
//! Shape   [`check::check`] is a pure function from [`Facts`] to a [`Verdict`], one file a check; [`plan::plan`] is a pure
//!         function from both and the [`plan::Budget`] to [`plan::Order`]s. `Cluster::repair` asks them and queues commands;
//!         a loop calls it when a container has changed, and walks over all as a safety net.
//! Law     no replica is deleted unless enough good ones stay on healthy datanodes in service; an operation under way is
//!         neither repeated nor contradicted; a deletion that may have been lost goes to the same datanode again, never to
//!         another.
//! Never   survives a change of leadership: all of it is made anew from reports.
//! Source  wire facts: scm.md 2.9, 3; docs/replication.md.

pub mod check;
pub mod facts;
mod manager;
pub mod pending;
pub mod plan;
mod settings;
mod surplus;
pub mod verdict;

pub use facts::{Coming, Facts, Held, Rules};
pub use manager::{Ill, Manager};
pub use settings::Settings;
pub use verdict::{Condition, Verdict, Want};

#[cfg(test)]
pub(crate) mod world;

#[cfg(test)]
mod convergence_tests;
