//! The writing half of a connection: answers in the order in which they are ready.
//!
//! Errors  a peer that reads slower than the pace ends the connection; what its answers held is given back.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Receiver;

use crate::net::{Held, TransferPace};

/// Frames handed to the socket in one system call.
const FRAMES_AT_ONCE: usize = 64;
/// Room kept for the next frames.
const FRAMES_KEPT: usize = 4;

/// What a call holds until its answer is on the socket.
#[derive(Debug)]
pub(crate) struct CallSlot {
    pub(crate) _connection: OwnedSemaphorePermit,
    pub(crate) _server: OwnedSemaphorePermit,
}

/// A frame on its way out.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// An answer, with what it gives back once written.
    Answer { frame: Bytes, _slot: Option<CallSlot>, _held: Option<Held> },
    /// The last frame of this connection.
    Last(Bytes),
}

// Boxed in the queue, since a queue sets room aside for 32 of them, on ten thousand idle connections too.
impl Outgoing {
    pub(crate) fn answer(frame: Bytes, slot: Option<CallSlot>, held: Option<Held>) -> Box<Outgoing> {
        Box::new(Outgoing::Answer { frame, _slot: slot, _held: held })
    }

    pub(crate) fn last(frame: Bytes) -> Box<Outgoing> {
        Box::new(Outgoing::Last(frame))
    }

    fn frame(&self) -> &Bytes {
        match self {
            Outgoing::Answer { frame, .. } | Outgoing::Last(frame) => frame,
        }
    }

    fn frame_mut(&mut self) -> &mut Bytes {
        match self {
            Outgoing::Answer { frame, .. } | Outgoing::Last(frame) => frame,
        }
    }
}

/// Writes what comes until a last frame or the end of all senders, then closes this direction.
pub(crate) async fn run<W: AsyncWrite + Unpin>(
    mut socket: W,
    mut outgoing: Receiver<Box<Outgoing>>,
    pace: TransferPace,
) -> io::Result<()> {
    let mut batch: Vec<Box<Outgoing>> = Vec::new();
    let mut is_last = false;
    while !is_last && outgoing.recv_many(&mut batch, FRAMES_AT_ONCE).await > 0 {
        if let Some(last) = batch.iter().position(|out| matches!(**out, Outgoing::Last(_))) {
            is_last = true;
            batch.truncate(last + 1);
        }
        let bytes = batch.iter().map(|out| out.frame().len()).sum();
        tokio::time::timeout(pace.time_max(bytes), write_all(&mut socket, &mut batch)).await.map_err(
            |_| io::Error::new(io::ErrorKind::TimedOut, "the peer reads its answers too slowly"),
        )??;
        batch.clear();
        batch.shrink_to(FRAMES_KEPT);
    }
    // Nobody waits for answers any more; a closed queue turns late ones away.
    outgoing.close();
    tokio::time::timeout(pace.time_min, socket.shutdown()).await.unwrap_or(Ok(()))
}

async fn write_all<W: AsyncWrite + Unpin>(socket: &mut W, batch: &mut [Box<Outgoing>]) -> io::Result<()> {
    let mut first = 0;
    while first < batch.len() {
        let mut slices = [IoSlice::new(&[]); FRAMES_AT_ONCE];
        for (slice, out) in slices.iter_mut().zip(&batch[first..]) {
            *slice = IoSlice::new(out.frame());
        }
        let count = FRAMES_AT_ONCE.min(batch.len() - first);
        let mut written = socket.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while written > 0 {
            let frame = batch[first].frame_mut();
            let taken = written.min(frame.len());
            frame.advance(taken);
            written -= taken;
            if frame.is_empty() {
                first += 1;
            }
        }
    }
    socket.flush().await
}
