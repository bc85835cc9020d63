//! Containers copied between datanodes, and what is left when that goes wrong.

pub(crate) mod cut;
pub(crate) mod processes;
mod rebuild;
mod rebuild_seeds;
mod transfer;
