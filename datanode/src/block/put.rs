//! What PutBlock does to a block: a pure decision from the request and what is stored to what shall be stored.
//!
//! Shape   [`Stored`] is the block in `block_data` and its last, partial chunk in `last_chunk_info`; [`decide`] gives the
//!         new values of both, and the chunks whose bytes must be shown to be there first.
//! Errors  [`CommandError`] with the code a client is answered.
//! Source  docs/formats/datanode-commands.md, PutBlock.
//!
//! A whole list replaces the stored one. An incremental one, marked by the metadata key `incremental`, adds chunks: whole
//! ones go to the stored list, a partial last one is kept beside it and replaced by the next.

use super::records::Records;
use crate::commands::CommandError;
use allotrope_proto::container::{BlockData, ChunkInfo, PutBlockRequestProto};
use allotrope_types::DatanodeResult::MalformedRequest;
use std::rc::Rc;

const INCREMENTAL: &str = "incremental";
const FULL: &str = "full";

/// What the metadata holds of one block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The list in `block_data` and its records.
    pub block: Option<Rc<BlockData>>,
    /// The value in `last_chunk_info`: a block with one chunk.
    pub last: Option<BlockData>,
    /// How the list lies in the metadata.
    pub records: Records,
}

impl Stored {
    /// The block as readers see it: the stored chunks and the partial one behind them.
    pub fn whole(&self) -> Option<Rc<BlockData>> {
        let Some(last) = &self.last else { return self.block.clone() };
        let mut whole = match &self.block {
            Some(block) => (**block).clone(),
            None => BlockData { chunks: Vec::new(), ..last.clone() },
        };
        if let [chunk] = last.chunks.as_slice()
            && chunk.offset == end_of(&whole.chunks)
        {
            whole.chunks.push(chunk.clone());
            whole.block_id.block_commit_sequence_id = last.block_id.block_commit_sequence_id;
        }
        whole.size = Some(sum(&whole.chunks).unwrap_or(i64::MAX as u64) as i64);
        Some(Rc::new(whole))
    }

    /// Where the committed bytes end.
    pub fn end(&self) -> u64 {
        let end = self.block.as_ref().map_or(0, |block| end_of(&block.chunks));
        match self.last.as_ref().map(|last| last.chunks.as_slice()) {
            Some([chunk]) if chunk.offset == end => end.saturating_add(chunk.len),
            _ => end,
        }
    }

    /// Takes in what was stored.
    pub fn apply(&mut self, put: Put, records: Records) {
        if let Some(change) = put.list {
            let block = self.block.take().map(Rc::unwrap_or_clone).unwrap_or_default();
            self.block = Some(Rc::new(change.applied_to(block)));
            self.records = records;
        }
        match put.last {
            LastChunk::Keep => {}
            LastChunk::Set(last) => self.last = Some(last),
            LastChunk::Remove => self.last = None,
        }
    }
}

/// How a list changes: some of its first chunks stay.
#[derive(Clone, Debug, PartialEq)]
pub struct ListChange {
    /// How many chunks stay.
    pub kept: usize,
    /// The block from now on, with only those chunks that stand behind the kept ones.
    pub added: BlockData,
}

impl ListChange {
    /// What makes `from` become `to`, whose first `same` chunks are those of `from` and left out.
    pub fn between(from: Option<&BlockData>, same: usize, mut to: BlockData) -> ListChange {
        let from = from.map_or(&[][..], |block| &block.chunks[same..]);
        let more = from.iter().zip(&to.chunks).take_while(|(old, new)| old == new).count();
        to.chunks.drain(..more);
        ListChange { kept: same + more, added: to }
    }

    /// Whether `block` is the same afterwards.
    pub fn changes_nothing(&self, block: &BlockData) -> bool {
        let head = |block: &BlockData| (block.block_id, block.flags, block.size);
        self.kept == block.chunks.len()
            && self.added.chunks.is_empty()
            && head(&self.added) == head(block)
            && self.added.metadata == block.metadata
    }

    /// The block afterwards.
    pub fn applied_to(self, block: BlockData) -> BlockData {
        let mut chunks = block.chunks;
        chunks.truncate(self.kept);
        chunks.extend(self.added.chunks);
        BlockData { chunks, ..self.added }
    }
}

/// What becomes of `last_chunk_info`.
#[derive(Clone, Debug, PartialEq)]
pub enum LastChunk {
    /// It stays as it is.
    Keep,
    /// It holds this chunk from now on.
    Set(BlockData),
    /// It is gone.
    Remove,
}

/// The answer to a PutBlock.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It was carried out before: nothing to do.
    AlreadyThere,
    /// To be carried out.
    Apply(Box<Put>),
}

/// What a PutBlock stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// The change of the list; `None` leaves it.
    pub list: Option<ListChange>,
    /// The new value in `last_chunk_info`.
    pub last: LastChunk,
    /// Whether the container has one block more afterwards.
    pub is_new: bool,
    /// The chunks that were not stored like this before: their bytes must be in the file.
    pub unproven: Vec<ChunkInfo>,
}

/// Whether the list of `data` adds to the stored one.
pub fn is_incremental(data: &BlockData) -> bool {
    data.metadata.iter().any(|pair| pair.key == INCREMENTAL)
}

/// Decides what `request` does, where `stored` is stored and the container has seen `container_bcsid`. The first `same` chunks
/// of a whole list are those of the stored one and left out of the request.
pub fn decide(
    request: PutBlockRequestProto,
    same: usize,
    stored: &Stored,
    container_bcsid: u64,
) -> Result<Decision, CommandError> {
    let mut data = request.block_data;
    let length = checked_length(&data, length_of_first(same, stored))?;
    let bcsid = data.block_id.block_commit_sequence_id();
    if bcsid != 0 && bcsid <= container_bcsid {
        return Ok(Decision::AlreadyThere);
    }
    let eof = request.eof.unwrap_or(true);
    if eof
        && bcsid == 0
        && let Some(block) = &stored.block
        && block.block_id.block_commit_sequence_id() != 0
    {
        data.block_id.block_commit_sequence_id = block.block_id.block_commit_sequence_id;
    }
    data.size = Some(length);
    let is_new = stored.block.is_none();
    if !is_incremental(&data) {
        let last = if stored.last.is_some() { LastChunk::Remove } else { LastChunk::Keep };
        let list = ListChange::between(stored.block.as_deref(), same, data);
        let (unproven, list) = (unproven(&list.added.chunks, stored), Some(list));
        return Ok(Decision::Apply(Box::new(Put { list, last, is_new, unproven })));
    }
    let unproven = unproven(&data.chunks, stored);
    let (there, mut end) = match &stored.block {
        Some(block) => (&block.chunks[..], end_of(&block.chunks)),
        None => (&[][..], 0),
    };
    let mut block = BlockData { block_id: data.block_id, flags: data.flags, ..Default::default() };
    block.metadata = stored.block.as_ref().map_or(&data.metadata, |block| &block.metadata).clone();
    let full = data.chunks.last().is_none_or(|chunk| chunk.metadata.iter().any(|pair| pair.key == FULL));
    let mut added = std::mem::take(&mut data.chunks);
    let mut partial = None;
    if eof || full {
        if added.is_empty()
            && let Some(last) = &stored.last
        {
            added.extend(last.chunks.iter().cloned());
        }
    } else {
        partial = added.pop();
    }
    let grew = !added.is_empty();
    for chunk in added {
        if chunk.offset != end {
            // A retry names chunks that are stored already; any other gap or overlap is the client's mistake.
            if there.contains(&chunk) {
                continue;
            }
            let why =
                format!("chunk {} starts at {}, the block ends at {end}", chunk.chunk_name, chunk.offset);
            return Err(CommandError::new(MalformedRequest, why));
        }
        end += chunk.len;
        block.chunks.push(chunk);
    }
    let before = sum(there).and_then(|sum| i64::try_from(sum).ok());
    let size = before.zip(checked_length(&block, 0).ok()).and_then(|(before, more)| before.checked_add(more));
    block.size = Some(size.ok_or_else(too_long)?);
    let last = match partial {
        Some(chunk) if chunk.offset == end => {
            let size = Some(chunk.len as i64);
            LastChunk::Set(BlockData { chunks: vec![chunk], size, ..data })
        }
        Some(chunk) => {
            let (name, at) = (chunk.chunk_name, chunk.offset);
            let why = format!("partial chunk {name} starts at {at}, the block ends at {end}");
            return Err(CommandError::new(MalformedRequest, why));
        }
        None if stored.last.is_some() => LastChunk::Remove,
        None => LastChunk::Keep,
    };
    let change = ListChange { kept: there.len(), added: block };
    let list = (is_new || grew || eof).then_some(change);
    Ok(Decision::Apply(Box::new(Put { list, last, is_new, unproven })))
}

/// Chunks that are not stored exactly so.
fn unproven(chunks: &[ChunkInfo], stored: &Stored) -> Vec<ChunkInfo> {
    let block = stored.block.as_ref().map_or(&[][..], |block| &block.chunks);
    let last = stored.last.as_ref().map_or(&[][..], |last| &last.chunks);
    let unknown = |chunk: &&ChunkInfo| !last.contains(chunk) && !block.contains(chunk);
    chunks.iter().filter(unknown).cloned().collect()
}

/// Bytes of the first `count` stored chunks.
pub fn length_of_first(count: usize, stored: &Stored) -> u64 {
    let chunks = stored.block.as_ref().map_or(&[][..], |block| &block.chunks);
    // Their sum was checked when they were stored.
    chunks.iter().take(count).map(|chunk| chunk.len).fold(0, u64::saturating_add)
}

/// The sum of the chunks' lengths, and `before` of those in front of them, if it and every chunk's end can be.
fn checked_length(data: &BlockData, before: u64) -> Result<i64, CommandError> {
    for chunk in &data.chunks {
        if chunk.offset.checked_add(chunk.len).is_none_or(|end| end > i64::MAX as u64) {
            let why = format!(
                "chunk {} at {} with {} bytes ends beyond any block",
                chunk.chunk_name, chunk.offset, chunk.len
            );
            return Err(CommandError::new(MalformedRequest, why));
        }
    }
    let length = sum(&data.chunks).and_then(|length| length.checked_add(before));
    let length = length.and_then(|length| i64::try_from(length).ok()).ok_or_else(too_long)?;
    match data.size {
        Some(size) if size != length => {
            let why = format!("the block's size is said to be {size}, its chunks have {length} bytes");
            Err(CommandError::new(MalformedRequest, why))
        }
        _ => Ok(length),
    }
}

fn too_long() -> CommandError {
    CommandError::new(MalformedRequest, "the chunks are longer than any block")
}

fn sum(chunks: &[ChunkInfo]) -> Option<u64> {
    chunks.iter().try_fold(0u64, |sum, chunk| sum.checked_add(chunk.len))
}

fn end_of(chunks: &[ChunkInfo]) -> u64 {
    chunks.iter().map(|chunk| chunk.offset.saturating_add(chunk.len)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::container::{DatanodeBlockId, KeyValue};

    fn chunk(offset: u64, len: u64) -> ChunkInfo {
        ChunkInfo { chunk_name: format!("7_chunk_{offset}"), offset, len, ..Default::default() }
    }

    fn full(offset: u64, len: u64) -> ChunkInfo {
        let metadata = vec![KeyValue { key: FULL.into(), value: Some(String::new()) }];
        ChunkInfo { metadata, ..chunk(offset, len) }
    }

    fn put(chunks: Vec<ChunkInfo>, keys: &[&str], bcsid: u64, eof: Option<bool>) -> PutBlockRequestProto {
        let block_id = DatanodeBlockId {
            container_id: 1,
            local_id: 7,
            block_commit_sequence_id: Some(bcsid),
            replica_index: None,
        };
        let metadata = keys.iter().map(|key| KeyValue { key: (*key).into(), value: None }).collect();
        let block_data = BlockData { block_id, metadata, chunks, ..Default::default() };
        PutBlockRequestProto { block_data, eof, ..Default::default() }
    }

    fn applied(request: &PutBlockRequestProto, stored: &Stored) -> (Put, Stored) {
        match decide(request.clone(), 0, stored, 0).unwrap() {
            Decision::Apply(put) => {
                let mut after = stored.clone();
                after.apply(*put.clone(), Records::default());
                (*put, after)
            }
            Decision::AlreadyThere => panic!("expected something to do"),
        }
    }

    #[test]
    fn a_whole_list_replaces_the_stored_one_and_only_new_chunks_are_unproven() {
        let (first, stored) = applied(&put(vec![chunk(0, 10)], &[], 0, Some(false)), &Stored::default());
        assert!(first.is_new);
        assert_eq!(first.unproven, [chunk(0, 10)]);
        let (second, stored) = applied(&put(vec![chunk(0, 10), chunk(10, 5)], &[], 0, None), &stored);
        assert!(!second.is_new);
        assert_eq!(second.unproven, [chunk(10, 5)]);
        assert_eq!(stored.whole().unwrap().size, Some(15));
        let (third, stored) = applied(&put(vec![chunk(0, 3)], &[], 0, None), &stored);
        assert_eq!(third.unproven, [chunk(0, 3)]);
        assert_eq!(stored.end(), 3);
    }

    #[test]
    fn an_empty_list_makes_a_block_without_bytes() {
        let (first, stored) = applied(&put(vec![], &[], 0, None), &Stored::default());
        assert!(first.is_new && first.unproven.is_empty());
        assert_eq!(stored.whole().unwrap().size, Some(0));
    }

    #[test]
    fn a_bcsid_that_the_container_has_seen_does_nothing() {
        let request = put(vec![chunk(0, 10)], &[], 5, None);
        assert_eq!(decide(request.clone(), 0, &Stored::default(), 5).unwrap(), Decision::AlreadyThere);
        assert!(matches!(decide(request.clone(), 0, &Stored::default(), 4).unwrap(), Decision::Apply(_)));
    }

    #[test]
    fn an_end_of_block_without_bcsid_keeps_the_stored_one() {
        let (_, stored) = applied(&put(vec![chunk(0, 10)], &[], 5, None), &Stored::default());
        let (_, stored) = applied(&put(vec![chunk(0, 10)], &[], 0, Some(true)), &stored);
        assert_eq!(stored.block.unwrap().block_id.block_commit_sequence_id(), 5);
    }

    #[test]
    fn an_incremental_list_grows_the_block() {
        let keys = &[INCREMENTAL][..];
        // A partial chunk waits beside the list, and the next version of it takes its place.
        let (_, stored) = applied(&put(vec![chunk(0, 3)], keys, 0, Some(false)), &Stored::default());
        assert!(stored.block.as_ref().unwrap().chunks.is_empty());
        assert_eq!(stored.end(), 3);
        let (_, stored) = applied(&put(vec![full(0, 10), chunk(10, 2)], keys, 0, Some(false)), &stored);
        assert_eq!((stored.block.as_ref().unwrap().chunks.len(), stored.end()), (1, 12));
        // A full last chunk goes to the list.
        let (_, stored) = applied(&put(vec![full(10, 10)], keys, 0, Some(false)), &stored);
        assert_eq!((stored.block.as_ref().unwrap().chunks.len(), stored.last.is_some()), (2, false));
        // The end without chunks pulls a waiting one in.
        let (_, stored) = applied(&put(vec![chunk(20, 4)], keys, 0, Some(false)), &stored);
        let (_, stored) = applied(&put(vec![], keys, 0, Some(true)), &stored);
        assert_eq!((stored.block.as_ref().unwrap().chunks.len(), stored.last.is_some()), (3, false));
        assert_eq!(stored.whole().unwrap().size, Some(24));
    }

    #[test]
    fn a_retried_incremental_put_changes_nothing() {
        let request = put(vec![full(0, 10), chunk(10, 2)], &[INCREMENTAL], 0, Some(false));
        let (_, once) = applied(&request, &Stored::default());
        let (_, twice) = applied(&request, &once);
        assert_eq!(once, twice);
    }

    #[test]
    fn lists_that_cannot_be_are_refused() {
        let gap = put(vec![chunk(5, 3)], &[INCREMENTAL], 0, Some(false));
        let long = put(vec![chunk(1, u64::MAX)], &[], 0, None);
        let beyond = put(vec![chunk(1 << 63, 1)], &[], 0, None);
        let mut sized = put(vec![chunk(0, 3)], &[], 0, None);
        sized.block_data.size = Some(4);
        for request in [gap, long, beyond, sized] {
            assert_eq!(decide(request, 0, &Stored::default(), 0).unwrap_err().result, MalformedRequest);
        }
    }
}
