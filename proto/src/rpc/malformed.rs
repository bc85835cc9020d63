//! Why a request's bytes were refused, in the words and under the class that a Java peer uses.
//!
//! Shape   one walk over the top level of a protobuf message finds what is wrong with it; what lies deeper, and
//!         which required fields are absent, [`crate::decode`] has found already.
//! Errors  [`Malformed`]. The texts are those of protobuf-java, since they reach the Java user's terminal.
//! Source  protobuf's encoding; recorded answers to hand-made bad requests in the test data.

use super::fault::class;
use crate::WireError;

/// Why bytes are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error(
        "While parsing a protocol message, the input ended unexpectedly in the middle of a field.  This could mean either that the input has been truncated or that an embedded message misreported its own length."
    )]
    Truncated,
    /// A varint longer than ten bytes.
    #[error("CodedInputStream encountered a malformed varint.")]
    Varint,
    /// A length beyond 2^31 - 1.
    #[error(
        "CodedInputStream encountered an embedded string or message which claimed to have negative size."
    )]
    NegativeSize,
    /// A tag with a wire type that does not exist.
    #[error("Protocol message tag had invalid wire type.")]
    WireType,
    /// A tag for field number 0.
    #[error("Protocol message contained an invalid tag (zero).")]
    ZeroTag,
    /// A group that ends without having begun.
    #[error("Protocol message end-group tag did not match expected tag.")]
    EndGroup,
    /// A required field that is absent, or an enum whose number is not declared: Java takes it as absent.
    #[error("Message missing required fields: {0}")]
    Missing(&'static str),
    /// Bytes after the end of the message.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// A field below the top level does not parse.
    #[error("{0}")]
    Nested(String),
}

impl Malformed {
    /// The exception class that Java throws for it.
    pub fn java_class(&self) -> &'static str {
        match self {
            Malformed::WireType => class::INVALID_WIRE_TYPE,
            _ => class::INVALID_PROTOBUF,
        }
    }

    /// What is wrong with `message`, which [`crate::decode`] has refused with `why`.
    pub(crate) fn of(message: &[u8], why: &WireError) -> Malformed {
        match why {
            WireError::Missing { field, .. } | WireError::UnknownEnum { field, .. } => {
                Malformed::Missing(field)
            }
            other => match walk(message) {
                Err(found) => found,
                Ok(()) => Malformed::Nested(error_chain(other)),
            },
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Walks the top level of `message`.
fn walk(message: &[u8]) -> Result<(), Malformed> {
    let mut at = Cursor { rest: message };
    let mut groups = 0usize;
    while !at.rest.is_empty() {
        let tag = at.varint()? as u32;
        if tag >> 3 == 0 {
            return Err(if tag == 0 { Malformed::ZeroTag } else { Malformed::WireType });
        }
        match tag & 7 {
            0 => drop(at.varint()?),
            1 => at.skip(8)?,
            2 => {
                let len = at.length()?;
                at.skip(len)?;
            }
            3 => groups += 1,
            4 => groups = groups.checked_sub(1).ok_or(Malformed::EndGroup)?,
            5 => at.skip(4)?,
            _ => return Err(Malformed::WireType),
        }
    }
    if groups == 0 { Ok(()) } else { Err(Malformed::Truncated) }
}

/// Where the message of one `delim(m)` at the front of `bytes` begins and ends: a varint length and as many bytes.
#[cfg(feature = "hadoop-rpc")]
pub(crate) fn delimited(bytes: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut at = Cursor { rest: bytes };
    let len = at.length()?;
    let start = bytes.len() - at.rest.len();
    at.skip(len)?;
    Ok((start, start + len))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(bytes..).ok_or(Malformed::Truncated)?;
        Ok(())
    }

    // Java reads up to ten bytes for a 32-bit varint as well, and drops the high bits.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let len = self.varint()? as u32;
        if len > i32::MAX as u32 {
            return Err(Malformed::NegativeSize);
        }
        Ok(len as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_named_in_javas_words() {
        let cases: &[(&[u8], Result<(), Malformed>)] = &[
            (&[], Ok(())),
            (&[0x08, 51, 0x1a, 1, b'c'], Ok(())),
            (&[0x0b, 0x08, 1, 0x0c], Ok(())),
            (&[0x08], Err(Malformed::Truncated)),
            (&[0x1a, 5, 1], Err(Malformed::Truncated)),
            (&[0x09, 5, 1], Err(Malformed::Truncated)),
            (&[0x0b], Err(Malformed::Truncated)),
            (&[0x00, 1], Err(Malformed::ZeroTag)),
            (&[0xff, 0xff, 0xff, 0xff, 0x01], Err(Malformed::WireType)),
            (&[0x0c], Err(Malformed::EndGroup)),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Err(Malformed::Varint)),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f], Err(Malformed::NegativeSize)),
        ];
        for (bytes, error) in cases {
            assert_eq!(&walk(bytes), error, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(bytes: Vec<u8>) {
            let _ = walk(&bytes);
            if let Ok((from, to)) = delimited(&bytes) {
                assert!(from <= to && to <= bytes.len());
            }
        }
    }
}
