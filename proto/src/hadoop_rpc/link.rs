//! One connection of a client, and the calls that wait on it.
//!
//! Shape   a task owns the socket; calls meet it at a queue (frames out) and a table (answers in, by call number).
//! Errors  the end of the connection is told to every call that waits; a call that comes too late is handed back
//!         unsent ([`Gone`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::client::{ClientConfig, Unsent, delimited_len, frame_of_messages, put};
use super::frame::FrameReader;
use super::header::{CALL_ID_CONTEXT, CALL_ID_PING, RETRY_NONE};
use super::preamble;
use super::session::take_message;
use super::writer::{self, Outgoing};
use crate::hadoop::rpc_request_header_proto::OperationProto;
use crate::hadoop::rpc_response_header_proto::RpcStatusProto;
use crate::hadoop::{
    IpcConnectionContextProto, RpcKindProto, RpcRequestHeaderProto, RpcResponseHeaderProto,
    UserInformationProto,
};
use crate::net::{Held, Stream};
use crate::rpc::{ClientId, delimited};

/// Frames that wait for the socket. Their bytes are bounded by the client's budget.
const QUEUE: usize = 64;

/// What stands in the answer after its header, or the exception's class and text.
type Answer = Result<Bytes, (String, String)>;
/// An answer, or why the connection ended without one.
type Outcome = Result<Answer, String>;

/// The connection has ended; the frame was not sent.
pub(crate) struct Gone(pub(crate) Box<Unsent>);

/// The asking side of a connection.
pub(crate) struct Link {
    outgoing: mpsc::Sender<Box<Outgoing>>,
    waiting: Waiting,
}

/// The calls that wait, by number; `None` once the connection has ended.
type Table = Option<BTreeMap<i32, oneshot::Sender<Outcome>>>;

#[derive(Clone)]
struct Waiting(Arc<Mutex<Table>>);

impl Waiting {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, call_id: i32) -> Option<oneshot::Sender<Outcome>> {
        self.table().as_mut().and_then(|calls| calls.remove(&call_id))
    }

    fn is_empty(&self) -> bool {
        self.table().as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Ends the connection if nobody waits; from then on nobody can.
    fn close_if_empty(&self) -> bool {
        let mut table = self.table();
        let empty = table.as_ref().is_none_or(BTreeMap::is_empty);
        if empty {
            *table = None;
        }
        empty
    }

    fn end(&self, why: &str) {
        for (_, call) in self.table().take().into_iter().flatten() {
            // A call that no longer waits is told nothing.
            let _ = call.send(Err(why.to_owned()));
        }
    }
}

/// A call that was handed to the connection. Dropping it forgets the call.
pub(crate) struct Answered {
    call_id: i32,
    waiting: Waiting,
    answer: oneshot::Receiver<Outcome>,
}

impl Answered {
    pub(crate) async fn wait(mut self) -> Outcome {
        (&mut self.answer).await.unwrap_or_else(|_| Err("the connection's task ended".to_owned()))
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        drop(self.waiting.take(self.call_id));
    }
}

impl Link {
    /// Sends preamble and connection context over `stream`, and starts the task that owns it.
    pub(crate) fn open<S: Stream>(stream: S, client_id: ClientId, config: Arc<ClientConfig>) -> Link {
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let waiting = Waiting(Arc::new(Mutex::new(Some(BTreeMap::new()))));
        let opening = [
            Bytes::copy_from_slice(&preamble::of_client(preamble::AUTH_SIMPLE)),
            context_frame(client_id, &config),
        ];
        for frame in opening {
            let sent = outgoing.try_send(Outgoing::answer(frame, None, None));
            assert!(sent.is_ok(), "a new queue has room");
        }
        let task = Task {
            ping: ping_frame(client_id),
            client_id,
            config,
            waiting: waiting.clone(),
            outgoing: outgoing.downgrade(),
        };
        tokio::spawn(task.run(stream, queue));
        Link { outgoing, waiting }
    }

    /// Hands `frame` to the connection under the number `call_id`.
    pub(crate) async fn send(&self, call_id: i32, frame: Bytes, held: Held) -> Result<Answered, Gone> {
        let (answer, answered) = oneshot::channel();
        match self.waiting.table().as_mut() {
            Some(calls) => drop(calls.insert(call_id, answer)),
            None => return Err(Gone(Box::new((frame, held)))),
        }
        let answered = Answered { call_id, waiting: self.waiting.clone(), answer: answered };
        match self.outgoing.send(Outgoing::answer(frame, None, Some(held))).await {
            Ok(()) => Ok(answered),
            // The writer is gone and with it the frame; the call hears how the connection ended.
            Err(_) => Ok(answered),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.waiting.table().is_some()
    }
}

struct Task {
    client_id: ClientId,
    config: Arc<ClientConfig>,
    waiting: Waiting,
    /// Weak, so that the queue ends when the client lets go of the connection.
    outgoing: mpsc::WeakSender<Box<Outgoing>>,
    ping: Bytes,
}

impl Task {
    async fn run<S: Stream>(self, stream: S, queue: mpsc::Receiver<Box<Outgoing>>) {
        let (read, write) = tokio::io::split(stream);
        let mut reader = FrameReader::new(read, self.config.response_bytes_max);
        let writing = writer::run(write, queue, self.config.pace);
        tokio::pin!(writing);
        let why = tokio::select! {
            why = self.read_all(&mut reader) => why,
            wrote = &mut writing => match wrote {
                Ok(()) => "the client let go of it".to_owned(),
                Err(error) => format!("it could not be written: {error}"),
            },
        };
        debug!(%why, "a connection ended");
        self.waiting.end(&why);
    }

    /// Reads answers until the connection ends; returns why.
    async fn read_all<R: AsyncRead + Unpin>(&self, reader: &mut FrameReader<R>) -> String {
        let mut idle_since = Instant::now();
        loop {
            let len = match reader.next_len() {
                Ok(Some(len)) => len,
                Ok(None) => match self.wait_for_bytes(reader, idle_since).await {
                    Ok(()) => continue,
                    Err(why) => return why,
                },
                Err(bad) => return bad.to_string(),
            };
            let time_max = self.config.pace.time_max(len as usize);
            let frame = match timeout(time_max, reader.frame(len)).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(error)) => return format!("an answer broke off: {error}"),
                Err(_) => return "an answer came too slowly".to_owned(),
            };
            if let Err(why) = self.deliver(frame) {
                return why;
            }
            idle_since = Instant::now();
        }
    }

    async fn wait_for_bytes<R: AsyncRead + Unpin>(
        &self,
        reader: &mut FrameReader<R>,
        idle_since: Instant,
    ) -> Result<(), String> {
        let mut idle_since = idle_since;
        loop {
            let step = self.config.ping_interval.min(self.config.idle_time_max);
            match timeout(step, reader.more()).await {
                Ok(Ok(0)) => return Err("the server closed it".to_owned()),
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(format!("it could not be read: {error}")),
                Err(_) if !self.waiting.is_empty() => {
                    if idle_since.elapsed() >= self.config.ping_interval {
                        idle_since = Instant::now();
                        self.send_ping();
                    }
                }
                Err(_)
                    if idle_since.elapsed() >= self.config.idle_time_max && self.waiting.close_if_empty() =>
                {
                    return Err("nobody used it".to_owned());
                }
                Err(_) => {}
            }
        }
    }

    fn send_ping(&self) {
        if let Some(outgoing) = self.outgoing.upgrade() {
            // A full queue is a sign of life by itself.
            let _ = outgoing.try_send(Outgoing::answer(self.ping.clone(), None, None));
        }
    }

    /// Hands an answer to its call. An error ends the connection.
    fn deliver(&self, mut frame: Bytes) -> Result<(), String> {
        let header: RpcResponseHeaderProto =
            take_message(&mut frame).map_err(|why| format!("an answer's header does not parse: {why}"))?;
        let echoed = header.client_id.as_deref().unwrap_or_default();
        if !echoed.is_empty() && echoed != self.client_id.as_bytes() {
            return Err("an answer is for another client".to_owned());
        }
        let call_id = header.call_id as i32;
        let exception = |header: RpcResponseHeaderProto| {
            (header.exception_class_name.unwrap_or_default(), header.error_msg.unwrap_or_default())
        };
        let answer = match header.status() {
            RpcStatusProto::Success => {
                if delimited(&frame).ok().map(|(_, to)| to) != Some(frame.len()) {
                    return Err("an answer's length is not that of its message".to_owned());
                }
                Ok(frame)
            }
            RpcStatusProto::Error => Err(exception(header)),
            RpcStatusProto::Fatal => {
                let (class, message) = exception(header);
                let why = format!("the server ended it with {class}: {message}");
                if let Some(call) = self.waiting.take(call_id) {
                    // A call that no longer waits is told nothing.
                    let _ = call.send(Ok(Err((class, message))));
                }
                return Err(why);
            }
        };
        // A call whose deadline passed has left; its answer is dropped.
        if let Some(call) = self.waiting.take(call_id) {
            let _ = call.send(Ok(answer));
        }
        Ok(())
    }
}

fn header_of(call_id: i32, client_id: ClientId) -> RpcRequestHeaderProto {
    RpcRequestHeaderProto {
        rpc_kind: Some(RpcKindProto::RpcProtocolBuffer.into()),
        rpc_op: Some(OperationProto::RpcFinalPacket.into()),
        call_id,
        client_id: Bytes::copy_from_slice(client_id.as_bytes()),
        retry_count: Some(RETRY_NONE),
        ..RpcRequestHeaderProto::default()
    }
}

fn context_frame(client_id: ClientId, config: &ClientConfig) -> Bytes {
    let named = config.user.is_some() || config.real_user.is_some();
    let context = IpcConnectionContextProto {
        user_info: named.then(|| UserInformationProto {
            effective_user: config.user.clone(),
            real_user: config.real_user.clone(),
        }),
        // Servers dispatch on each call's own protocol and take any text here.
        protocol: Some("allotrope".to_owned()),
    };
    let header = header_of(CALL_ID_CONTEXT, client_id);
    frame_of_messages(&header, &[&|out| put(&context, out)], delimited_len(&context))
}

fn ping_frame(client_id: ClientId) -> Bytes {
    frame_of_messages(&header_of(CALL_ID_PING, client_id), &[], 0)
}
