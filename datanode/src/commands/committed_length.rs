//! GetCommittedBlockLength: how long a block is by its last PutBlock.

use super::{CommandError, Context, get_block};
use crate::store::Store;
use allotrope_proto::container::{GetCommittedBlockLengthRequestProto, GetCommittedBlockLengthResponseProto};
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: GetCommittedBlockLengthRequestProto,
) -> Result<GetCommittedBlockLengthResponseProto, CommandError> {
    let block = context.block(&request.block_id)?;
    let container = context.readable(store, block)?;
    let data = get_block::find(store, &container, block).await?;
    let block_length = data.size.unwrap_or_default();
    Ok(GetCommittedBlockLengthResponseProto { block_id: data.block_id, block_length })
}
