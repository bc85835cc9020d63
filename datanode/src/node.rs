//! A datanode as all its shards share it: its name, its volumes, the ways to its shards and to the control thread.
//!
//! Law     which shard owns a container follows from the two names alone.

use crate::config::Config;
use crate::metadata::Metadata;
use crate::metrics::Metrics;
use crate::replication::stream::{Budget, Sessions};
use crate::replication::supervisor::Supervisor;
use crate::replication::{CopyLimits, Courtesy, Imports};
use crate::store::{Event, ShardMessage};
use crate::volume::Volume;
use allotrope_io::{Mesh, ShardId};
use allotrope_types::{ContainerId, DatanodeId};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, watch};

/// What all shards of a datanode share.
pub struct Node {
    /// Its name.
    pub id: DatanodeId,
    /// Its settings.
    pub config: Config,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its volumes, those that failed among them. They change when the configuration is read again.
    pub(crate) volumes: RwLock<Arc<[Arc<Volume>]>>,
    /// Why the datanode cannot go on, once it cannot.
    pub fatal: watch::Sender<Option<String>>,
    /// The list of all containers it ever made.
    pub witnessed: Arc<dyn Metadata>,
    /// Where changes are told to the control thread.
    pub events: mpsc::Sender<Event>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// The containers that are on their way here.
    pub imports: Arc<Imports>,
    /// Transfers from other datanodes, while they wait for their senders.
    pub transfers: Sessions,
    /// How fast copies leave.
    pub budget: Budget,
    /// The pipelines it is in.
    pub pipelines: crate::pipeline::Pipelines,
    /// What copies and reconstructions leave to clients.
    pub courtesy: Courtesy,
    /// SCM's copy and reconstruction commands.
    pub supervisor: Supervisor,
    /// The way to each shard.
    pub mesh: Mesh<ShardMessage>,
}

impl Node {
    /// Its volumes now, those that failed among them.
    pub fn volumes(&self) -> Arc<[Arc<Volume>]> {
        self.volumes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_volumes(&self, volumes: Vec<Arc<Volume>>) {
        *self.volumes.write().unwrap_or_else(PoisonError::into_inner) = volumes.into();
    }

    /// Takes a volume out of use: its containers are not here any more, and SCM is told.
    pub async fn fail_volume(&self, volume: &Arc<Volume>, why: &str) {
        if !volume.set_failed(why) {
            return;
        }
        self.drop_containers(volume).await;
        let volumes = self.volumes();
        let failed = volumes.iter().filter(|one| one.is_failed()).count();
        let tolerated =
            self.config.check.volumes_failed_max.unwrap_or(usize::MAX).min(volumes.len().saturating_sub(1));
        if failed > tolerated {
            let why = format!("{failed} of {} volumes failed, the last one since {why}", volumes.len());
            self.fatal.send_replace(Some(why));
        }
    }

    /// Has every shard let go of the containers of a volume.
    pub(crate) async fn drop_containers(&self, volume: &Arc<Volume>) {
        for n in 0..self.mesh.shards() {
            let asked =
                self.mesh.ask(ShardId(n), |reply| ShardMessage::DropVolume { volume: volume.clone(), reply });
            match asked.await {
                Ok(count) => {
                    tracing::warn!(volume = %volume.version().volume, shard = n, count, "containers are gone with their volume")
                }
                Err(e) => tracing::error!(shard = n, error = %e, "a shard does not let go of a volume"),
            }
        }
        drop(self.events.try_send(Event::FullReport));
    }

    /// Changes how many copies are made and taken in at once, and how fast they leave. Those under way go on.
    pub fn set_copy_limits(&self, limits: &CopyLimits) {
        self.supervisor.set_limits(limits);
        self.imports.set_streams(limits.streams);
        self.budget.set(limits.bandwidth);
        self.courtesy.set(limits.busy_bandwidth);
    }

    /// The shard that owns `container`.
    pub fn home_of(&self, container: ContainerId) -> ShardId {
        home_of(self.id, container, self.mesh.shards())
    }
}

/// The shard, of `shards`, that owns `container` on `datanode`. Several datanodes of one process spread differently.
pub fn home_of(datanode: DatanodeId, container: ContainerId, shards: usize) -> ShardId {
    let (most, least) = datanode.to_halves();
    // SplitMix64's finalizer: neighbouring ids, as SCM hands them out, go to different shards evenly.
    let mut x = container.as_u64() ^ (most ^ least) as u64;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ShardId(((x ^ (x >> 31)) % shards.max(1) as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_spread_evenly_and_stay_where_they_are() {
        let node: DatanodeId = "fc916013-b295-4015-b775-b132a520dc7e".parse().unwrap();
        let mut counts = [0; 7];
        for id in 1..=7000 {
            let home = home_of(node, ContainerId::new(id), 7);
            assert_eq!(home, home_of(node, ContainerId::new(id), 7));
            counts[home.0] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
