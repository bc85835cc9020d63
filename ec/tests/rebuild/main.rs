//! Reconstruction plans, carried out on containers in memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plans;
mod world;
