//! One stream of a client of Ratis: requests in, replies out, in order on an ordered stream and as they come on the other.
//!
//! Shape   a request is handed to the pipeline's home shard before the next is looked at, so that the order of the stream is
//!         the order of the indexes; its reply is a future that waits with the others.
//! Units   what is under way is bounded by the room for all; while there is none the stream is not read, and HTTP/2 holds the
//!         client back.

use super::reply::{self, Asked, StreamEnd};
use super::window::Window;
use crate::commands::Request;
use crate::pipeline::directory::Entry;
use crate::pipeline::group::Answer;
use crate::pipeline::home::Ask;
use crate::pipeline::link::Link;
use crate::pipeline::retry::Call;
use crate::pipeline::{execute, home_of};
use crate::server::ask_home;
use crate::server::body::Sender;
use crate::store::{Node, ShardMessage};
use allotrope_io::{Refused, Reply, Shard};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{GrpcMessages, SplitLimits, command_of_content, grpc_message, weave};
use allotrope_proto::edge::ratis::{RaftKind, RaftReply, RaftRequest, ReplicationLevel};
use allotrope_proto::ratis::RaftClientReplyProto;
use allotrope_types::{DatanodeResult, PipelineId};
use bytes::Bytes;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use hyper::body::{Body, Frame, Incoming};
use prost::Message;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

/// The longest request: a chunk of 32 MiB and the words around it.
const MESSAGE_MAX: usize = 33 << 20;
/// Longest wait for the rest of a request that has begun to arrive.
const REST_WAIT: Duration = Duration::from_secs(60);
/// Replies that may be waited for on one stream.
const UNDER_WAY_MAX: usize = 256;
/// Pause before a shard with a full inbox is asked again, and how long it is asked.
const INBOX_AGAIN: Duration = Duration::from_millis(1);
const INBOX_MAX: Duration = Duration::from_secs(20);

/// What a request will be answered.
type Replied<'a> = LocalBoxFuture<'a, Result<RaftReply, StreamEnd>>;

/// Replies that are waited for.
enum UnderWay<'a> {
    Ordered(FuturesOrdered<Replied<'a>>),
    AsTheyCome(FuturesUnordered<Replied<'a>>),
}

impl<'a> UnderWay<'a> {
    fn len(&self) -> usize {
        match self {
            UnderWay::Ordered(all) => all.len(),
            UnderWay::AsTheyCome(all) => all.len(),
        }
    }

    fn push(&mut self, one: Replied<'a>) {
        match self {
            UnderWay::Ordered(all) => all.push_back(one),
            UnderWay::AsTheyCome(all) => all.push(one),
        }
    }

    /// The next reply; never, while none is waited for.
    async fn next(&mut self) -> Result<RaftReply, StreamEnd> {
        let next = match self {
            UnderWay::Ordered(all) => all.next().await,
            UnderWay::AsTheyCome(all) => all.next().await,
        };
        match next {
            Some(reply) => reply,
            None => std::future::pending().await,
        }
    }
}

/// Serves one stream to its end.
pub(super) async fn serve(shard: &Shard, node: &Arc<Node>, ordered: bool, body: Incoming, sender: Sender) {
    let ended = match (Stream { shard, node, sender: &sender }).run(ordered, body).await {
        Ok(()) => sender.end(0, "").await,
        Err(None) => return,
        Err(Some(StreamEnd { status, message, class: Some(class) })) => {
            sender.end_with(status, &message, class).await
        }
        Err(Some(StreamEnd { status, message, class: None })) => sender.end(status, &message).await,
    };
    drop(ended);
}

struct Stream<'a> {
    shard: &'a Shard,
    node: &'a Arc<Node>,
    sender: &'a Sender,
}

impl<'a> Stream<'a> {
    /// Reads and answers until the client ends its side and all is answered. `Err(None)`: nobody is there to be told.
    async fn run(&self, ordered: bool, mut body: Incoming) -> Result<(), Option<StreamEnd>> {
        let mut messages = GrpcMessages::new(MESSAGE_MAX);
        let mut window = Window::default();
        let mut group: Option<PipelineId> = None;
        let mut under_way = match ordered {
            true => UnderWay::Ordered(FuturesOrdered::new()),
            false => UnderWay::AsTheyCome(FuturesUnordered::new()),
        };
        let mut reading = true;
        loop {
            while under_way.len() < UNDER_WAY_MAX
                && let Some(message) = self.next_message(&mut messages)?
            {
                let request = RaftRequest::read(message, SplitLimits::default())
                    .map_err(|e| StreamEnd::invalid(e.to_string()))?;
                if !ordered {
                    under_way.push(self.begin(request).await?);
                    continue;
                }
                // All requests of an ordered stream are of one group.
                if *group.get_or_insert(request.group) != request.group {
                    return Err(Some(StreamEnd::group(request.group)));
                }
                let place = request.sliding_window.clone();
                let place = place.ok_or_else(|| StreamEnd::invalid("a request has no place in the order"))?;
                let len = request.content.as_ref().map_or(0, Rope::len);
                let pushed = window.push(place.seq_num, place.is_first, len, request);
                pushed.map_err(|gap| StreamEnd::invalid(gap.to_string()))?;
                while let Some(request) = window.pop() {
                    under_way.push(self.begin(request).await?);
                }
            }
            if !reading && under_way.len() == 0 {
                return Ok(());
            }
            let (reads, begun) = (reading && under_way.len() < UNDER_WAY_MAX, messages.pending_len() > 0);
            let frame = pin!(async {
                match reads {
                    true => self.frame(&mut body, begun).await,
                    false => std::future::pending().await,
                }
            });
            match select(frame, pin!(under_way.next())).await {
                Either::Left((Ok(Some(frame)), _)) => {
                    if let Ok(data) = frame.into_data() {
                        messages.push(data);
                    }
                }
                Either::Left((Ok(None), _)) => reading = false,
                Either::Left((Err(end), _)) => return Err(end),
                Either::Right((reply, _)) => self.send(reply?).await?,
            }
        }
    }

    fn next_message(&self, messages: &mut GrpcMessages) -> Result<Option<Rope>, StreamEnd> {
        messages.next_message().map_err(|e| StreamEnd { status: 8, message: e.to_string(), class: None })
    }

    async fn frame(
        &self,
        body: &mut Incoming,
        begun: bool,
    ) -> Result<Option<Frame<Bytes>>, Option<StreamEnd>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        let frame = match begun {
            // A stream may rest between its requests as long as its connection lives.
            false => frame.await,
            true => self.shard.clock().timeout(REST_WAIT, frame).await.map_err(|_| {
                let message = format!("the rest of a request did not come for {REST_WAIT:?}");
                StreamEnd { status: 4, message, class: None }
            })?,
        };
        match frame {
            Some(Ok(frame)) => Ok(Some(frame)),
            Some(Err(e)) => {
                tracing::debug!(error = %e, "a stream broke off");
                Err(None)
            }
            None if begun => Err(Some(StreamEnd::invalid("the stream ends inside a request"))),
            None => Ok(None),
        }
    }

    async fn send(&self, reply: RaftReply) -> Result<(), Option<StreamEnd>> {
        let bytes = Bytes::from(RaftClientReplyProto::from(reply).encode_to_vec());
        self.sender.message(grpc_message(bytes.into())).await.map_err(|_| None)
    }

    /// Hands a request on; what comes back is its reply to be.
    async fn begin(&self, request: RaftRequest) -> Result<Replied<'a>, StreamEnd> {
        let entry = self.node.pipelines.get(request.group).filter(|entry| entry.is_open());
        let entry = entry.ok_or_else(|| StreamEnd::group(request.group))?;
        let asked = Asked::from(&request);
        let now = |reply| -> Replied<'a> { Box::pin(async move { Ok(reply) }) };
        match request.kind {
            RaftKind::Watch { index, level } => {
                Ok(Box::pin(watch(self.shard, self.node, entry, asked, index, level)))
            }
            RaftKind::Write(_) | RaftKind::Read { .. } if !entry.leads() => {
                Ok(now(reply::not_leader(&entry, &asked)))
            }
            RaftKind::Write(_) => self.write(entry, asked, request).await,
            RaftKind::Read { dummy: true, .. } => {
                let committed = entry.committed();
                Ok(now(reply::done(&entry, &asked, committed, None)))
            }
            RaftKind::Read { .. } => {
                let command = self.command(&entry, request)?;
                let (shard, node) = (self.shard, self.node);
                Ok(Box::pin(async move {
                    let response = weave(ask_home(shard, node, command).await).join();
                    Ok(reply::done(&entry, &asked, 0, Some(response)))
                }))
            }
            other => Err(StreamEnd::invalid(format!("{other:?} is not served here"))),
        }
    }

    /// The command in a request.
    fn command(&self, entry: &Entry, request: RaftRequest) -> Result<Request, StreamEnd> {
        let content = request.content.ok_or_else(|| StreamEnd::invalid("a request has no content"))?;
        let command = command_of_content(content, SplitLimits::default());
        let mut command = command.map_err(|e| StreamEnd::invalid(e.to_string()))?;
        let group = entry.plan.id.to_string();
        match &command.message.pipeline_id {
            Some(named) if !named.is_empty() && *named != group => {
                return Err(StreamEnd::invalid(format!(
                    "a command names pipeline {named} on the stream of {group}"
                )));
            }
            _ => command.message.pipeline_id = Some(group),
        }
        Link::check_len(&command).map_err(StreamEnd::invalid)?;
        Ok(command)
    }

    async fn write(
        &self,
        entry: Arc<Entry>,
        asked: Asked,
        request: RaftRequest,
    ) -> Result<Replied<'a>, StreamEnd> {
        let call = Call { client: request.client, id: request.call_id };
        let replied = request.replied_call_ids.clone();
        let command = self.command(&entry, request)?;
        if execute::only_reads(&command.message) {
            let (shard, node) = (self.shard, self.node);
            return Ok(Box::pin(async move {
                let response = weave(ask_home(shard, node, command).await).join();
                Ok(reply::done(&entry, &asked, 0, Some(response)))
            }));
        }
        let len = command.bulk.iter().map(Rope::len).sum::<usize>() + command.message.encoded_len();
        let room = self.node.pipelines.room(true, len).await;
        let (reply, answer) = Reply::new();
        let (pipeline, request) = (entry.plan.id, Box::new(command));
        let ask = Ask::Submit { pipeline, call: Some(call), replied, request, room, reply };
        let home = home_of(self.node.id, pipeline, self.node.mesh.shards());
        let deadline = self.shard.clock().now() + INBOX_MAX;
        let mut message = ShardMessage::Pipeline(ask);
        loop {
            match self.node.mesh.send(home, message) {
                Ok(()) => break,
                Err(Refused::Busy(back)) if self.shard.clock().now() < deadline => {
                    message = back;
                    self.shard.clock().sleep(INBOX_AGAIN).await;
                }
                Err(_) => {
                    let why = "the datanode is overloaded or stopping";
                    let reply = reply::refused(&entry, &asked, DatanodeResult::ContainerInternalError, why);
                    return Ok(Box::pin(async move { Ok(reply) }));
                }
            }
        }
        Ok(Box::pin(async move {
            let answer = answer.await.unwrap_or(Answer::Ended);
            reply::of_answer(&entry, &asked, answer)
        }))
    }
}

/// Waits until an index is on all members: then it is as safe as any level asks.
async fn watch(
    shard: &Shard,
    node: &Arc<Node>,
    entry: Arc<Entry>,
    asked: Asked,
    index: u64,
    level: ReplicationLevel,
) -> Result<RaftReply, StreamEnd> {
    if !entry.leads() {
        return Ok(reply::not_leader(&entry, &asked));
    }
    if entry.committed() < index {
        let pipeline = entry.plan.id;
        let home = home_of(node.id, pipeline, node.mesh.shards());
        let ask = |reply| ShardMessage::Pipeline(Ask::Watch { pipeline, index, reply });
        let waiting = shard.clock().timeout(node.config.pipelines.watch_max, node.mesh.ask(home, ask)).await;
        match waiting {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(StreamEnd::group(pipeline)),
            // Too many ask at once: they ask again.
            Ok(Err(_)) | Err(_) => return Ok(reply::not_replicated(&entry, &asked, index, level)),
        }
    }
    let reached = entry.committed();
    Ok(reply::done(&entry, &asked, if index == 0 { reached } else { index }, None))
}
