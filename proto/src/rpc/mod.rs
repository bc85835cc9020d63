//! A service, apart from how it is reached: one async function from request message to response message.
//!
//! Owns    [`Rpc`] (the name of one call on each wire), [`Service`] (what answers it), [`RpcClient`] (what asks it), `Failover` (a group of servers),
//!         [`CallContext`] (who asks, and until when), [`Fault`] (a failed call, as Java peers name it), [`Methods`]
//!         (which calls a port serves).
//! Never   reads a socket: `hadoop` and `grpc` are the adapters, and one service value serves both.
//! Errors  a call ends in a response message or in a [`Fault`]; bytes that do not parse are a [`Malformed`].
//!
//! ```text
//!   hadoop::HadoopServer ─┐                           ┌─ Service<om::SubmitRequest>
//!                         ├─► Methods ─► CallContext ─┤
//!   grpc::GrpcServer ─────┘                           └─ Service<scm::Heartbeat>
//! ```

pub mod catalog;
mod client;
mod context;
#[cfg(feature = "hadoop-rpc")]
mod failover;
mod fault;
mod malformed;
mod methods;

pub use client::{Advice, CallError, CallOptions, RpcClient};
pub use context::{CallContext, Caller, CallerNote, ClientId, TransportKind};
#[cfg(feature = "hadoop-rpc")]
pub use failover::Failover;
pub use fault::{Fault, FaultKind, class};
pub use malformed::Malformed;
#[cfg(feature = "hadoop-rpc")]
pub(crate) use malformed::delimited;
pub(crate) use methods::parse;
pub use methods::{Encoded, Method, Methods, MethodsError};
#[cfg(feature = "hadoop-rpc")]
pub(crate) use methods::{put_delimited, varint_len};

use std::future::Future;

use crate::Checked;

/// One call of one protocol: its messages and its names on both wires. Values of it are never made.
pub trait Rpc: Send + Sync + 'static {
    /// What is asked.
    type Request: Checked + 'static;
    /// What is answered.
    type Response: Checked + 'static;
    /// The protocol's name in a Hadoop RPC request header, such as
    /// `org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol`. Its version is 1 for every protocol of Ozone.
    const PROTOCOL: &'static str;
    /// The method's name in a Hadoop RPC request header.
    const METHOD: &'static str;
    /// The path of the gRPC method, `/package.Service/method`; `None` where the call has no gRPC service.
    const GRPC_PATH: Option<&'static str>;
}

/// What answers the calls of `R`.
///
/// Cancel safety: the adapter drops the future when the call's deadline passes, never because the client went away.
/// Work that must finish is spawned by the service.
pub trait Service<R: Rpc>: Send + Sync + 'static {
    /// Answers one call.
    fn call(
        &self,
        context: CallContext,
        request: R::Request,
    ) -> impl Future<Output = Result<R::Response, Fault>> + Send;
}
