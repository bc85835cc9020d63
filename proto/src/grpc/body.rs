//! Bodies that are counted: requests against the budget of bytes, responses against the pace of their reader.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use crate::net::Share;
use crate::rpc::Fault;

/// A share of the budget that a request's body fills and its call keeps.
pub(crate) type RequestShare = Arc<Mutex<Share>>;

/// A request's body; each piece is taken from the budget as it comes.
pub(crate) struct Metered<B> {
    inner: B,
    share: RequestShare,
}

impl<B> Metered<B> {
    pub(crate) fn new(inner: B, share: RequestShare) -> Metered<B> {
        Metered { inner, share }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(polled.map(|frame| {
            let frame =
                frame.map_err(|error| Status::cancelled(format!("the request broke off: {error}")))?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
            if share.grow(bytes) {
                Ok(frame)
            } else {
                let full = Fault::overloaded("the server holds as many request bytes as it may");
                Err(super::status::of_fault(&full, ""))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The calls of one connection, and until when each answer has to be read.
#[derive(Debug, Default)]
pub(crate) struct Open {
    state: Mutex<OpenState>,
}

#[derive(Debug, Default)]
struct OpenState {
    next: u64,
    /// `None` while the call is worked on.
    read_until: BTreeMap<u64, Option<Instant>>,
    quiet_since: Option<Instant>,
}

impl Open {
    fn state(&self) -> MutexGuard<'_, OpenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some answer should have been read by `now`.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.state().read_until.values().flatten().any(|until| *until <= now)
    }

    /// Since when there is no call; set at the first look.
    pub(crate) fn quiet_since(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        state.read_until.is_empty().then(|| *state.quiet_since.get_or_insert(now))
    }
}

/// One call of a connection, from its headers to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct OpenCall {
    id: u64,
    open: Arc<Open>,
    _slot: OwnedSemaphorePermit,
}

impl OpenCall {
    pub(crate) fn new(open: &Arc<Open>, slot: OwnedSemaphorePermit) -> OpenCall {
        let mut state = open.state();
        state.next += 1;
        state.quiet_since = None;
        let id = state.next;
        state.read_until.insert(id, None);
        drop(state);
        OpenCall { id, open: Arc::clone(open), _slot: slot }
    }

    fn answered(&self, read_until: Instant) {
        self.open.state().read_until.insert(self.id, Some(read_until));
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.open.state().read_until.remove(&self.id);
    }
}

/// Bytes handed to HTTP/2 at once. It asks for more when the reader's window has room, so a call stays open, and its
/// reader under watch, until all but the last piece has left.
const PIECE: usize = 64 << 10;

/// A response's body, which keeps its call open until it is read.
pub(crate) struct Answer {
    inner: tonic::body::Body,
    /// What is left of the frame that tonic made of the whole message.
    rest: Bytes,
    _call: Option<OpenCall>,
}

impl Answer {
    /// An answer that is to be read by `read_until`.
    pub(crate) fn new(inner: tonic::body::Body, call: OpenCall, read_until: Instant) -> Answer {
        call.answered(read_until);
        Answer { inner, rest: Bytes::new(), _call: Some(call) }
    }

    /// An answer without a body of its own: headers only.
    pub(crate) fn short(inner: tonic::body::Body) -> Answer {
        Answer { inner, rest: Bytes::new(), _call: None }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(PIECE.min(self.rest.len())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) if frame.data_ref().is_some_and(|data| data.len() > PIECE) => {
                self.rest = frame.into_data().unwrap_or_default();
                Poll::Ready(Some(Ok(self.piece())))
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.inner.size_hint() } else { SizeHint::new() }
    }
}
