//! The S3 gateway.
//!
//! Owns    S3's operations, authentication and XML over the native client.
//! Never   speaks to OM, SCM or datanodes but through the client.
//! Shape   `server` takes connections, `front` what every request goes through, `auth` the signature, `intake` a body and
//!         all that was promised of it, `ops` the operations, one file a family. Routing, XML and the operations' types are
//!         `s3s`'; docs/decisions says what of it is not used and why.
//! Units   bytes, seconds of HTTP dates, milliseconds since 1970 inside.
//! Errors  a `Fault` is S3's code and words; `fault::of_client` is the one place where the cluster's errors become S3's.
//! Source  the Amazon S3 API Reference; Ozone's gateway for what it keeps in a key's metadata.
#![allow(
    clippy::disallowed_methods,
    reason = "the gateway runs on tokio alone and reads real clocks: signatures hold for minutes of the day"
)]

#[macro_use]
mod show;

mod address;
mod answer;
mod auth;
mod budget;
mod call;
mod config;
mod fault;
mod front;
mod intake;
#[cfg(feature = "limits")]
pub mod limits;
mod metrics;
mod notes;
mod ops;
mod server;
mod storage_class;

pub use config::Config;
pub use server::{Figures, Running};

use allotrope_client::Client;

/// Starts a gateway to the cluster of `client`, whose user asks OM for the secrets.
///
/// # Errors
/// The address cannot be listened at.
pub async fn start(config: Config, client: Client) -> std::io::Result<Running> {
    server::serve(config.clone(), front::Front::new(config, client)).await
}
