//! Calling other datanodes' replication port: a container is pushed to one, or pulled from one.
//!
//! Shape   one connection a copy, closed behind it: a peer that hangs costs no other copy.
//! Units   deadlines: connecting, each step of the stream, and the target's last word, when all has come.
//! Errors  [`CommandError`] with the peer's name and words.

use super::serve::Peer;
use super::server::{DOWNLOAD, MESSAGE_MAX, UPLOAD, gather};
use super::{Compression, Feed, STALL_MAX, compress, feed, import};
use crate::commands::CommandError;
use crate::control::link::chain;
use crate::replication::export::Export;
use crate::store::Node;
use allotrope_io::{Class, Shard};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split};
use allotrope_proto::container::{CopyContainerRequestProto, CopyContainerResponseProto};
use allotrope_proto::edge::transfer::{DownloadPart, UploadPart};
use allotrope_types::DatanodeResult::{ContainerExists, IoException};
use allotrope_types::{ByteCount, ContainerId, FileOffset};
use bytes::Bytes;
use futures_util::future::{Either, select};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::{HeaderMap, Request, Response};
use prost::Message;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest time for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Longest time from the last part until the target has it stable in its place.
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// Frames on their way to HTTP/2.
const FRAMES: usize = 4;

/// A call's body. Dropping its sender ends it; an error breaks it off, so that half an archive never looks whole.
struct Parts(mpsc::Receiver<Result<Frame<Bytes>, CommandError>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = CommandError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CommandError>>> {
        self.0.poll_recv(cx)
    }
}

type PartsIn = mpsc::Sender<Result<Frame<Bytes>, CommandError>>;

fn failed(peer: Peer, what: &str, why: &dyn std::fmt::Display) -> CommandError {
    CommandError::new(IoException, format!("datanode {} at {} {what}: {why}", peer.id, peer.address))
}

/// Sends the container's archive to `target`; answers once it is stable in its place there.
pub(super) async fn upload(
    shard: &Shard,
    target: Peer,
    container: ContainerId,
    export: Export,
    compression: Compression,
) -> Result<(), CommandError> {
    let used = export.used;
    let mut archive = compress::compress(compression, export.feed)?;
    // The container can be read: only then another datanode is bothered.
    let Some(first) = gather(&mut archive).await? else {
        return Err(failed(target, "gets", &"an empty archive"));
    };
    let mut sender = connect(shard, target).await?;
    let (to, parts) = mpsc::channel(FRAMES);
    let asked = sender.send_request(request(target, UPLOAD, Parts(parts))?);
    // The head of an answer may come at once; what it is is said at its end.
    let answer = pin!(async {
        let response = asked.await.map_err(|e| failed(target, "broke off", &chain(&e)))?;
        messages(target, response, |_| async { Ok(()) }).await
    });
    let feeding = pin!(send(shard, target, container, (used, compression), (first, archive), to));
    match select(answer, feeding).await {
        // It has its last word before all has come: a refusal.
        Either::Left((answered, _)) => answered,
        Either::Right((fed, answer)) => {
            fed?;
            let answered = shard.clock().timeout(SETTLE_MAX, answer).await;
            answered.map_err(|e| failed(target, "does not answer", &e))?
        }
    }
}

async fn send(
    shard: &Shard,
    target: Peer,
    container: ContainerId,
    (used, compression): (u64, Compression),
    (first, mut archive): (Rope, Feed),
    to: PartsIn,
) -> Result<(), CommandError> {
    let (mut at, mut next) = (0u64, Some(first));
    while let Some(data) = next {
        let len = data.len() as u64;
        let size = (at == 0).then_some(ByteCount::new(used));
        let offset = FileOffset::new(at);
        let part =
            UploadPart { container, offset, data, checksum: None, compression: Some(compression), size };
        for piece in grpc_message(part.frames()) {
            let sent = shard.clock().timeout(STALL_MAX, to.send(Ok(Frame::data(piece)))).await;
            match sent {
                Ok(Ok(())) => {}
                // The call has ended; its answer tells why.
                Ok(Err(_)) => return Ok(()),
                Err(e) => {
                    let e = failed(target, "takes nothing", &e);
                    drop(to.try_send(Err(e.clone())));
                    return Err(e);
                }
            }
        }
        at += len;
        next = match gather(&mut archive).await {
            Ok(next) => next,
            Err(e) => {
                drop(to.send(Err(e.clone())).await);
                return Err(e);
            }
        };
    }
    Ok(())
}

/// Fetches the container from one of `sources`, the first that has it.
pub(super) async fn pull(
    shard: &Shard,
    node: &Arc<Node>,
    container: ContainerId,
    sources: Vec<Peer>,
    compression: Compression,
) -> Result<(), CommandError> {
    let mut last = CommandError::new(IoException, format!("no source is named for container {container}"));
    for source in sources {
        let feed = match download(shard, source, container, compression).await {
            Ok(feed) => feed,
            Err(e) => {
                tracing::warn!(%container, error = %e, "a source does not give a container");
                last = e;
                continue;
            }
        };
        match import::receive(shard, node, container, None, feed).await {
            // Another source would meet the same.
            done @ Ok(()) => return done,
            Err(e) if e.result == ContainerExists => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The archive of a container, as `source` gives it.
async fn download(
    shard: &Shard,
    source: Peer,
    container: ContainerId,
    compression: Compression,
) -> Result<Feed, CommandError> {
    let asks = CopyContainerRequestProto {
        container_id: container.to_wire(),
        read_offset: 0,
        // All of it, as Ozone's datanodes ask.
        len: Some(u64::MAX),
        version: None,
        compression: Some(compression.into()),
    };
    let mut sender = connect(shard, source).await?;
    let (to, parts) = mpsc::channel(FRAMES);
    for piece in grpc_message(Bytes::from(asks.encode_to_vec()).into()) {
        drop(to.try_send(Ok(Frame::data(piece))));
    }
    drop(to);
    let response =
        shard.clock().timeout(STALL_MAX, sender.send_request(request(source, DOWNLOAD, Parts(parts))?));
    let response = response.await.map_err(|e| failed(source, "does not answer", &e))?;
    let response = response.map_err(|e| failed(source, "broke off", &chain(&e)))?;
    let (to, from) = feed();
    drop(shard.spawn_in(Class::Replication, "download", async move {
        // The connection lives as long as its sender.
        let _sender = sender;
        let (give, mut at, mut whole) = (to.clone(), 0u64, false);
        let read = {
            let reading = pin!(messages(source, response, |message| {
                let taken = piece(source, container, message, &mut at, &mut whole);
                let give = give.clone();
                async move {
                    for bytes in taken? {
                        // An import that has ended says why itself, below.
                        let _ = give.send(Ok(bytes)).await;
                    }
                    Ok(())
                }
            }));
            match select(reading, pin!(to.closed())).await {
                Either::Left((read, _)) => read,
                // Nobody waits for the rest: a source that stalls must not be waited for either.
                Either::Right(_) => return,
            }
        };
        let read = read.and_then(|()| match whole {
            true => Ok(()),
            false => Err(failed(source, "ended", &"before the archive did")),
        });
        if let Err(e) = read {
            drop(to.send(Err(e)).await);
        }
    }));
    compress::decompress(compression, from)
}

/// The bytes of one part of a download, which follows what came before.
fn piece(
    source: Peer,
    container: ContainerId,
    message: Rope,
    at: &mut u64,
    whole: &mut bool,
) -> Result<Rope, CommandError> {
    let nonsense = |why: &dyn std::fmt::Display| failed(source, "sends nonsense", why);
    let part: Bulky<CopyContainerResponseProto> =
        split(message, SplitLimits::default()).map_err(|e| nonsense(&e))?;
    let part = DownloadPart::try_from(part).map_err(|e| nonsense(&e))?;
    if part.container != container || part.read_offset.as_u64() != *at || *whole {
        return Err(nonsense(&format!("container {} at {}", part.container, part.read_offset.as_u64())));
    }
    *at += part.len.as_u64();
    *whole = part.eof;
    Ok(part.data)
}

async fn connect(shard: &Shard, peer: Peer) -> Result<SendRequest<Parts>, CommandError> {
    let connecting = async {
        let stream =
            shard.connect(peer.address).await.map_err(|e| failed(peer, "is not reached", &chain(&e)))?;
        let handshake = hyper::client::conn::http2::Builder::new(shard.clone())
            .timer(allotrope_io::ShardTimer::new(shard))
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .max_frame_size(1 << 20)
            .max_send_buf_size(1 << 20)
            .handshake(stream);
        handshake.await.map_err(|e| failed(peer, "is not reached", &chain(&e)))
    };
    let connected = shard.clock().timeout(CONNECT_MAX, connecting).await;
    let (sender, connection) = connected.map_err(|e| failed(peer, "is not reached", &e))??;
    // It ends when its sender is dropped, or the peer closes; whoever waits on it has the error.
    drop(shard.spawn_in(Class::Replication, "replication connection", async move {
        if let Err(e) = connection.await {
            tracing::debug!(error = %e, "a connection to a datanode ended");
        }
    }));
    Ok(sender)
}

fn request(peer: Peer, path: &str, body: Parts) -> Result<Request<Parts>, CommandError> {
    Request::post(format!("http://{}{path}", peer.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("allotrope/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|e| failed(peer, "cannot be asked", &e))
}

/// Hands each message of an answer to `see`, and turns gRPC's status into a result.
async fn messages<F: Future<Output = Result<(), CommandError>>>(
    peer: Peer,
    response: Response<Incoming>,
    mut see: impl FnMut(Rope) -> F,
) -> Result<(), CommandError> {
    let (head, mut body) = response.into_parts();
    if head.status != hyper::StatusCode::OK {
        return Err(failed(peer, "is no datanode", &head.status));
    }
    let mut status = status_in(&head.headers);
    let mut messages = GrpcMessages::new(MESSAGE_MAX);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map_err(|e| failed(peer, "broke off", &chain(&e)))?.into_data() {
            Ok(data) => {
                messages.push(data);
                while let Some(message) =
                    messages.next_message().map_err(|e| failed(peer, "sends nonsense", &e))?
                {
                    see(message).await?;
                }
            }
            Err(frame) => status = frame.trailers_ref().and_then(status_in).or(status),
        }
    }
    match status {
        Some((0, _)) => Ok(()),
        Some((6, why)) => Err(CommandError::new(ContainerExists, format!("datanode {}: {why}", peer.id))),
        Some((code, why)) => Err(failed(peer, &format!("answers with status {code}"), &why)),
        None => Err(failed(peer, "answers", &"without a status")),
    }
}

fn status_in(headers: &HeaderMap) -> Option<(u32, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let why = headers.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default();
    Some((code, why.to_owned()))
}
