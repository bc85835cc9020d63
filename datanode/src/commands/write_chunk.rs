//! WriteChunk: verified bytes at an offset of a block's file, and a PutBlock behind them if one is sent along.

use super::{CommandError, Context, put_block};
use crate::block::write;
use crate::store::Store;
use allotrope_proto::Rope;
use allotrope_proto::container::{WriteChunkRequestProto, WriteChunkResponseProto};
use allotrope_types::DatanodeResult::MalformedRequest;
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: WriteChunkRequestProto,
    data: Rope,
) -> Result<WriteChunkResponseProto, CommandError> {
    let block = context.block(&request.block_id)?;
    let chunk = request
        .chunk_data
        .ok_or_else(|| CommandError::new(MalformedRequest, "WriteChunk comes without its chunkData"))?;
    if let Some(put) = &request.block
        && context.block(&put.block_data.block_id)?.local != block.local
    {
        return Err(CommandError::new(MalformedRequest, "the PutBlock sent along is for another block"));
    }
    let container = context.writable(store, block, request.container_auto_create.unwrap_or(true)).await?;
    let _open = container.gate.read().await;
    // The state may have changed while the gate was waited for.
    container.check_writable()?;
    write::write_chunk(store, &container, block.local, &chunk, data, context.class).await?;
    let committed_block_length = match request.block {
        Some(put) => Some(put_block::commit(store, &container, block, put, Vec::new()).await?),
        None => None,
    };
    Ok(WriteChunkResponseProto { committed_block_length })
}
