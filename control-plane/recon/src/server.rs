//! The HTTP around the API and the page.
//!
//! Bounds  [`CONNECTIONS_MAX`] connections, heads of [`HEAD_MAX`] bytes, no bodies: everything is read with GET.
//! Law     every answer carries a Content-Security-Policy that lets the page load nothing from anywhere else, run no inline
//!         script and be framed by nobody.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use allotrope_proto::net::{AcceptLimits, Accepting, Drain, Plain, Stream};
use allotrope_proto::ops::{self, Ask};
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

use crate::pages::Pages;
use crate::recon::Recon;
use crate::{api, assets};

const CONNECTIONS_MAX: usize = 256;
const HEAD_WAIT: Duration = Duration::from_secs(60);
const HEAD_MAX: usize = 32 << 10;
/// A browser comes again.
const CONNECTION_LIFE: Duration = Duration::from_secs(3600);

/// What the page may do: load its own files, ask its own server, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// Names this body; a browser that has it is told so.
    pub(crate) tag: Option<String>,
}

/// Serves until the drain starts.
pub(crate) async fn serve(listener: TcpListener, recon: Arc<Recon>, drain: &Drain) {
    let limits = AcceptLimits { connections_max: CONNECTIONS_MAX, handshake_time_max: HEAD_WAIT };
    let draining = drain.clone();
    let each = move |stream, _peer| {
        let (recon, drain) = (Arc::clone(&recon), draining.clone());
        async move { connection(stream, recon, drain).await }
    };
    Accepting::new(Plain, limits).run(listener, drain, each).await;
}

async fn connection<S: Stream>(stream: S, recon: Arc<Recon>, drain: Drain) {
    let service = service_fn(move |request: Request<Incoming>| {
        let recon = Arc::clone(&recon);
        async move { Ok::<_, Infallible>(respond(recon, &request).await) }
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
        debug!(%error, "a browser's connection ended");
    }
}

async fn respond(recon: Arc<Recon>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    recon.count_request();
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let ask = Ask {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        accept: header(header::ACCEPT),
    };
    let answer = answer(recon, ask).await;
    let known = header(header::IF_NONE_MATCH);
    let mut response = Response::builder()
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header(header::CACHE_CONTROL, if answer.tag.is_some() { "no-cache" } else { "no-store" });
    let mut body = answer.body;
    let mut status = answer.status;
    if let Some(tag) = &answer.tag {
        response = response.header(header::ETAG, tag);
        if tag == known {
            (status, body) = (304, Bytes::new());
        }
    }
    if status != 304 {
        response = response.header(header::CONTENT_TYPE, answer.content_type);
    }
    response.status(status).body(Full::new(body)).expect("a status and fixed headers are well formed")
}

async fn answer(recon: Arc<Recon>, ask: Ask<'_>) -> Answer {
    match ask.path {
        "/prom" | "/metrics" | "/conf" | "/healthz" | "/readyz" | "/logLevel" => {
            let page = ops::answer(&recon.config.operators, &Pages(Arc::clone(&recon)), ask);
            Answer { status: page.status, content_type: page.content_type, body: page.body.into(), tag: None }
        }
        _ if !matches!(ask.method, "GET" | "HEAD") => api::refused(405, "this is read with GET"),
        path if path.starts_with("/api/") => api::answer(&recon, path, ask.query).await,
        path => assets::answer(path).unwrap_or_else(|| api::refused(404, "there is no such page")),
    }
}
