//! How a TCP socket becomes the stream that a protocol runs on.

use std::future::{Future, ready};
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What a protocol needs of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Turns sockets into streams: the place where TLS comes in.
pub trait Transport: Clone + Send + Sync + 'static {
    /// What the protocol reads and writes.
    type Stream: Stream;

    /// The server's half of the handshake. The listener gives it a deadline.
    fn accept(&self, socket: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The client's half of the handshake with the host of that name. The client gives it a deadline.
    fn connect(&self, socket: TcpStream, host: &str)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP as it is: nothing is encrypted and nobody is authenticated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Transport for Plain {
    type Stream = TcpStream;

    fn accept(&self, socket: TcpStream) -> impl Future<Output = io::Result<TcpStream>> + Send {
        ready(Ok(socket))
    }

    fn connect(&self, socket: TcpStream, _host: &str) -> impl Future<Output = io::Result<TcpStream>> + Send {
        ready(Ok(socket))
    }
}
