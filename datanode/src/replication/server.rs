//! The replication port: Ozone's `IntraDatanodeProtocolService` on the shards, our own transport and our own commands beside it,
//! told apart by the first four bytes.
//!
//! Shape   `upload` takes a container's archive, part after part, and answers when the container is in its place; `download`
//!         gives one. HTTP/2's flow control holds a sender back while the disk is behind.
//! Errors  as gRPC's status with the sentence beside it; a stream that breaks off leaves nothing behind.
//! Source  docs/replication.md; wire facts: datapath.md 5.

use super::calls;
use super::import;
use super::stream::{self, prefixed::Prefixed};
use super::{Ask, Compression, Feed, STALL_MAX, compress, feed};
use crate::commands::CommandError;
use crate::server::Door;
use crate::server::body::{Answer, Sender};
use crate::server::outgoing::Outgoing;
use crate::store::Node;
use allotrope_io::{Class, Shard, ShardTimer, TcpListener, TcpStream};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::container::{
    CopyContainerRequestProto, CopyContainerResponseProto, SendContainerRequest, SendContainerResponse,
};
use allotrope_proto::edge::transfer::{DownloadPart, UploadPart};
use allotrope_types::DatanodeResult::{
    self, ContainerInternalError, IoException, MalformedRequest, UnsupportedRequest,
};
use allotrope_types::{ByteCount, ContainerId, FileOffset};
use bytes::Bytes;
use futures_util::future::{Either, select};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use prost::Message;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(super) const UPLOAD: &str = "/hadoop.hdds.datanode.IntraDatanodeProtocolService/upload";
pub(super) const DOWNLOAD: &str = "/hadoop.hdds.datanode.IntraDatanodeProtocolService/download";
/// The longest message: Ozone's own limit.
pub(super) const MESSAGE_MAX: usize = 32 << 20;
/// Bytes that a peer may send ahead on a stream and on a connection.
const WINDOW: u32 = 4 << 20;
/// Longest wait for a connection's first bytes.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// Connections one shard holds; one more is closed at once.
const CONNECTIONS_MAX: usize = 1024;
/// Streams on one connection.
const STREAMS_MAX: u32 = 64;

/// Accepts connections until the shard stops.
pub async fn serve(shard: Shard, listener: TcpListener, door: Door) {
    let open = Rc::new(Cell::new(0usize));
    let mut stopping = pin!(shard.stopping());
    loop {
        let accepted = match select(&mut stopping, pin!(listener.accept())).await {
            Either::Left(_) => return,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok(_) if open.get() >= CONNECTIONS_MAX => {
                tracing::warn!(
                    connections = open.get(),
                    "a datanode's connection is refused: the shard has too many"
                );
            }
            Ok(stream) => {
                open.set(open.get() + 1);
                let (open, shard_of, door) = (open.clone(), shard.clone(), door.clone());
                drop(shard.spawn_in(Class::Replication, "replication connection", async move {
                    connection(shard_of, stream, door).await;
                    open.set(open.get() - 1);
                }));
            }
            Err(e) => {
                tracing::warn!(error = %e, "a datanode's connection was not accepted");
                shard.clock().sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn connection(shard: Shard, mut stream: TcpStream, door: Door) {
    let mut head = [0; 4];
    match shard.clock().timeout(HEAD_WAIT, stream.read_exact(&mut head)).await {
        Ok(Ok(())) => {}
        _ => return,
    }
    if head == stream::wire::MAGIC {
        // Without its volumes a datanode has no answer; the sender comes again.
        let Some(node) = door.get().cloned() else { return };
        let (stopping, serving) =
            (pin!(shard.stopping()), pin!(stream::receive::serve(&shard, &node, stream)));
        select(stopping, serving).await;
        return;
    }
    if head == calls::MAGIC {
        let Some(node) = door.get().cloned() else { return };
        let (stopping, serving) = (pin!(shard.stopping()), pin!(calls::serve(&shard, &node, stream)));
        select(stopping, serving).await;
        return;
    }
    let stream = Prefixed::new(head, stream);
    let (service_shard, outgoing) = (shard.clone(), Arc::new(Outgoing::default()));
    let answers = outgoing.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = answer(&service_shard, request, &door, &answers);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http2::Builder::new(shard.clone())
        .timer(ShardTimer::new(&shard))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(16 << 10)
        .max_send_buf_size(1 << 20)
        .keep_alive_interval(Some(Duration::from_secs(300)))
        .keep_alive_timeout(Duration::from_secs(30))
        .serve_connection(stream, service);
    let connection = pin!(connection);
    let stuck = pin!(outgoing.stuck(&shard, STALL_MAX));
    // Copies are begun anew elsewhere: a stop does not wait for them.
    let stopping = pin!(shard.stopping());
    let ends = select(stopping, select(connection, stuck)).await;
    if let Either::Right((Either::Left((Err(e), _)), _)) = ends {
        tracing::debug!(error = %e, "a datanode's connection ended");
    }
}

/// The head of the answer to one call; its task fills the rest.
fn answer(
    shard: &Shard,
    request: hyper::Request<Incoming>,
    door: &Door,
    outgoing: &Arc<Outgoing>,
) -> hyper::Response<Answer> {
    let upload = match request.uri().path() {
        UPLOAD => true,
        DOWNLOAD => false,
        _ => return Answer::status_only(12, "this port serves IntraDatanodeProtocolService"),
    };
    if request.method() != hyper::Method::POST {
        return Answer::status_only(12, "gRPC calls are POST");
    }
    let Some(node) = door.get().cloned() else {
        return Answer::status_only(14, "the datanode is starting: its volumes are not open yet");
    };
    let (answer, sender) = Answer::streamed(outgoing.clone());
    let (task, body) = (shard.clone(), request.into_body());
    drop(shard.spawn_in(Class::Replication, "replication stream", async move {
        let requests = Requests { shard: task.clone(), body, messages: GrpcMessages::new(MESSAGE_MAX) };
        let done = match upload {
            true => receive(&task, &node, requests, &sender).await,
            false => give(&task, &node, requests, &sender).await,
        };
        let (status, why) = match &done {
            Ok(()) => (0, ""),
            Err(e) => (status(e.result), e.why.as_str()),
        };
        drop(sender.end(status, why).await);
    }));
    answer
}

/// gRPC's code for a result.
fn status(result: DatanodeResult) -> u8 {
    match result {
        DatanodeResult::MalformedRequest => 3,
        DatanodeResult::ContainerNotFound => 5,
        DatanodeResult::ContainerExists | DatanodeResult::ContainerAlreadyExists => 6,
        DatanodeResult::DiskOutOfSpace => 8,
        DatanodeResult::InvalidContainerState => 9,
        DatanodeResult::UnsupportedRequest => 12,
        DatanodeResult::ChecksumMismatch => 15,
        _ => 13,
    }
}

/// A call's messages as they arrive.
struct Requests {
    shard: Shard,
    body: Incoming,
    messages: GrpcMessages,
}

impl Requests {
    /// The next message; `None` once the caller has closed its side.
    async fn next(&mut self) -> Result<Option<Rope>, CommandError> {
        loop {
            let next = self.messages.next_message();
            if let Some(message) = next.map_err(|e| CommandError::new(MalformedRequest, e.to_string()))? {
                return Ok(Some(message));
            }
            let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
            match self.shard.clock().timeout(STALL_MAX, frame).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.messages.push(data);
                    }
                }
                Ok(Some(Err(e))) => {
                    return Err(CommandError::new(IoException, format!("the sender broke off: {e}")));
                }
                Ok(None) if self.messages.pending_len() > 0 => {
                    return Err(CommandError::new(MalformedRequest, "the stream ends inside a message"));
                }
                Ok(None) => return Ok(None),
                Err(_) => {
                    return Err(CommandError::new(IoException, format!("nothing came for {STALL_MAX:?}")));
                }
            }
        }
    }
}

/// `upload`: takes a container in.
async fn receive(
    shard: &Shard,
    node: &Arc<Node>,
    mut requests: Requests,
    sender: &Sender,
) -> Result<(), CommandError> {
    let Some(first) = requests.next().await? else {
        return Err(CommandError::new(MalformedRequest, "an upload without a part"));
    };
    let first = part(first)?;
    let (container, size, compression) =
        (first.container, first.size, first.compression.unwrap_or(Compression::NoCompression));
    // One more waits here, and its sender by flow control, until another is done.
    let Some(_entered) = node.imports.enter().await else {
        return Err(CommandError::new(ContainerInternalError, "the datanode is stopping"));
    };
    let (to, from) = feed();
    let from = compress::decompress(compression, from)?;
    let (task, target) = (shard.clone(), node.clone());
    let importing = shard.spawn_in(Class::Replication, "import", async move {
        import::receive(&task, &target, container, size, from).await
    });
    let fed = async move {
        let (mut at, mut next) = (0u64, Some(first));
        while let Some(part) = next {
            if part.container != container || part.offset.as_u64() != at {
                let why = format!(
                    "a part of container {} at {} where container {container} was at {at}",
                    part.container,
                    part.offset.as_u64()
                );
                let e = CommandError::new(MalformedRequest, why);
                drop(to.send(Err(e.clone())).await);
                return Err(e);
            }
            at += part.data.len() as u64;
            for bytes in part.data {
                // An import that has ended says why itself.
                if to.send(Ok(bytes)).await.is_err() {
                    return Ok(());
                }
            }
            next = match requests.next().await.and_then(|message| message.map(self::part).transpose()) {
                Ok(next) => next,
                Err(e) => {
                    drop(to.send(Err(e.clone())).await);
                    return Err(e);
                }
            };
        }
        Ok(())
    };
    let fed = fed.await;
    let imported = importing.await;
    fed?;
    imported
        .map_err(|_| CommandError::new(ContainerInternalError, "the import ended without a result"))??;
    let done = Bytes::from(SendContainerResponse {}.encode_to_vec());
    drop(sender.message(grpc_message(done.into())).await);
    Ok(())
}

fn part(message: Rope) -> Result<UploadPart, CommandError> {
    // A compression that is not known counts as none, as in Ozone.
    let malformed = |e: allotrope_proto::WireError| CommandError::new(MalformedRequest, e.to_string());
    let mut raw: Bulky<SendContainerRequest> = split(message, SplitLimits::default()).map_err(malformed)?;
    raw.message.compression = raw.message.compression.filter(|kind| Compression::try_from(*kind).is_ok());
    UploadPart::try_from(raw).map_err(malformed)
}

/// `download`: gives a container out.
async fn give(
    shard: &Shard,
    node: &Arc<Node>,
    mut requests: Requests,
    sender: &Sender,
) -> Result<(), CommandError> {
    let malformed = |why: String| CommandError::new(MalformedRequest, why);
    let Some(message) = requests.next().await? else {
        return Err(malformed("a download without a request".into()));
    };
    let request: CopyContainerRequestProto =
        allotrope_proto::decode(message.join()).map_err(|e| malformed(e.to_string()))?;
    let container = ContainerId::try_from(request.container_id).map_err(|e| malformed(e.to_string()))?;
    if request.read_offset != 0 {
        return Err(CommandError::new(UnsupportedRequest, "an archive is given from its beginning"));
    }
    let compression = request.compression.and_then(|kind| Compression::try_from(kind).ok());
    let export = import::ask(node, container, |reply| Ask::Export { container, reply }).await??;
    let mut feed = compress::compress(compression.unwrap_or(Compression::NoCompression), export.feed)?;
    let (mut at, mut data) = (0u64, Rope::new());
    loop {
        let next = shard.clock().timeout(STALL_MAX, gather(&mut feed)).await;
        let next =
            next.map_err(|_| CommandError::new(IoException, "the container cannot be read any more"))??;
        let eof = next.is_none();
        if !data.is_empty() || eof {
            let len = ByteCount::new(data.len() as u64);
            let read_offset = FileOffset::new(at);
            let part = DownloadPart { container, read_offset, len, eof, data, checksum: None };
            at += len.as_u64();
            let framed = grpc_message(weave(Bulky::<CopyContainerResponseProto>::from(part)));
            if sender.message(framed).await.is_err() || eof {
                return Ok(());
            }
        }
        data = next.unwrap_or_default();
    }
}

/// Some pieces of a feed together: what is there already, up to what one message should carry.
pub(super) async fn gather(feed: &mut Feed) -> Result<Option<Rope>, CommandError> {
    let Some(first) = feed.recv().await.transpose()? else { return Ok(None) };
    let mut rope = Rope::from(first);
    while rope.len() < super::PIECE / 2
        && let Ok(more) = feed.try_recv()
    {
        rope.push(more?);
    }
    Ok(Some(rope))
}
