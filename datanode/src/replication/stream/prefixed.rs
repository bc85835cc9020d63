//! A connection of which the first bytes were read already, as HTTP/2 reads it: from its beginning.

use allotrope_io::TcpStream;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection and the bytes in front of what it still brings.
pub struct Prefixed {
    head: [u8; 4],
    given: usize,
    stream: TcpStream,
}

impl Prefixed {
    /// `stream`, of which `head` was read.
    pub fn new(head: [u8; 4], stream: TcpStream) -> Prefixed {
        Prefixed { head, given: 0, stream }
    }
}

impl Read for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.head.len() - self.given;
        if left == 0 {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = left.min(buf.remaining());
        let (head, given) = (self.head, self.given);
        buf.put_slice(&head[given..given + len]);
        self.given += len;
        Poll::Ready(Ok(()))
    }
}

impl Write for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}
