//! ReadBlock: one part of a streamed block with the checksums of exactly its bytes.
//!
//! The stream is the connection's: it asks for part after part, each where the last one ended.

use super::{CommandError, Context, Response, get_block};
use crate::block::{checksums, read};
use crate::store::Store;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::{
    ChecksumData, ContainerCommandResponseProto, ReadBlockRequestProto, ReadBlockResponseProto,
};
use allotrope_types::DatanodeResult::InvalidArgument;
use bytes::Bytes;
use std::rc::Rc;

/// Bytes of a part if the reader does not say, and the most it may ask for.
const PART: u64 = 1 << 20;
const PART_MAX: u64 = 16 << 20;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: ReadBlockRequestProto,
) -> Result<Response, CommandError> {
    let block = context.block(&request.block_id)?;
    let container = context.readable(store, block)?;
    let data = get_block::find(store, &container, block).await?;
    let chunk =
        data.chunks.iter().find(|one| one.offset <= request.offset && request.offset < one.offset + one.len);
    let chunk = chunk.ok_or_else(|| {
        // The stream ends, or answers OUT_OF_RANGE if this is where it began.
        let why = format!("block {} has no byte at {}", block.local, request.offset);
        CommandError::new(InvalidArgument, why)
    })?;
    let sums = checksums::of_chunk(chunk)?;
    let window = checksums::window(&sums).max(1);
    let part = match request.response_data_size() {
        0 => PART,
        size => u64::from(size).min(PART_MAX),
    };
    let in_chunk = (request.offset - chunk.offset) / window * window;
    let windows = (part / window).max(1);
    let wanted = request.length.map_or(u64::MAX, |length| {
        (request.offset - chunk.offset).saturating_add(length).div_ceil(window).saturating_mul(window)
    });
    let end = chunk.len.min(in_chunk.saturating_add(windows * window)).min(wanted);
    let (offset, len) = (chunk.offset + in_chunk, end.saturating_sub(in_chunk));
    let bytes = read::read(store, &container, block.local, &data, (offset, len), context.class).await?;
    let first = (in_chunk / window) as usize;
    let count = end.saturating_sub(in_chunk).div_ceil(window) as usize;
    let checksum_data = ChecksumData {
        r#type: chunk.checksum_data.r#type,
        bytes_per_checksum: chunk.checksum_data.bytes_per_checksum,
        checksums: sums.values().skip(first).take(count).collect(),
    };
    let read_block = ReadBlockResponseProto { checksum_data, offset, data: Bytes::new() };
    let message = ContainerCommandResponseProto { read_block: Some(read_block), ..Default::default() };
    Ok(Bulky { message, bulk: vec![bytes] })
}
