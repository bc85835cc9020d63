//! A PutBlock's list as it was encoded, held against the last one: what did not change is not decoded again.
//!
//! Shape   a client sends the whole list of a growing block each time; [`Listing`] keeps the stored list's chunks as that client
//!         encoded them, and [`Listing::open`] decodes only those that differ.
//! Units   a list counts chunks; what is kept is bounded in bytes.
//! Errors  MALFORMED_REQUEST for a chunk that does not decode.
//! Source  docs/performance/datanode.md: a list of 256 chunks has 16,384 checksums, each a value of its own once decoded.

use crate::commands::CommandError;
use allotrope_proto::container::ChunkInfo;
use allotrope_proto::{Rope, decode};
use allotrope_types::DatanodeResult::MalformedRequest;
use bytes::Bytes;

/// Bytes that are kept of one block's list; chunks behind them are decoded each time.
const KEPT_MAX: usize = 1 << 20;

/// The first chunks of a stored list, as they were encoded.
#[derive(Debug, Default)]
pub struct Listing {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Listing {
    /// How many chunks of `listed` are, from the first on, those of the stored list; and those behind them, decoded.
    pub fn open(&self, listed: &[Rope]) -> Result<(usize, Vec<ChunkInfo>), CommandError> {
        let same = self.chunks.iter().zip(listed).take_while(|(old, new)| is(new, old)).count();
        let chunk = |rope: &Rope| {
            decode::<ChunkInfo>(own(rope))
                .map_err(|e| CommandError::new(MalformedRequest, format!("a chunk of the list: {e}")))
        };
        Ok((same, listed[same..].iter().map(chunk).collect::<Result<_, _>>()?))
    }

    /// The stored list has the first `kept` chunks of the old one, and is `listed` if that is not empty.
    pub fn stored(&mut self, kept: usize, listed: &[Rope]) {
        self.bytes -= self.chunks.drain(kept.min(self.chunks.len())..).map(|one| one.len()).sum::<usize>();
        for one in listed.iter().skip(self.chunks.len()) {
            if self.bytes + one.len() > KEPT_MAX {
                return;
            }
            self.bytes += one.len();
            self.chunks.push(own(one));
        }
    }
}

/// The bytes in memory of their own: as received they are parts of a message, which they keep whole.
fn own(rope: &Rope) -> Bytes {
    let mut bytes = vec![0; rope.len()];
    rope.copy_to(&mut bytes);
    bytes.into()
}

fn is(rope: &Rope, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    rope.len() == bytes.len()
        && rope.pieces().all(|piece| {
            let (front, back) = rest.split_at(piece.len());
            rest = back;
            piece == front
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn list(names: &[u64]) -> (Vec<Rope>, Vec<ChunkInfo>) {
        let chunk = |name: &u64| ChunkInfo { chunk_name: name.to_string(), len: 9, ..Default::default() };
        let chunks: Vec<_> = names.iter().map(chunk).collect();
        let encoded = |one: &ChunkInfo| Bytes::from(one.encode_to_vec());
        // Cut in two, as frames may cut it.
        let cut = |mut one: Bytes| {
            let front = one.split_to(one.len() / 2);
            Rope::from_iter([front, one])
        };
        (chunks.iter().map(encoded).map(cut).collect(), chunks)
    }

    #[test]
    fn only_what_differs_is_decoded() {
        let mut listing = Listing::default();
        let (first, chunks) = list(&[1, 2, 3]);
        assert_eq!(listing.open(&first).unwrap(), (0, chunks));
        listing.stored(0, &first);
        let (longer, chunks) = list(&[1, 2, 3, 4]);
        assert_eq!(listing.open(&longer).unwrap(), (3, chunks[3..].to_vec()));
        listing.stored(3, &longer);
        let (shorter, chunks) = list(&[1, 7]);
        assert_eq!(listing.open(&shorter).unwrap(), (1, chunks[1..].to_vec()));
        listing.stored(1, &shorter);
        assert_eq!(listing.open(&longer).unwrap().0, 1);
    }

    #[test]
    fn what_was_stored_without_it_is_decoded() {
        let mut listing = Listing::default();
        let (list, chunks) = list(&[1, 2, 3]);
        // Two chunks were stored from a decoded list.
        listing.stored(2, &[]);
        assert_eq!(listing.open(&list).unwrap(), (0, chunks));
        listing.stored(2, &list);
        assert_eq!(listing.open(&list).unwrap(), (3, vec![]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut listing = Listing::default();
        let long = ChunkInfo { chunk_name: "n".repeat(KEPT_MAX / 3), ..Default::default() };
        let list = vec![Rope::from(Bytes::from(long.encode_to_vec())); 4];
        listing.stored(0, &list);
        assert!(listing.bytes <= KEPT_MAX);
        assert_eq!(listing.open(&list).unwrap(), (2, vec![long; 2]));
    }

    #[test]
    fn a_chunk_that_does_not_decode_is_refused() {
        let wrong = [Rope::from(Bytes::from_static(b"\xff\xff"))];
        assert_eq!(Listing::default().open(&wrong).unwrap_err().result, MalformedRequest);
    }
}
