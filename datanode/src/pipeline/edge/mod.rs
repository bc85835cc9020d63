//! Port 9858: Ratis' `RaftClientProtocolService` for clients, and the other members' streams beside it, told apart by the
//! first four bytes; port 9857: what administrators ask.
//!
//! Owns    the listening loops and HTTP/2's limits. `stream` serves a client's stream, `reply` says things as Ratis does.
//! Errors  a command's own are in its reply; what ends a stream names Java's exception in the trailers.
//! Source  wire facts: datapath.md 4.2 to 4.6.

mod admin;
mod reply;
mod stream;
mod window;

use super::{follow, frame};
use crate::replication::stream::prefixed::Prefixed;
use crate::seldom::Seldom;
use crate::server::Door;
use crate::server::body::Answer;
use crate::server::outgoing::Outgoing;
use allotrope_io::{Shard, ShardTimer, TcpListener, TcpStream};
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const ORDERED: &str = "/ratis.grpc.RaftClientProtocolService/ordered";
const UNORDERED: &str = "/ratis.grpc.RaftClientProtocolService/unordered";
/// Connections one shard holds; one more is closed at once.
const CONNECTIONS_MAX: usize = 16_384;
/// Streams a client may have open on one connection: two a pipeline.
const STREAMS_MAX: u32 = 256;
/// Bytes a client may send ahead on one stream and on one connection.
const STREAM_WINDOW: u32 = 5 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Longest wait for a connection's first bytes.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Longest a connection may hold answers and send nothing, while the settings are not known.
const READER_WAIT: Duration = Duration::from_secs(15);

/// What a port serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Clients,
    Admin,
}

/// Serves clients and members until the shard stops.
pub async fn serve(shard: Shard, listener: TcpListener, door: Door) {
    accept(shard, listener, door, Port::Clients).await;
}

/// Serves administrators until the shard stops.
pub async fn serve_admin(shard: Shard, listener: TcpListener, door: Door) {
    accept(shard, listener, door, Port::Admin).await;
}

async fn accept(shard: Shard, listener: TcpListener, door: Door, port: Port) {
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
                drop(shard.spawn("pipeline connection", async move {
                    connection(shard_of, stream, door, port).await;
                    open.set(open.get() - 1);
                }));
            }
            Err(e) => {
                if let Some(left_out) = failed_said.may(shard.clock().now()) {
                    tracing::warn!(error = %e, left_out, "a connection was not accepted");
                }
                shard.clock().sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn connection(shard: Shard, mut stream: TcpStream, door: Door, port: Port) {
    let mut head = [0; 4];
    match shard.clock().timeout(HEAD_WAIT, stream.read_exact(&mut head)).await {
        Ok(Ok(())) => {}
        _ => return,
    }
    if head == frame::MAGIC && port == Port::Clients {
        // Without its volumes a datanode knows no pipelines; the leader comes again.
        let Some(node) = door.get().cloned() else { return };
        let (stopping, serving) = (pin!(shard.stopping()), pin!(follow::serve(&shard, &node, stream)));
        select(stopping, serving).await;
        return;
    }
    let stream = Prefixed::new(head, stream);
    let (service_shard, outgoing) = (shard.clone(), Arc::new(Outgoing::default()));
    let wait = door.get().map_or(READER_WAIT, |node| node.config.reader_wait);
    let answers = outgoing.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = answer(&service_shard, request, &door, &answers, port);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http2::Builder::new(shard.clone())
        .timer(ShardTimer::new(&shard))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(16 << 10)
        .max_send_buf_size(1 << 20)
        .keep_alive_interval(Some(Duration::from_secs(300)))
        .keep_alive_timeout(Duration::from_secs(30))
        .serve_connection(stream, service);
    let connection = pin!(connection);
    let stuck = pin!(outgoing.stuck(&shard, wait));
    // A client's streams stay open as long as it lives: a stop does not wait for them.
    let stopping = pin!(shard.stopping());
    match select(stopping, select(connection, stuck)).await {
        Either::Right((Either::Left((Err(e), _)), _)) => tracing::debug!(error = %e, "a connection ended"),
        Either::Right((Either::Right(_), _)) => {
            tracing::info!("a client that does not read its answers is cut off")
        }
        _ => {}
    }
}

/// The head of the answer to one stream; its task fills the rest.
fn answer(
    shard: &Shard,
    request: hyper::Request<Incoming>,
    door: &Door,
    outgoing: &Arc<Outgoing>,
    port: Port,
) -> hyper::Response<Answer> {
    if request.method() != hyper::Method::POST {
        return Answer::status_only(12, "gRPC calls are POST");
    }
    let Some(node) = door.get().cloned() else {
        return Answer::status_only(14, "the datanode is starting: its volumes are not open yet");
    };
    let path = request.uri().path().to_owned();
    let ordered = path == ORDERED;
    let (task, body) = (shard.clone(), request.into_body());
    match port {
        Port::Clients if ordered || path == UNORDERED => {
            let (answer, sender) = Answer::streamed(outgoing.clone());
            drop(shard.spawn("ratis stream", async move {
                stream::serve(&task, &node, ordered, body, sender).await;
            }));
            answer
        }
        Port::Admin if admin::serves(&path) => {
            let (answer, sender) = Answer::streamed(outgoing.clone());
            drop(
                shard.spawn(
                    "ratis admin",
                    async move { admin::serve(&task, &node, &path, body, sender).await },
                ),
            );
            answer
        }
        Port::Clients => Answer::status_only(12, "this port serves RaftClientProtocolService"),
        Port::Admin => {
            Answer::status_only(12, "this port serves AdminProtocolService's groupInfo and groupList")
        }
    }
}
