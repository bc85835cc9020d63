//! Containers copied between datanodes, and what is left when that goes wrong.

mod cut;
pub(crate) mod processes;
mod rebuild;
mod transfer;
