//! Ozone manager: the namespace.
//!
//! Owns    volumes, buckets, keys, files and directories, multipart uploads, quotas, access control lists.
//! Never   sees a byte of data; blocks come from SCM through the wire.
//! Shape   [`start()`] runs an OM. Its service ([`server`]) makes requests ready and puts them into the log; its state
//!         machine ([`machine`]) applies them to the tables ([`tables`]). Each request is a file of pure functions
//!         ([`requests`]).
//! Errors  a [`refusal::Refusal`] is an answer with a status; [`start::StartOmError`] is why nothing is served.
//! Source  docs/formats/om-tables.md; docs/requests.md lists every request.

pub mod admin;
pub mod blocks;
pub mod deletion;
pub mod directory;
pub mod identity;
pub mod machine;
mod namespace;
pub mod refusal;
pub mod requests;
mod s3_signature;
pub mod server;
pub mod settings;
pub mod start;
pub mod tables;
pub mod tx;

pub use start::{Config, Running, StartOmError, World, start, start_with};

#[cfg(test)]
mod tests;
