//! A gRPC server over the same [`Methods`] as Hadoop RPC's.
//!
//! Shape   hyper runs a connection's HTTP/2, tonic frames the messages, [`Methods`] finds the service by its path.
//!         A call is a task of its own: it outlives the client that went away, not its deadline.
//! Errors  statuses; see [`super`].

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, UnaryService};
use tracing::{debug, error, info};

use super::body::{Answer, Metered, Open, OpenCall, RequestShare};
use super::codec::ServerCodec;
use super::config::GrpcServerConfig;
use super::{metadata, status, timeout};
use crate::net::{AcceptLimits, Accepting, ByteBudget, Drain, Stream, Transport};
use crate::rpc::{CallContext, Caller, CallerNote, ClientId, Encoded, Fault, Method, Methods, TransportKind};

/// How often a connection's bounds are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What a server holds at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcLoad {
    /// Calls whose answer is not yet read.
    pub calls: usize,
    /// Bytes of requests that are being read or worked on.
    pub request_bytes: usize,
}

struct Shared {
    config: GrpcServerConfig,
    methods: Arc<Methods>,
    requests: ByteBudget,
    calls: Arc<Semaphore>,
}

/// Serves gRPC on the connections it is given.
#[derive(Clone)]
pub struct GrpcServer {
    shared: Arc<Shared>,
}

impl GrpcServer {
    /// A server for those of `methods` that have a path, within `config`'s bounds.
    pub fn new(config: GrpcServerConfig, methods: Arc<Methods>) -> GrpcServer {
        let shared = Shared {
            methods,
            requests: ByteBudget::new(config.request_bytes_total_max),
            calls: Arc::new(Semaphore::new(config.calls_max.min(Semaphore::MAX_PERMITS))),
            config,
        };
        GrpcServer { shared: Arc::new(shared) }
    }

    /// Accepts connections on `listener` until the drain starts; [`Drain::finish`] waits for what was begun.
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
        let config = &self.shared.config;
        let open = Arc::new(Open::default());
        let (shared, calls, draining) = (Arc::clone(&self.shared), Arc::clone(&open), drain.clone());
        let service = service_fn(move |request| {
            let (shared, calls, drain) = (Arc::clone(&shared), Arc::clone(&calls), draining.clone());
            async move { Ok::<_, Infallible>(shared.answer(request, peer, &calls, drain).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(config.stream_window_bytes)
            .initial_connection_window_size(config.connection_window_bytes)
            .max_frame_size(config.frame_bytes_max)
            .max_header_list_size(config.header_bytes_max)
            .max_concurrent_streams(config.streams_max)
            .max_pending_accept_reset_streams(config.resets_max)
            .max_local_error_reset_streams(config.resets_max)
            .keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_time_max);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut started = pin!(drain.started());
        let mut ending = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    return match ended {
                        Ok(()) => debug!(%peer, "a connection ended"),
                        Err(error) => debug!(%peer, %error, "a connection failed"),
                    };
                }
                () = &mut started, if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep(LOOK.min(config.pace.time_min).min(config.idle_time_max)) => {
                    let now = Instant::now();
                    if open.is_overdue(now) {
                        return info!(%peer, "a connection reads its answers too slowly");
                    }
                    let quiet = open.quiet_since(now).map(|since| now - since);
                    if quiet.is_some_and(|quiet| quiet >= config.idle_time_max) {
                        if ending {
                            return debug!(%peer, "an idle connection does not go away");
                        }
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }

    /// What the server holds now.
    pub fn load(&self) -> GrpcLoad {
        let shared = &self.shared;
        GrpcLoad {
            calls: shared.config.calls_max.saturating_sub(shared.calls.available_permits()),
            request_bytes: shared.requests.bytes_held(),
        }
    }
}

impl Shared {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        open: &Arc<Open>,
        drain: Drain,
    ) -> Response<Answer> {
        let path = request.uri().path().to_owned();
        match self.try_answer(request, &path, peer, open, drain).await {
            Ok(response) => response,
            Err(status) => status.into_http().map(Answer::short),
        }
    }

    async fn try_answer(
        &self,
        request: Request<Incoming>,
        path: &str,
        peer: SocketAddr,
        open: &Arc<Open>,
        drain: Drain,
    ) -> Result<Response<Answer>, Status> {
        let method = self.methods.by_path(path).ok_or_else(|| {
            let (service, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
            status::of_fault(&Fault::no_such_method(service, name), path)
        })?;
        let time_max = match request.headers().get(timeout::HEADER) {
            Some(value) => timeout::parse(value.as_bytes())
                .map_err(|why| Status::invalid_argument(why.to_string()))?
                .min(self.config.call_time_max),
            None => self.config.call_time_max,
        };
        let deadline = Instant::now() + time_max;
        let slot = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| {
            status::of_fault(&Fault::overloaded("the server works on as many calls as it may"), path)
        })?;
        let call = OpenCall::new(open, slot);
        let share: RequestShare = Arc::new(Mutex::new(self.requests.share()));
        let answer_len = Arc::new(AtomicUsize::new(0));
        let unary = Unary {
            method: Arc::clone(method),
            path: path.to_owned(),
            peer,
            deadline,
            drain,
            share: Arc::clone(&share),
            answer_len: Arc::clone(&answer_len),
            answer_len_max: self.config.response_bytes_max,
        };
        let mut grpc = Grpc::new(ServerCodec)
            .max_decoding_message_size(self.config.request_bytes_max)
            .max_encoding_message_size(self.config.response_bytes_max);
        let answering = grpc.unary(unary, request.map(|body| Metered::new(body, share)));
        let response = timeout_at(deadline, answering)
            .await
            .map_err(|_| status::of_fault(&Fault::deadline_exceeded(method.name()), path))?;
        let read_until = Instant::now() + self.config.pace.time_max(answer_len.load(Ordering::Relaxed));
        Ok(response.map(|body| Answer::new(body, call, read_until)))
    }
}

/// One call, once its message is here.
struct Unary {
    method: Arc<Method>,
    path: String,
    peer: SocketAddr,
    deadline: Instant,
    drain: Drain,
    share: RequestShare,
    answer_len: Arc<AtomicUsize>,
    answer_len_max: usize,
}

type Answering = Pin<Box<dyn Future<Output = Result<tonic::Response<Box<dyn Encoded>>, Status>> + Send>>;

impl UnaryService<Bytes> for Unary {
    type Response = Box<dyn Encoded>;
    type Future = Answering;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Answering {
        let context =
            CallContext { caller: caller_of(request.metadata(), self.peer), deadline: self.deadline };
        let (method, share, drain) = (Arc::clone(&self.method), Arc::clone(&self.share), self.drain.clone());
        let work = self.drain.work();
        let name = self.method.name();
        let message = request.into_inner();
        // A task of its own: the client may go away, the call does not.
        let running = tokio::spawn(async move {
            let _held = (work, share);
            tokio::select! {
                biased;
                () = drain.aborted() => Err(Fault::overloaded("the server ends")),
                outcome = timeout_at(context.deadline, method.call(context, message)) => {
                    outcome.unwrap_or_else(|_| Err(Fault::deadline_exceeded(name)))
                }
            }
        });
        let (path, answer_len, len_max) =
            (self.path.clone(), Arc::clone(&self.answer_len), self.answer_len_max);
        Box::pin(async move {
            let outcome = running.await.unwrap_or_else(|_panic| {
                error!(method = name, "a service panicked; the call fails");
                Err(Fault::io(format!("the server failed while it worked on {name}")))
            });
            let checked = outcome.and_then(|answer| match answer.encoded_len() {
                len if len > len_max => Err(Fault::response_too_large(name, len, len_max)),
                len => {
                    answer_len.store(len, Ordering::Relaxed);
                    Ok(answer)
                }
            });
            checked.map(tonic::Response::new).map_err(|fault| status::of_fault(&fault, &path))
        })
    }
}

fn caller_of(from: &MetadataMap, remote: SocketAddr) -> Caller {
    let text = |key| from.get(key).and_then(|value| value.to_str().ok());
    let number = |key| text(key).and_then(|value| value.parse::<i32>().ok());
    let client_id = text(metadata::CLIENT_ID)
        .filter(|hex| hex.len() == 32)
        .and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .map(|id| ClientId::from_bytes(id.to_be_bytes()));
    Caller {
        user: text(metadata::USER).map(Arc::from),
        real_user: None,
        remote,
        host_claimed: text(metadata::HOST).map(str::to_owned),
        address_claimed: text(metadata::ADDRESS).map(str::to_owned),
        client_id,
        call_id: number(metadata::CALL_ID).unwrap_or(0),
        retry_count: number(metadata::RETRY_COUNT).unwrap_or(-1),
        note: text(metadata::NOTE)
            .map(|context| CallerNote { context: context.to_owned(), signature: Bytes::new() }),
        transport: TransportKind::Grpc,
    }
}
