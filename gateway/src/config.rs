//! What a gateway needs to know, each value with its reason.

use std::net::SocketAddr;
use std::time::Duration;

/// A gateway's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where S3 is served.
    pub listen: SocketAddr,
    /// The region that requests must be signed for. Default `us-east-1`.
    pub region: String,
    /// Domains under which a first label names a bucket; none: buckets are named in the path alone.
    pub domains: Vec<String>,
    /// Connections served at a time; one more is answered SlowDown. Default 1024.
    pub connections_max: usize,
    /// Longest that a connection may stand still, in a request or between two. Default 60 s.
    pub idle_max: Duration,
    /// Longest that a request's head may take to arrive. Default 20 s.
    pub head_max: Duration,
    /// Bytes of a request's head. Default 64 KiB.
    pub head_len_max: usize,
    /// Bytes of an object in one request. Default 5 GiB, as S3 has it.
    pub body_len_max: u64,
    /// Bytes that the bodies in flight may hold in memory, all together. Default 160 MiB.
    pub memory: u64,
}

impl Config {
    /// The defaults, listening at `listen`.
    pub fn at(listen: SocketAddr) -> Config {
        Config {
            listen,
            region: "us-east-1".to_owned(),
            domains: vec![],
            connections_max: 1024,
            idle_max: Duration::from_secs(60),
            head_max: Duration::from_secs(20),
            head_len_max: 64 * 1024,
            body_len_max: 5 << 30,
            memory: 160 << 20,
        }
    }
}
