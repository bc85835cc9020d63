//! gRPC over HTTP/2: our own transport between OM, SCM, datanodes and tools, and Ozone's second one to the OM.
//!
//! Owns    [`GrpcServer`] and [`GrpcClient`]: the same services as over Hadoop RPC, by path. The services of ours are
//!         declared in `proto/protos/allotrope/v1`, and carry Ozone's messages.
//! Units   windows and messages count bytes; deadlines travel in `grpc-timeout`.
//! Errors  a [`crate::rpc::Fault`] is a status whose text is `<Java class>: <message>`, as Ozone's own service has
//!         it. Ozone's service gives INTERNAL for every fault of the service; ours gives a code that fits.
//! Source  om.md 2; DESIGN.md for windows and frames.
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines of sockets follow tokio's clock, which tests pause; the services behind take theirs by parameter"
)]

mod body;
mod client;
mod codec;
mod config;
mod server;
mod status;
mod timeout;

pub use client::{GrpcClient, GrpcClientConfig};
pub use config::GrpcServerConfig;
pub use server::{GrpcLoad, GrpcServer};
pub use timeout::TimeoutError;

/// Metadata of the call's identity. Ozone's gateway sends the first two; the others are ours, so that a retry over
/// gRPC is known as one and a call has a user without a field for it.
pub mod metadata {
    /// The host that the client runs on.
    pub const HOST: &str = "client_hostname";
    /// That host's address.
    pub const ADDRESS: &str = "client_ip_address";
    /// The user to act as.
    pub const USER: &str = "allotrope-user";
    /// The client's id: 32 hex digits.
    pub const CLIENT_ID: &str = "allotrope-client-id";
    /// The call's number, decimal.
    pub const CALL_ID: &str = "allotrope-call-id";
    /// How often the call was tried before, decimal.
    pub const RETRY_COUNT: &str = "allotrope-retry-count";
    /// Text for the audit log.
    pub const NOTE: &str = "allotrope-caller-context";
}
