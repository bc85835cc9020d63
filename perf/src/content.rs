//! The content of objects: made from a seed, so that whoever reads it knows every byte of it.
//!
//! Shape   a ring of random bytes; an object's content begins at a place of the ring that its number and the seed choose, and
//!         follows the ring around. Nothing is made or copied for a write; a read is compared with the ring's bytes.
//! Units   bytes. The ring's length is no multiple of any chunk's or cell's, so that pieces of one length that were swapped,
//!         repeated or taken from another object differ from what stands there.
//! Errors  [`Wrong`] names the first byte that is not as it was written.

use std::ops::Range;

use bytes::Bytes;

/// Bytes of the ring: 8 MiB and a prime.
const RING: usize = (8 << 20) + 4099;

/// The golden ratio's bits, SplitMix64's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// One number of SplitMix64, from its state: fixed here for ever, so that what one build wrote another can validate.
pub(crate) fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The content of all objects of one seed.
#[derive(Clone, Debug)]
pub struct Content {
    ring: Bytes,
    seed: u64,
}

/// A byte that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} is {found:#04x} instead of {expected:#04x}")]
pub struct Wrong {
    /// Its place in the object.
    pub at: u64,
    /// What was written.
    pub expected: u8,
    /// What was read.
    pub found: u8,
}

impl Content {
    /// The content that `seed` makes: the same seed gives the same bytes, on every machine.
    pub fn of_seed(seed: u64) -> Content {
        let mut ring = Vec::with_capacity(RING + 8);
        for step in 0..RING.div_ceil(8) as u64 {
            ring.extend_from_slice(&mixed(seed.wrapping_add(step.wrapping_mul(STEP))).to_le_bytes());
        }
        ring.truncate(RING);
        Content { ring: ring.into(), seed }
    }

    /// Where in the ring an object begins.
    fn start(&self, object: u64) -> u64 {
        // Near numbers lie far apart.
        mixed(!self.seed ^ mixed(object)) % RING as u64
    }

    /// The bytes `range` of object `object`, in pieces of at most `piece_max` bytes that share the ring's memory.
    pub fn pieces(
        &self,
        object: u64,
        range: Range<u64>,
        piece_max: usize,
    ) -> impl Iterator<Item = Bytes> + Send {
        let (ring, begin) = (self.ring.clone(), self.start(object));
        let mut at = range.start;
        std::iter::from_fn(move || {
            let left = range.end.checked_sub(at).filter(|&left| left > 0)?;
            let from = place(begin, at);
            let len = left.min(piece_max as u64).min((RING - from) as u64) as usize;
            at += len as u64;
            Some(ring.slice(from..from + len))
        })
    }

    /// The bytes `range` of object `object` in one piece.
    pub fn whole(&self, object: u64, range: Range<u64>) -> Bytes {
        let mut pieces = self.pieces(object, range, usize::MAX);
        let (first, second) = (pieces.next().unwrap_or_default(), pieces.next());
        match second {
            None => first,
            Some(second) => {
                let mut joined = first.to_vec();
                joined.extend_from_slice(&second);
                pieces.for_each(|piece| joined.extend_from_slice(&piece));
                joined.into()
            }
        }
    }

    /// Compares `bytes` with those from `at` on of object `object`.
    ///
    /// # Errors
    /// [`Wrong`] for the first byte that differs.
    pub fn check(&self, object: u64, at: u64, bytes: &[u8]) -> Result<(), Wrong> {
        let mut done = 0;
        for expected in self.pieces(object, at..at + bytes.len() as u64, usize::MAX) {
            let found = &bytes[done..done + expected.len()];
            if found != &expected[..] {
                let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
                let place = differs.expect("slices of one length that are not equal differ somewhere");
                let at = at + (done + place) as u64;
                return Err(Wrong { at, expected: expected[place], found: found[place] });
            }
            done += expected.len();
        }
        Ok(())
    }
}

/// The place in the ring of an object's byte `at`.
fn place(begin: u64, at: u64) -> usize {
    ((u128::from(begin) + u128::from(at)) % RING as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_content_again_and_another_seed_another() {
        let (one, again, other) = (Content::of_seed(7), Content::of_seed(7), Content::of_seed(8));
        let bytes = one.whole(3, 0..100_000);
        assert_eq!(bytes, again.whole(3, 0..100_000));
        assert_ne!(bytes, other.whole(3, 0..100_000));
        assert_ne!(bytes, one.whole(4, 0..100_000));
        // SplitMix64's first number of seed 0, as its authors give it.
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
        // Known for ever: what one build wrote another can validate.
        assert_eq!(Content::of_seed(1).whole(0, 0..4)[..], [84, 173, 203, 211]);
    }

    #[test]
    fn every_piece_of_an_object_is_the_same_however_it_is_cut() {
        let content = Content::of_seed(7);
        // Longer than the ring, so that it comes around.
        let len = RING as u64 * 2 + 17;
        let joined: Vec<u8> = content.pieces(5, 0..len, 1 << 20).flatten().collect();
        assert_eq!(joined.len() as u64, len);
        assert_eq!(content.whole(5, 0..len)[..], joined[..]);
        let middle = RING as u64 - 10..RING as u64 + 10;
        assert_eq!(content.whole(5, middle.clone())[..], joined[middle.start as usize..middle.end as usize]);
        content.check(5, 0, &joined).unwrap();
        assert_eq!(content.whole(5, 3..3).len(), 0);
    }

    #[test]
    fn one_wrong_byte_is_named_and_so_are_swapped_pieces() {
        let content = Content::of_seed(7);
        let mut bytes = content.whole(9, 0..3_000_000).to_vec();
        let was = bytes[2_345_678];
        bytes[2_345_678] ^= 1;
        let wrong = content.check(9, 0, &bytes).unwrap_err();
        assert_eq!(wrong, Wrong { at: 2_345_678, expected: was, found: was ^ 1 });
        let second_mebibyte = content.whole(9, 1 << 20..2 << 20);
        assert!(content.check(9, 0, &second_mebibyte).is_err());
        assert!(content.check(10, 1 << 20, &second_mebibyte).is_err());
        content.check(9, 1 << 20, &second_mebibyte).unwrap();
    }
}
