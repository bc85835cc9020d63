//! Typed messages between shards, and from tokio threads to shards.
//!
//! Shape   one bounded inbox a shard; any number of senders; an answer travels back in a [`Reply`].
//! Units   queue depth counts messages.
//! Errors  [`Busy`] gives the message back at once when the inbox is full, or closed.
//! Source  DESIGN.md, 'Threads': bounded, answered at once when a queue is full.

use crate::shards::ShardId;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// Why a message did not go. It comes back with the refusal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused<M> {
    /// The inbox is full: the receiver has more work than it can take.
    #[error("the inbox is full")]
    Busy(M),
    /// The receiver is gone.
    #[error("the receiver is gone")]
    Gone(M),
}

impl<M> Refused<M> {
    /// The message that did not go.
    pub fn message(self) -> M {
        match self {
            Refused::Busy(m) | Refused::Gone(m) => m,
        }
    }
}

/// The sending side: knows the inbox of every shard. Cheap to clone, may be used from any thread.
///
/// ```
/// use allotrope_io::{Mesh, Refused, ShardId};
/// let (mesh, inboxes) = Mesh::<&str>::new(2, 1);
/// mesh.send(ShardId(1), "seal").unwrap();
/// assert_eq!(mesh.send(ShardId(1), "again"), Err(Refused::Busy("again")));
/// # drop(inboxes);
/// ```
#[derive(Debug)]
pub struct Mesh<M> {
    to: std::sync::Arc<[mpsc::Sender<M>]>,
}

impl<M> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Mesh { to: self.to.clone() }
    }
}

impl<M: Send + 'static> Mesh<M> {
    /// A mesh of `shards` inboxes that hold `depth` messages each. Hand inbox `n` to shard `n`.
    pub fn new(shards: usize, depth: usize) -> (Mesh<M>, Vec<Inbox<M>>) {
        let (to, inboxes) = (0..shards)
            .map(|_| {
                let (send, receive) = mpsc::channel(depth);
                (send, Inbox(receive))
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        (Mesh { to: to.into() }, inboxes)
    }

    /// How many inboxes there are.
    pub fn shards(&self) -> usize {
        self.to.len()
    }

    /// Puts `message` into the inbox of `to`, or gives it back at once.
    pub fn send(&self, to: ShardId, message: M) -> Result<(), Refused<M>> {
        self.to[to.0].try_send(message).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(m) => Refused::Busy(m),
            mpsc::error::TrySendError::Closed(m) => Refused::Gone(m),
        })
    }

    /// Sends the message that `make` builds around a [`Reply`] and waits for the answer.
    ///
    /// Cancel safety: if dropped early the message still takes effect; only the answer is lost.
    pub async fn ask<T>(&self, to: ShardId, make: impl FnOnce(Reply<T>) -> M) -> Result<T, AskError> {
        let (reply, answer) = Reply::new();
        self.send(to, make(reply)).map_err(|refused| match refused {
            Refused::Busy(_) => AskError::Busy,
            Refused::Gone(_) => AskError::Gone,
        })?;
        answer.await.ok_or(AskError::Gone)
    }
}

/// Why a question got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The inbox was full; the message took no effect.
    #[error("the shard's inbox is full")]
    Busy,
    /// The shard stopped, or the task that held the question ended without an answer.
    #[error("the shard went away without an answer")]
    Gone,
}

/// The receiving side, for one task of one shard.
#[derive(Debug)]
pub struct Inbox<M>(mpsc::Receiver<M>);

impl<M> Inbox<M> {
    /// The next message; `None` when all senders are gone.
    ///
    /// Cancel safety: a dropped wait loses no message.
    pub async fn next(&mut self) -> Option<M> {
        self.0.recv().await
    }

    /// The next message if one is there.
    pub fn try_next(&mut self) -> Option<M> {
        self.0.try_recv().ok()
    }
}

/// The way back for one answer.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// A way back, and where the answer arrives.
    pub fn new() -> (Reply<T>, Answer<T>) {
        let (send, receive) = oneshot::channel();
        (Reply(send), Answer(receive))
    }

    /// Answers. If nobody waits any more the answer is dropped.
    pub fn send(self, answer: T) {
        drop(self.0.send(answer));
    }

    /// Whether the one who asked has gone away.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// Where an answer arrives: `None` if the [`Reply`] was dropped unanswered. `Send`, so any thread may wait.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<T>);

impl<T> Answer<T> {
    /// Blocks the calling thread, which must be neither a shard nor a tokio worker, until the answer is there.
    pub fn wait(self) -> Option<T> {
        self.0.blocking_recv().ok()
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}
