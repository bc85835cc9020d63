//! How an archive comes to an import: in pieces cut anywhere, or in buffers that go to the disk as they are.
//!
//! Shape   whoever receives into buffers cuts the archive where the import would like it, see [`Marks`]: where a file's pieces begin,
//!         each begins its buffer, and nothing is copied from there on.
//! Units   bytes of the archive.

use crate::commands::CommandError;
use crate::replication::stream::buffers::Buffers;
use crate::replication::{Feed, PIECE};
use allotrope_io::AlignedBuf;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::mpsc;

/// Where pieces of the archive should begin, told by the import to whoever receives. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<AtomicU64>);

impl Marks {
    /// From here on a piece should begin at `at`, and each [`PIECE`] bytes further.
    pub(super) fn set(&self, at: u64) {
        self.0.store(at, Relaxed);
    }

    /// How long a piece that begins at `at` should be.
    pub(crate) fn piece_at(&self, at: u64) -> usize {
        // The length of a piece is a power of two, so that the difference may wrap.
        PIECE - (at.wrapping_sub(self.0.load(Relaxed)) % PIECE as u64) as usize
    }
}

/// An archive on its way in.
pub enum Arriving {
    /// In pieces cut anywhere.
    Pieces(Feed),
    /// In buffers.
    Buffers(Buffered),
}

/// An archive that comes in buffers.
pub struct Buffered {
    /// The buffers in their order, or why there are no more.
    pub(crate) feed: mpsc::Receiver<Result<AlignedBuf, CommandError>>,
    /// Where they go when they are free.
    pub(crate) home: Buffers,
    /// Where the import would like them to begin.
    pub(crate) marks: Marks,
}

/// What comes next.
pub(super) enum Piece {
    Bytes(Bytes),
    Buffer(AlignedBuf),
}

impl From<Feed> for Arriving {
    fn from(feed: Feed) -> Arriving {
        Arriving::Pieces(feed)
    }
}

impl Arriving {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Piece, CommandError>> {
        match self {
            Arriving::Pieces(feed) => feed.recv().await.map(|next| next.map(Piece::Bytes)),
            Arriving::Buffers(buffered) => buffered.feed.recv().await.map(|next| next.map(Piece::Buffer)),
        }
    }

    /// Where buffers go when they are free, and who is told where pieces should begin.
    pub(super) fn ways(&self) -> (Buffers, Marks) {
        match self {
            Arriving::Pieces(_) => Default::default(),
            Arriving::Buffers(buffered) => (buffered.home.clone(), buffered.marks.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_where_a_files_own_begin() {
        let (marks, piece) = (Marks::default(), PIECE as u64);
        assert_eq!(marks.piece_at(0), PIECE);
        assert_eq!(marks.piece_at(512), PIECE - 512);
        marks.set(3 * piece + 1536);
        assert_eq!(marks.piece_at(3 * piece + 1536), PIECE);
        assert_eq!(marks.piece_at(5 * piece), 1536);
        // What was received ahead lies before it.
        assert_eq!(marks.piece_at(piece), 1536);
    }
}
