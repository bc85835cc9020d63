//! The shape that UUID ids share: canonical text (36 characters, lower case) and the wire's two signed halves.

/// Declares an id as its own type over a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// The id with these 16 bytes, most significant first.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Uuid::from_bytes(bytes))
            }

            /// A fresh id (a version 4 UUID) from 16 random bytes that the caller drew.
            pub const fn from_random_bytes(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// From the two `int64` of the wire's `UUID{mostSigBits, leastSigBits}`.
            pub const fn from_halves(most: i64, least: i64) -> Self {
                Self(uuid::Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned()))
            }

            /// The `(mostSigBits, leastSigBits)` of the wire's `UUID`.
            pub const fn to_halves(self) -> (i64, i64) {
                let (most, least) = self.0.as_u64_pair();
                (most.cast_signed(), least.cast_signed())
            }

            /// The 16 bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        /// The 36 characters of a UUID, in either case.
        impl std::str::FromStr for $name {
            type Err = $crate::Malformed;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::uuid_id::parse(text, $what).map(Self)
            }
        }

        /// The canonical 36 characters in lower case, as Ozone writes them.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
pub(crate) use uuid_id;

use crate::Malformed;
use uuid::Uuid;

const EXAMPLE: &str = "3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7";

/// Parses the canonical form only: braces, URNs and missing hyphens are refused, because Ozone's peers refuse them.
pub(crate) fn parse(text: &str, what: &'static str) -> Result<Uuid, Malformed> {
    let mut number: u128 = 0;
    for (at, character) in text.char_indices() {
        match (at, character.to_digit(16)) {
            (36.., _) => return Err(Malformed::new(what, text, at, "expected the end", EXAMPLE)),
            (8 | 13 | 18 | 23, _) if character == '-' => {}
            (8 | 13 | 18 | 23, _) => return Err(Malformed::new(what, text, at, "expected '-'", EXAMPLE)),
            (_, Some(digit)) => number = number << 4 | u128::from(digit),
            (_, None) => return Err(Malformed::new(what, text, at, "expected a hexadecimal digit", EXAMPLE)),
        }
    }
    if text.len() < 36 {
        return Err(Malformed::new(
            what,
            text,
            text.len(),
            "it is too short: 36 characters are needed",
            EXAMPLE,
        ));
    }
    Ok(Uuid::from_u128(number))
}

#[cfg(test)]
mod tests {
    use crate::{DatanodeId, PipelineId, VolumeId};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_uuid_survives_its_text_its_halves_and_its_bytes(bytes in any::<[u8; 16]>()) {
            let id = DatanodeId::from_bytes(bytes);
            let (most, least) = id.to_halves();
            prop_assert_eq!(DatanodeId::from_halves(most, least), id);
            prop_assert_eq!(id.to_string().parse::<DatanodeId>().unwrap(), id);
            prop_assert_eq!(id.to_string().to_uppercase().parse::<DatanodeId>().unwrap(), id);
            prop_assert_eq!(*id.as_bytes(), bytes);
            prop_assert_eq!(id.to_string(), uuid::Uuid::from_bytes(bytes).to_string());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9a-fA-Fé-]{0,40}") {
            let _ = text.parse::<VolumeId>();
        }
    }

    #[test]
    fn the_halves_are_the_two_longs_that_java_writes() {
        // java.util.UUID.fromString("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"): its most and least significant bits.
        let id: PipelineId = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6".parse().unwrap();
        assert_eq!(id.to_halves(), (-568210367123275312, -6384696206158828554));
    }

    #[test]
    fn damaged_uuids_are_refused_at_the_right_place() {
        let table = [
            ("", 1),
            ("3f2c8a54", 9),
            ("3f2c8a54_9d1e-4b77-8c06-5e2f1a90b3d7", 9),
            ("3f2c8a549d1e4b778c065e2f1a90b3d7", 9),
            ("{3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7}", 1),
            ("3f2c8a5g-9d1e-4b77-8c06-5e2f1a90b3d7", 8),
            ("3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d", 36),
            ("3f2c8a54-9d1e-4b77-8c06-5e2f1a90b3d7 ", 37),
            ("é", 1),
        ];
        for (text, character) in table {
            let error = text.parse::<DatanodeId>().unwrap_err();
            assert_eq!(error.character(), character, "{error}");
            assert!(error.example().parse::<DatanodeId>().is_ok());
        }
    }

    #[test]
    fn a_fresh_id_is_a_version_four_uuid() {
        assert_eq!(
            VolumeId::from_random_bytes([0xff; 16]).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
