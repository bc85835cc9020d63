//! The transports, seen from outside: recorded answers of a real OM, bad input, bounds, both clients on one port.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their data, wait on real sockets and may panic"
)]

mod bad_input;
mod bounds;
mod client;
mod golden;
mod grpc;
mod grpc_bad_input;
mod idle;
mod interop_java;
mod support;
