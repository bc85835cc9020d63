//! The mirror of the tables: containers and pipelines, with the indexes that allocation and the sweep walk.
//!
//! Law     the indexes follow from the rows; only what the tables say is put here, apart from the figures that reports
//!         bring (`used`, `keys`, `sequence`), which the tables get with the container's next step.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{
    Bcsid, ByteCount, ContainerId, ContainerState, DatanodeId, PipelineId, ReplicationConfig,
};

use crate::container::{Container, Replica};
use crate::pipeline::Pipeline;

/// What open containers are looked for by: how bytes are kept safe, and whose they are.
pub type OpenKey = (ReplicationConfig, String);

/// Containers and pipelines.
#[derive(Debug, Default)]
pub struct Blocks {
    containers: BTreeMap<ContainerId, Container>,
    pipelines: BTreeMap<PipelineId, Pipeline>,
    by_pipeline: BTreeMap<PipelineId, BTreeSet<ContainerId>>,
    open: BTreeMap<OpenKey, Vec<ContainerId>>,
    unsettled: BTreeSet<ContainerId>,
    counts: BTreeMap<ContainerState, usize>,
    writers: BTreeMap<ContainerId, Vec<DatanodeId>>,
}

/// Whether a container in this state is on its way to another.
fn is_unsettled(state: ContainerState) -> bool {
    use ContainerState::*;
    matches!(state, Open | Closing | QuasiClosed | Deleting)
}

impl Blocks {
    /// Forgets all, before the tables are read anew.
    pub fn clear(&mut self) {
        *self = Blocks::default();
    }

    /// The container of that id.
    pub fn container(&self, id: ContainerId) -> Option<&Container> {
        self.containers.get(&id)
    }

    /// Every container, by id.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    /// Containers from `id` on.
    pub fn containers_from(&self, id: ContainerId) -> impl Iterator<Item = &Container> {
        self.containers.range(id..).map(|(_, container)| container)
    }

    /// How many containers are in `state`.
    pub fn count(&self, state: ContainerState) -> usize {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// How many containers there are.
    pub fn len(&self) -> usize {
        self.containers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// The pipeline of that id.
    pub fn pipeline(&self, id: PipelineId) -> Option<&Pipeline> {
        self.pipelines.get(&id)
    }

    /// Every pipeline, by id.
    pub fn pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        self.pipelines.values()
    }

    /// The containers made for a pipeline that are not yet closed.
    pub fn of_pipeline(&self, id: PipelineId) -> Vec<ContainerId> {
        self.by_pipeline.get(&id).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    /// The open containers for a config and an owner, by id.
    pub fn open_for(&self, key: &OpenKey) -> &[ContainerId] {
        self.open.get(key).map_or(&[], Vec::as_slice)
    }

    /// The containers that are on their way to another state.
    pub fn unsettled(&self) -> impl Iterator<Item = ContainerId> {
        self.unsettled.iter().copied()
    }

    /// Notes a container as its row says, in place of what was known of it. Its figures stay where reports have brought
    /// larger ones than the row has: a container that has blocks must not look empty until it is reported again.
    pub fn put_container(&mut self, mut container: Container) {
        if let Some(old) = self.containers.get(&container.id) {
            container.used = container.used.max(old.used);
            container.keys = container.keys.max(old.keys);
            container.sequence = container.sequence.max(old.sequence);
        }
        self.unlink(container.id);
        let id = container.id;
        *self.counts.entry(container.state).or_default() += 1;
        if is_unsettled(container.state) {
            self.unsettled.insert(id);
        }
        if matches!(container.state, ContainerState::Open | ContainerState::Closing)
            && let Some(pipeline) = container.pipeline
        {
            self.by_pipeline.entry(pipeline).or_default().insert(id);
        }
        if container.state == ContainerState::Open {
            let open = self.open.entry((container.config, container.owner.clone())).or_default();
            if let Err(at) = open.binary_search(&id) {
                open.insert(at, id);
            }
        }
        self.containers.insert(id, container);
    }

    /// Notes who writes a container, each of whom has everything that was acknowledged.
    pub fn set_writers(&mut self, id: ContainerId, nodes: Vec<DatanodeId>) {
        self.writers.insert(id, nodes);
    }

    /// Those who write a container and each have everything that was acknowledged; empty if that is not known.
    pub fn writers(&self, id: ContainerId) -> &[DatanodeId] {
        self.writers.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Forgets a container and its writers; what reports said of it too.
    pub fn forget_container(&mut self, id: ContainerId) {
        self.writers.remove(&id);
        self.unlink(id);
        self.containers.remove(&id);
    }

    /// Takes what is known of a container out of the indexes.
    fn unlink(&mut self, id: ContainerId) {
        let Some(old) = self.containers.get(&id) else { return };
        if let Some(count) = self.counts.get_mut(&old.state) {
            *count -= 1;
        }
        self.unsettled.remove(&id);
        if let Some(pipeline) = old.pipeline
            && let Some(ids) = self.by_pipeline.get_mut(&pipeline)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_pipeline.remove(&pipeline);
            }
        }
        let key = (old.config, old.owner.clone());
        if old.state == ContainerState::Open
            && let Some(open) = self.open.get_mut(&key)
        {
            open.retain(|open| *open != id);
            if open.is_empty() {
                self.open.remove(&key);
            }
        }
    }

    /// Notes a pipeline as its row says.
    pub fn put_pipeline(&mut self, pipeline: Pipeline) {
        self.pipelines.insert(pipeline.id, pipeline);
    }

    /// Forgets a pipeline.
    pub fn remove_pipeline(&mut self, id: PipelineId) {
        self.pipelines.remove(&id);
    }

    /// Takes a container's figures from its replicas: the least while it is written, the most afterwards. Of an EC
    /// container only the first data replica and parity count, since these have a part of every stripe.
    pub fn take_figures(&mut self, id: ContainerId, replicas: &[Replica]) {
        let Some(container) = self.containers.get_mut(&id) else { return };
        let ec = container.config.ec();
        let counts = |r: &&Replica| {
            use allotrope_types::ReplicaState::{Invalid, Unhealthy};
            let whole = ec.is_none_or(|ec| r.index.is_some_and(|i| i.position() == 0 || ec.is_parity(i)));
            whole && !matches!(r.state, Invalid | Unhealthy)
        };
        let figures = replicas.iter().filter(counts).map(|r| (r.used, r.keys, r.bcsid));
        let pick = |open: bool, a: u64, b: u64| if open { a.min(b) } else { a.max(b) };
        let open = container.state == ContainerState::Open;
        let merged = figures.reduce(|(used, keys, bcsid), (u, k, b)| {
            let used = ByteCount::new(pick(open, used.as_u64(), u.as_u64()));
            (used, pick(open, keys, k), Bcsid::max(bcsid, b))
        });
        if let Some((used, keys, bcsid)) = merged {
            container.used = used;
            container.keys = keys;
            // Closed at one index on all members: what a late replica has beyond it was never acknowledged.
            let fixed = container.state == ContainerState::Closed
                && matches!(container.config, ReplicationConfig::Ratis(_));
            if !fixed {
                container.sequence = container.sequence.max(bcsid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::tests::any_container;
    use proptest::prelude::*;

    #[test]
    fn a_row_without_figures_does_not_make_a_container_look_empty() {
        let mut blocks = Blocks::default();
        let config = "STANDALONE/ONE".parse().unwrap();
        let row = Container {
            id: ContainerId::new(1),
            state: ContainerState::Open,
            pipeline: None,
            config,
            owner: "om".into(),
            used: ByteCount::ZERO,
            keys: 0,
            sequence: Bcsid::new(0),
            state_entered_ms: 0,
            delete_transaction: 0,
            suppressed: false,
        };
        blocks.put_container(row.clone());
        let node = allotrope_types::DatanodeId::from_bytes([1; 16]);
        let replica = Replica {
            node,
            state: allotrope_types::ReplicaState::Open,
            index: None,
            empty: false,
            bcsid: Bcsid::new(4),
            used: ByteCount::new(9),
            keys: 2,
            origin: node,
            checksum: None,
        };
        blocks.take_figures(row.id, &[replica]);
        blocks.put_container(Container { state: ContainerState::Closing, ..row.clone() });
        let now = blocks.container(row.id).unwrap();
        assert_eq!((now.state, now.keys, now.used.as_u64()), (ContainerState::Closing, 2, 9));
    }

    proptest! {
        #[test]
        fn the_indexes_follow_from_the_rows(rows in prop::collection::vec(any_container(), 0..40)) {
            let mut blocks = Blocks::default();
            let mut model = BTreeMap::new();
            for mut row in rows {
                row.id = ContainerId::new(row.id.as_u64() % 8);
                row.owner.truncate(1);
                model.insert(row.id, row.clone());
                blocks.put_container(row);
            }
            let identity = |c: &Container| (c.id, c.state, c.pipeline, c.config, c.owner.clone());
            let known: Vec<_> = blocks.containers().map(identity).collect();
            prop_assert_eq!(known, model.values().map(identity).collect::<Vec<_>>());
            for state in ContainerState::ALL {
                prop_assert_eq!(blocks.count(*state), model.values().filter(|c| c.state == *state).count());
            }
            let unsettled: Vec<_> = model.values().filter(|c| is_unsettled(c.state)).map(|c| c.id).collect();
            prop_assert_eq!(blocks.unsettled().collect::<Vec<_>>(), unsettled);
            for row in model.values() {
                let key = (row.config, row.owner.clone());
                let open: Vec<_> = model.values()
                    .filter(|c| c.state == ContainerState::Open && (c.config, c.owner.clone()) == key)
                    .map(|c| c.id)
                    .collect();
                prop_assert_eq!(blocks.open_for(&key), &open[..]);
                if let Some(pipeline) = row.pipeline {
                    let mine: Vec<_> = model.values()
                        .filter(|c| c.pipeline == Some(pipeline))
                        .filter(|c| matches!(c.state, ContainerState::Open | ContainerState::Closing))
                        .map(|c| c.id)
                        .collect();
                    prop_assert_eq!(blocks.of_pipeline(pipeline), mine);
                }
            }
        }
    }
}
