//! One S3 client: a connection that signs its requests with Version 4, and nothing more.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

const REGION: &str = "us-east-1";

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) at: SocketAddr,
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// Whether the signature covers the body, as clients do without encryption, or only the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Signed,
    Unsigned,
}

/// A connection to the gateway.
pub(crate) struct Connection {
    account: Arc<Account>,
    sender: SendRequest<Full<Bytes>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: String,
    pub(crate) body: Bytes,
    pub(crate) len: u64,
}

impl Connection {
    pub(crate) async fn open(account: &Arc<Account>) -> Connection {
        let stream = TcpStream::connect(account.at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        // It ends with its sender.
        tokio::spawn(connection);
        Connection { account: account.clone(), sender }
    }

    /// Asks, and reads the answer to its end; a body longer than 1 MiB is counted and dropped.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
        payload: Payload,
    ) -> Answer {
        let request = self.account.signed(method, path, query, body, payload);
        self.sender.ready().await.unwrap();
        let mut response = self.sender.send_request(request).await.unwrap();
        let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        let (etag, status) = (etag.to_owned(), response.status());
        let (mut kept, mut len) = (Vec::new(), 0u64);
        while let Some(frame) = response.body_mut().frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                len += data.len() as u64;
                if len <= 1 << 20 {
                    kept.extend_from_slice(&data);
                }
            }
        }
        Answer { status, etag, body: kept.into(), len }
    }

    /// As [`Connection::call`], for what must succeed.
    pub(crate) async fn ok(&mut self, method: Method, path: &str, query: &str, body: Bytes) -> Answer {
        let answer = self.call(method, path, query, body, Payload::Unsigned).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{path}?{query}: {} {text}", answer.status);
        answer
    }
}

impl Account {
    /// A request with its signature. `path` and `query` are in their canonical form.
    fn signed(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
        payload: Payload,
    ) -> Request<Full<Bytes>> {
        let now = time::OffsetDateTime::now_utc();
        let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
        let at = format!("{day}T{:02}{:02}{:02}Z", now.hour(), now.minute(), now.second());
        let hash = match payload {
            Payload::Signed => hex(&Sha256::digest(&body)),
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
        };
        let host = self.at.to_string();
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{at}\n\n{names}\n{hash}"
        );
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day.as_str(), REGION, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex(&mac(&key, &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Request::builder()
            .method(method)
            .uri(target)
            .header("host", host)
            .header("x-amz-date", at)
            .header("x-amz-content-sha256", hash)
            .header("authorization", authorization)
            .body(Full::new(body))
            .unwrap()
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
