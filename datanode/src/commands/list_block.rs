//! ListBlock: blocks in the order of their ids as text, which is the order of their keys.
//!
//! Ozone's answer has no bound; one that would not fit a message is refused here with the number that would.

use super::{CommandError, Context};
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
        None => keys::prefix(container.id()).to_vec(),
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
    let (mut blocks, mut bytes) = (Vec::<BlockData>::new(), 0);
    loop {
        let page = container.volume().metadata().scan(Family::BlockData, from, to.clone(), PAGE).await?;
        for (key, value) in &page {
            let Some(local) = keys::local_id(key) else { continue };
            if blocks.len() as u64 == u64::from(request.count) {
                return Ok(ListBlockResponseProto { block_data: blocks });
            }
            let block =
                BlockData::decode(value.clone()).map_err(|e| seal::undecodable(&container, local, &e))?;
            let last = container.volume().metadata().get(Family::LastChunk, key.to_vec()).await?;
            let last = last
                .map(BlockData::decode)
                .transpose()
                .map_err(|e| seal::undecodable(&container, local, &e))?;
            let Some(block) = (crate::block::put::Stored { block: Some(block), last }).whole() else {
                continue;
            };
            bytes += block.encoded_len() + 8;
            if bytes > ANSWER_MAX {
                let why = format!(
                    "the answer would not fit a message: ask for at most {} blocks at a time, from startLocalID on",
                    blocks.len().max(1)
                );
                return Err(CommandError::new(UnsupportedRequest, why));
            }
            blocks.push(block);
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
