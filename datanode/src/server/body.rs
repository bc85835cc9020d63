//! The answer's body: frames from the stream's task, then gRPC's trailers.

use super::outgoing::Outgoing;
use allotrope_proto::Rope;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use hyper::header::HeaderValue;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Frames that wait for HTTP/2's window.
const FRAMES_MAX: usize = 8;

/// What the stream's task hands over.
type Frames = mpsc::Receiver<Frame<Bytes>>;

/// An answer's body.
pub(crate) struct Answer(Option<Frames>);

/// The way into it.
pub(crate) struct Sender {
    frames: mpsc::Sender<Frame<Bytes>>,
    outgoing: Arc<Outgoing>,
}

/// The reader went away.
#[derive(Debug)]
pub(crate) struct Gone;

impl Answer {
    /// An answer without a message.
    pub(crate) fn status_only(status: u8, message: &str) -> hyper::Response<Answer> {
        let mut response = hyper::Response::new(Answer(None));
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.extend(trailers(status, message));
        response
    }

    /// An answer whose messages follow.
    pub(crate) fn streamed(outgoing: Arc<Outgoing>) -> (hyper::Response<Answer>, Sender) {
        let (send, receive) = mpsc::channel(FRAMES_MAX);
        let mut response = hyper::Response::new(Answer(Some(receive)));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        (response, Sender { frames: send, outgoing })
    }
}

impl Sender {
    /// Sends one message, framed already. Waits for the reader to take it; one that never does is cut off with its
    /// whole connection.
    pub(crate) async fn message(&self, framed: Rope) -> Result<(), Gone> {
        for piece in framed {
            let piece = self.outgoing.count(piece);
            self.frames.send(Frame::data(piece)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Ends the answer.
    pub(crate) async fn end(self, status: u8, message: &str) -> Result<(), Gone> {
        self.frames.send(Frame::trailers(trailers(status, message))).await.map_err(|_| Gone)
    }

    /// Ends the answer with an exception of Java's, by its class.
    pub(crate) async fn end_with(self, status: u8, message: &str, class: &'static str) -> Result<(), Gone> {
        let mut map = trailers(status, message);
        map.insert("exception-type", HeaderValue::from_static(class));
        self.frames.send(Frame::trailers(map)).await.map_err(|_| Gone)
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.frames.is_closed()
    }
}

fn trailers(status: u8, message: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from(u16::from(status)));
    if !message.is_empty() {
        // Percent-encoded as gRPC wants it: what is not printable ASCII, and the percent sign.
        let text: String = message
            .bytes()
            .map(|b| {
                if (0x20..0x7f).contains(&b) && b != b'%' {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&text) {
            map.insert("grpc-message", value);
        }
    }
    map
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Some(frames) => frames.poll_recv(cx).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
