//! FinalizeBlock: the block takes its partial last chunk in for good, and the metadata remembers that it has ended.

use super::{CommandError, Context, get_block};
use crate::block::{records, write};
use crate::format::keys;
use crate::metadata::{Batch, Family};
use crate::store::Store;
use allotrope_proto::container::{FinalizeBlockRequestProto, FinalizeBlockResponseProto};
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: FinalizeBlockRequestProto,
) -> Result<FinalizeBlockResponseProto, CommandError> {
    let block = context.block(&request.block_id)?;
    let container = context.readable(store, block)?;
    let _open = container.gate.read().await;
    container.check_writable()?;
    let before = get_block::find(store, &container, block).await?;
    let open = container.open_block(block.local);
    let mut tail = open.tail.lock().await;
    let key = keys::block(container.id(), block.local);
    let mut batch = Batch::new();
    let mut stored = write::stored(&container, block.local).await?;
    (stored.block, stored.last) = (stored.whole(), None);
    stored.records = records::fold(&mut batch, container.id(), block.local, &stored);
    batch.delete(Family::LastChunk, key.clone());
    batch.put(Family::FinalizedBlocks, key, keys::counter(block.local.to_wire()).to_vec());
    container.volume().metadata().commit(batch, store.durability()).await?;
    tail.stored = Some(stored);
    drop(tail);
    Ok(FinalizeBlockResponseProto { block_data: (*before).clone() })
}
