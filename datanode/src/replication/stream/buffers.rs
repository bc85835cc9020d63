//! Buffers that bytes of other datanodes come in, used again: new memory for every piece would cost as much as receiving it.
//!
//! Shape   a buffer is taken, filled and lent out as [`Bytes`]; when the last of these is gone it is free again.
//! Units   bytes. They are outside the shards' pools: copies never keep clients from their buffers.

use allotrope_io::AlignedBuf;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// The least room of a buffer: a cell or a piece of the usual length, and what comes with it.
const ROOM_MIN: usize = (1 << 20) + (64 << 10);

/// Free buffers of one kind of work. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<AlignedBuf>>>);

impl Buffers {
    /// An empty buffer with room for `room` bytes.
    pub(crate) fn take(&self, room: usize) -> AlignedBuf {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One that is too short is given up for one that serves whoever comes next as well.
        free.filter(|buf| buf.room() >= room).unwrap_or_else(|| AlignedBuf::heap(room.max(ROOM_MIN)))
    }

    /// Takes back a buffer that was not lent.
    pub(crate) fn give(&self, mut buf: AlignedBuf) {
        buf.clear_at(0);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buf);
    }

    /// Bytes whose memory comes back here when nobody needs them any more.
    pub(crate) fn lend(&self, buf: AlignedBuf) -> Bytes {
        Bytes::from_owner(Lent { buf: Some(buf), home: self.clone() })
    }
}

/// A buffer that is being read.
struct Lent {
    buf: Option<AlignedBuf>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buf.as_deref().unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buf) = self.buf.take() {
            self.home.give(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_free_again_with_the_last_slice_of_it() {
        let buffers = Buffers::default();
        let mut buf = buffers.take(5000);
        buf.extend_from_slice(b"chunk");
        let at = buf.as_ptr();
        let bytes = buffers.lend(buf);
        let tail = bytes.slice(2..);
        drop(bytes);
        assert_ne!(buffers.take(1).as_ptr(), at, "its bytes are still read");
        assert_eq!(&tail[..], b"unk");
        drop(tail);
        assert_eq!(buffers.take(6000).as_ptr(), at);
        assert!(buffers.take(6000).is_empty());
    }
}
