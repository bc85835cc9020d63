//! One connection of a server: reads frames, starts calls, writes answers, ends.
//!
//! Shape   the reader and the writer run side by side in the connection's task; each call is a task of its own.
//!         A call holds a slot of its connection until its answer is on the socket, so a reader that stops reading
//!         soon has no slot left, is not read either, and is closed when its answers take too long.
//! Errors  how a connection ends is an [`End`]; nothing that a peer sends ends more than its own connection.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error, info};

use super::frame::{BadLength, FrameReader};
use super::header;
use super::header::ReplyTo;
use super::preamble::{self, Opening};
use super::server::{Claim, Shared};
use super::session::{Call, Fatal, Stage, Step};
use super::writer::{self, CallSlot, Outgoing};
use crate::hadoop::rpc_response_header_proto::RpcErrorCodeProto;
use crate::net::{ConnectionBudget, Drain, Held, Stream};
use crate::rpc::{CallContext, Caller, ClientId, Encoded, Fault, Method, TransportKind};

/// How long, and for how many bytes, a refused client may go on sending while it reads its last answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// Why no further frame is read.
#[derive(Debug)]
enum End {
    /// The client closed its side.
    Closed,
    /// The socket failed.
    Failed(io::Error),
    /// The client broke a rule and is told.
    Refused(Bytes),
    /// The client broke a rule to which Java gives no answer.
    Violated(BadLength),
    /// Nothing came, and nothing was owed.
    Idle,
    /// A frame came too slowly.
    TooSlow,
    /// The server ends.
    Drained,
}

/// Serves `stream` until either side ends it.
pub(crate) async fn serve<S: Stream>(shared: &Arc<Shared>, stream: S, peer: SocketAddr, drain: &Drain) {
    let (read, mut write) = tokio::io::split(stream);
    let mut reader = FrameReader::new(read, shared.config.frame_bytes_max);
    let opening_ends = Instant::now() + shared.config.opening_time_max;
    let stage = match timeout_at(opening_ends, until_drain(drain, reader.preamble())).await {
        Ok(Some(Ok(Some(bytes)))) => match preamble::open(&bytes) {
            Opening::Simple => Stage::Context,
            Opening::Sasl => Stage::Sasl,
            Opening::Refused(answer) => {
                debug!(%peer, "a preamble was refused");
                if let Some(answer) = answer {
                    let sending = async { write.write_all(&answer).await.and(write.shutdown().await) };
                    let _ = timeout(shared.config.pace.time_min, sending).await;
                    let _ = timeout(LINGER, reader.discard(LINGER_BYTES)).await;
                }
                return;
            }
        },
        Ok(Some(Ok(None) | Err(_)) | None) | Err(_) => return,
    };

    let (answers, outgoing) = mpsc::channel(shared.config.calls_connection_max.min(Semaphore::MAX_PERMITS));
    let connection = Connection {
        slots: Arc::new(Semaphore::new(shared.config.calls_connection_max.min(Semaphore::MAX_PERMITS))),
        requests: shared.requests.connection(shared.config.request_bytes_connection_max),
        responses: shared.responses.connection(shared.config.response_bytes_connection_max),
        shared: Arc::clone(shared),
        drain: drain.clone(),
        peer,
        opening_ends,
        user: None,
    };
    let writing = writer::run(write, outgoing, shared.config.pace);
    tokio::pin!(writing);
    let end = tokio::select! {
        end = connection.read_all(&mut reader, stage, answers) => end,
        wrote = &mut writing => return debug!(%peer, ?wrote, "a connection could not be written"),
    };
    match &end {
        End::Failed(error) => debug!(%peer, %error, "a connection failed"),
        End::Violated(bad) => info!(%peer, error = %bad, "a connection broke the protocol"),
        End::Closed | End::Refused(_) | End::Idle | End::TooSlow | End::Drained => {
            debug!(%peer, ?end, "a connection is not read any more");
        }
    }
    if matches!(end, End::Failed(_)) {
        return;
    }
    // What was asked before the end is answered still; the writer ends with the last call.
    if let Err(error) = writing.await {
        return debug!(%peer, %error, "a connection could not be written");
    }
    if !matches!(end, End::Closed) {
        let _ = timeout(LINGER, reader.discard(LINGER_BYTES)).await;
    }
}

/// `None` if the drain starts first.
async fn until_drain<T>(drain: &Drain, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = drain.started() => None,
        done = work => Some(done),
    }
}

struct Connection {
    shared: Arc<Shared>,
    drain: Drain,
    peer: SocketAddr,
    opening_ends: Instant,
    slots: Arc<Semaphore>,
    requests: ConnectionBudget,
    responses: ConnectionBudget,
    /// Who calls, once the connection context has come.
    user: Option<User>,
}

#[derive(Clone, Default)]
struct User {
    user: Option<Arc<str>>,
    real_user: Option<Arc<str>>,
}

impl Connection {
    /// Reads and starts calls until there is a reason to stop.
    async fn read_all<R: AsyncRead + Unpin>(
        mut self,
        reader: &mut FrameReader<R>,
        mut stage: Stage,
        answers: Sender<Box<Outgoing>>,
    ) -> End {
        loop {
            let end = match self.next_frame(reader).await {
                Err(end) => end,
                Ok((frame, held)) => match self.take(&mut stage, frame, held, &answers).await {
                    Ok(()) => continue,
                    Err(Fatal(answer)) => End::Refused(answer),
                },
            };
            if let End::Refused(answer) = &end {
                // The queue has room for every call's answer and this one waits its turn at worst; a writer that is
                // gone has ended the connection already.
                let _ = answers.send(Outgoing::last(answer.clone())).await;
            }
            return end;
        }
    }

    async fn next_frame<R: AsyncRead + Unpin>(
        &self,
        reader: &mut FrameReader<R>,
    ) -> Result<(Bytes, Held), End> {
        let len = loop {
            if let Some(len) = reader.next_len().map_err(End::Violated)? {
                break len;
            }
            self.wait_for_bytes(reader).await?;
        };
        let held = until_drain(&self.drain, self.requests.take(len)).await.ok_or(End::Drained)?;
        if let Some(frame) = reader.next_frame(len) {
            return Ok((frame, held));
        }
        let time_max = self.shared.config.pace.time_max(len as usize);
        match until_drain(&self.drain, timeout(time_max, reader.frame(len))).await {
            None => Err(End::Drained),
            Some(Err(_)) => Err(End::TooSlow),
            Some(Ok(Err(error))) if error.kind() == io::ErrorKind::UnexpectedEof => Err(End::Closed),
            Some(Ok(Err(error))) => Err(End::Failed(error)),
            Some(Ok(Ok(frame))) => Ok((frame, held)),
        }
    }

    async fn wait_for_bytes<R: AsyncRead + Unpin>(&self, reader: &mut FrameReader<R>) -> Result<(), End> {
        let config = &self.shared.config;
        loop {
            let ends = match self.user {
                Some(_) => Instant::now() + config.idle_time_max,
                None => self.opening_ends,
            };
            let owed = config.calls_connection_max > self.slots.available_permits();
            match timeout_at(ends, until_drain(&self.drain, reader.more())).await {
                Ok(None) => return Err(End::Drained),
                Ok(Some(Ok(0))) => return Err(End::Closed),
                Ok(Some(Ok(_))) => return Ok(()),
                Ok(Some(Err(error))) => return Err(End::Failed(error)),
                Err(_) if !reader.is_between_frames() => return Err(End::TooSlow),
                // A client that waits for an answer is not idle, and an answer counts as a sign of life.
                Err(_) if self.user.is_some() && owed => {}
                Err(_) => return Err(End::Idle),
            }
        }
    }

    async fn take(
        &mut self,
        stage: &mut Stage,
        frame: Bytes,
        held: Held,
        answers: &Sender<Box<Outgoing>>,
    ) -> Result<(), Fatal> {
        match stage.take(frame)? {
            Step::Nothing => {}
            Step::Identified(claim, reply) => self.identify(claim, &reply)?,
            Step::Answer(frame) => self.send(frame, answers).await,
            Step::Call(call) => {
                let found = self.shared.methods.by_name(&call.protocol, call.version, &call.method);
                match found.map(Arc::clone) {
                    Ok(method) => self.start(method, *call, held, answers).await,
                    Err(fault) => self.send(header::error(&call.reply, &fault), answers).await,
                }
            }
        }
        Ok(())
    }

    fn identify(&mut self, claim: Claim, reply: &ReplyTo) -> Result<(), Fatal> {
        self.shared.admission.admit(&claim, self.peer).map_err(|fault| {
            info!(peer = %self.peer, %fault, "a client was not admitted");
            let code = RpcErrorCodeProto::FatalUnauthorized;
            Fatal::new(reply, code, fault.class(), fault.message().to_owned())
        })?;
        self.user = Some(User { user: claim.user.map(Arc::from), real_user: claim.real_user.map(Arc::from) });
        Ok(())
    }

    /// Sends an answer that no service gave. It takes a slot too, so that refusals are bounded as answers are.
    async fn send(&self, frame: Bytes, answers: &Sender<Box<Outgoing>>) {
        let slot = self.slot().await;
        let held = self.responses.take(len_of(&frame)).await;
        // A writer that is gone has ended the connection already.
        let _ = answers.send(Outgoing::answer(frame, Some(slot), Some(held))).await;
    }

    async fn slot(&self) -> CallSlot {
        const NEVER_CLOSED: &str = "the semaphores of calls are never closed";
        let connection = Arc::clone(&self.slots).acquire_owned().await.expect(NEVER_CLOSED);
        let server = Arc::clone(&self.shared.calls).acquire_owned().await.expect(NEVER_CLOSED);
        CallSlot { _connection: connection, _server: server }
    }

    async fn start(&self, method: Arc<Method>, call: Call, held: Held, answers: &Sender<Box<Outgoing>>) {
        let slot = self.slot().await;
        let deadline = Instant::now() + self.shared.config.call_time_max;
        let user = self.user.clone().unwrap_or_default();
        let context = CallContext {
            caller: Caller {
                user: user.user,
                real_user: user.real_user,
                remote: self.peer,
                host_claimed: None,
                address_claimed: None,
                client_id: ClientId::from_slice(&call.reply.client_id),
                call_id: call.reply.call_id,
                retry_count: call.reply.retry_count,
                note: call.note,
                transport: TransportKind::HadoopRpc,
            },
            deadline,
        };
        let running = Running {
            shared: Arc::clone(&self.shared),
            responses: self.responses.clone(),
            reply: call.reply,
            method,
        };
        let (answers, drain) = (answers.clone(), self.drain.clone());
        let work = self.drain.work();
        // A task of its own: the client may go away, the call does not.
        tokio::spawn(async move {
            let _work = work;
            tokio::select! {
                biased;
                () = drain.aborted() => {}
                (frame, held) = running.answer(context, call.request, held) => {
                    let _ = answers.send(Outgoing::answer(frame, Some(slot), Some(held))).await;
                }
            }
        });
    }
}

struct Running {
    shared: Arc<Shared>,
    responses: ConnectionBudget,
    reply: ReplyTo,
    method: Arc<Method>,
}

impl Running {
    /// The call's answer as a frame, and the bytes of the response budget that it holds.
    async fn answer(self, context: CallContext, request: Bytes, requested: Held) -> (Bytes, Held) {
        let outcome = self.run(context, request).await;
        drop(requested);
        let (bytes_max, name) = (self.shared.config.response_bytes_max as usize, self.method.name());
        let checked = outcome.and_then(|body| match header::success_len(&self.reply, body.encoded_len()) {
            len if len > bytes_max => Err(Fault::response_too_large(name, len, bytes_max)),
            len => Ok((body, len)),
        });
        match checked {
            Ok((body, len)) => {
                let held = self.responses.take(len as u32).await;
                (header::success(&self.reply, &*body), held)
            }
            Err(fault) => {
                let frame = header::error(&self.reply, &fault);
                let held = self.responses.take(len_of(&frame)).await;
                (frame, held)
            }
        }
    }

    async fn run(&self, context: CallContext, request: Bytes) -> Result<Box<dyn Encoded>, Fault> {
        let (deadline, name) = (context.deadline, self.method.name());
        let calling = AssertUnwindSafe(self.method.call(context, request)).catch_unwind();
        match timeout_at(deadline, calling).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => {
                error!(method = name, call_id = self.reply.call_id, "a service panicked; the call fails");
                Err(Fault::io(format!("the server failed while it worked on {name}")))
            }
            Err(_) => Err(Fault::deadline_exceeded(name)),
        }
    }
}

/// A frame's share of the response budget. Frames of errors are short: their texts are cut.
fn len_of(frame: &Bytes) -> u32 {
    u32::try_from(frame.len()).expect("frames of errors are short")
}
