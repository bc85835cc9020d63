//! Fetching another server's metrics page: one GET, one answer, then the connection ends.
//!
//! Bounds  a page is at most [`PAGE_LEN_MAX`] long and takes at most [`PAGE_TIME_MAX`].

use std::time::Duration;

use allotrope_proto::net::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const PAGE_LEN_MAX: usize = 4 << 20;
const PAGE_TIME_MAX: Duration = Duration::from_secs(2);

/// The page's text, or why there is none, in one line.
pub(super) async fn fetch(at: &Target) -> Result<String, String> {
    let fetched = timeout(PAGE_TIME_MAX, get(at)).await;
    fetched.unwrap_or_else(|_| Err(format!("{at} does not show its metrics within {PAGE_TIME_MAX:?}")))
}

async fn get(at: &Target) -> Result<String, String> {
    let trouble = |error: &dyn std::error::Error| format!("{at} does not show its metrics: {error}");
    let stream = TcpStream::connect((at.host.as_str(), at.port)).await.map_err(|e| trouble(&e))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| trouble(&e))?;
    let request = Request::get("/prom").header(header::HOST, at.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|e| trouble(&e))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|e| trouble(&e))?;
        if !response.status().is_success() {
            return Err(format!("{at} shows no metrics: {}", response.status()));
        }
        let body = Limited::new(response.into_body(), PAGE_LEN_MAX).collect().await;
        let body = body.map_err(|error| trouble(&*error))?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|e| trouble(&e))
    };
    // The connection does its work beside the question and goes with it.
    tokio::pin!(answered);
    tokio::select! {
        answer = &mut answered => answer,
        ended = connection => match ended {
            Ok(()) => answered.await,
            Err(error) => Err(trouble(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn server(answer: Vec<u8>) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                drop(stream.read(&mut head).await);
                drop(stream.write_all(&answer).await);
            }
        });
        Target::from(at)
    }

    #[tokio::test]
    async fn a_page_is_fetched_and_one_that_is_none_is_said_in_one_line() {
        let good = server(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nx 1\n".to_vec()).await;
        assert_eq!(fetch(&good).await, Ok("x 1\n".to_owned()));
        let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; PAGE_LEN_MAX + 1]].concat();
        for bad in
            [b"no http".to_vec(), b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(), long]
        {
            let why = fetch(&server(bad).await).await.unwrap_err();
            assert!(why.starts_with("127.0.0.1:") && !why.contains('\n'), "{why}");
        }
        let nobody = Target { host: "127.0.0.1".into(), port: 1 };
        assert!(fetch(&nobody).await.is_err());
    }
}
