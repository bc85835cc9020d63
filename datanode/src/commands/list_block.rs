//! ListBlock: blocks in the order of their ids as text, which is the order of their keys.
//!
//! Ozone's answer has no bound; one that would not fit a message is refused here with the number that would.

use super::{CommandError, Context};
use crate::block::write;
use crate::container::seal;
use crate::format::keys;
use crate::metadata::Family;
use crate::store::Store;
use allotrope_proto::container::{BlockData, ListBlockRequestProto, ListBlockResponseProto};
use allotrope_types::DatanodeResult::{MalformedRequest, UnsupportedRequest};
use allotrope_types::LocalId;
use prost::Message;
use std::rc::Rc;

/// Bytes of blocks that fit a message of 32 MiB with its envelope.
const ANSWER_MAX: usize = (32 << 20) - 4096;
const PAGE: usize = 256;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: ListBlockRequestProto,
) -> Result<ListBlockResponseProto, CommandError> {
    let container = context.existing(store)?;
    if request.count == 0 {
        return Err(CommandError::new(MalformedRequest, "count is 0; ask for at least one block"));
    }
    let mut from = match request.start_local_id {
        None => keys::block(container.id(), LocalId::new(0)),
        Some(id) => {
            let local = LocalId::try_from(id)
                .map_err(|e| CommandError::new(MalformedRequest, format!("startLocalID: {e}")))?;
            let key = keys::block(container.id(), local);
            // As in Ozone, a start that is not there lists nothing.
            if container.volume().metadata().get(Family::BlockData, key.clone()).await?.is_none() {
                return Ok(ListBlockResponseProto::default());
            }
            key
        }
    };
    let to = keys::prefix_end(container.id()).to_vec();
    let folded = container.is_folded();
    let (first, end) = (keys::prefix(container.id()).to_vec(), to.clone());
    let partial = !container.volume().metadata().scan(Family::LastChunk, first, end, 1).await?.is_empty();
    let (mut blocks, mut bytes) = (Vec::<BlockData>::new(), 0);
    loop {
        let page = container.volume().metadata().scan(Family::BlockData, from, to.clone(), PAGE).await?;
        for (key, value) in &page {
            let Some(local) = keys::local_id(key) else { continue };
            if blocks.len() as u64 == u64::from(request.count) {
                return Ok(ListBlockResponseProto { block_data: blocks });
            }
            let block = match folded {
                // The value is the whole list, unless a partial chunk stands beside it.
                true if !partial => Rc::new(
                    BlockData::decode(value.clone()).map_err(|e| seal::undecodable(&container, local, &e))?,
                ),
                _ => match write::stored(&container, local).await?.whole() {
                    Some(block) => block,
                    None => continue,
                },
            };
            bytes += block.encoded_len() + 8;
            if bytes > ANSWER_MAX {
                let why = format!(
                    "the answer would not fit a message: ask for at most {} blocks at a time, from startLocalID on",
                    blocks.len().max(1)
                );
                return Err(CommandError::new(UnsupportedRequest, why));
            }
            blocks.push(Rc::unwrap_or_clone(block));
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.to_vec();
                from.push(0);
            }
            _ => return Ok(ListBlockResponseProto { block_data: blocks }),
        }
    }
}
