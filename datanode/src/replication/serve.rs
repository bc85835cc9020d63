//! What the home shard of a container is asked about copies.

use super::export::{self, Export};
use super::import::{self, Claim, Landed};
use super::rebuild::{self, Rebuild};
use super::stream::send::{SendError, Transfer, send};
use super::{Compression, client};
use crate::commands::CommandError;
use crate::store::Store;
use allotrope_io::{Class, Reply, TaskHandle};
use allotrope_types::{ByteCount, ContainerId, DatanodeId};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Another datanode, and where it takes copies and gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name.
    pub id: DatanodeId,
    /// Its replication port.
    pub address: SocketAddr,
}

/// What may be asked.
pub enum Ask {
    /// The right to bring a container here.
    Claim {
        /// Which.
        container: ContainerId,
        /// Bytes that it uses.
        size: ByteCount,
        /// The claim, or why there is none.
        reply: Reply<Result<Arc<Claim>, CommandError>>,
    },
    /// A container has arrived: it shall be put in its place.
    Publish {
        /// It.
        landed: Box<Landed>,
        /// Whether it worked.
        reply: Reply<Result<(), CommandError>>,
    },
    /// A container's archive is wanted.
    Export {
        /// Which.
        container: ContainerId,
        /// The archive, or why there is none.
        reply: Reply<Result<Export, CommandError>>,
    },
    /// A container shall be sent to another datanode.
    Push {
        /// Which.
        container: ContainerId,
        /// Where to.
        target: Peer,
        /// How its archive travels.
        compression: Compression,
        /// Whether it is there.
        reply: Reply<Result<(), CommandError>>,
    },
    /// A container shall be fetched from one of these datanodes, the first that has it.
    Pull {
        /// Which.
        container: ContainerId,
        /// Where from.
        sources: Vec<Peer>,
        /// How its archive travels.
        compression: Compression,
        /// Whether it is here.
        reply: Reply<Result<(), CommandError>>,
    },
    /// Lost replicas of an erasure-coded container shall be rebuilt.
    Rebuild {
        /// Which, from what.
        rebuild: Box<Rebuild>,
        /// Whether they are.
        reply: Reply<Result<(), CommandError>>,
    },
}

/// Does what is asked, as a task of the shard.
pub(crate) fn answer(store: Rc<Store>, ask: Ask) -> TaskHandle<()> {
    let shard = store.shard().clone();
    shard.spawn_in(Class::Replication, "copy", async move {
        match ask {
            Ask::Claim { container, size, reply } => {
                reply.send(import::claim(&store, container, size).await);
            }
            Ask::Publish { landed, reply } => reply.send(import::publish(&store, *landed).await),
            Ask::Export { container, reply } => reply.send(export::start(&store, container)),
            Ask::Push { container, target, compression, reply } => {
                reply.send(push(&store, container, target, compression).await);
            }
            Ask::Rebuild { rebuild, reply } => {
                reply.send(rebuild::run(store.shard(), store.node(), *rebuild).await);
            }
            Ask::Pull { container, sources, compression, reply } => {
                reply.send(client::pull(store.shard(), store.node(), container, sources, compression).await);
            }
        }
    })
}

/// Sends a container, by our own transport where the target speaks it.
async fn push(
    store: &Rc<Store>,
    id: ContainerId,
    target: Peer,
    compression: Compression,
) -> Result<(), CommandError> {
    let plain = compression == Compression::NoCompression;
    if plain && !store.copies.is_foreign(target.address, store.shard().clock().now()) {
        let container = export::sealed(store, id)?;
        let (used, number) = (container.facts().bytes_used, store.transfer_number());
        let (budget, courtesy) = (&store.node().budget, &store.node().courtesy);
        let sent = export::hold(store, &container, async |disk, parts| {
            let transfer =
                Transfer { peer: target, container: id, used, parts, id: number, budget, courtesy };
            send(store.shard(), disk, &transfer).await
        });
        match sent.await {
            Ok(()) => return Ok(()),
            Err(SendError::Failed(e)) => return Err(e),
            Err(SendError::Foreign(why)) => {
                tracing::info!(datanode = %target.id, why, "a datanode is sent containers over gRPC");
                store.copies.set_foreign(target.address, store.shard().clock().now());
            }
        }
    }
    let export = export::start(store, id)?;
    client::upload(store.shard(), target, id, export, compression).await
}

impl Store {
    /// A number that no other transfer from this datanode has: the time, the shard, and a count.
    fn transfer_number(&self) -> [u8; 16] {
        let (most, least) = self.node().id.to_halves();
        let when = self.shard().clock().wall_ms() ^ (most ^ least) as u64;
        let mut number = [0; 16];
        number[..8].copy_from_slice(&when.to_be_bytes());
        number[8..12].copy_from_slice(&(self.shard().id().0 as u32).to_be_bytes());
        number[12..].copy_from_slice(&(self.copies.next_export() as u32).to_be_bytes());
        number
    }
}
