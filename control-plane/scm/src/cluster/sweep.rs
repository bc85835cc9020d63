//! The sweep: what follows from time passing. Silence, containers on their way, pipelines that have served.
//!
//! Shape   [`Cluster::silence`] and [`Cluster::sweep`] are called by a loop with the time; they return what a leader has
//!         to propose. Between them they find again whatever a lost report or a lost command left undone.
//! Source  wire facts: scm.md 2.5, 2.6, 2.9.

use allotrope_types::{ContainerId, DatanodeId, PipelineId, ReplicationConfig};

use super::{Cluster, Now};
use crate::node::{Health, OperationalState};
use crate::pipeline::PipelineState;
use crate::replicated::command::{Change, OnPipeline};
use crate::wire;

/// How long a closed pipeline is kept (`ozone.scm.pipeline.destroy.timeout`), and how long one may be without a container.
const PIPELINE_KEPT_MS: u64 = 66_000;
/// How often every container is looked at (`hdds.scm.replication.thread.interval`).
const WALK_EVERY_MS: u64 = 300_000;
/// Containers looked at under one hold of the lock.
const WALK_PAGE: usize = 10_000;

fn close(id: PipelineId) -> Change {
    Change::ClosePipeline(OnPipeline { pipeline: wire::pipeline_id(id) })
}

impl Cluster {
    /// Looks at everybody's silence. A stale node's pipelines are closed; a dead node's replicas count as lost, unless it
    /// may be away.
    pub fn silence(&mut self, now: Now) -> Vec<Change> {
        let changed = self.nodes.check_silence(now.monotonic_ms);
        if changed.is_empty() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for (node, health) in changed {
            tracing::warn!(%node, health = health.name(), "a datanode has gone silent");
            changes.extend(self.pipelines_of(node).into_iter().map(close));
            let away = self.nodes.get(node).is_some_and(|n| n.operational == OperationalState::InMaintenance);
            for container in self.replicas.on(node).collect::<Vec<_>>() {
                self.container_changed(container);
            }
            if health == Health::Dead {
                for container in self.manager.pending.node_died(node) {
                    self.container_changed(container);
                }
            }
            if health == Health::Dead && !away {
                self.commands.drop_node(node);
                self.replicas.remove_node(node);
            }
        }
        self.count_serving();
        changes
    }

    /// The pipelines that `node` is in and that are not closed.
    pub fn pipelines_of(&self, node: DatanodeId) -> Vec<PipelineId> {
        let all = self.blocks.pipelines();
        all.filter(|p| p.state != PipelineState::Closed && p.has(node)).map(|p| p.id).collect()
    }

    /// Looks at whatever is on its way, and at a page of everything if a walk is due.
    ///
    /// For a leader outside safe mode; in safe mode nothing is closed or deleted.
    pub fn sweep(&mut self, now: Now) -> Vec<Change> {
        if self.safe_mode.is_on() {
            return Vec::new();
        }
        self.commands.prune(now.monotonic_ms);
        let unsettled: Vec<ContainerId> = self.blocks.unsettled().collect();
        let mut changes: Vec<Change> = unsettled.into_iter().flat_map(|id| self.advance(id, now)).collect();
        changes.extend(self.sweep_pipelines(now));
        changes.extend(self.sweep_ratis(now));
        changes.extend(self.walk(now));
        changes
    }

    fn sweep_pipelines(&mut self, now: Now) -> Vec<Change> {
        let mut changes = Vec::new();
        // Nodes that have not come back since SCM started: by now they would be stale.
        let up_ms = now.monotonic_ms.saturating_sub(self.started_ms);
        let all_back = up_ms >= crate::config::ms(self.config.nodes.stale);
        let mut closed = std::mem::take(&mut self.closed_pipelines);
        closed.retain(|id, _| self.blocks.pipeline(*id).is_some());
        for pipeline in self.blocks.pipelines() {
            let used = !self.blocks.of_pipeline(pipeline.id).is_empty();
            let age_ms = now.unix_ms.saturating_sub(pipeline.created_ms);
            let id = pipeline.id;
            match pipeline.state {
                PipelineState::Closed => {
                    let since = *closed.entry(id).or_insert(now.monotonic_ms);
                    // While a container is CLOSING its pipeline says who may hold a replica.
                    if !used && now.monotonic_ms.saturating_sub(since) >= PIPELINE_KEPT_MS {
                        changes.push(Change::RemovePipeline(OnPipeline { pipeline: wire::pipeline_id(id) }));
                    }
                }
                _ if all_back && pipeline.members.iter().any(|m| self.nodes.get(m.node).is_none()) => {
                    changes.push(close(id));
                }
                // Those of Ratis stand ready for containers to come.
                _ if matches!(pipeline.config, ReplicationConfig::Ratis(_)) => {}
                _ if !used && age_ms >= PIPELINE_KEPT_MS => changes.push(close(id)),
                _ => {}
            }
        }
        self.closed_pipelines = closed;
        changes
    }

    fn walk(&mut self, now: Now) -> Vec<Change> {
        if self.walk_from.is_none() && now.monotonic_ms.saturating_sub(self.walked_at_ms) >= WALK_EVERY_MS {
            self.walk_from = Some(ContainerId::new(0));
        }
        let Some(from) = self.walk_from else { return Vec::new() };
        let page: Vec<ContainerId> =
            self.blocks.containers_from(from).take(WALK_PAGE).map(|c| c.id).collect();
        self.walked_at_ms = now.monotonic_ms;
        self.walk_from = match page.last() {
            Some(last) if page.len() == WALK_PAGE => Some(ContainerId::new(last.as_u64() + 1)),
            _ => None,
        };
        page.into_iter().flat_map(|id| self.advance(id, now)).collect()
    }
}
