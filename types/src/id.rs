//! The shape that numeric ids share: a 64-bit number that SCM or OM gives out once, positive wherever it travels.

/// Declares an id as its own type over `u64`, with decimal text and the wire's `int64` as its two doors.
macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            #[doc = concat!("The ", $what, " with this number. Numbers from outside come in by `try_from` or `parse`.")]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The bare number, for the codecs at the wire and the disk.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// The number as the wire's `int64` carries it.
            pub const fn to_wire(self) -> i64 {
                self.0.cast_signed()
            }
        }

        /// From the wire's `int64`; a negative number is refused.
        impl TryFrom<i64> for $name {
            type Error = $crate::Malformed;
            fn try_from(wire: i64) -> Result<Self, Self::Error> {
                match u64::try_from(wire) {
                    Ok(number) => Ok(Self(number)),
                    Err(_) => Err($crate::Malformed::new($what, &wire.to_string(), 0, "it is negative", $example)),
                }
            }
        }

        /// Decimal digits, at most `i64::MAX`.
        impl std::str::FromStr for $name {
            type Err = $crate::Malformed;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::parse_decimal(text).map(Self).map_err(|(at, why)| {
                    $crate::Malformed::new($what, text, at, why, $example)
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.0
            }
        }
    };
}
pub(crate) use numeric_id;

/// A decimal number up to `i64::MAX`, or the byte where `text` goes wrong and why.
pub(crate) fn parse_decimal(text: &str) -> Result<u64, (usize, &'static str)> {
    if text.is_empty() {
        return Err((0, "expected a number"));
    }
    let mut number: i64 = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !byte.is_ascii_digit() {
            return Err((at, "expected a digit"));
        }
        number = number
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(i64::from(byte - b'0')))
            .ok_or((at, "the number is larger than 9223372036854775807"))?;
    }
    Ok(number.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use crate::{Bcsid, ContainerId, LocalId, Term};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_its_text_and_its_wire_form(number in 0..=i64::MAX) {
            let id = ContainerId::try_from(number).unwrap();
            prop_assert_eq!(id.to_string().parse::<ContainerId>().unwrap(), id);
            prop_assert_eq!(id.to_wire(), number);
            prop_assert_eq!(LocalId::new(id.as_u64()).to_string(), number.to_string());
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".*") {
            let _ = text.parse::<ContainerId>();
        }
    }

    #[test]
    fn damaged_ids_are_refused_at_the_right_place() {
        let table = [
            ("", 1, "expected a number"),
            ("-1", 1, "expected a digit"),
            ("+1", 1, "expected a digit"),
            ("4 2", 2, "expected a digit"),
            ("0x2a", 2, "expected a digit"),
            ("12é", 3, "expected a digit"),
            ("9223372036854775808", 19, "larger than"),
        ];
        for (text, character, why) in table {
            let error = text.parse::<ContainerId>().unwrap_err();
            assert_eq!(error.character(), character, "{text:?}");
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.example().parse::<ContainerId>().is_ok());
        }
        assert!(ContainerId::try_from(-1).is_err());
        assert!(Bcsid::try_from(i64::MIN).is_err());
    }

    #[test]
    fn a_later_term_is_larger() {
        assert!(Term::new(4).next() > Term::new(4));
    }
}
