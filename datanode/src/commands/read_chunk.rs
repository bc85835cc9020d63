//! ReadChunk: bytes of a block's file, verified against what was put.

use super::{CommandError, Context, Response, get_block};
use crate::block::read;
use crate::store::Store;
use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::read_chunk_response_proto::ResponseData;
use allotrope_proto::container::{
    ChunkInfo, ContainerCommandResponseProto, DataBuffers, DatanodeBlockId, ReadChunkRequestProto,
    ReadChunkResponseProto, ReadChunkVersion,
};
use allotrope_types::DatanodeResult::UnsupportedRequest;
use bytes::Bytes;
use std::rc::Rc;

/// The longest read, in bytes: what fits a message.
const READ_MAX: u64 = 32 << 20;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: ReadChunkRequestProto,
) -> Result<Response, CommandError> {
    let block = context.block(&request.block_id)?;
    let container = context.readable(store, block)?;
    let (offset, len) = (request.chunk_data.offset, request.chunk_data.len);
    if len > READ_MAX {
        let why = format!("{len} bytes are asked for; {READ_MAX} is the most");
        return Err(CommandError::new(UnsupportedRequest, why));
    }
    let data = get_block::find(store, &container, block).await?;
    let bytes = read::read(store, &container, block.local, &data, (offset, len), context.class).await?;
    let version = request.read_chunk_version();
    let old = request.read_chunk_version.is_none() || version == ReadChunkVersion::V0;
    let (read_chunk, bulk) = answer(request.block_id, request.chunk_data, bytes, old);
    let message = ContainerCommandResponseProto { read_chunk: Some(read_chunk), ..Default::default() };
    Ok(Bulky { message, bulk })
}

/// The answer with its bytes apart: as one field for old readers, as buffers for new ones.
pub(super) fn answer(
    block_id: DatanodeBlockId,
    chunk_data: ChunkInfo,
    bytes: Rope,
    old: bool,
) -> (ReadChunkResponseProto, Vec<Rope>) {
    if old {
        let response_data = Some(ResponseData::Data(Bytes::new()));
        return (ReadChunkResponseProto { block_id, chunk_data, response_data }, vec![bytes]);
    }
    let bulk: Vec<Rope> = bytes.into_iter().map(Rope::from).collect();
    let buffers = vec![Bytes::new(); bulk.len()];
    let response_data = Some(ResponseData::DataBuffers(DataBuffers { buffers }));
    (ReadChunkResponseProto { block_id, chunk_data, response_data }, bulk)
}
