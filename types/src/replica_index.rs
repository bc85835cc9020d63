//! Which cell of every stripe a replica of an EC container holds.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use crate::Malformed;
use crate::id::parse_decimal;

/// A replica's place in its EC group, 1 ..= 32: data cells first, then parity cells.
///
/// ```
/// use allotrope_types::ReplicaIndex;
/// assert_eq!(ReplicaIndex::from_wire(0)?, None); // not an EC replica
/// assert_eq!(ReplicaIndex::from_wire(9)?, ReplicaIndex::new(9));
/// assert!(ReplicaIndex::from_wire(33).is_err());
/// # Ok::<(), allotrope_types::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaIndex(NonZeroU8);

impl ReplicaIndex {
    /// The largest index: data and parity cells of a stripe together are at most 32.
    pub const MAX: u8 = 32;

    /// The index with this number; `None` outside 1 ..= 32.
    pub const fn new(number: u8) -> Option<ReplicaIndex> {
        match NonZeroU8::new(number) {
            Some(number) if number.get() <= Self::MAX => Some(ReplicaIndex(number)),
            _ => None,
        }
    }

    /// From the wire's `int32`, where 0 means that the container is not erasure coded.
    pub fn from_wire(wire: i32) -> Result<Option<ReplicaIndex>, Malformed> {
        if wire == 0 {
            return Ok(None);
        }
        match u8::try_from(wire).ok().and_then(ReplicaIndex::new) {
            Some(index) => Ok(Some(index)),
            None => Err(malformed(&wire.to_string(), 0, "it is not between 1 and 32")),
        }
    }

    /// 1 for the first data cell.
    pub const fn number(self) -> u8 {
        self.0.get()
    }

    /// The position in an array of the stripe's cells: 0 for the first data cell.
    pub const fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

fn malformed(text: &str, at: usize, why: &'static str) -> Malformed {
    Malformed::new("replica index", text, at, why, "9")
}

impl FromStr for ReplicaIndex {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<ReplicaIndex, Malformed> {
        let number = parse_decimal(text).map_err(|(at, why)| malformed(text, at, why))?;
        u8::try_from(number)
            .ok()
            .and_then(ReplicaIndex::new)
            .ok_or_else(|| malformed(text, 0, "it is not between 1 and 32"))
    }
}

impl fmt::Display for ReplicaIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_are_one_to_thirty_two_in_every_form() {
        for number in 0..=u8::MAX {
            let index = ReplicaIndex::new(number);
            assert_eq!(index.is_some(), (1..=32).contains(&number));
            if let Some(index) = index {
                assert_eq!(index.to_string().parse(), Ok(index));
                assert_eq!(ReplicaIndex::from_wire(i32::from(number)), Ok(Some(index)));
                assert_eq!(index.position(), usize::from(number) - 1);
            }
        }
        for wire in [-1, 33, 256, 257, i32::MIN, i32::MAX] {
            assert!(ReplicaIndex::from_wire(wire).is_err(), "{wire}");
        }
        for text in ["", "0", "33", "256", "one", "1 "] {
            assert!(text.parse::<ReplicaIndex>().is_err(), "{text:?}");
        }
    }
}
