//! Pipelines: as a client of Ratis sees them over sockets, and by seed on the in-memory network and disk.

mod faults;
mod histories;
mod ratis;
mod sim;
mod wire;
