//! Blocks from SCM.

use allotrope_types::ReplicationConfig;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::load::{Done, Load, Trouble};
use crate::wire::Scm;

/// Allocates blocks, and does nothing with them.
pub struct BlockAllocate {
    /// The SCMs.
    pub scm: Scm,
    /// Blocks an operation.
    pub blocks: u32,
    /// Bytes of a block.
    pub size: u64,
    /// How they are to be kept safe.
    pub replication: ReplicationConfig,
}

impl Load for BlockAllocate {
    fn kinds(&self) -> &[&'static str] {
        &["allocate"]
    }

    fn operate(&self, _: u64) -> BoxFuture<'_, Result<Done, Trouble>> {
        async move {
            self.scm.allocate(self.blocks, self.size, self.replication).await?;
            Ok(Done::moved(0))
        }
        .boxed()
    }
}
