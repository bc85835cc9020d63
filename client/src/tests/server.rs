//! A gRPC server in this process: one function from message to message.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use allotrope_proto::Rope;
use allotrope_proto::bulk::{GrpcMessages, grpc_message};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::task::Task;

/// What a method answers: a message, a status, or nothing ever.
pub(super) enum Reply {
    Message(Rope),
    Status(u32, &'static str),
    Silence,
}

/// A server, until it is dropped: then its port refuses and its connections break.
pub(super) struct Server {
    pub(super) port: u16,
    _accepting: Task<()>,
}

impl Server {
    pub(super) async fn start<F, W>(answer: F) -> Server
    where
        F: Fn(Rope) -> W + Send + Sync + 'static,
        W: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(answer);
        let accepting = Task::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = service_fn(move |request| respond(request, answer.clone()));
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                connections
                    .spawn(async move { server.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        Server { port, _accepting: accepting }
    }
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Rope>, Infallible>>>;

async fn respond<F, W>(
    request: Request<Incoming>,
    answer: Arc<F>,
) -> Result<Response<StreamBody<Frames>>, Infallible>
where
    F: Fn(Rope) -> W,
    W: Future<Output = Reply>,
{
    let mut messages = GrpcMessages::new(40 << 20);
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        messages.push(frame.into_data().unwrap());
    }
    let message = messages.next_message().unwrap().expect("a call has one message");
    let trailers = |code: u32, text: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.into());
        trailers.insert("grpc-message", text.parse().unwrap());
        Ok(Frame::trailers(trailers))
    };
    let frames = match answer(message).await {
        Reply::Message(message) => vec![Ok(Frame::data(grpc_message(message))), trailers(0, "")],
        Reply::Status(code, text) => vec![trailers(code, text)],
        Reply::Silence => std::future::pending().await,
    };
    let body = StreamBody::new(futures_util::stream::iter(frames));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
