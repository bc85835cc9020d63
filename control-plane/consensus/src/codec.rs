//! Codecs: how keys, values, commands and answers become bytes and come back.
//!
//! Shape   a codec is a type without values (`Utf8`, `Be64`, `Proto<M>`), named in a `Table` or a `StateMachine`.
//! Errors  `decode` refuses bytes that are not an encoding; it never panics, the bytes may come from a damaged disk.
//! Law     `decode(encode(x)) == x`; for a `KeyCodec` also: items and their encodings have the same order.

use std::marker::PhantomData;

/// Bytes that are not an encoding of what was expected.
#[derive(Debug, thiserror::Error)]
#[error("not {expected}: {reason}")]
pub struct CodecError {
    /// What should have been there.
    pub expected: &'static str,
    /// Why it is not.
    pub reason: String,
}

impl CodecError {
    /// The error of a codec that expected `expected` and found otherwise for `reason`.
    pub fn new(expected: &'static str, reason: impl Into<String>) -> Self {
        CodecError { expected, reason: reason.into() }
    }
}

/// Turns items into bytes and back.
pub trait Codec: Send + Sync + 'static {
    /// What is encoded.
    type Item: Send + 'static;
    /// Appends the encoding of `item` to `out`.
    fn encode(item: &Self::Item, out: &mut Vec<u8>);
    /// The item that `bytes` encode.
    fn decode(bytes: &[u8]) -> Result<Self::Item, CodecError>;

    /// The encoding of `item` alone.
    fn to_bytes(item: &Self::Item) -> Vec<u8> {
        let mut out = Vec::new();
        Self::encode(item, &mut out);
        out
    }
}

/// A codec whose encodings sort as its items do, so that a scan walks items in order.
pub trait KeyCodec: Codec {}

/// Text, as its UTF-8 bytes (Ozone's `StringCodec`).
#[derive(Clone, Copy, Debug)]
pub struct Utf8;
impl Codec for Utf8 {
    type Item = String;
    fn encode(item: &String, out: &mut Vec<u8>) {
        out.extend_from_slice(item.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<String, CodecError> {
        String::from_utf8(bytes.to_vec()).map_err(|e| CodecError::new("UTF-8 text", e.to_string()))
    }
}
impl KeyCodec for Utf8 {}

/// A number in eight bytes, highest first (Ozone's `LongCodec`, for numbers that are not negative).
#[derive(Clone, Copy, Debug)]
pub struct Be64;
impl Codec for Be64 {
    type Item = u64;
    fn encode(item: &u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&item.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
        let eight =
            bytes.try_into().map_err(|_| CodecError::new("eight bytes", format!("{} bytes", bytes.len())))?;
        Ok(u64::from_be_bytes(eight))
    }
}
impl KeyCodec for Be64 {}

/// Bytes as they are.
#[derive(Clone, Copy, Debug)]
pub struct Raw;
impl Codec for Raw {
    type Item = Vec<u8>;
    fn encode(item: &Vec<u8>, out: &mut Vec<u8>) {
        out.extend_from_slice(item);
    }
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }
}
impl KeyCodec for Raw {}

/// No bytes: the value of a table that is a set.
#[derive(Clone, Copy, Debug)]
pub struct Empty;
impl Codec for Empty {
    type Item = ();
    fn encode(_: &(), _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<(), CodecError> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(CodecError::new("nothing", format!("{} bytes", bytes.len())))
        }
    }
}

/// A Protocol Buffers message.
pub struct Proto<M>(PhantomData<fn() -> M>);
impl<M: prost::Message + Default + 'static> Codec for Proto<M> {
    type Item = M;
    fn encode(item: &M, out: &mut Vec<u8>) {
        item.encode(out).expect("a Vec grows");
    }
    fn decode(bytes: &[u8]) -> Result<M, CodecError> {
        M::decode(bytes).map_err(|e| CodecError::new(std::any::type_name::<M>(), e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_keys_come_back_and_sort_as_text(a: String, b: String) {
            prop_assert_eq!(Utf8::decode(&Utf8::to_bytes(&a)).unwrap(), a.clone());
            prop_assert_eq!(Utf8::to_bytes(&a).cmp(&Utf8::to_bytes(&b)), a.cmp(&b));
        }

        #[test]
        fn number_keys_come_back_and_sort_as_numbers(a: u64, b: u64) {
            prop_assert_eq!(Be64::decode(&Be64::to_bytes(&a)).unwrap(), a);
            prop_assert_eq!(Be64::to_bytes(&a).cmp(&Be64::to_bytes(&b)), a.cmp(&b));
        }

        #[test]
        fn messages_come_back(text: String) {
            prop_assert_eq!(Proto::<String>::decode(&Proto::<String>::to_bytes(&text)).unwrap(), text);
        }
    }

    #[test]
    fn bytes_that_are_no_encoding_are_refused() {
        assert!(Utf8::decode(&[0xff]).is_err());
        assert!(Be64::decode(&[1, 2, 3]).is_err());
        assert!(Empty::decode(&[1]).is_err());
        assert!(Proto::<String>::decode(&[0xff, 0xff]).is_err());
    }
}
