//! An S3 client: requests that are signed with Version 4, on connections that are used again, and nothing more.
//!
//! Shape   a connection carries one request at a time; one that has answered waits for the next request. An answer's body is
//!         given piece by piece as it arrives.
//! Errors  [`Trouble`] with the method and the path; an answer above 299 is a refusal, with the code that S3 names.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use crate::load::{Trouble, TroubleKind};

/// Bytes of an answer that is kept whole: an error, a listing.
const KEPT_MAX: usize = 16 << 20;

/// Whom to ask, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Account {
    /// `HOST:PORT` of the gateway.
    pub address: String,
    /// The region that signatures name.
    pub region: String,
    /// The access key.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// A gateway, and idle connections to it.
#[derive(Debug)]
pub(crate) struct S3 {
    account: S3Account,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

/// An answer that is not an error, as it arrives.
pub(crate) struct S3Answer {
    pub(crate) etag: String,
    body: Incoming,
    act: String,
    /// Where the connection goes when the body has ended.
    back: Option<SendRequest<Full<Bytes>>>,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl S3Answer {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(Trouble::new(TroubleKind::Broken, format!("{}: {error}", self.act)));
                }
                None => {
                    if let Some(sender) = self.back.take() {
                        self.idle.lock().expect("nothing panics while it holds the lock").push(sender);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The body's text, up to 16 MiB.
    pub(crate) async fn text(mut self) -> Result<String, Trouble> {
        let mut kept = Vec::new();
        while let Some(piece) = self.next().await? {
            let room = KEPT_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok(String::from_utf8_lossy(&kept).into_owned())
    }
}

impl S3 {
    pub(crate) fn new(account: S3Account) -> S3 {
        S3 { account, idle: Arc::default() }
    }

    /// Asks, and gives the answer as it arrives. `path` and `query` are in their canonical form: see [`encoded`].
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &str,
        range: Option<std::ops::Range<u64>>,
        body: Bytes,
    ) -> Result<S3Answer, Trouble> {
        let act = format!("{method} {path}");
        let broken =
            |error: &dyn std::error::Error| Trouble::new(TroubleKind::Broken, format!("{act}: {error}"));
        let mut request = self.account.signed(method, path, query, body).map_err(|error| broken(&error))?;
        if let Some(range) = range.filter(|range| range.end > range.start) {
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            let value = value.parse().expect("digits are a header's value");
            request.headers_mut().insert("range", value);
        }
        let mut sender = self.connection().await?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (etag, status) = (etag_of(&response), response.status());
        let (body, idle) = (response.into_body(), self.idle.clone());
        let answer = S3Answer { etag, body, act, back: Some(sender), idle };
        if status.is_success() {
            return Ok(answer);
        }
        let act = answer.act.clone();
        let text = answer.text().await?;
        let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
        Err(Trouble::new(TroubleKind::Refused, format!("{act}: {status} {code}")))
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Trouble> {
        loop {
            let idle = self.idle.lock().expect("nothing panics while it holds the lock").pop();
            let Some(mut sender) = idle else { break };
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let at = &self.account.address;
        let unreachable =
            |error: &dyn std::error::Error| Trouble::new(TroubleKind::Unreachable, format!("{at}: {error}"));
        let stream = TcpStream::connect(at).await.map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| unreachable(&error))?;
        // It ends with its sender, or when the peer closes.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn etag_of(response: &Response<Incoming>) -> String {
    let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok());
    etag.unwrap_or_default().to_owned()
}

/// What stands between two texts, where they first stand.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// A path or a query's value as signatures want it; `/` stays where `slash` says so.
pub(crate) fn encoded(text: &str, slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if slash => out.push('/'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl S3Account {
    /// A request with its signature over everything but the body.
    fn signed(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let now = time::OffsetDateTime::now_utc();
        let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let at = format!("{day}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
        let authorization = self.authorization(&method, path, query, &day, &at);
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", &self.address)
            .header("x-amz-date", at)
            .header("x-amz-content-sha256", UNSIGNED)
            .header("authorization", authorization)
            .body(Full::new(body))
    }

    fn authorization(&self, method: &Method, path: &str, query: &str, day: &str, at: &str) -> String {
        let names = "host;x-amz-content-sha256;x-amz-date";
        let host = &self.address;
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{at}\n\n{names}\n{UNSIGNED}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day, &self.region, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex(&mac(&key, &text));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        )
    }
}

/// What stands for the digest of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key does");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signature_covers_is_encoded_as_s3_wants_it() {
        assert_eq!(encoded("a b/c+d~e\u{e9}", true), "a%20b/c%2Bd~e%C3%A9");
        assert_eq!(encoded("a/b", false), "a%2Fb");
    }

    #[test]
    fn what_stands_between_is_found() {
        assert_eq!(between("<a><Code>X</Code></a>", "<Code>", "</Code>"), Some("X"));
        assert_eq!(between("<Code>X", "<Code>", "</Code>"), None);
    }
}
