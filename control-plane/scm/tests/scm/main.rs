//! SCM over its real ports, with its real tables: what datanodes, OM and administrators are promised.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests are sentences, and their helpers may fail")]

mod blocks;
mod datanodes;
mod deletions;
mod group;
mod locations;
mod pipelines;
mod repair;
mod support;
