//! Bytes in several pieces, as they came off a connection, handed on without being joined.
//!
//! Shape   a list of [`Bytes`], each sharing the memory of the frame it was received in.
//! Units   bytes.
//! Errors  none: asking for more than there is gives `None`.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A run of bytes in pieces. Cloning and cutting share memory, only [`Rope::copy_to`] and [`Rope::join`] copy.
///
/// ```
/// use allotrope_proto::Rope;
/// use bytes::Bytes;
///
/// let mut rope = Rope::from_iter([Bytes::from_static(b"con"), Bytes::from_static(b"tainer")]);
/// let first = rope.split_to(4).unwrap();
/// assert_eq!((first, rope.len()), (Rope::from(Bytes::from_static(b"cont")), 5));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rope {
    /// None is empty.
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Rope {
    /// No bytes.
    pub fn new() -> Rope {
        Rope::default()
    }

    /// How many bytes there are in all pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order; none is empty.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Adds all pieces of `rope` at the end.
    pub fn append(&mut self, rope: Rope) {
        self.len += rope.len;
        self.pieces.extend(rope.pieces);
    }

    /// Takes the first `len` bytes off, sharing their memory; `None`, and nothing taken, if there are fewer.
    pub fn split_to(&mut self, len: usize) -> Option<Rope> {
        if len > self.len {
            return None;
        }
        let mut taken = Rope::new();
        while taken.len < len {
            let piece = self.pieces.front_mut()?;
            let wanted = len - taken.len;
            let piece = if piece.len() <= wanted { self.pieces.pop_front()? } else { piece.split_to(wanted) };
            self.len -= piece.len();
            taken.push(piece);
        }
        Some(taken)
    }

    /// The first `len` bytes, or all if there are fewer, sharing their memory.
    pub fn clone_head(&self, len: usize) -> Rope {
        let mut head = Rope::new();
        for piece in &self.pieces {
            head.push(piece.slice(..piece.len().min(len - head.len)));
            if head.len == len {
                break;
            }
        }
        head
    }

    /// Copies all bytes to the start of `target` and says how many; `None`, and nothing copied, if it is too short.
    pub fn copy_to(&self, target: &mut [u8]) -> Option<usize> {
        let target = target.get_mut(..self.len)?;
        let mut at = 0;
        for piece in &self.pieces {
            target[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        Some(at)
    }

    /// All bytes in one piece: shared if there is one piece already, else copied. For small messages, not for chunks.
    pub fn join(mut self) -> Bytes {
        if self.pieces.len() > 1 {
            let len = self.len;
            Buf::copy_to_bytes(&mut self, len)
        } else {
            self.pieces.pop_front().unwrap_or_default()
        }
    }
}

impl From<Bytes> for Rope {
    fn from(piece: Bytes) -> Rope {
        Rope::from_iter([piece])
    }
}

impl FromIterator<Bytes> for Rope {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Rope {
        let mut rope = Rope::new();
        pieces.into_iter().for_each(|piece| rope.push(piece));
        rope
    }
}

impl IntoIterator for Rope {
    type Item = Bytes;
    type IntoIter = std::collections::vec_deque::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}

/// Two ropes are equal when their bytes are, wherever they are cut.
impl PartialEq for Rope {
    fn eq(&self, other: &Rope) -> bool {
        if self.len != other.len {
            return false;
        }
        let (mut ours, mut theirs) = (self.clone(), other.clone());
        while ours.has_remaining() {
            let step = ours.chunk().len().min(theirs.chunk().len());
            if ours.chunk()[..step] != theirs.chunk()[..step] {
                return false;
            }
            ours.advance(step);
            theirs.advance(step);
        }
        true
    }
}

impl Eq for Rope {}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let filled = target.len().min(self.pieces.len());
        for (slot, piece) in target.iter_mut().zip(&self.pieces) {
            *slot = IoSlice::new(piece);
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "Buf::advance is not asked for more than remaining()");
        self.len -= count;
        while let Some(piece) = self.pieces.front_mut().filter(|_| count > 0) {
            if piece.len() > count {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rope_of_one_piece_joins_without_a_copy() {
        let piece = Bytes::from(vec![7; 100]);
        let at = piece.as_ptr();
        assert_eq!(Rope::from(piece).join().as_ptr(), at);
    }

    #[test]
    fn more_than_there_is_cannot_be_taken() {
        let mut rope = Rope::from(Bytes::from_static(b"abc"));
        assert_eq!(rope.split_to(4), None);
        assert_eq!(rope.len(), 3);
    }

    proptest! {
        #[test]
        fn cutting_a_rope_keeps_its_bytes(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            cuts in prop::collection::vec(0usize..30, 0..8),
        ) {
            let whole = pieces.concat();
            let mut rope: Rope = pieces.into_iter().map(Bytes::from).collect();
            prop_assert_eq!(&rope, &Rope::from(Bytes::from(whole.clone())));
            let mut seen = Vec::new();
            for cut in cuts {
                if let Some(part) = rope.split_to(cut) {
                    prop_assert_eq!(part.len(), cut);
                    seen.extend_from_slice(&part.join());
                }
            }
            let mut rest = vec![0; rope.len()];
            prop_assert_eq!(rope.copy_to(&mut rest), Some(rest.len()));
            seen.extend_from_slice(&rest);
            prop_assert_eq!(seen, whole);
        }
    }
}
