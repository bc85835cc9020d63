//! The in-memory twin: shards, time and disks that live in one thread and repeat from a seed.
//!
//! Owns    the seeded scheduler and virtual time ([`Sim`]).
//! Source  DESIGN.md, 'Threads' and 'Tests'.

mod exec;
mod time;

pub use exec::{Sim, SimConfig, SimRng};
pub(crate) use exec::{SimExec, yield_once};
pub(crate) use time::SimTime;
