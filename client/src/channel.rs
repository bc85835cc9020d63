//! One connection to a peer, and unary gRPC calls over it.
//!
//! Shape   a call is one HTTP/2 stream: one message each way, then the status. A message is a [`Rope`]: bulk data
//!         goes out in the pieces it came in and comes back as the frames that were received.
//! Units   stream window 4 MiB, connection window 16 MiB, frames up to 1 MiB.
//! Errors  [`CallError`] names the peer. Every call ends at its deadline; the connection it waited on is not used
//!         again, because a peer that fell silent may stay so.

mod address;
mod error;

pub use address::Address;
pub use error::{CallError, GrpcCode};

use std::time::Duration;

use allotrope_proto::Rope;
use allotrope_proto::bulk::{GrpcMessages, grpc_message};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// The header that names the user of our own services' calls.
const USER: &str = "allotrope-user";

/// A peer, and the connection to it while there is one.
#[derive(Debug)]
pub(crate) struct Channel {
    address: Address,
    connect_deadline: Duration,
    message_len_max: usize,
    live: Mutex<Option<SendRequest<Full<Rope>>>>,
}

impl Channel {
    /// A channel that connects when it is first used.
    pub(crate) fn new(address: Address, connect_deadline: Duration, message_len_max: usize) -> Channel {
        Channel { address, connect_deadline, message_len_max, live: Mutex::new(None) }
    }

    /// Sends `message` to the method at `path` and waits for the one answer.
    ///
    /// Cancel safety: dropped early, the stream is reset; the peer may have carried out the call or not.
    pub(crate) async fn call(
        &self,
        path: &'static str,
        message: Rope,
        deadline: Duration,
    ) -> Result<Rope, CallError> {
        self.call_as(path, message, deadline, None).await
    }

    /// As [`Channel::call`], and says beside the message on whose behalf, for messages that do not say it themselves.
    pub(crate) async fn call_as(
        &self,
        path: &'static str,
        message: Rope,
        deadline: Duration,
        user: Option<&str>,
    ) -> Result<Rope, CallError> {
        match tokio::time::timeout(deadline, self.exchange(path, message, deadline, user)).await {
            Ok(Err(error @ (CallError::Broken { .. } | CallError::NotGrpc { .. }))) => {
                self.forget();
                Err(error)
            }
            Ok(answer) => answer,
            Err(_) => {
                self.forget();
                Err(CallError::Deadline { peer: self.address.clone(), after: deadline })
            }
        }
    }

    /// The next call opens a new connection; calls that are out go on over the one they have.
    pub(crate) fn forget(&self) {
        // Locked, it is being replaced already.
        if let Ok(mut live) = self.live.try_lock() {
            *live = None;
        }
    }

    async fn exchange(
        &self,
        path: &'static str,
        message: Rope,
        deadline: Duration,
        user: Option<&str>,
    ) -> Result<Rope, CallError> {
        let broken = |source| CallError::broken(&self.address, source);
        let mut sender = self.connected().await?;
        sender.ready().await.map_err(broken)?;
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", concat!("allotrope/", env!("CARGO_PKG_VERSION")))
            .header("grpc-timeout", grpc_timeout(deadline));
        let request = match user {
            Some(user) => request.header(USER, user),
            None => request,
        };
        let request = request.body(Full::new(grpc_message(message)));
        let request = request.map_err(|_| CallError::Connect {
            peer: self.address.clone(),
            source: std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "the host's name is no name of a host",
            ),
        })?;
        let response = sender.send_request(request).await.map_err(broken)?;
        self.answer(response).await
    }

    /// Reads the answer to its end.
    async fn answer(&self, response: Response<Incoming>) -> Result<Rope, CallError> {
        let peer = || self.address.clone();
        let (head, mut body) = response.into_parts();
        let content_type =
            head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        if head.status != StatusCode::OK || !content_type.starts_with("application/grpc") {
            let seen = format!("HTTP status {} with content type {content_type:?}", head.status.as_u16());
            return Err(CallError::NotGrpc { peer: peer(), seen });
        }
        let mut status = status_in(&head.headers);
        let mut messages = GrpcMessages::new(self.message_len_max);
        let mut message = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| CallError::broken(&self.address, source))?;
            match frame.into_data() {
                Ok(data) => {
                    messages.push(data);
                    let garbled = |source| CallError::Garbled { peer: peer(), source };
                    let next = messages.next_message().map_err(garbled)?;
                    if next.is_some() && message.is_some() {
                        let seen = "two answers to one call".into();
                        return Err(CallError::NotGrpc { peer: peer(), seen });
                    }
                    message = message.or(next);
                }
                Err(frame) => {
                    status = frame.trailers_ref().and_then(status_in).or(status);
                }
            }
        }
        match (status, message) {
            (Some((GrpcCode::OK, _)), Some(message)) => Ok(message),
            (Some((GrpcCode::OK, _)), None) => {
                Err(CallError::NotGrpc { peer: peer(), seen: "an answer without a message".into() })
            }
            (Some((code, message)), _) => Err(CallError::Status { peer: peer(), code, message }),
            (None, _) => {
                Err(CallError::NotGrpc { peer: peer(), seen: "an answer without a gRPC status".into() })
            }
        }
    }

    async fn connected(&self) -> Result<SendRequest<Full<Rope>>, CallError> {
        let mut live = self.live.lock().await;
        if let Some(sender) = live.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let sender = self.connect().await?;
        *live = Some(sender.clone());
        Ok(sender)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Rope>>, CallError> {
        let failed = |source| CallError::Connect { peer: self.address.clone(), source };
        let target = (self.address.host(), self.address.port());
        let stream = match tokio::time::timeout(self.connect_deadline, TcpStream::connect(target)).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => {
                let text = format!("no connection within {:?}", self.connect_deadline);
                return Err(failed(std::io::Error::new(std::io::ErrorKind::TimedOut, text)));
            }
        };
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .max_frame_size(1 << 20)
            .max_header_list_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| CallError::broken(&self.address, source))?;
        // It ends when the last sender is dropped or the peer closes; whoever waits on it gets the error.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// A duration as the header `grpc-timeout` has it: at most eight digits and a unit.
fn grpc_timeout(deadline: Duration) -> String {
    let millis = deadline.as_millis();
    if millis < 100_000_000 {
        format!("{millis}m")
    } else {
        format!("{}S", deadline.as_secs().min(99_999_999))
    }
}

fn status_in(headers: &HeaderMap) -> Option<(GrpcCode, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message =
        headers.get("grpc-message").map(|text| percent_decoded(text.as_bytes())).unwrap_or_default();
    Some((GrpcCode(code), message))
}

/// The text of `grpc-message`, in which bytes may stand as `%xx`.
fn percent_decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fit_the_header() {
        assert_eq!(grpc_timeout(Duration::from_secs(30)), "30000m");
        assert_eq!(grpc_timeout(Duration::from_secs(200_000)), "200000S");
        assert_eq!(grpc_timeout(Duration::MAX), "99999999S");
    }

    #[test]
    fn a_status_message_is_decoded_and_damage_in_it_kept() {
        assert_eq!(percent_decoded(b"a%20b%C3%A9"), "a b\u{e9}");
        assert_eq!(percent_decoded(b"100%"), "100%");
        assert_eq!(percent_decoded(b"%zz%4"), "%zz%4");
    }
}
