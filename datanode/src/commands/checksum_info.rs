//! GetContainerChecksumInfo: the bytes of the Merkle tree's file, or of a tree built now if there is none.

use super::{CommandError, Context};
use crate::container::seal;
use crate::format::tree;
use crate::store::Store;
use allotrope_io::DiskError;
use allotrope_proto::container::GetContainerChecksumInfoResponseProto;
use allotrope_types::DatanodeResult::UnclosedContainerIo;
use bytes::Bytes;
use prost::Message;
use std::rc::Rc;

/// The longest tree that fits a message, in bytes.
const TREE_MAX: usize = 31 << 20;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
) -> Result<GetContainerChecksumInfoResponseProto, CommandError> {
    let container = context.existing(store)?;
    let state = container.state();
    if !state.is_sealed() {
        let why = format!("container {} is {state}; only a sealed one has its checksums", context.container);
        return Err(CommandError::new(UnclosedContainerIo, why));
    }
    let bytes = match store.disk().read_small(container.paths().tree(), TREE_MAX).await {
        Ok(bytes) => bytes,
        Err(e) if DiskError::is_not_found(&e) => {
            let blocks = seal::all_blocks(&container).await?;
            tree::build(context.container, blocks.into_values(), []).encode_to_vec()
        }
        Err(e) => return Err(e.into()),
    };
    Ok(GetContainerChecksumInfoResponseProto {
        container_id: Some(context.container.to_wire()),
        container_checksum_info: Some(Bytes::from(bytes)),
    })
}
