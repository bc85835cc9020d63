//! PutBlock: a chunk list becomes the block's, once the bytes it names are stable.

use super::{BlockAsked, CommandError, Context};
use crate::block::write;
use crate::container::Container;
use crate::store::Store;
use allotrope_proto::Rope;
use allotrope_proto::container::{
    GetCommittedBlockLengthResponseProto, PutBlockRequestProto, PutBlockResponseProto,
};
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: PutBlockRequestProto,
    listed: Vec<Rope>,
) -> Result<PutBlockResponseProto, CommandError> {
    let block = context.block(&request.block_data.block_id)?;
    let container = context.writable(store, block, request.container_auto_create.unwrap_or(true)).await?;
    let _open = container.gate.read().await;
    // The state may have changed while the gate was waited for.
    container.check_writable()?;
    Ok(PutBlockResponseProto {
        committed_block_length: commit(store, &container, block, request, listed).await?,
    })
}

/// Carries out a PutBlock, on its own or with a chunk; `listed` is its list as it was encoded, if it comes apart. The caller
/// holds the container's gate.
pub(super) async fn commit(
    store: &Rc<Store>,
    container: &Rc<Container>,
    block: BlockAsked,
    request: PutBlockRequestProto,
    listed: Vec<Rope>,
) -> Result<GetCommittedBlockLengthResponseProto, CommandError> {
    let mut block_id = request.block_data.block_id;
    let block_length = write::put_block(store, container, block.local, request, listed).await?;
    block_id.block_commit_sequence_id = Some(block.bcsid);
    Ok(GetCommittedBlockLengthResponseProto { block_id, block_length })
}
