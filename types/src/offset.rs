//! Places in blocks and files.
//!
//! offset + count is an offset, offset − offset is a count, offset + offset does not compile.

use std::fmt;

use crate::ByteCount;

/// Declares a place in something as its own type over `u64`.
macro_rules! offset {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The first byte.
            pub const ZERO: $name = $name(0);

            /// The place this many bytes from the start.
            pub const fn new(bytes: u64) -> $name {
                $name(bytes)
            }

            /// Bytes from the start, for codecs and system calls.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Where a run of `len` bytes that starts here ends; `None` past `u64::MAX`.
            pub fn plus(self, len: ByteCount) -> Option<$name> {
                self.0.checked_add(len.as_u64()).map($name)
            }

            /// How far this place lies behind `start`; `None` if it lies before it.
            pub fn since(self, start: $name) -> Option<ByteCount> {
                self.0.checked_sub(start.0).map(ByteCount::new)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "byte {}", self.0)
            }
        }
    };
}

offset! {
    /// A place in a block, in bytes from the block's start. For an EC block this counts the bytes of one replica's
    /// part, not of the group.
    ///
    /// ```
    /// use allotrope_types::{BlockOffset, ByteCount};
    /// let end = BlockOffset::new(100).plus(ByteCount::new(28)).unwrap();
    /// assert_eq!(end.since(BlockOffset::ZERO), Some(ByteCount::new(128)));
    /// ```
    BlockOffset
}

offset! {
    /// A place in a file, in bytes from the file's start.
    FileOffset
}

impl FileOffset {
    /// The last multiple of `unit` at or before this place; this place itself if `unit` is zero.
    pub const fn aligned_down(self, unit: ByteCount) -> FileOffset {
        match self.0.checked_rem(unit.as_u64()) {
            Some(over) => FileOffset(self.0 - over),
            None => self,
        }
    }

    /// Whether this place is a multiple of `unit`. Every place is a multiple of no bytes.
    pub const fn is_aligned(self, unit: ByteCount) -> bool {
        self.aligned_down(unit).0 == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn going_on_and_looking_back_agree(at in any::<u64>(), len in any::<u64>()) {
            let start = BlockOffset::new(at);
            match start.plus(ByteCount::new(len)) {
                Some(end) => prop_assert_eq!(end.since(start), Some(ByteCount::new(len))),
                None => prop_assert!(at.checked_add(len).is_none()),
            }
        }

        #[test]
        fn aligning_goes_back_by_less_than_one_unit(at in any::<u64>(), power in 0..40u32) {
            let unit = ByteCount::new(1 << power);
            let (place, aligned) = (FileOffset::new(at), FileOffset::new(at).aligned_down(unit));
            prop_assert!(aligned.is_aligned(unit));
            prop_assert!(place.since(aligned).unwrap() < unit);
        }
    }

    #[test]
    fn a_place_before_the_start_has_no_distance() {
        assert_eq!(BlockOffset::ZERO.since(BlockOffset::new(1)), None);
        assert_eq!(FileOffset::new(7).aligned_down(ByteCount::ZERO), FileOffset::new(7));
    }
}
