//! What survives: the tables of SCM's database, the commands that change them, and how they are applied.
//!
//! Owns    [`command`] (what is put into the log), [`tables`] (Ozone's column families), the state machine.
//! Law     a command carries everything that chance or a clock decides; applying it is a function of tables and command.
//!         What is applied is mirrored in the [`crate::cluster::Cluster`] in the same step.

pub mod command;
mod machine;
pub mod tables;

pub use machine::ScmMachine;
