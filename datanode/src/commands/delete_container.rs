//! DeleteContainer: an open container, or one with blocks, goes only by force.

use super::{CommandError, Context};
use crate::container::delete;
use crate::store::Store;
use allotrope_proto::container::{DeleteContainerRequestProto, DeleteContainerResponseProto};
use std::rc::Rc;

pub(crate) async fn run(
    store: &Rc<Store>,
    context: &Context,
    request: DeleteContainerRequestProto,
) -> Result<DeleteContainerResponseProto, CommandError> {
    let container = context.existing(store)?;
    delete::delete(store, &container, request.force_delete()).await?;
    Ok(DeleteContainerResponseProto {})
}
