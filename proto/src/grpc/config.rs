//! Bounds of a gRPC server, with reasons.

use std::time::Duration;

use crate::net::TransferPace;

/// What one server may hold and how long it waits.
#[derive(Clone, Debug)]
pub struct GrpcServerConfig {
    /// Bytes a stream may send ahead. Default 4 MiB.
    pub stream_window_bytes: u32,
    /// Bytes a connection may send ahead. Default 16 MiB.
    pub connection_window_bytes: u32,
    /// Longest HTTP/2 frame. Default 1 MiB.
    pub frame_bytes_max: u32,
    /// Longest list of headers. Default 16 KiB.
    pub header_bytes_max: u32,
    /// Calls at once on a connection. Default 1,024.
    pub streams_max: u32,
    /// Streams that a client may reset before they are worked on; beyond it the connection ends. Default 20.
    pub resets_max: usize,
    /// A quiet connection is asked for a sign of life this often. Default 60 s.
    pub keep_alive_interval: Duration,
    /// How long the sign of life may take. Default 20 s.
    pub keep_alive_time_max: Duration,
    /// A connection without calls is told to go away after this long. Default 30 min.
    pub idle_time_max: Duration,
    /// Longest request message. Default 128 MiB.
    pub request_bytes_max: usize,
    /// Longest response message. Default 128 MiB (`ozone.om.grpc.maximum.response.length`).
    pub response_bytes_max: usize,
    /// Request bytes that all connections may hold; a call beyond it fails with UNAVAILABLE. Default 512 MiB.
    pub request_bytes_total_max: usize,
    /// Calls of all connections that are not yet answered; one more fails with UNAVAILABLE. Default 16,384.
    pub calls_max: usize,
    /// Longest wait for an answer; a client may ask for less (`grpc-timeout`), not for more. Default 15 min.
    pub call_time_max: Duration,
    /// How slowly a client may read its answers before its connection ends.
    pub pace: TransferPace,
}

impl Default for GrpcServerConfig {
    fn default() -> GrpcServerConfig {
        GrpcServerConfig {
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 16 << 20,
            frame_bytes_max: 1 << 20,
            header_bytes_max: 16 << 10,
            streams_max: 1024,
            resets_max: 20,
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_time_max: Duration::from_secs(20),
            idle_time_max: Duration::from_secs(30 * 60),
            request_bytes_max: 128 << 20,
            response_bytes_max: 128 << 20,
            request_bytes_total_max: 512 << 20,
            calls_max: 16 * 1024,
            call_time_max: Duration::from_secs(15 * 60),
            pace: TransferPace::default(),
        }
    }
}
