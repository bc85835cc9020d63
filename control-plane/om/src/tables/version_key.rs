//! Keys of the tables of older versions: key order first, then newest version first.
//!
//! Shape   `/<volume>/<bucket>/` name, zero bytes of the name as `00 FF`, then `00 01`, then eight bytes: the
//!         complement of the version's number, highest byte first.
//! Law     versions of one key are neighbours, newest first; keys sort by their names' bytes; `decode(encode(x)) == x`.
//! Source  docs/formats/om-tables.md.

use std::cmp::Reverse;

use allotrope_consensus::{Codec, CodecError, KeyCodec};

/// One older version of one key. Field order is key order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    /// The key's place as the key table writes it: `/<volume>/<bucket>/<key>`.
    place: String,
    /// The session that wrote the version: unique, and later ones have larger numbers.
    version: Reverse<u64>,
}

const SHAPE: &str = "an escaped key place, 00 01, eight bytes";
const END: [u8; 2] = [0x00, 0x01];

impl VersionKey {
    /// The key of the version that session `version` wrote of the object at `place`.
    pub fn of(place: &super::ObjectKey, version: u64) -> VersionKey {
        use super::TextKey as _;
        VersionKey { place: place.as_str().to_owned(), version: Reverse(version) }
    }

    /// `/<volume>/<bucket>/<key>`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The session that wrote it.
    pub fn version(&self) -> u64 {
        self.version.0
    }

    /// What the keys of all versions of the object at `place` begin with.
    pub fn prefix(place: &super::ObjectKey) -> Vec<u8> {
        use super::TextKey as _;
        let mut out = Vec::new();
        escape(place.as_str(), &mut out);
        out.extend_from_slice(&END);
        out
    }

    /// What the keys of the versions of objects whose names begin with `prefix` begin with.
    pub fn escaped(volume: &str, bucket: &str, prefix: &str) -> Vec<u8> {
        let mut out = Vec::new();
        escape(&format!("/{volume}/{bucket}/{prefix}"), &mut out);
        out
    }

    /// What the keys of all versions in a bucket begin with.
    pub fn bucket_prefix(volume: &str, bucket: &str) -> Vec<u8> {
        format!("/{volume}/{bucket}/").into_bytes()
    }
}

fn escape(place: &str, out: &mut Vec<u8>) {
    for &byte in place.as_bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
}

impl Codec for VersionKey {
    type Item = VersionKey;

    fn encode(item: &VersionKey, out: &mut Vec<u8>) {
        escape(&item.place, out);
        out.extend_from_slice(&END);
        out.extend_from_slice(&(!item.version.0).to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<VersionKey, CodecError> {
        let wrong = |why: &str| CodecError::new(SHAPE, why);
        let (text, version) = bytes.split_last_chunk::<8>().ok_or_else(|| wrong("it is cut off"))?;
        let text = text.strip_suffix(&END).ok_or_else(|| wrong("the name has no end"))?;
        let mut place = Vec::with_capacity(text.len());
        let mut rest = text.iter();
        while let Some(&byte) = rest.next() {
            place.push(byte);
            if byte == 0 && rest.next() != Some(&0xff) {
                return Err(wrong("a zero byte of the name is not escaped"));
            }
        }
        let place = String::from_utf8(place).map_err(|e| CodecError::new(SHAPE, e.to_string()))?;
        Ok(VersionKey { place, version: Reverse(!u64::from_be_bytes(*version)) })
    }
}
impl KeyCodec for VersionKey {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::ObjectKey;

    proptest! {
        #[test]
        fn versions_come_back_and_sort_by_name_then_newest_first(
            a in "[a\u{0}\u{1}é/]{0,5}", b in "[a\u{0}\u{1}é/]{0,5}", m: u64, n: u64,
        ) {
            let key = |name: &str, version| VersionKey::of(&ObjectKey::of("v", "b", name), version);
            let (one, two) = (key(&a, m), key(&b, n));
            prop_assert_eq!(VersionKey::decode(&VersionKey::to_bytes(&one)).unwrap(), one.clone());
            prop_assert_eq!(VersionKey::to_bytes(&one).cmp(&VersionKey::to_bytes(&two)), one.cmp(&two));
            prop_assert_eq!(one.cmp(&two), a.as_bytes().cmp(b.as_bytes()).then(n.cmp(&m)));
            let prefix = VersionKey::prefix(&ObjectKey::of("v", "b", &a));
            prop_assert_eq!(VersionKey::to_bytes(&two).starts_with(&prefix), a == b);
        }

        #[test]
        fn damaged_keys_are_refused_without_a_panic(bytes: Vec<u8>) {
            if let Ok(key) = VersionKey::decode(&bytes) {
                prop_assert_eq!(VersionKey::to_bytes(&key), bytes);
            }
        }
    }
}
