//! The native client.
//!
//! Owns    calls to OM and datanodes, erasure-coded and replicated streams, failover and retry.
//! Never   keeps state that another client would need; never depends on a server's code.
//! Shape   a [`Client`] is one user's view of a cluster: namespace calls return plain values ([`Volume`], [`Bucket`],
//!         [`Key`]), a [`KeyWriter`] takes a key's bytes, a [`KeyReader`] gives them back, verified.
//! Units   bytes, and milliseconds since 1970 where OM speaks of times.
//! Errors  [`Error`] names the act, the names and the peer; [`Error::advice`] says what to do next.
//! Source  Ozone's messages; what its own client sends was captured and is what the tests compare with.
//!
//! ```no_run
//! use allotrope_client::{Client, Config, KeyPath, PutOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Config::at("om1", 8981))?;
//! let cat: KeyPath = "/photos/cats/tabby.jpg".parse()?;
//!
//! let mut writer = client.write_key(&cat, PutOptions::default()).await?;
//! writer.write("purr".into()).await?;
//! writer.finish().await?;
//!
//! let mut reader = client.read_key(&cat).await?;
//! while let Some(bytes) = reader.next().await? {
//!     println!("{} bytes", bytes.len());
//! }
//! # Ok(())
//! # }
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "the client runs on tokio alone, and tokio's clock is the one its tests can stop and move"
)]

mod channel;
mod checksum;
mod client;
mod config;
mod datanode;
mod error;
mod list;
mod location;
mod om;
mod pace;
mod path;
mod read;
mod retry;
mod task;
#[cfg(test)]
mod tests;
mod wire;
mod write;

pub use channel::{Address, CallError, GrpcCode};
pub use checksum::KeyChecksum;
pub use client::Client;
pub use config::{Config, ConfigError};
pub use datanode::DatanodeError;
pub use error::Error;
pub use location::{BlockLocation, Member};
pub use om::{
    Acl, AclError, AclTarget, Bucket, BucketOptions, DELETE_MARKER, Deletion, Key, KeyDeletion, KeyEntry,
    KeyListing, ListedPart, ListedUpload, PartOfUpload, PartPage, PutOptions, Quota, QuotaChange, UploadPage,
    VERSION_ID, VersionPage, Volume, VolumeOptions,
};
pub use pace::HedgePolicy;
pub use path::{BucketPath, KeyPath, PathError, split_uri};
pub use read::{KeyReader, UnreadableStripe};
pub use retry::{Failure, Next, RetryPolicy};
pub use write::{AsyncKeyWriter, KeyWriter, Written};
