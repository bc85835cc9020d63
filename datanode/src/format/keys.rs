//! Keys of a volume's RocksDB, schema V3.
//!
//! Shape   8 bytes big-endian container id, `|`, then the suffix: a local id in decimal, or a counter's name.
//! Errors  a key that is not of this shape decodes to `None`.
//! Source  docs/formats/schema-v3.md.

use allotrope_types::{ContainerId, LocalId};

/// Bytes of the part all keys of one container share.
pub const PREFIX_LEN: usize = 9;
const SEPARATOR: u8 = b'|';

/// A container's BCSID: the highest one a PutBlock carried.
pub const BCSID: &str = "#BCSID";
/// How many blocks a container has.
pub const BLOCK_COUNT: &str = "#BLOCKCOUNT";
/// How many bytes were written into a container.
pub const BYTES_USED: &str = "#BYTESUSED";
/// The newest delete transaction.
pub const DELETE_TRANSACTION: &str = "#delTX";
/// Blocks that are marked as deleted and still there.
pub const PENDING_DELETE_BLOCKS: &str = "#PENDINGDELETEBLOCKCOUNT";

/// The root of the Merkle tree.
pub const DATA_CHECKSUM: &str = "#DATACHECKSUM";

/// What all keys of `container` begin with.
pub fn prefix(container: ContainerId) -> [u8; PREFIX_LEN] {
    let mut key = [SEPARATOR; PREFIX_LEN];
    key[..8].copy_from_slice(&container.as_u64().to_be_bytes());
    key
}

/// The first key after all keys of `container`: where a scan or a range delete ends.
pub fn prefix_end(container: ContainerId) -> [u8; PREFIX_LEN] {
    let mut key = prefix(container);
    key[8] = SEPARATOR + 1;
    key
}

/// The key of a block, in `block_data`, `last_chunk_info` and `finalize_blocks`.
pub fn block(container: ContainerId, local: LocalId) -> Vec<u8> {
    named(container, &local.to_string())
}

/// The key of a counter in `metadata`.
pub fn named(container: ContainerId, name: &str) -> Vec<u8> {
    let mut key = prefix(container).to_vec();
    key.extend_from_slice(name.as_bytes());
    key
}

/// The container a key belongs to, and its suffix.
pub fn split(key: &[u8]) -> Option<(ContainerId, &[u8])> {
    let (id, rest) = key.split_first_chunk::<8>()?;
    let (&separator, suffix) = rest.split_first()?;
    (separator == SEPARATOR).then_some((ContainerId::new(u64::from_be_bytes(*id)), suffix))
}

/// The local id in a block's key; `None` for other keys (`#deleting#…` among them).
pub fn local_id(key: &[u8]) -> Option<LocalId> {
    let (_, suffix) = split(key)?;
    let text = std::str::from_utf8(suffix).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What the keys of a growing block's records begin with, behind the container's prefix. Keys that begin with `#` are no
/// blocks to Ozone's readers.
const RECORD: &str = "#chunks#";

/// The key of the record of `block` whose chunks stand behind the first `number` of the list.
pub fn record(container: ContainerId, block: LocalId, number: u32) -> Vec<u8> {
    let mut key = named(container, &format!("{RECORD}{block}#"));
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// From the first key of the records of `block` up to, but not including, what follows the last.
pub fn records(container: ContainerId, block: LocalId) -> (Vec<u8>, Vec<u8>) {
    let from = named(container, &format!("{RECORD}{block}#"));
    let to = named(container, &format!("{RECORD}{block}$"));
    (from, to)
}

/// The block and the number of a record's key; `None` for other keys.
pub fn record_of(key: &[u8]) -> Option<(LocalId, u32)> {
    let (_, suffix) = split(key)?;
    let (name, number) = suffix.strip_prefix(RECORD.as_bytes())?.split_last_chunk::<4>()?;
    let local = std::str::from_utf8(name.strip_suffix(b"#")?).ok()?;
    let plain = local.bytes().all(|b| b.is_ascii_digit());
    Some((plain.then(|| local.parse().ok())??, u32::from_be_bytes(*number)))
}

/// A counter's value.
pub fn counter(value: i64) -> [u8; 8] {
    value.to_be_bytes()
}

/// Reads a counter's value; `None` if it does not have 8 bytes.
pub fn read_counter(value: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_key_is_drawn_as_in_the_format_page() {
        let key = block(ContainerId::new(258), LocalId::new(77));
        assert_eq!(key, b"\0\0\0\0\0\0\x01\x02|77");
        assert_eq!(named(ContainerId::new(1), BCSID), b"\0\0\0\0\0\0\0\x01|#BCSID");
    }

    #[test]
    fn keys_of_another_shape_are_no_keys() {
        assert_eq!(split(b"\0\0\0\0\0\0\0\x01"), None);
        assert_eq!(split(b"\0\0\0\0\0\0\0\x01#7"), None);
        assert_eq!(local_id(b"\0\0\0\0\0\0\0\x01|#deleting#7"), None);
        assert_eq!(local_id(b"\0\0\0\0\0\0\0\x01|"), None);
        assert_eq!(local_id(b"\0\0\0\0\0\0\0\x01|\xff"), None);
        assert_eq!(read_counter(b"1234567"), None);
    }

    proptest! {
        #[test]
        fn a_key_holds_its_ids_and_lies_between_its_bounds(container in 0..u64::MAX >> 1, local in 0..u64::MAX >> 1) {
            let (container, local) = (ContainerId::new(container), LocalId::new(local));
            let key = block(container, local);
            prop_assert_eq!(split(&key).unwrap().0, container);
            prop_assert_eq!(local_id(&key), Some(local));
            prop_assert!(key[..] > prefix(container)[..] && key[..] < prefix_end(container)[..]);
            prop_assert_eq!(record_of(&key), None);
        }

        #[test]
        fn a_record_lies_between_its_bounds_and_no_other_block_does(local in 0..u64::MAX >> 1, other in 0..u64::MAX >> 1, number: u32) {
            let (container, local, other) = (ContainerId::new(5), LocalId::new(local), LocalId::new(other));
            let key = record(container, local, number);
            let (from, to) = records(container, local);
            prop_assert!(key >= from && key < to && key[..] > prefix(container)[..] && key < block(container, LocalId::new(0)));
            prop_assert_eq!((record_of(&key), local_id(&key)), (Some((local, number)), None));
            let elsewhere = record(container, other, number);
            prop_assert_eq!(elsewhere >= from && elsewhere < to, local == other);
        }
    }
}
