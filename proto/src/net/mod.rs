//! What every listener of ours shares: how sockets become streams, how many there may be, how they end.
//!
//! Owns    [`Transport`] (plain TCP now, TLS later), [`Drain`] (graceful end), [`ByteBudget`] (bytes in flight),
//!         [`Port`] (one port for Hadoop RPC and gRPC).
//! Units   budgets count bytes, times are durations on tokio's clock.
//! Errors  a connection that breaks a bound is closed; the port lives on.

#![allow(clippy::disallowed_methods, reason = "deadlines of sockets follow tokio's clock, which tests pause")]

mod accept;
mod budget;
mod dial;
mod drain;
mod pace;
#[cfg(all(feature = "hadoop-rpc", feature = "tonic"))]
mod port;
mod rewind;
mod transport;

pub use accept::{AcceptLimits, Accepting, listen};
pub use budget::{ByteBudget, ConnectionBudget, Held, Share};
pub use dial::Target;
pub(crate) use dial::dial;
pub use drain::Drain;
pub use pace::TransferPace;
#[cfg(all(feature = "hadoop-rpc", feature = "tonic"))]
pub use port::Port;
pub use rewind::Rewind;
pub use transport::{Plain, Stream, Transport};
