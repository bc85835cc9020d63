//! Protocol buffers' varints, where we walk a message ourselves.

use bytes::{Buf, BufMut};

/// Takes a varint of at most ten bytes off `rest`; `None` if it does not end or is beyond 64 bits.
pub(crate) fn varint(rest: &mut impl Buf) -> Option<u64> {
    let mut number = 0u64;
    for index in 0..10 {
        let byte = rest.try_get_u8().ok()?;
        if index == 9 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Writes `number` in as few bytes as it takes.
pub(crate) fn put_varint(mut number: u64, target: &mut impl BufMut) {
    while number >= 0x80 {
        target.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    target.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_varint_reads_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put_varint(number, &mut bytes);
            prop_assert_eq!(bytes.len(), prost::length_delimiter_len(number as usize));
            prop_assert_eq!(varint(&mut &bytes[..]), Some(number));
            prop_assert_eq!(varint(&mut &bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_none() {
        assert_eq!(varint(&mut &[0xff; 10][..]), None);
        assert_eq!(varint(&mut &[0x80; 11][..]), None);
    }
}
