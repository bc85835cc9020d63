//! Container commands to another datanode, or to this one.
//!
//! Shape   calls go to the replication port of one of ours, over connections that serve one call after the other; to others over
//!         gRPC, one connection a peer and rebuild that calls share. Both are made when they are first needed. This datanode's own
//!         containers are asked for without any.
//! Errors  no answer within [`ANSWER_MAX`] is one; the connection is not used again.

use super::Replica;
use crate::commands::{CommandError, Request, Response};
use crate::replication::calls::Caller;
use crate::replication::serve::Peer;
use crate::replication::stream::buffers::Buffers;
use crate::store::{Node, ShardMessage};
use allotrope_io::{Class, Shard, ShardTimer};
use allotrope_proto::bulk::{Bulky, GrpcMessages, SplitLimits, grpc_message, split, weave};
use allotrope_proto::container::{
    ContainerCommandRequestProto, ContainerCommandResponseProto, DatanodeBlockId, Type,
};
use allotrope_types::DatanodeResult::{self, IoException};
use allotrope_types::{ContainerId, LocalId, ReplicaIndex};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{Builder, SendRequest};
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Mutex;

const SEND: &str = "/hadoop.hdds.datanode.XceiverClientProtocolService/send";
/// The longest answer: Ozone's own limit, and room for its envelope.
const MESSAGE_MAX: usize = 33 << 20;
/// Longest time for an answer, connecting included.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The way to one replica's datanode.
pub(super) struct Link {
    shard: Shard,
    node: Arc<Node>,
    peer: Peer,
    container: ContainerId,
    replica: ReplicaIndex,
    /// The way by our own calls; `None` once the peer was found not to speak them.
    calls: RefCell<Option<Rc<Caller>>>,
    live: Mutex<Option<SendRequest<Whole>>>,
}

/// A request's body: all of it is there.
struct Whole(std::vec::IntoIter<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

impl Link {
    /// The way to `to`'s datanode, for work on `container`. Long answers come in `buffers`.
    pub(super) fn new(
        shard: &Shard,
        node: &Arc<Node>,
        to: Replica,
        container: ContainerId,
        buffers: &Buffers,
    ) -> Link {
        let calls = to.calls.map(|address| Rc::new(Caller::new(shard, address, buffers.clone())));
        Link {
            shard: shard.clone(),
            node: node.clone(),
            peer: to.peer,
            container,
            replica: to.index,
            calls: RefCell::new(calls),
            live: Mutex::new(None),
        }
    }

    /// A command to this replica's datanode, without its payload.
    pub(super) fn command(&self, kind: Type) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: kind.into(),
            trace_id: Some(String::new()),
            container_id: self.container.to_wire(),
            datanode_uuid: self.peer.id.to_string(),
            version: Some(3),
            ..Default::default()
        }
    }

    /// The replica.
    pub(super) fn replica(&self) -> ReplicaIndex {
        self.replica
    }

    /// This replica's part of a block.
    pub(super) fn block(&self, local: LocalId) -> DatanodeBlockId {
        DatanodeBlockId {
            container_id: self.container.to_wire(),
            local_id: local.to_wire(),
            block_commit_sequence_id: Some(0),
            replica_index: Some(i32::from(self.replica.number())),
        }
    }

    /// What went wrong, and with whom.
    pub(super) fn failed(&self, why: impl std::fmt::Display) -> CommandError {
        let Peer { id, address } = self.peer;
        CommandError::new(
            IoException,
            format!("replica {} on datanode {id} at {address}: {why}", self.replica),
        )
    }

    /// Carries a command there and gives back the answer if it is SUCCESS.
    pub(super) async fn ask(&self, request: impl Into<Request>) -> Result<Response, CommandError> {
        let asked = match self.peer.id == self.node.id {
            true => self.ask_here(request.into()).await,
            false => {
                let asking = self.ask_there(request.into());
                let answered = self.shard.clock().timeout(ANSWER_MAX, asking).await;
                answered.unwrap_or_else(|e| Err(self.failed(format!("no answer: {e}"))))
            }
        };
        if asked.is_err() {
            // The next call makes a connection of its own.
            *self.live.lock().await = None;
            self.calls.borrow().iter().for_each(|calls| calls.close());
        }
        let response = asked?;
        let message = &response.message;
        match DatanodeResult::from_number(message.result) {
            Some(DatanodeResult::Success) => Ok(response),
            result => {
                let why = self.failed(message.message.as_deref().unwrap_or_default()).why;
                Err(CommandError::new(result.unwrap_or(IoException), why))
            }
        }
    }

    async fn ask_here(&self, request: Request) -> Result<Response, CommandError> {
        let home = self.node.home_of(self.container);
        let asked = self.node.mesh.ask(home, |reply| ShardMessage::Repair(Box::new(request), reply)).await;
        asked.map_err(|e| self.failed(e))
    }

    async fn ask_there(&self, request: Request) -> Result<Response, CommandError> {
        let calls = self.calls.borrow().clone();
        if let Some(calls) = calls {
            match calls.connection().await {
                Ok(connection) => {
                    return calls.call(connection, request).await.map_err(|e| self.failed(e));
                }
                Err(e) => {
                    let address = self.peer.address;
                    tracing::debug!(datanode = %self.peer.id, %address, why = %e, "a datanode is asked over gRPC");
                    *self.calls.borrow_mut() = None;
                }
            }
        }
        self.ask_over_grpc(request).await
    }

    async fn ask_over_grpc(&self, request: Request) -> Result<Response, CommandError> {
        let mut sender = self.connected().await?;
        sender.ready().await.map_err(|e| self.failed(e))?;
        let frames: Vec<Bytes> = grpc_message(weave(request)).into_iter().collect();
        let request = hyper::Request::post(format!("http://{}{SEND}", self.peer.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", concat!("allotrope/", env!("CARGO_PKG_VERSION")))
            .body(Whole(frames.into_iter()));
        let request = request.map_err(|e| self.failed(e))?;
        let response = sender.send_request(request).await.map_err(|e| self.failed(e))?;
        let mut body = response.into_body();
        let (mut messages, mut answer) = (GrpcMessages::new(MESSAGE_MAX), None);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Ok(data) = frame.map_err(|e| self.failed(e))?.into_data() {
                messages.push(data);
                let next = messages.next_message().map_err(|e| self.failed(e))?;
                answer = answer.or(next);
            }
        }
        let answer = answer.ok_or_else(|| self.failed("it answers without a message"))?;
        let answer: Bulky<ContainerCommandResponseProto> =
            split(answer, SplitLimits::default()).map_err(|e| self.failed(e))?;
        Ok(answer)
    }

    async fn connected(&self) -> Result<SendRequest<Whole>, CommandError> {
        let mut live = self.live.lock().await;
        if let Some(sender) = live.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = self.shard.connect(self.peer.address).await;
        let stream = stream.map_err(|e| self.failed(format!("{e}: {}", e.source)))?;
        let handshake = Builder::new(self.shard.clone())
            .timer(ShardTimer::new(&self.shard))
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(1 << 20)
            .handshake(stream);
        let (sender, connection) = handshake.await.map_err(|e| self.failed(e))?;
        drop(self.shard.spawn_in(Class::Replication, "rebuild connection", async move {
            // Whoever waits on it has the error.
            let _ = connection.await;
        }));
        *live = Some(sender.clone());
        Ok(sender)
    }
}
