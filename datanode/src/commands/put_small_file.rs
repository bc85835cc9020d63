//! PutSmallFile and GetSmallFile: a block of one chunk in one round trip.

use super::{CommandError, Context, Response, get_block, put_block, read_chunk};
use crate::block::{read, write};
use crate::store::Store;
use allotrope_proto::Rope;
use allotrope_proto::bulk::Bulky;
use allotrope_proto::container::{
    ContainerCommandResponseProto, GetSmallFileRequestProto, GetSmallFileResponseProto, PutBlockRequestProto,
    PutSmallFileRequestProto, PutSmallFileResponseProto, ReadChunkVersion,
};
use allotrope_types::DatanodeResult::{GetSmallFileError, MalformedRequest};
use std::rc::Rc;

/// The longest block that is answered whole, in bytes.
const SMALL_MAX: u64 = 32 << 20;

pub(crate) async fn put(
    store: &Rc<Store>,
    context: &Context,
    request: PutSmallFileRequestProto,
    data: Rope,
) -> Result<PutSmallFileResponseProto, CommandError> {
    let mut block_data = request.block.block_data;
    let block = context.block(&block_data.block_id)?;
    if block_data.size.is_some_and(|size| size as u64 != request.chunk_info.len) {
        return Err(CommandError::new(MalformedRequest, "the block's size is not its chunk's"));
    }
    let container =
        context.writable(store, block, request.block.container_auto_create.unwrap_or(true)).await?;
    let _open = container.gate.read().await;
    container.check_writable()?;
    write::write_chunk(store, &container, block.local, &request.chunk_info, data, context.class).await?;
    block_data.chunks = vec![request.chunk_info];
    let put = PutBlockRequestProto { block_data, eof: Some(true), container_auto_create: None };
    let committed_block_length = put_block::commit(store, &container, block, put, Vec::new()).await?;
    Ok(PutSmallFileResponseProto { committed_block_length })
}

pub(crate) async fn get(
    store: &Rc<Store>,
    context: &Context,
    request: GetSmallFileRequestProto,
) -> Result<Response, CommandError> {
    let block = context.block(&request.block.block_id)?;
    let container = context.readable(store, block)?;
    let data = get_block::find(store, &container, block).await?;
    let size = data.size.map_or(0, |size| size as u64);
    let Some(chunk) = data.chunks.last().filter(|_| size <= SMALL_MAX) else {
        let why = format!("block {} has {size} bytes and {} chunks", block.local, data.chunks.len());
        return Err(CommandError::new(GetSmallFileError, why));
    };
    let bytes = read::read(store, &container, block.local, &data, (0, size), context.class).await?;
    let version = request.read_chunk_version();
    let old = request.read_chunk_version.is_none() || version == ReadChunkVersion::V0;
    let (data, bulk) = read_chunk::answer(request.block.block_id, chunk.clone(), bytes, old);
    let get_small_file = Some(GetSmallFileResponseProto { data });
    Ok(Bulky { message: ContainerCommandResponseProto { get_small_file, ..Default::default() }, bulk })
}
