//! What a Recon is told when it starts.

use std::net::SocketAddr;
use std::time::Duration;

use allotrope_proto::net::Target;
use allotrope_proto::ops::Operators;

/// The time now, in milliseconds since 1970.
pub type Clock = fn() -> u64;

/// Where a server that is no datanode shows its metrics. Datanodes announce theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsAt {
    /// The server's name in what Recon shows: `om1`, `scm`.
    pub name: String,
    /// Its pages for operators.
    pub at: Target,
}

/// One Recon's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API and the page are served.
    pub listen: SocketAddr,
    /// The SCMs' services for administrators.
    pub scms: Vec<Target>,
    /// The OMs' gRPC services.
    pub oms: Vec<Target>,
    /// The metrics of OMs and SCMs.
    pub metrics: Vec<MetricsAt>,
    /// Name of the group of SCMs, where there is one.
    pub scm_service: String,
    /// Name of the OM service, where there is one.
    pub om_service: String,
    /// As whom OM is asked; where rights are enforced one who may list every volume.
    pub user: String,
    /// Chance: names this process to the servers it asks.
    pub chance: u128,
    /// The time now.
    pub clock: Clock,
    /// Time between two rounds of questions. Default 2 s; a failure shows after at most this long.
    pub interval: Duration,
    /// Operators' settings and logs; its own place to listen is not used, the pages stand beside the API.
    pub operators: Operators,
}
