//! A key's writer as a writer of tokio's.
//!
//! Shape   small writes are gathered to pieces of up to a MiB; a piece is handed to the [`KeyWriter`] while nothing else of the writer
//!         is touched, so that a dropped `poll_write` loses nothing.
//! Errors  an [`Error`] of the client is the inner error of the `io::Error`.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncWrite;

use super::{KeyWriter, Written};
use crate::error::Error;

/// Bytes that are gathered before they are handed on.
const PIECE_LEN: usize = 1 << 20;

type Step<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// A [`KeyWriter`] as [`AsyncWrite`]. The key becomes visible when `shutdown` returns, and not before: dropped without it, the key
/// stays as it was. `flush` hands on what was gathered; it makes nothing durable by itself.
///
/// ```no_run
/// # async fn example(client: allotrope_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use allotrope_client::PutOptions;
/// use tokio::io::AsyncWriteExt;
///
/// let mut file = tokio::io::empty(); // any reader of tokio's
/// let mut key = client.write_key(&"/photos/cats/tabby.jpg".parse()?, PutOptions::default()).await?.into_async_write();
/// tokio::io::copy(&mut file, &mut key).await?;
/// key.shutdown().await?;
/// println!("{} bytes", key.written().map_or(0, |written| written.len));
/// # Ok(())
/// # }
/// ```
pub struct AsyncKeyWriter {
    gathered: BytesMut,
    state: State,
}

enum State {
    Idle(Box<KeyWriter>),
    Writing(Step<Box<KeyWriter>>),
    Finishing(Step<Written>),
    Done(Written),
    Failed,
}

impl AsyncKeyWriter {
    pub(super) fn new(writer: KeyWriter) -> AsyncKeyWriter {
        AsyncKeyWriter { gathered: BytesMut::new(), state: State::Idle(Box::new(writer)) }
    }

    /// What was written, once `shutdown` has succeeded.
    pub fn written(&self) -> Option<&Written> {
        match &self.state {
            State::Done(written) => Some(written),
            _ => None,
        }
    }

    /// Waits until nothing is on its way to the writer; then it is idle, done or failed.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match &mut self.state {
            State::Writing(step) => ready!(step.as_mut().poll(context)).map(State::Idle),
            State::Finishing(step) => ready!(step.as_mut().poll(context)).map(State::Done),
            _ => return Poll::Ready(Ok(())),
        };
        let (state, outcome) = match ended {
            Ok(state) => (state, Ok(())),
            Err(error) => (State::Failed, Err(io::Error::other(error))),
        };
        self.state = state;
        Poll::Ready(outcome)
    }

    /// Hands on what was gathered.
    fn poll_hand_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_step(context))?;
        while !self.gathered.is_empty() {
            let piece = self.gathered.split().freeze();
            let mut writer = self.take_idle()?;
            self.state = State::Writing(Box::pin(async move {
                writer.write(piece).await?;
                Ok(writer)
            }));
            ready!(self.poll_step(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn take_idle(&mut self) -> io::Result<Box<KeyWriter>> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(writer) => Ok(writer),
            other => {
                self.state = other;
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the key was finished or given up before"))
            }
        }
    }
}

impl AsyncWrite for AsyncKeyWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.gathered.len() >= PIECE_LEN {
            ready!(this.poll_hand_on(context))?;
        }
        if !matches!(this.state, State::Idle(_) | State::Writing(_)) {
            this.take_idle()?;
        }
        let taken = bytes.len().min(PIECE_LEN - this.gathered.len());
        this.gathered.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_hand_on(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_hand_on(context))?;
        if self.written().is_some() {
            return Poll::Ready(Ok(()));
        }
        let writer = self.take_idle()?;
        self.state = State::Finishing(Box::pin(writer.finish()));
        self.poll_step(context)
    }
}

impl fmt::Debug for AsyncKeyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle(_) => "idle",
            State::Writing(_) => "writing",
            State::Finishing(_) => "finishing",
            State::Done(_) => "done",
            State::Failed => "failed",
        };
        f.debug_struct("AsyncKeyWriter")
            .field("gathered", &self.gathered.len())
            .field("state", &state)
            .finish()
    }
}
