//! What survives: the commands that change SCM's tables.
pub mod command;
