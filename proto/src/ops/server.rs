//! The listener of the pages: HTTP/1.1, few connections, short waits.
//!
//! Errors  a client that is slow or wrong loses its connection; nothing else notices.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::debug;

use super::{Ask, Operators, Page, Watched, answer};
use crate::net::{AcceptLimits, Accepting, Drain, Stream, Transport};

/// Connections at once: operators and scrapers are few.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for a request's head, the next one's included.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Longest life of a connection: a scraper comes again.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 << 10;

/// Serves the pages of `server` on `listener` until the drain starts.
pub async fn serve<T: Transport>(
    listener: TcpListener,
    transport: T,
    operators: Operators,
    server: Arc<dyn Watched>,
    drain: &Drain,
) {
    let limits = AcceptLimits { connections_max: CONNECTIONS_MAX, handshake_time_max: HEAD_WAIT };
    let shared = Arc::new((operators, server));
    let draining = drain.clone();
    let each = move |stream, _peer| {
        let (shared, drain) = (Arc::clone(&shared), draining.clone());
        async move { connection(stream, shared, drain).await }
    };
    Accepting::new(transport, limits).run(listener, drain, each).await;
}

async fn connection<S: Stream>(stream: S, shared: Arc<(Operators, Arc<dyn Watched>)>, drain: Drain) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&shared.0, &*shared.1, &request)) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(HEAD_MAX).max_headers(64);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = timeout(CONNECTION_LIFE, connection.as_mut()) => ended,
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            timeout(HEAD_WAIT, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        debug!(%error, "an operator's connection ended");
    }
}

fn respond(
    operators: &Operators,
    server: &dyn Watched,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let ask = Ask {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        accept,
    };
    let Page { status, content_type, body } = answer(operators, server, ask);
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .body(Full::new(Bytes::from(body)))
        .expect("a status and three fixed headers are well formed")
}

#[cfg(test)]
mod tests {
    use super::super::pages::tests::{Server, operators};
    use super::*;
    use crate::net::{Plain, listen};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn say(address: std::net::SocketAddr, words: &[u8]) -> String {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // A connection that was cut off is an answer too.
        drop(socket.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn pages_come_over_http_and_other_bytes_end_their_connection_alone() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let drain = Drain::new();
        let draining = drain.clone();
        let serving = tokio::spawn(async move {
            serve(listener, Plain, operators(), Arc::new(Server(Ok(()))), &draining).await
        });
        let prom = say(address, b"GET /prom HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(prom.starts_with("HTTP/1.1 200 OK\r\n"), "{prom}");
        assert!(prom.contains("content-type: application/openmetrics-text"), "{prom}");
        assert!(prom.ends_with("\r\n\r\nx_total 1\n# EOF\n"), "{prom}");
        let long = [b"GET /".to_vec(), vec![b'a'; 64 << 10], b" HTTP/1.1\r\n\r\n".to_vec()].concat();
        for bad in [&b"\0\x01\x02 not http at all\r\n\r\n"[..], &long, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let answer = say(address, bad).await;
            assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        let ready = say(address, b"HEAD /readyz HTTP/1.0\r\n\r\n").await;
        assert!(ready.starts_with("HTTP/1.0 503 ") && ready.ends_with("\r\n\r\n"), "{ready}");
        assert!(drain.finish(Duration::from_secs(5)).await);
        serving.await.unwrap();
    }
}
