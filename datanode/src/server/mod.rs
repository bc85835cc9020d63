//! `XceiverClientProtocolService/send` on the shards: clients' commands over gRPC.
//!
//! Owns    the listening loop of a shard, HTTP/2's limits, and the way of a command to its container's home and back.
//! Shape   [`serve`] accepts connections; `stream` reads one stream's requests and answers them in order.
//! Errors  what goes wrong with a command is in its answer; gRPC's status tells only of the transport.
//! Source  docs/formats/datanode-commands.md.

pub(crate) mod answers;
pub(crate) mod body;
pub(crate) mod outgoing;
mod stream;

use crate::commands::{CommandError, Request, Response, refused};
use crate::seldom::Seldom;
use crate::store::{Leased, Node, ShardMessage};
use allotrope_io::{Refused, Reply, Shard, ShardTimer, TcpListener, TcpStream};
use allotrope_types::{ContainerId, DatanodeResult};
use answers::Answers;
use body::Answer;
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use outgoing::Outgoing;
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The one method's path.
const PATH: &str = "/hadoop.hdds.datanode.XceiverClientProtocolService/send";
/// Connections one shard holds; one more is closed at once.
const CONNECTIONS_MAX: usize = 16_384;
/// Streams a client may have open on one connection.
const STREAMS_MAX: u32 = 256;
/// Bytes a client may send ahead on one stream and on one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The longest frame that is taken.
const FRAME_MAX: u32 = 1 << 20;
/// Longest a connection may hold answers and send nothing, while the settings are not known.
const READER_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for a home shard whose inbox is full: load alone fails no write that was read.
const HOME_WAIT: Duration = Duration::from_secs(20);
const HOME_RETRY: Duration = Duration::from_millis(1);

/// What a connection needs: the datanode, once its volumes are open.
pub type Door = Arc<OnceLock<Arc<Node>>>;

/// Accepts connections until the shard stops. Of its reads' answers the shard keeps up to `answers_len` bytes.
pub async fn serve(shard: Shard, listener: TcpListener, door: Door, answers_len: usize) {
    let answers = Rc::new(Answers::with_room(answers_len));
    let open = Rc::new(Cell::new(0usize));
    let (full_said, failed_said) = (Seldom::default(), Seldom::default());
    let mut stopping = pin!(shard.stopping());
    loop {
        let accepted = match select(&mut stopping, pin!(listener.accept())).await {
            Either::Left(_) => return,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok(_) if open.get() >= CONNECTIONS_MAX => {
                if let Some(left_out) = full_said.may(shard.clock().now()) {
                    tracing::warn!(
                        connections = open.get(),
                        left_out,
                        "a connection is refused: the shard has too many"
                    );
                }
            }
            Ok(stream) => {
                open.set(open.get() + 1);
                let (open, shard_of, door) = (open.clone(), shard.clone(), door.clone());
                let answers = answers.clone();
                drop(shard.spawn("connection", async move {
                    connection(shard_of, stream, door, answers).await;
                    open.set(open.get() - 1);
                }));
            }
            Err(e) => {
                // Out of descriptors, most likely: others may be closed meanwhile.
                if let Some(left_out) = failed_said.may(shard.clock().now()) {
                    tracing::warn!(error = %e, left_out, "a connection was not accepted");
                }
                shard.clock().sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn connection(shard: Shard, stream: TcpStream, door: Door, kept: Rc<Answers>) {
    let (service_shard, outgoing) = (shard.clone(), Arc::new(Outgoing::default()));
    // Before the volumes are open nothing is answered that could be held.
    let wait = door.get().map_or(READER_WAIT, |node| node.config.reader_wait);
    let answers = outgoing.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = answer(&service_shard, request, &door, (&kept, &answers));
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http2::Builder::new(shard.clone())
        .timer(ShardTimer::new(&shard))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(16 << 10)
        .max_send_buf_size(1 << 20)
        .keep_alive_interval(Some(Duration::from_secs(300)))
        .keep_alive_timeout(Duration::from_secs(30))
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let mut stuck = pin!(outgoing.stuck(&shard, wait));
    let stopping = pin!(shard.stopping());
    let ended = match select(stopping, select(connection.as_mut(), stuck.as_mut())).await {
        Either::Right((Either::Left((ended, _)), _)) => Some(ended),
        Either::Right((Either::Right(_), _)) => None,
        Either::Left(_) => {
            connection.as_mut().graceful_shutdown();
            match select(connection, stuck).await {
                Either::Left((ended, _)) => Some(ended),
                Either::Right(_) => None,
            }
        }
    };
    let Some(ended) = ended else {
        tracing::info!("a client that does not read its answers is cut off");
        return;
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended");
    }
}

/// The head of the answer to one stream; its task fills the rest.
fn answer(
    shard: &Shard,
    request: hyper::Request<Incoming>,
    door: &Door,
    (kept, outgoing): (&Rc<Answers>, &Arc<Outgoing>),
) -> hyper::Response<Answer> {
    if request.uri().path() != PATH {
        return Answer::status_only(12, "this port serves XceiverClientProtocolService/send");
    }
    if request.method() != hyper::Method::POST {
        return Answer::status_only(12, "gRPC calls are POST");
    }
    let Some(node) = door.get().cloned() else {
        return Answer::status_only(14, "the datanode is starting: its volumes are not open yet");
    };
    let (answer, sender) = Answer::streamed(outgoing.clone());
    let (task, body, kept) = (shard.clone(), request.into_body(), kept.clone());
    drop(shard.spawn("stream", async move { stream::serve(&task, &node, &kept, body, sender).await }));
    answer
}

/// Has a command carried out on its container's home shard.
pub(crate) async fn ask_home(shard: &Shard, node: &Node, request: Request) -> Response {
    ask(shard, node, request, ShardMessage::Command).await
}

/// As [`ask_home`]; with the answer comes how long it may be given to others.
async fn ask_home_leased(shard: &Shard, node: &Node, request: Request) -> Leased {
    ask(shard, node, request, ShardMessage::Read).await
}

/// As [`ask_home`], in the replication class: nobody waits for it but a reconstruction.
pub(crate) async fn ask_home_for_repair(shard: &Shard, node: &Node, request: Request) -> Response {
    ask(shard, node, request, ShardMessage::Repair).await
}

async fn ask<T: From<Response>>(
    shard: &Shard,
    node: &Node,
    request: Request,
    message: fn(Box<Request>, Reply<T>) -> ShardMessage,
) -> T {
    let (cmd_type, trace) = (request.message.cmd_type, request.message.trace_id.clone());
    // A negative id goes anywhere: the command itself refuses it.
    let container = ContainerId::try_from(request.message.container_id).unwrap_or(ContainerId::new(0));
    let (reply, done) = Reply::new();
    let (mut message, home) = (message(Box::new(request), reply), node.home_of(container));
    let deadline = shard.clock().now() + HOME_WAIT;
    loop {
        match node.mesh.send(home, message) {
            Ok(()) => break,
            Err(Refused::Busy(back)) if shard.clock().now() < deadline => {
                message = back;
                shard.clock().sleep(HOME_RETRY).await;
            }
            Err(_) => {
                let e = CommandError::new(
                    DatanodeResult::ContainerInternalError,
                    "the datanode is overloaded or stopping",
                );
                return T::from(refused(cmd_type, trace, &e).into());
            }
        }
    }
    done.await.unwrap_or_else(|| {
        let e =
            CommandError::new(DatanodeResult::ContainerInternalError, "the command ended without an answer");
        T::from(refused(cmd_type, trace, &e).into())
    })
}
