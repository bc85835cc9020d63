//! What a source has: its blocks with their lengths, asked for in pages that fit a message.

use super::link::Link;
use crate::commands::CommandError;
use allotrope_ec::{BlockOnSource, SourceReport};
use allotrope_proto::container::{BlockData, ListBlockRequestProto, Type};
use allotrope_types::{ByteCount, LocalId, ReplicaIndex};
use std::collections::BTreeMap;

/// Blocks that are asked for at once; fewer where their lists are long.
const PAGE: u32 = 256;
/// The key of the group's length in a block's metadata.
pub(super) const GROUP_LEN: &str = "blockGroupLen";

/// What the source says of its blocks.
pub(super) async fn report(link: &Link, replica: ReplicaIndex) -> Result<SourceReport, CommandError> {
    let mut blocks = BTreeMap::new();
    let (mut page, mut start) = (PAGE, None);
    loop {
        let mut request = link.command(Type::ListBlock);
        request.list_block = Some(ListBlockRequestProto { start_local_id: start, count: page });
        let answer = match link.ask(request).await {
            Ok(answer) => answer,
            // Perhaps it did not fit.
            Err(_) if page > 2 => {
                page /= 4;
                page = page.max(2);
                continue;
            }
            Err(e) => return Err(e),
        };
        let listed = answer.message.list_block.map(|list| list.block_data).unwrap_or_default();
        let full = listed.len() as u64 == u64::from(page);
        let last = listed.last().map(|block| block.block_id.local_id);
        for block in listed {
            let local = LocalId::try_from(block.block_id.local_id).map_err(|e| link.failed(e))?;
            blocks.insert(local, on_source(&block).ok_or_else(|| link.failed("its chunks have a gap"))?);
        }
        // The next page begins with the last block of this one; a source that goes back would never end.
        if !full || last <= start {
            return Ok(SourceReport { replica, blocks });
        }
        start = last;
    }
}

/// What a block's metadata says of its lengths; `None` if its chunks make no block.
fn on_source(block: &BlockData) -> Option<BlockOnSource> {
    let group_len = block.metadata.iter().find(|pair| pair.key == GROUP_LEN);
    let group_len = group_len.and_then(|pair| pair.value.as_ref()?.parse().ok()).map(ByteCount::new);
    let mut end = 0u64;
    for chunk in &block.chunks {
        if chunk.offset != end {
            return None;
        }
        end = end.checked_add(chunk.len)?;
    }
    Some(BlockOnSource { group_len, block_len: ByteCount::new(end) })
}
