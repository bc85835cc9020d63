//! The in-memory twin: shards, time and disks that live in one thread and repeat from a seed.
//!
//! Owns    the seeded scheduler and virtual time ([`Sim`]), the disk that fails and crashes as told ([`SimDisk`]),
//!         the network that stalls and breaks as told ([`SimNetwork`]).
//! Source  DESIGN.md, 'Threads' and 'Tests'.

mod crash;
mod disk;
mod engine;
mod exec;
mod fault;
mod network;
mod time;

pub use disk::SimDisk;
pub(crate) use disk::SimHandle;
pub(crate) use engine::SimEngine;
pub use exec::{Sim, SimConfig, SimRng};
pub(crate) use exec::{SimExec, yield_once};
pub use fault::{SimFault, SimLatency};
pub use network::SimNetwork;
pub(crate) use network::{SimEnd, SimListener};
pub(crate) use time::SimTime;
