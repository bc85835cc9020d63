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
pub mod audit;
pub mod blocks;
pub mod deletion;
pub mod directory;
pub mod expiry;
pub mod identity;
pub mod machine;
mod members;
mod namespace;
mod own_requests;
mod pages;
mod recount;
pub mod refusal;
pub mod requests;
mod s3_signature;
mod scm_link;
pub mod server;
pub mod settings;
pub mod start;
pub mod tables;
mod trash;
pub mod tx;

pub use directory::OmAddress;
pub use members::ask_to_join;
pub use scm_link::ScmTransport;
pub use start::{
    Config, OmMember, Running, ScmAddress, StartOmError, World, init, member_id, start, start_with,
};

#[cfg(test)]
mod tests;
