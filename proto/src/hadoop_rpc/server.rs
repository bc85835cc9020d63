//! A Hadoop RPC server: its services, its bounds, and what it holds right now.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::config::{ConfigError, HadoopServerConfig};
use super::connection;
use crate::net::{AcceptLimits, Accepting, ByteBudget, Drain, Stream, Transport};
use crate::rpc::{Fault, Methods};

/// Who a client says it is, in its connection context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The user to act as.
    pub user: Option<String>,
    /// The user who acts for `user`, if it is another.
    pub real_user: Option<String>,
}

/// Decides whether a client may be who it says it is.
pub trait Admission: Send + Sync + 'static {
    /// Refuses with a [`Fault`]; the connection then ends.
    fn admit(&self, claim: &Claim, peer: SocketAddr) -> Result<(), Fault>;
}

/// As Hadoop without `hadoop.proxyuser.*` rules: anybody is who they say, and nobody acts for another.
struct NoProxies;

impl Admission for NoProxies {
    fn admit(&self, claim: &Claim, _peer: SocketAddr) -> Result<(), Fault> {
        match (&claim.real_user, &claim.user) {
            (Some(real), Some(user)) if real != user => Err(Fault::application(
                "org.apache.hadoop.security.authorize.AuthorizationException",
                format!("User: {real} is not allowed to impersonate {user}"),
            )),
            _ => Ok(()),
        }
    }
}

/// What a server holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLoad {
    /// Calls that were read and not yet answered.
    pub calls: usize,
    /// Bytes of requests that are being read or worked on.
    pub request_bytes: usize,
    /// Bytes of responses that wait to be written.
    pub response_bytes: usize,
}

pub(crate) struct Shared {
    pub(crate) config: HadoopServerConfig,
    pub(crate) methods: Arc<Methods>,
    pub(crate) admission: Box<dyn Admission>,
    pub(crate) requests: ByteBudget,
    pub(crate) responses: ByteBudget,
    pub(crate) calls: Arc<Semaphore>,
}

/// Serves Hadoop RPC on the connections it is given.
#[derive(Clone)]
pub struct HadoopServer {
    shared: Arc<Shared>,
}

impl HadoopServer {
    /// A server for `methods` within `config`'s bounds. Anybody is admitted; nobody may act for another user.
    pub fn new(config: HadoopServerConfig, methods: Arc<Methods>) -> Result<HadoopServer, ConfigError> {
        HadoopServer::with_admission(config, methods, Box::new(NoProxies))
    }

    /// A server that asks `admission` about each connection.
    pub fn with_admission(
        config: HadoopServerConfig,
        methods: Arc<Methods>,
        admission: Box<dyn Admission>,
    ) -> Result<HadoopServer, ConfigError> {
        config.check()?;
        let shared = Shared {
            methods,
            admission,
            requests: ByteBudget::new(config.request_bytes_max),
            responses: ByteBudget::new(config.response_bytes_max_total),
            calls: Arc::new(Semaphore::new(config.calls_max.min(Semaphore::MAX_PERMITS))),
            config,
        };
        Ok(HadoopServer { shared: Arc::new(shared) })
    }

    /// Accepts connections on `listener` until the drain starts. Connections and calls live on until they end or
    /// the drain does; [`Drain::finish`] waits for them.
    pub async fn serve<T: Transport>(
        &self,
        listener: TcpListener,
        transport: T,
        limits: AcceptLimits,
        drain: &Drain,
    ) {
        let (server, draining) = (self.clone(), drain.clone());
        let serve = move |stream, peer| {
            let (server, drain) = (server.clone(), draining.clone());
            async move { server.serve_connection(stream, peer, &drain).await }
        };
        Accepting::new(transport, limits).run(listener, drain, serve).await;
    }

    /// Serves one connection to its end.
    pub async fn serve_connection<S: Stream>(&self, stream: S, peer: SocketAddr, drain: &Drain) {
        connection::serve(&self.shared, stream, peer, drain).await;
    }

    /// What the server holds now.
    pub fn load(&self) -> ServerLoad {
        let shared = &self.shared;
        ServerLoad {
            calls: shared.config.calls_max.saturating_sub(shared.calls.available_permits()),
            request_bytes: shared.requests.bytes_held(),
            response_bytes: shared.responses.bytes_held(),
        }
    }
}
