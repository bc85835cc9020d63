//! A gRPC client: the same calls as over Hadoop RPC, on one HTTP/2 connection that is replaced when it ends.
//!
//! Errors  [`CallError`]. A status that names a Java class is what the server threw; any other is the transport's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::codec::ClientCodec;
use super::{metadata, status};
use crate::net::{Target, Transport, dial};
use crate::rpc::{CallError, CallOptions, ClientId, Rpc, RpcClient, class, parse};

/// Bounds of a client, and what it says of itself.
#[derive(Clone, Debug)]
pub struct GrpcClientConfig {
    /// The user to act as, if the request message does not say it.
    pub user: Option<String>,
    /// This host's name, as Ozone's gateway sends it.
    pub host: Option<String>,
    /// This host's address, as Ozone's gateway sends it.
    pub address: Option<String>,
    /// Longest wait for a connection. Default 20 s.
    pub connect_time_max: Duration,
    /// Longest wait for an answer, unless the call says otherwise; the server is told. Default 15 min.
    pub call_time_max: Duration,
    /// Calls in flight; one more waits for its turn, within its deadline. Default 1,024.
    pub calls_max: usize,
    /// Longest request message. Default 128 MiB.
    pub request_bytes_max: usize,
    /// Longest response message. Default 128 MiB (`ozone.om.grpc.maximum.response.length`).
    pub response_bytes_max: usize,
    /// Bytes that a stream may send ahead. Default 4 MiB.
    pub stream_window_bytes: u32,
    /// Bytes that the connection may send ahead. Default 16 MiB.
    pub connection_window_bytes: u32,
    /// Longest HTTP/2 frame. Default 1 MiB.
    pub frame_bytes_max: u32,
    /// While calls wait, a ping goes out this often. Default 60 s.
    pub keep_alive_interval: Duration,
    /// How long its answer may take. Default 20 s.
    pub keep_alive_time_max: Duration,
}

impl Default for GrpcClientConfig {
    fn default() -> GrpcClientConfig {
        GrpcClientConfig {
            user: None,
            host: None,
            address: None,
            connect_time_max: Duration::from_secs(20),
            call_time_max: Duration::from_secs(15 * 60),
            calls_max: 1024,
            request_bytes_max: 128 << 20,
            response_bytes_max: 128 << 20,
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 16 << 20,
            frame_bytes_max: 1 << 20,
            keep_alive_interval: Duration::from_secs(60),
            keep_alive_time_max: Duration::from_secs(20),
        }
    }
}

/// A client of one server. Clones share the connection, the bounds and the numbering of calls.
#[derive(Clone)]
pub struct GrpcClient {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    config: GrpcClientConfig,
    channel: Channel,
    client_id: ClientId,
    call_ids: AtomicU32,
    slots: Semaphore,
}

impl GrpcClient {
    /// A client that connects at its first call. `client_id` is to be new and random for each process.
    ///
    /// # Errors
    /// If `target`'s host cannot stand in a URI.
    pub fn new<T: Transport>(
        target: Target,
        transport: T,
        client_id: ClientId,
        config: GrpcClientConfig,
    ) -> io::Result<GrpcClient> {
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let channel = Endpoint::from_shared(format!("http://{host}:{}", target.port))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
            .initial_stream_window_size(config.stream_window_bytes)
            .initial_connection_window_size(config.connection_window_bytes)
            .max_frame_size(config.frame_bytes_max)
            .http2_keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_time_max)
            .connect_timeout(config.connect_time_max)
            .connect_with_connector_lazy(Connector { target: target.clone(), transport });
        let shared = Shared {
            target,
            channel,
            client_id,
            call_ids: AtomicU32::new(0),
            slots: Semaphore::new(config.calls_max.min(Semaphore::MAX_PERMITS)),
            config,
        };
        Ok(GrpcClient { shared: Arc::new(shared) })
    }

    /// A number for a new call: pass it again with each retry of the same call.
    pub fn next_call_id(&self) -> i32 {
        (self.shared.call_ids.fetch_add(1, Ordering::Relaxed) & (i32::MAX as u32)) as i32
    }
}

impl RpcClient for GrpcClient {
    async fn call<R: Rpc>(
        &self,
        request: &R::Request,
        options: &CallOptions,
    ) -> Result<R::Response, CallError> {
        let shared = &self.shared;
        let target = || shared.target.to_string();
        let Some(path) = R::GRPC_PATH else {
            let message = format!("{}.{} has no gRPC service", R::PROTOCOL, R::METHOD);
            let class = class::NO_SUCH_METHOD.to_owned();
            return Err(CallError::Remote { target: target(), method: R::METHOD, class, message });
        };
        let (bytes, bytes_max) = (request.encoded_len(), shared.config.request_bytes_max);
        if bytes > bytes_max {
            return Err(CallError::RequestTooLarge { target: target(), bytes, bytes_max });
        }
        let time_max = options.time_max.unwrap_or(shared.config.call_time_max);
        let call_id = options.call_id.unwrap_or_else(|| self.next_call_id());
        let mut asked = tonic::Request::new(Bytes::from(request.encode_to_vec()));
        asked.set_timeout(time_max);
        shared.introduce(asked.metadata_mut(), call_id, options);
        let asking = async {
            let _slot = shared.slots.acquire().await.expect("the slots of a client are never closed");
            let mut grpc = tonic::client::Grpc::new(shared.channel.clone())
                .max_decoding_message_size(shared.config.response_bytes_max)
                .max_encoding_message_size(shared.config.request_bytes_max);
            grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            grpc.unary(asked, PathAndQuery::from_static(path), ClientCodec).await
        };
        let late = || CallError::Deadline { target: target(), method: R::METHOD, time_max };
        let answer = timeout_at(Instant::now() + time_max, asking)
            .await
            .map_err(|_| late())?
            .map_err(|status| shared.error_of(R::METHOD, status, late))?;
        parse(answer.into_inner()).map_err(|why| CallError::Malformed {
            target: target(),
            method: R::METHOD,
            why,
        })
    }
}

impl Shared {
    fn introduce(&self, into: &mut tonic::metadata::MetadataMap, call_id: i32, options: &CallOptions) {
        let mut put = |key: &'static str, value: String| {
            // A text that cannot stand in a header is left out, as if it were not known.
            if let Ok(value) = AsciiMetadataValue::try_from(value) {
                into.insert(key, value);
            }
        };
        put(metadata::CLIENT_ID, format!("{:?}", self.client_id));
        put(metadata::CALL_ID, call_id.to_string());
        put(metadata::RETRY_COUNT, options.retry_count.to_string());
        for (key, value) in [
            (metadata::USER, &self.config.user),
            (metadata::HOST, &self.config.host),
            (metadata::ADDRESS, &self.config.address),
        ] {
            if let Some(value) = value {
                put(key, value.clone());
            }
        }
        if let Some(note) = &options.note {
            put(metadata::NOTE, note.context.clone());
        }
    }

    fn error_of(&self, method: &'static str, status: Status, late: impl Fn() -> CallError) -> CallError {
        let target = self.target.to_string();
        if let Some(unsent) = unsent(&status) {
            return CallError::Unreachable { target, source: unsent };
        }
        match status::exception(&status) {
            Some((class, message)) => CallError::Remote { target, method, class, message },
            None if status.code() == Code::DeadlineExceeded => late(),
            None => CallError::Lost { target, method, why: status.to_string() },
        }
    }
}

/// The failure to connect that a status stands for, if it does.
fn unsent(status: &Status) -> Option<io::Error> {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if let Some(DialError(error)) = error.downcast_ref::<DialError>() {
            return Some(io::Error::new(error.kind(), error.to_string()));
        }
        cause = error.source();
    }
    None
}

/// Nobody could be reached, so nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DialError(io::Error);

struct Connector<T> {
    target: Target,
    transport: T,
}

type Dialling<S> = Pin<Box<dyn Future<Output = Result<TokioIo<S>, DialError>> + Send>>;

impl<T: Transport> tower_service::Service<Uri> for Connector<T> {
    type Response = TokioIo<T::Stream>;
    type Error = DialError;
    type Future = Dialling<T::Stream>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Dialling<T::Stream> {
        let (target, transport) = (self.target.clone(), self.transport.clone());
        Box::pin(async move { dial(&target, &transport).await.map(TokioIo::new).map_err(DialError) })
    }
}
