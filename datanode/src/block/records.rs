//! How a block's chunk list lies in the metadata: the list as it first was, and what later PutBlocks changed.
//!
//! Shape   `block_data` holds the first list; each later PutBlock adds one record with the chunks behind those it keeps, so
//!         that what is written does not grow with the block. [`read`] puts the list together, [`fold`] writes it as
//!         Ozone has it: one value, no records.
//! Units   a record's number counts the chunks of the list that stay in front of its own.
//! Errors  [`RecordError`]: a value that does not decode, or a record that extends what is not there.
//! Source  docs/formats/schema-v3.md, "A block that grows".
//!
//! A record names the CRC32C of the value it extends. If that value was replaced by someone who knows no records (Java
//! did, on a volume that went there and back), the records are of the past and are ignored.

use super::put::{ListChange, Stored};
use crate::format::keys;
use crate::metadata::{Batch, Entry, Family, Metadata, MetadataError};
use allotrope_proto::checksum::{ChecksumKind, ChecksumSpec, Checksums};
use allotrope_proto::container::BlockData;
use allotrope_types::{ContainerId, LocalId};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The first byte of a record.
const VERSION: u8 = 1;
/// Bytes in front of a record's `BlockData`: the version and the CRC32C of the value it extends.
const HEAD: usize = 5;
/// Entries that are read at once.
const PAGE: usize = 1024;

/// Why a block's list cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// What the metadata holds makes no list.
    #[error("block {local} of container {container} has damaged metadata: {why}")]
    Damaged {
        /// The container.
        container: ContainerId,
        /// The block.
        local: LocalId,
        /// What is wrong.
        why: String,
    },
}

/// Which records of a block the metadata holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    base_crc: u32,
    numbers: BTreeSet<u32>,
}

impl Records {
    /// Whether the value in `block_data` is not the whole list.
    pub fn is_any(&self) -> bool {
        !self.numbers.is_empty()
    }
}

/// What the metadata holds of one block. In a container whose lists are `folded` no
/// record is looked for.
pub async fn read(
    metadata: &dyn Metadata,
    container: ContainerId,
    local: LocalId,
    folded: bool,
) -> Result<Stored, RecordError> {
    let key = keys::block(container, local);
    let get_base = || metadata.get(Family::BlockData, key.clone());
    if !folded && get_base().await?.is_none() {
        return Ok(Stored::default());
    }
    // The value comes last: a fold in between leaves records that extend nothing, never a list cut short.
    let last = metadata.get(Family::LastChunk, key.clone());
    let (from, to) = keys::records(container, local);
    let mut records = Vec::new();
    if !folded {
        records = metadata.scan(Family::BlockData, from, to, usize::MAX).await?;
    }
    let last = last.await?;
    let records = records.into_iter().filter_map(|(key, value)| Some((keys::record_of(&key)?.1, value)));
    assemble(container, local, get_base().await?, records, last)
}

/// What the metadata holds of all blocks of a container that does not change meanwhile; one whose list makes no sense costs
/// no other.
pub async fn read_all(
    metadata: &dyn Metadata,
    container: ContainerId,
) -> Result<BTreeMap<LocalId, Result<Stored, RecordError>>, MetadataError> {
    let mut lasts: BTreeMap<LocalId, Bytes> = BTreeMap::new();
    let mut records: BTreeMap<LocalId, Vec<(u32, Bytes)>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    each(metadata, Family::LastChunk, container, |key, value| {
        if let Some(local) = keys::local_id(&key) {
            lasts.insert(local, value);
        }
    })
    .await?;
    // Records sort in front of all blocks.
    each(metadata, Family::BlockData, container, |key, value| {
        if let Some((local, number)) = keys::record_of(&key) {
            records.entry(local).or_default().push((number, value));
        } else if let Some(local) = keys::local_id(&key) {
            let records = records.remove(&local).unwrap_or_default();
            found.insert(local, assemble(container, local, Some(value), records, lasts.remove(&local)));
        }
    })
    .await?;
    Ok(found)
}

async fn each(
    metadata: &dyn Metadata,
    family: Family,
    container: ContainerId,
    mut see: impl FnMut(Bytes, Bytes),
) -> Result<(), MetadataError> {
    let (mut from, to) = (keys::prefix(container).to_vec(), keys::prefix_end(container).to_vec());
    loop {
        let page: Vec<Entry> = metadata.scan(family, from, to.clone(), PAGE).await?;
        let full = page.len() == PAGE;
        from = page.last().map(|(key, _)| [key, &[0][..]].concat()).unwrap_or_default();
        for (key, value) in page {
            see(key, value);
        }
        if !full {
            return Ok(());
        }
    }
}

fn assemble(
    container: ContainerId,
    local: LocalId,
    base: Option<Bytes>,
    records: impl IntoIterator<Item = (u32, Bytes)>,
    last: Option<Bytes>,
) -> Result<Stored, RecordError> {
    let damaged = |why: String| RecordError::Damaged { container, local, why };
    let decode = |value: Bytes| BlockData::decode(value).map_err(|e| damaged(e.to_string()));
    let last = last.map(decode).transpose()?;
    let Some(base) = base else { return Ok(Stored { last, ..Stored::default() }) };
    let mut known = Records { base_crc: crc32c(&base), numbers: BTreeSet::new() };
    let mut block = decode(base)?;
    for (number, mut value) in records {
        known.numbers.insert(number);
        if value.len() < HEAD {
            return Err(damaged(format!("record {number} has {} bytes", value.len())));
        }
        let head = value.split_to(HEAD);
        if head[0] != VERSION {
            return Err(damaged(format!(
                "record {number} has version {}, {VERSION} is the newest that is known here",
                head[0]
            )));
        }
        if head[1..] != known.base_crc.to_be_bytes() {
            continue;
        }
        let kept = number as usize;
        if kept > block.chunks.len() {
            let why = format!("record {number} extends a list of {} chunks", block.chunks.len());
            return Err(damaged(why));
        }
        block = ListChange { kept, added: decode(value)? }.applied_to(block);
    }
    Ok(Stored { block: Some(Rc::new(block)), last, records: known })
}

/// Adds to `batch` what `change` makes of the list that `stored` holds; the answer is for after the batch was committed.
/// A change that changes nothing adds nothing.
pub fn add(
    batch: &mut Batch,
    container: ContainerId,
    local: LocalId,
    stored: &Stored,
    change: &ListChange,
) -> Records {
    let Some(block) = &stored.block else {
        let value = change.added.encode_to_vec();
        let records = Records { base_crc: crc32c(&value), numbers: BTreeSet::new() };
        batch.put(Family::BlockData, keys::block(container, local), value);
        return records;
    };
    let mut records = stored.records.clone();
    if change.changes_nothing(block) {
        return records;
    }
    let number = u32::try_from(change.kept).unwrap_or(u32::MAX);
    // What a later record added is no longer in the list.
    for gone in records.numbers.split_off(&number).into_iter().filter(|gone| *gone != number) {
        batch.delete(Family::BlockData, keys::record(container, local, gone));
    }
    let mut value = BytesMut::with_capacity(HEAD + change.added.encoded_len());
    value.put_u8(VERSION);
    value.put_u32(records.base_crc);
    change.added.encode_raw(&mut value);
    batch.put(Family::BlockData, keys::record(container, local, number), value.freeze());
    records.numbers.insert(number);
    records
}

/// Adds to `batch` what makes the block's value its whole list, without records; the answer is for after the batch was
/// committed.
pub fn fold(batch: &mut Batch, container: ContainerId, local: LocalId, stored: &Stored) -> Records {
    let Some(block) = &stored.block else { return stored.records.clone() };
    let value = block.encode_to_vec();
    let records = Records { base_crc: crc32c(&value), numbers: BTreeSet::new() };
    batch.put(Family::BlockData, keys::block(container, local), value);
    for number in &stored.records.numbers {
        batch.delete(Family::BlockData, keys::record(container, local, *number));
    }
    records
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let Some(spec) = ChecksumSpec::new(ChecksumKind::Crc32c, u32::MAX) else { return 0 };
    let sum = Checksums::compute(spec, bytes).values().next();
    sum.and_then(|sum| Some(u32::from_be_bytes(sum[..].try_into().ok()?))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Durability;
    use crate::metadata::conformance::wait;
    use crate::metadata::memory::MemoryMetadata;
    use allotrope_proto::container::{ChunkInfo, DatanodeBlockId};
    use proptest::prelude::*;

    const C: ContainerId = ContainerId::new(3);
    const L: LocalId = LocalId::new(7);

    fn list(names: &[u8]) -> BlockData {
        let block_id = DatanodeBlockId { container_id: 3, local_id: 7, ..Default::default() };
        let chunk = |(at, name): (usize, &u8)| ChunkInfo {
            chunk_name: name.to_string(),
            offset: 10 * at as u64,
            len: 10,
            ..Default::default()
        };
        let chunks: Vec<_> = names.iter().enumerate().map(chunk).collect();
        BlockData { block_id, size: Some(10 * chunks.len() as i64), chunks, ..Default::default() }
    }

    fn put(store: &MemoryMetadata, stored: &Stored, to: BlockData) -> Stored {
        let change = ListChange::between(stored.block.as_deref(), 0, to);
        let mut batch = Batch::new();
        let records = add(&mut batch, C, L, stored, &change);
        wait(store.commit(batch, Durability::Disk)).unwrap();
        let block = change.applied_to(stored.block.as_deref().cloned().unwrap_or_default());
        Stored { block: Some(Rc::new(block)), last: None, records }
    }

    proptest! {
        #[test]
        fn what_was_put_last_is_read_whatever_was_put_before(
            lists in prop::collection::vec((prop::collection::vec(0u8..3, 0..6), prop::bool::weighted(0.2)), 1..8),
        ) {
            let store = MemoryMetadata::new();
            let mut stored = Stored::default();
            for (names, folds) in lists {
                stored = put(&store, &stored, list(&names));
                if folds {
                    let mut batch = Batch::new();
                    stored.records = fold(&mut batch, C, L, &stored);
                    wait(store.commit(batch, Durability::Disk)).unwrap();
                }
                prop_assert_eq!(&wait(read(&store, C, L, false)).unwrap(), &stored);
                let all = wait(read_all(&store, C)).unwrap();
                prop_assert_eq!(all.get(&L).unwrap().as_ref().unwrap(), &stored);
                prop_assert_eq!(stored.block.as_deref(), Some(&list(&names)));
            }
        }
    }

    #[test]
    fn records_of_a_value_that_others_replaced_are_of_the_past() {
        let store = MemoryMetadata::new();
        let stored = put(&store, &put(&store, &Stored::default(), list(&[1])), list(&[1, 2, 3]));
        assert!(stored.records.is_any());
        let mut batch = Batch::new();
        batch.put(Family::BlockData, keys::block(C, L), list(&[9, 9, 9, 9]).encode_to_vec());
        wait(store.commit(batch, Durability::Disk)).unwrap();
        let read = wait(read(&store, C, L, false)).unwrap();
        assert_eq!(read.block.as_deref(), Some(&list(&[9, 9, 9, 9])));
        // What is put then is read, and the old records do not come back.
        let next = put(&store, &read, list(&[9, 9, 9, 9, 8]));
        assert_eq!(wait(super::read(&store, C, L, false)).unwrap().block, next.block);
    }

    #[test]
    fn damaged_records_are_errors() {
        for value in [&b""[..], b"\x02\0\0\0\0", b"\x01\0\0"] {
            let records = [(1, Bytes::copy_from_slice(value))];
            let base = Some(Bytes::from(list(&[1]).encode_to_vec()));
            assert!(matches!(assemble(C, L, base, records, None), Err(RecordError::Damaged { .. })));
        }
        let base = list(&[1]).encode_to_vec();
        let mut value = vec![VERSION];
        value.extend_from_slice(&crc32c(&base).to_be_bytes());
        let behind = assemble(C, L, Some(base.into()), [(5, value.into())], None);
        assert!(matches!(behind, Err(RecordError::Damaged { .. })));
    }
}
