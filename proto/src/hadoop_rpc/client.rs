//! A Hadoop RPC client: one connection to one server, shared by all calls.
//!
//! Shape   a call gets a number, its frame joins the connection's queue, its answer comes back by number. A
//!         connection that ended is replaced at the next call; a call is never sent twice by itself.
//! Errors  [`CallError`]; a connection that breaks fails every call that waits on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::link::{Gone, Link};
use super::session::take_delimited;
use crate::hadoop::rpc_request_header_proto::OperationProto;
use crate::hadoop::{RequestHeaderProto, RpcCallerContextProto, RpcKindProto, RpcRequestHeaderProto};
use crate::net::{ByteBudget, ConnectionBudget, Held, Target, TransferPace, Transport, dial};
use crate::rpc::{
    CallError, CallOptions, ClientId, Malformed, Rpc, RpcClient, parse, put_delimited, varint_len,
};

/// Bounds of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The user to act as; `None` leaves it out of the connection context.
    pub user: Option<String>,
    /// The user who acts for `user`, if another.
    pub real_user: Option<String>,
    /// Longest wait for a connection. Default 20 s.
    pub connect_time_max: Duration,
    /// Longest wait for an answer, unless the call says otherwise. Default 15 min (`ozone.om.client.rpc.timeout`).
    pub call_time_max: Duration,
    /// Calls in flight; one more waits for its turn, within its deadline. Default 1,024.
    pub calls_max: usize,
    /// Longest request frame. Default 128 MiB.
    pub request_bytes_max: u32,
    /// Bytes of requests that wait to be written. Default 128 MiB.
    pub request_bytes_in_flight_max: usize,
    /// Longest response frame. Default 128 MiB (`ipc.maximum.response.length`).
    pub response_bytes_max: u32,
    /// While calls wait and nothing comes, a ping goes out this often. Default 60 s (`ipc.ping.interval`).
    pub ping_interval: Duration,
    /// A connection without calls is closed after this long. Default 10 s (`ipc.client.connection.maxidletime`).
    pub idle_time_max: Duration,
    /// How slowly a frame may leave or arrive.
    pub pace: TransferPace,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            user: None,
            real_user: None,
            connect_time_max: Duration::from_secs(20),
            call_time_max: Duration::from_secs(15 * 60),
            calls_max: 1024,
            request_bytes_max: 128 << 20,
            request_bytes_in_flight_max: 128 << 20,
            response_bytes_max: 128 << 20,
            ping_interval: Duration::from_secs(60),
            idle_time_max: Duration::from_secs(10),
            pace: TransferPace::default(),
        }
    }
}

/// A client of one server.
///
/// Clones share the connection, the bounds and the numbering of calls.
#[derive(Clone)]
pub struct HadoopClient<T: Transport> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    target: Target,
    config: Arc<ClientConfig>,
    transport: T,
    client_id: ClientId,
    call_ids: AtomicU32,
    slots: Semaphore,
    sending: ConnectionBudget,
    /// The connection, while there is one. Who finds it gone dials, the others wait for the outcome.
    link: Mutex<Option<Arc<Link>>>,
}

impl<T: Transport> HadoopClient<T> {
    /// A client that connects at its first call. `client_id` is to be new and random for each process.
    pub fn new(target: Target, transport: T, client_id: ClientId, config: ClientConfig) -> HadoopClient<T> {
        let budget = ByteBudget::new(config.request_bytes_in_flight_max);
        let shared = Shared {
            target,
            transport,
            client_id,
            call_ids: AtomicU32::new(0),
            slots: Semaphore::new(config.calls_max.min(Semaphore::MAX_PERMITS)),
            sending: budget.connection(config.request_bytes_in_flight_max),
            link: Mutex::new(None),
            config: Arc::new(config),
        };
        HadoopClient { shared: Arc::new(shared) }
    }

    /// A number for a new call: pass it again with each retry of the same call.
    pub fn next_call_id(&self) -> i32 {
        (self.shared.call_ids.fetch_add(1, Ordering::Relaxed) & (i32::MAX as u32)) as i32
    }

    /// The id under which this client's calls are known.
    pub fn client_id(&self) -> ClientId {
        self.shared.client_id
    }
}

impl<T: Transport> RpcClient for HadoopClient<T> {
    async fn call<R: Rpc>(
        &self,
        request: &R::Request,
        options: &CallOptions,
    ) -> Result<R::Response, CallError> {
        let shared = &self.shared;
        let call_id = options.call_id.unwrap_or_else(|| self.next_call_id());
        let frame = frame_of::<R>(request, call_id, shared.client_id, options);
        let bytes_max =
            (shared.config.request_bytes_max as usize).min(shared.config.request_bytes_in_flight_max);
        if frame.len() > bytes_max {
            let target = shared.target.to_string();
            return Err(CallError::RequestTooLarge { target, bytes: frame.len(), bytes_max });
        }
        let time_max = options.time_max.unwrap_or(shared.config.call_time_max);
        let late = |_| CallError::Deadline { target: shared.target.to_string(), method: R::METHOD, time_max };
        let asking = shared.ask::<R>(call_id, frame);
        let mut answer = timeout_at(Instant::now() + time_max, asking).await.map_err(late)??;
        let malformed =
            |why| CallError::Malformed { target: shared.target.to_string(), method: R::METHOD, why };
        let message = take_delimited(&mut answer).map_err(malformed)?;
        if !answer.is_empty() {
            return Err(malformed(Malformed::Trailing(answer.len())));
        }
        parse(message).map_err(malformed)
    }
}

impl<T: Transport> Shared<T> {
    /// Sends the frame and waits for what follows the header of the answer.
    async fn ask<R: Rpc>(&self, call_id: i32, frame: Bytes) -> Result<Bytes, CallError> {
        let _slot = self.slots.acquire().await.expect("the slots of a client are never closed");
        let held = self.sending.take(u32::try_from(frame.len()).expect("the frame's limit fits")).await;
        let (mut frame, mut held) = (frame, held);
        loop {
            let link = self.link().await?;
            // A connection that ended while it was idle takes nothing: that frame has not been sent.
            let answered = match link.send(call_id, frame, held).await {
                Ok(answered) => answered,
                Err(Gone(unsent)) => {
                    (frame, held) = *unsent;
                    continue;
                }
            };
            return match answered.wait().await {
                Ok(answer) => answer.map_err(|(class, message)| CallError::Remote {
                    target: self.target.to_string(),
                    method: R::METHOD,
                    class,
                    message,
                }),
                Err(why) => Err(CallError::Lost { target: self.target.to_string(), method: R::METHOD, why }),
            };
        }
    }

    async fn link(&self) -> Result<Arc<Link>, CallError> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| link.is_alive()) {
            return Ok(Arc::clone(link));
        }
        *link = None;
        let unreachable = |source| CallError::Unreachable { target: self.target.to_string(), source };
        let dialling = dial(&self.target, &self.transport);
        let dialled = timeout_at(Instant::now() + self.config.connect_time_max, dialling).await;
        let stream = dialled.map_err(|late| unreachable(late.into()))?.map_err(unreachable)?;
        let made = Arc::new(Link::open(stream, self.client_id, Arc::clone(&self.config)));
        *link = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// A whole call frame, its length included.
fn frame_of<R: Rpc>(request: &R::Request, call_id: i32, client_id: ClientId, options: &CallOptions) -> Bytes {
    let header = RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer.into()),
        rpc_op: Some(OperationProto::RpcFinalPacket.into()),
        call_id,
        client_id: Bytes::copy_from_slice(client_id.as_bytes()),
        retry_count: Some(options.retry_count),
        caller_context: options.note.as_ref().map(|note| RpcCallerContextProto {
            context: note.context.clone(),
            signature: (!note.signature.is_empty()).then(|| note.signature.clone()),
        }),
        ..RpcRequestHeaderProto::default()
    };
    let named = RequestHeaderProto {
        method_name: R::METHOD.to_owned(),
        declaring_class_protocol_name: R::PROTOCOL.to_owned(),
        client_protocol_version: 1,
    };
    frame_of_messages(&header, &[&|out| put(&named, out), &|out| put(request, out)], {
        delimited_len(&named) + delimited_len(request)
    })
}

pub(crate) fn put(message: &impl Message, out: &mut BytesMut) {
    put_delimited(message.encoded_len(), |out| message.encode_raw(out), out);
}

pub(crate) fn delimited_len(message: &impl Message) -> usize {
    let len = message.encoded_len();
    varint_len(len) + len
}

pub(crate) fn frame_of_messages(
    header: &RpcRequestHeaderProto,
    messages: &[&dyn Fn(&mut BytesMut)],
    messages_len: usize,
) -> Bytes {
    let len = delimited_len(header) + messages_len;
    let mut out = BytesMut::with_capacity(4 + len);
    // A frame that is too long is refused before it is sent, so this number need not fit.
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    put(header, &mut out);
    for write in messages {
        write(&mut out);
    }
    out.freeze()
}

/// A frame that waits to be sent, with its share of the budget.
pub(crate) type Unsent = (Bytes, Held);
