//! A request's body as it comes off its connection, with a limit to how long it may stand still.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client sends nothing")]
    Idle,
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// A body; another holder can read on when this one is dropped.
pub(crate) struct Source {
    shared: Arc<Mutex<Incoming>>,
    idle_max: Duration,
    deadline: Pin<Box<Sleep>>,
    waiting: bool,
}

/// What is left of a body whose reader went away.
#[derive(Clone)]
pub(crate) struct Rest(Arc<Mutex<Incoming>>);

impl Source {
    pub(crate) fn new(body: Incoming, idle_max: Duration) -> (Source, Rest) {
        let shared = Arc::new(Mutex::new(body));
        let deadline = Box::pin(tokio::time::sleep(idle_max));
        (Source { shared: shared.clone(), idle_max, deadline, waiting: false }, Rest(shared))
    }
}

impl Body for Source {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = {
            let mut body = this.shared.lock().expect("nothing panics while it is held");
            Pin::new(&mut *body).poll_frame(context)
        };
        match polled {
            Poll::Ready(frame) => {
                this.waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                if !this.waiting {
                    this.waiting = true;
                    this.deadline.as_mut().reset(tokio::time::Instant::now() + this.idle_max);
                }
                this.deadline.as_mut().poll(context).map(|()| Some(Err(BodyError::Idle)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.shared.lock().expect("nothing panics while it is held").is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.shared.lock().expect("nothing panics while it is held").size_hint()
    }
}

impl Rest {
    /// Reads what the client still sends and forgets it, up to `len_max` bytes: a client that is refused while it sends
    /// reads the answer only when it is done. False if more than that is left.
    pub(crate) async fn drain(self, len_max: usize) -> bool {
        let mut drained = 0;
        loop {
            let frame = std::future::poll_fn(|context| {
                let mut body = self.0.lock().expect("nothing panics while it is held");
                Pin::new(&mut *body).poll_frame(context)
            });
            match frame.await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => drained += frame.data_ref().map_or(0, Bytes::len),
            }
            if drained > len_max {
                return false;
            }
        }
    }
}
