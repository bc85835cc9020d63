//! SCM over its real ports, with its real tables: what datanodes, OM and administrators are promised.
#![allow(missing_docs, reason = "tests are sentences")]

mod blocks;
mod datanodes;
mod deletions;
mod group;
mod locations;
mod support;
