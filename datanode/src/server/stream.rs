//! One gRPC stream: its requests are answered in order, the last answer is followed by the status.
//!
//! A stock client sends one request and closes its side; a streaming reader sends several and is answered in parts.

use super::answers::Answers;
use super::ask_home;
use super::body::{Gone, Sender};
use crate::commands::Request;
use crate::store::Node;
use allotrope_io::Shard;
use allotrope_proto::bulk::{GrpcMessages, SplitLimits, grpc_message, split_request, weave};
use allotrope_proto::container::{ContainerCommandResponseProto, Result as WireResult, Type};
use allotrope_proto::{Rope, WireError};
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

/// The longest request: Ozone's own limit.
const MESSAGE_MAX: usize = 32 << 20;
/// Longest wait for the rest of a request that has begun to arrive.
const REST_WAIT: Duration = Duration::from_secs(60);
/// Longest wait for a further request.
const NEXT_WAIT: Duration = Duration::from_secs(300);

/// gRPC's codes that are used here.
const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const RESOURCE_EXHAUSTED: u8 = 8;
const OUT_OF_RANGE: u8 = 11;

/// How a stream ended before its client ended it.
enum Cut {
    /// With a status for the client.
    Status(u8, String),
    /// Nobody is there to be told.
    Gone,
}

impl From<Gone> for Cut {
    fn from(_: Gone) -> Cut {
        Cut::Gone
    }
}

/// Serves one stream to its end.
pub(super) async fn serve(shard: &Shard, node: &Node, kept: &Answers, body: Incoming, sender: Sender) {
    let (status, message) = match requests(shard, node, kept, body, &sender).await {
        Ok(()) => (OK, String::new()),
        Err(Cut::Status(status, message)) => (status, message),
        Err(Cut::Gone) => return,
    };
    drop(sender.end(status, &message).await);
}

async fn requests(
    shard: &Shard,
    node: &Node,
    kept: &Answers,
    mut body: Incoming,
    sender: &Sender,
) -> Result<(), Cut> {
    let mut messages = GrpcMessages::new(MESSAGE_MAX);
    loop {
        let next = messages.next_message().map_err(|e| Cut::Status(RESOURCE_EXHAUSTED, e.to_string()))?;
        if let Some(frames) = next {
            let question = kept.question(&frames);
            if let Some(framed) = question.as_deref().and_then(|question| kept.find(question)) {
                let _served = node.courtesy.serve(shard.clock());
                node.metrics.answered_again(framed.len());
                sender.message(Rope::from(framed)).await?;
                continue;
            }
            let request = split_request(frames, SplitLimits::default());
            let request = request.map_err(|e: WireError| Cut::Status(INVALID_ARGUMENT, e.to_string()))?;
            answer(shard, node, (kept, question), request, sender).await?;
            continue;
        }
        let wait = if messages.pending_len() > 0 { REST_WAIT } else { NEXT_WAIT };
        let frame = shard.clock().timeout(wait, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await;
        match frame {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    messages.push(data);
                }
            }
            Ok(Some(Err(e))) => {
                tracing::debug!(error = %e, "a stream broke off");
                return Err(Cut::Gone);
            }
            Ok(None) if messages.pending_len() > 0 => {
                return Err(Cut::Status(INVALID_ARGUMENT, "the stream ends inside a message".into()));
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                return Err(Cut::Status(DEADLINE_EXCEEDED, format!("nothing came for {wait:?}")));
            }
        }
    }
}

async fn answer(
    shard: &Shard,
    node: &Node,
    (kept, question): (&Answers, Option<Bytes>),
    request: Request,
    sender: &Sender,
) -> Result<(), Cut> {
    if request.message.cmd_type == i32::from(Type::ReadBlock) && request.message.read_block.is_some() {
        return read_block(shard, node, request, sender).await;
    }
    Ok(sender.message(kept.answer(shard, node, question, request).await).await?)
}

/// Part after part, each from where the last one ended, until the bytes that were asked for are sent.
async fn read_block(shard: &Shard, node: &Node, mut request: Request, sender: &Sender) -> Result<(), Cut> {
    let Some(asked) = request.message.read_block else { return Ok(()) };
    let end = asked.offset.saturating_add(asked.length.unwrap_or(u64::MAX));
    let mut at = asked.offset;
    while at < end && !sender.is_gone() {
        if let Some(part) = &mut request.message.read_block {
            part.offset = at;
            part.length = asked.length.map(|_| end - at);
        }
        let response = ask_home(shard, node, request.clone()).await;
        let sent = response.bulk.first().map_or(0, Rope::len) as u64;
        let result = response.message.result;
        let offset = response.message.read_block.as_ref().map_or(at, |part| part.offset);
        if result == i32::from(WireResult::InvalidArgument) && at > asked.offset {
            // The block's end.
            return Ok(());
        }
        if result == i32::from(WireResult::InvalidArgument) {
            return Err(Cut::Status(OUT_OF_RANGE, message_of(&response.message)));
        }
        sender.message(grpc_message(weave(response))).await?;
        if result != i32::from(WireResult::Success) || sent == 0 {
            return Ok(());
        }
        at = offset + sent;
    }
    Ok(())
}

fn message_of(response: &ContainerCommandResponseProto) -> String {
    response.message.clone().unwrap_or_default()
}
