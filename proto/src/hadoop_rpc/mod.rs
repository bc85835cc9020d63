//! Hadoop RPC, version 9, over a byte stream: the transport of Java peers.
//!
//! Owns    preamble, frames, headers, connection context, pings, the SASL answer of a server without security, and
//!         the mapping of failures to exception classes; [`HadoopServer`] and [`HadoopClient`].
//! Shape   after seven bytes of preamble both sides send frames; many calls share a connection, matched by call id.
//! Units   lengths are bytes; a frame's length is a big-endian u32 that does not count itself.
//! Errors  a fault of one call is an ERROR answer and the connection lives; a broken rule of the connection is a
//!         FATAL answer (or none, where Java gives none) and a close.
//! Source  the wire facts (om.md 1); docs/formats/hadoop-rpc.md draws every byte.
//!
//! ```text
//! preamble  | "hrpc" | 09 | service class | auth: 00 simple, DF SASL |
//! request   | u32be length | varint | RpcRequestHeader  | varint | RequestHeader | varint | message |
//! response  | u32be length | varint | RpcResponseHeader | varint | message |       (message: SUCCESS only)
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of sockets follow tokio's clock, which tests pause; the services behind take theirs by parameter"
)]

mod client;
mod config;
mod connection;
mod frame;
mod header;
mod link;
mod preamble;
mod server;
mod session;
mod writer;

pub use client::{ClientConfig, HadoopClient};
pub use config::{ConfigError, HadoopServerConfig};
pub use server::{Admission, Claim, HadoopServer, ServerLoad};

/// Feeds bytes to everything that reads a client's bytes before a service sees them: the preamble, the frame
/// splitter, and the headers. For fuzzing: whatever the bytes, it returns.
///
/// Returns how many whole frames were taken.
pub fn parse_client_bytes(bytes: &[u8], frame_bytes_max: u32) -> usize {
    session::replay(bytes, frame_bytes_max)
}
