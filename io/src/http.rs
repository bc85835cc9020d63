//! hyper's runtime traits for shards, so that HTTP/1 and HTTP/2 run on them.
//!
//! Shape   [`TcpStream`] reads and writes, [`Shard`] starts hyper's tasks, [`ShardTimer`] keeps its time.

use crate::clock::{Clock, Sleep};
use crate::net::TcpStream;
use crate::shard::Shard;
use hyper::rt::{Executor, Read, ReadBufCursor, Timer, Write};
use send_wrapper::SendWrapper;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

impl Read for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_receive(cx, buf)
    }
}

impl Write for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shutdown_write() {
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, parts)
    }
}

impl<F> Executor<F> for Shard
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, work: F) {
        drop(self.spawn("http", work));
    }
}

/// A shard's clock as hyper asks for it. Use it, and the connections it times, on that shard only.
#[derive(Clone, Debug)]
pub struct ShardTimer(Clock);

impl ShardTimer {
    /// The timer of `shard`.
    pub fn new(shard: &Shard) -> ShardTimer {
        ShardTimer(shard.clock().clone())
    }
}

impl Timer for ShardTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HttpSleep(SendWrapper::new(self.0.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    /// The clock's own now, so that virtual time passes for hyper as it does for others.
    fn now(&self) -> Instant {
        static ZERO: OnceLock<Instant> = OnceLock::new();
        *ZERO.get_or_init(Instant::now) + Duration::from_nanos(self.0.now().nanos())
    }
}

struct HttpSleep(SendWrapper<Sleep>);

impl Future for HttpSleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for HttpSleep {}
