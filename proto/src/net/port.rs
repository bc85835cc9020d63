//! One port for Hadoop RPC and gRPC: the first four bytes tell which it is.
//!
//! Shape   `PRI ` is HTTP/2's preface; everything else is Hadoop RPC's to answer, also what is neither (its server
//!         tells a browser that this is not a web port).
//! Errors  a connection that does not send four bytes in time is closed.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tracing::debug;

use super::{AcceptLimits, Accepting, Drain, Rewind, Stream, Transport};
use crate::grpc::GrpcServer;
use crate::hadoop_rpc::HadoopServer;

/// How a client of HTTP/2 begins.
const HTTP2: &[u8; 4] = b"PRI ";

/// Two servers behind one port.
#[derive(Clone)]
pub struct Port {
    hadoop: HadoopServer,
    grpc: GrpcServer,
    limits: AcceptLimits,
}

impl Port {
    /// A port for both.
    pub fn new(hadoop: HadoopServer, grpc: GrpcServer, limits: AcceptLimits) -> Port {
        Port { hadoop, grpc, limits }
    }

    /// Accepts connections on `listener` until the drain starts; [`Drain::finish`] waits for what was begun.
    pub async fn serve<T: Transport>(&self, listener: TcpListener, transport: T, drain: &Drain) {
        let (port, draining) = (self.clone(), drain.clone());
        let serve = move |stream, peer| {
            let (port, drain) = (port.clone(), draining.clone());
            async move { port.serve_connection(stream, peer, &drain).await }
        };
        Accepting::new(transport, self.limits.clone()).run(listener, drain, serve).await;
    }

    /// Serves one connection to its end.
    pub async fn serve_connection<S: Stream>(&self, mut stream: S, peer: SocketAddr, drain: &Drain) {
        let Some(first) = first_bytes(&mut stream, self.limits.handshake_time_max, drain).await else {
            return debug!(%peer, "a connection did not say what it is");
        };
        let is_http2 = first.starts_with(HTTP2);
        let stream = Rewind::new(first, stream);
        if is_http2 {
            // Boxed: the larger of two connections would set the size of ten thousand idle ones.
            Box::pin(self.grpc.serve_connection(stream, peer, drain)).await;
        } else {
            Box::pin(self.hadoop.serve_connection(stream, peer, drain)).await;
        }
    }
}

/// The first four bytes, or fewer if the stream ends before. `None` if they do not come in time.
async fn first_bytes<S: AsyncRead + Unpin>(
    stream: &mut S,
    time_max: Duration,
    drain: &Drain,
) -> Option<Bytes> {
    let mut first = BytesMut::with_capacity(HTTP2.len());
    let reading = async {
        while first.len() < HTTP2.len() {
            let mut rest = (&mut *stream).take((HTTP2.len() - first.len()) as u64);
            if rest.read_buf(&mut first).await.ok()? == 0 {
                break;
            }
        }
        Some(())
    };
    tokio::select! {
        biased;
        () = drain.started() => None,
        read = tokio::time::timeout(time_max, reading) => {
            read.ok()??;
            Some(first.freeze())
        }
    }
}
