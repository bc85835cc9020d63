//! The loop that accepts connections, within bounds, until the drain starts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::{Drain, Transport};

/// How long to let the machine recover when it is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the kernel keeps for us until they are accepted. When every client of a server that restarted
/// comes at once, a short queue drops handshakes and each costs its client a second; the default is 128.
const BACKLOG: u32 = 4096;

/// A socket that listens at `address`, also right after a server that listened there has ended.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Bounds on accepting.
#[derive(Clone, Debug)]
pub struct AcceptLimits {
    /// Connections at once; one more is accepted and closed at once, so that the client looks elsewhere.
    /// Default 20,000.
    pub connections_max: usize,
    /// Longest handshake of the transport, and longest wait for the first bytes that name the protocol.
    /// Default 30 s.
    pub handshake_time_max: Duration,
}

impl Default for AcceptLimits {
    fn default() -> AcceptLimits {
        AcceptLimits { connections_max: 20_000, handshake_time_max: Duration::from_secs(30) }
    }
}

/// A listening socket with its transport and its bounds.
pub struct Accepting<T> {
    transport: T,
    limits: AcceptLimits,
    slots: Arc<Semaphore>,
}

impl<T: Transport> Accepting<T> {
    /// Nothing is accepted before [`run`](Self::run).
    pub fn new(transport: T, limits: AcceptLimits) -> Accepting<T> {
        let slots = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
        Accepting { transport, limits, slots }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.limits.connections_max.saturating_sub(self.slots.available_permits())
    }

    /// Accepts until the drain starts and runs `serve` on each connection, in a task of its own.
    pub async fn run<F, Serving>(&self, listener: TcpListener, drain: &Drain, serve: F)
    where
        F: Fn(T::Stream, SocketAddr) -> Serving + Clone + Send + 'static,
        Serving: Future<Output = ()> + Send,
    {
        let started = drain.started();
        tokio::pin!(started);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut started => return,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The peer may have left already; what else fails here is the machine's and passes.
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                warn!(%peer, connections_max = self.limits.connections_max, "a connection too many was closed");
                continue;
            };
            let (transport, serve, drain) = (self.transport.clone(), serve.clone(), drain.clone());
            let handshake_time_max = self.limits.handshake_time_max;
            let work = drain.work();
            tokio::spawn(async move {
                let _held = (slot, work);
                // Small frames wait for nothing: every answer is a whole frame.
                if let Err(error) = socket.set_nodelay(true) {
                    debug!(%peer, %error, "the socket went away");
                    return;
                }
                let stream = match tokio::time::timeout(handshake_time_max, transport.accept(socket)).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return debug!(%peer, %error, "the handshake failed"),
                    Err(_) => return debug!(%peer, "the handshake took too long"),
                };
                tokio::select! {
                    biased;
                    () = drain.aborted() => debug!(%peer, "cut off at the end of the drain"),
                    () = serve(stream, peer) => {}
                }
            });
        }
    }
}
