//! CloseContainer: the container takes no more writes and gets its Merkle tree. One that is closed stays so.

use super::{CommandError, Context};
use crate::container::seal;
use crate::store::Store;
use allotrope_proto::container::CloseContainerResponseProto;
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
) -> Result<CloseContainerResponseProto, CommandError> {
    let container = context.existing(store)?;
    seal::close(store, &container, false).await?;
    Ok(CloseContainerResponseProto { hash: None, container_id: Some(context.container.to_wire()) })
}
