//! The listener: connections within their limits, and an end that lets requests finish.
//!
//! Shape   one task a connection; hyper's HTTP/1.1 with a limit to a head's length and time; [`Steady`] ends a connection on
//!         which nothing moves. One connection too many is answered SlowDown and closed.
//! Law     a slow client costs its connection's buffers and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::config::Config;
use crate::front::Front;

/// What a connection too many is told.
const TOO_MANY: &str = concat!(
    "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 126\r\n\r\n",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>",
    "<Message>Please reduce your request rate.</Message></Error>"
);

/// A gateway that serves.
pub struct Running {
    /// Where it serves S3.
    pub address: SocketAddr,
    front: Arc<Front>,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<JoinSet<()>>,
}

impl Running {
    /// Its figures, as Prometheus text.
    pub fn figures(&self) -> Figures {
        Figures(self.front.clone())
    }

    /// Takes no more connections, lets the requests that are under way finish, and ends after `drain_max` at the latest.
    pub async fn shutdown(self, drain_max: Duration) {
        // Nobody listens any more if every connection is gone.
        let _ = self.stop.send(true);
        let Ok(mut connections) = self.accepting.await else { return };
        let drained =
            tokio::time::timeout(drain_max, async { while connections.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(left = connections.len(), "connections are cut off at the end of the drain");
            connections.shutdown().await;
        }
    }
}

/// What operators may know of a gateway.
#[derive(Clone)]
pub struct Figures(Arc<Front>);

impl Figures {
    /// Everything that is counted, as Prometheus text.
    pub fn text(&self) -> String {
        self.0.metrics().text()
    }

    /// Whether it carries requests out: OM has answered.
    pub fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

/// Starts to serve.
pub(crate) async fn serve(config: Config, front: Front) -> io::Result<Running> {
    let listener = TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let front = Arc::new(front);
    let looking = front.clone();
    let mut ended = stopped.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = looking.find_volume() => {}
            _ = ended.changed() => {}
        }
    });
    let accepting = tokio::spawn(accept(listener, config, front.clone(), stopped));
    Ok(Running { address, front, stop, accepting })
}

async fn accept(
    listener: TcpListener,
    config: Config,
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
) -> JoinSet<()> {
    let places = Arc::new(Semaphore::new(config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = stopped.changed() => return connections,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: the next try comes when some are free.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let connection = connection(stream, config.clone(), front.clone(), stopped.clone(), place);
                connections.spawn(connection);
            }
            Err(_) => {
                front.metrics().turned_away();
                connections.spawn(turn_away(stream));
            }
        }
    }
}

async fn turn_away(mut stream: TcpStream) {
    let told = tokio::time::timeout(Duration::from_secs(1), stream.write_all(TOO_MANY.as_bytes()));
    // Whoever is gone need not be told.
    let _ = told.await;
}

async fn connection(
    stream: TcpStream,
    config: Config,
    front: Arc<Front>,
    mut stopped: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    front.metrics().connected();
    let _counted = Counted(front.clone());
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Steady::new(stream, config.idle_max));
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_max)
        .max_buf_size(config.head_len_max.max(8 * 1024))
        .max_headers(128)
        .half_close(true);
    let serving = builder.serve_connection(io, service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        // It changes once, to the end.
        _ = stopped.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}

/// Counts a connection that is open.
struct Counted(Arc<Front>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.metrics().disconnected();
    }
}

/// A connection that ends when nothing moves on it for too long.
struct Steady {
    stream: TcpStream,
    idle_max: Duration,
    deadline: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Steady {
    fn new(stream: TcpStream, idle_max: Duration) -> Steady {
        Steady { stream, idle_max, deadline: Box::pin(tokio::time::sleep(idle_max)), waiting: false }
    }

    /// Something moved, or nothing did and the wait goes on.
    fn judge<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waiting = false;
            return polled;
        }
        if !self.waiting {
            self.waiting = true;
            self.deadline.as_mut().reset(tokio::time::Instant::now() + self.idle_max);
        }
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Steady {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Reading waits while the answer is made; `Source` and the head's own time watch over what the client sends.
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Steady {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::TOO_MANY;

    #[test]
    fn what_a_connection_too_many_is_told_has_the_length_that_it_says() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{} bytes", body.len());
    }
}
