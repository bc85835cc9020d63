//! GetBlock: a block's chunk list and length.

use super::{BlockAsked, CommandError, Context};
use crate::block::write;
use crate::container::Container;
use crate::store::Store;
use allotrope_proto::container::{BlockData, GetBlockRequestProto, GetBlockResponseProto};
use allotrope_types::DatanodeResult::{BcsidMismatch, NoSuchBlock};
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: GetBlockRequestProto,
) -> Result<GetBlockResponseProto, CommandError> {
    let block = context.block(&request.block_id)?;
    let container = context.readable(store, block)?;
    let data = find(store, &container, block).await?;
    Ok(GetBlockResponseProto { block_data: (*data).clone(), short_circuit_access_granted: None })
}

/// The block, if it has come as far as the reader asks.
pub(super) async fn find(
    store: &Rc<Store>,
    container: &Container,
    block: BlockAsked,
) -> Result<Rc<BlockData>, CommandError> {
    let found = write::committed(store, container, block.local).await?.ok_or_else(|| {
        let why = format!("container {} has no block {}", container.id(), block.local);
        CommandError::new(NoSuchBlock, why)
    })?;
    let bcsid = found.block_id.block_commit_sequence_id();
    if bcsid < block.bcsid {
        let why = format!("block {} has BCSID {bcsid}, {} is asked for", block.local, block.bcsid);
        return Err(CommandError::new(BcsidMismatch, why));
    }
    Ok(found)
}
