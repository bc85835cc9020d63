//! Our own transport of archives between datanodes, on the same port as Ozone's gRPC: one length-known run of bytes.
//!
//! Shape   the sender says which container, how long its archive is and a number of the transfer; the receiver says from which
//!         byte on it wants it; the archive follows, its files' bodies straight from the page cache to the socket; the
//!         receiver says how it ended. A connection that is cut is made again, and the transfer goes on at the byte where it
//!         stopped.
//! Errors  a peer that does not answer in kind is spoken to over gRPC instead.
//! Source  docs/formats/container-stream.md.

pub mod budget;
pub(crate) mod buffers;
pub mod prefixed;
pub mod receive;
pub mod send;
pub mod wire;

pub use budget::Budget;
pub use receive::Sessions;
