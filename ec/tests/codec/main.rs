//! What the codec promises, on both kernels.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocation;
mod decoding;
mod misuse;
mod parity;
mod stripes;
mod vectors;
