//! What a connection was given to send and has not sent: how a client that never reads is noticed.
//!
//! Shape   each piece of an answer counts from when it is handed to HTTP/2 until its last byte is written and it is
//!         dropped. A connection that holds pieces and lets go of none for a while is cut off: until then they keep
//!         buffers from everyone else.

use allotrope_io::Shard;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts a connection's pieces.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    given: AtomicU64,
    sent: AtomicU64,
}

/// A piece that tells when it is gone.
struct Piece {
    bytes: Bytes,
    of: Arc<Outgoing>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.sent.fetch_add(1, Relaxed);
    }
}

impl Outgoing {
    /// The same bytes, counted.
    pub(crate) fn count(self: &Arc<Outgoing>, bytes: Bytes) -> Bytes {
        self.given.fetch_add(1, Relaxed);
        Bytes::from_owner(Piece { bytes, of: self.clone() })
    }

    /// Ends when the connection has held pieces and let go of none for `wait`.
    pub(crate) async fn stuck(&self, shard: &Shard, wait: Duration) {
        const TICKS: u32 = 4;
        let (mut last, mut idle) = (0, 0);
        while idle < TICKS {
            shard.clock().sleep(wait / TICKS).await;
            let sent = self.sent.load(Relaxed);
            let holds = self.given.load(Relaxed) > sent;
            idle = if holds && sent == last { idle + 1 } else { 0 };
            last = sent;
        }
    }
}
