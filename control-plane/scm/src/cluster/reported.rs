//! What a datanode reports, taken in as a whole: disks, containers, queue, actions.
//!
//! Law     one node's report is applied under one lock, the full container report before the incremental ones: a datanode
//!         drops the changes that it had queued when it makes a full report.
//! Source  wire facts: scm.md 1.5, 1.6, 1.8.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_proto::heartbeat::{
    ContainerActionsProto, ContainerReplicaProto, ContainerReportsProto, IncrementalContainerReportProto,
    NodeReportProto, PipelineActionsProto, PipelineReportsProto,
};
use allotrope_types::{ContainerEvent, ContainerId, ContainerState, DatanodeId};

use super::{Cluster, Now};
use crate::container::report::{self, Applied};
use crate::node::Usage;
use crate::replicated::command::{Change, Step};
use crate::wire;

/// The parts of a registration or heartbeat that say something of the node's contents.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its disks.
    pub node: Option<NodeReportProto>,
    /// All containers it holds.
    pub full: Option<ContainerReportsProto>,
    /// Containers that have changed, in order.
    pub incremental: Vec<IncrementalContainerReportProto>,
    /// What it wants done about containers.
    pub actions: Option<ContainerActionsProto>,
    /// The Raft groups it is in.
    pub pipelines: Option<PipelineReportsProto>,
    /// The Raft groups that have ended there.
    pub pipeline_actions: Option<PipelineActionsProto>,
    /// Commands it has queued, by type.
    pub queued: Option<BTreeMap<i32, u32>>,
}

/// What came of a report.
#[derive(Debug, Default)]
pub struct Heard {
    /// What a leader has to propose.
    pub changes: Vec<Change>,
    /// Entries that could not be true.
    pub dropped: usize,
}

impl Cluster {
    /// Takes in what `node` reports. `leads` says whether this SCM decides: a follower only remembers.
    pub fn report(&mut self, node: DatanodeId, report: &Report, leads: bool, now: Now) -> Heard {
        if let Some(disks) = &report.node {
            // A count of all nodes would make each heartbeat cost as much as there are nodes.
            let before = self.part_of_serving(node);
            self.nodes.reported_usage(node, Usage::of(disks));
            let after = self.part_of_serving(node);
            let (volumes, nodes) = self.serving;
            self.serving =
                ((volumes + after.0).saturating_sub(before.0), (nodes + after.1).saturating_sub(before.1));
        }
        if let Some(queued) = &report.queued {
            self.nodes.reported_queue(node, queued.clone());
        }
        let mut applied = Applied::default();
        let mut take = |more: Applied| {
            applied.touched.extend(more.touched);
            applied.dropped += more.dropped;
        };
        let blocks = &self.blocks;
        let config = |id: ContainerId| blocks.container(id).map(|container| container.config);
        if let Some(full) = &report.full {
            take(report::full(&mut self.replicas, node, &full.reports, config));
        }
        for change in &report.incremental {
            let entries: &[ContainerReplicaProto] = &change.report;
            take(report::incremental(&mut self.replicas, node, entries, config));
        }
        for container in &applied.touched {
            self.blocks.take_figures(*container, self.replicas.of(*container));
            self.nodes.arrived(node, *container);
            match self.replicas.of(*container).iter().find(|replica| replica.node == node) {
                Some(replica) => self.manager.pending.arrived(*container, node, replica.index),
                None => self.manager.pending.gone(*container, node),
            };
            self.container_changed(*container);
        }
        if self.safe_mode.is_on() && (report.full.is_some() || !applied.touched.is_empty()) {
            self.glance_at_safe_mode();
        }
        let mut changes = Vec::new();
        if leads && !self.safe_mode.is_on() {
            changes.extend(self.asked_to_close(report.actions.as_ref()));
            for container in &applied.touched {
                changes.extend(self.advance(*container, now));
            }
            let (reports, actions) = (report.pipelines.as_ref(), report.pipeline_actions.as_ref());
            changes.extend(self.ratis_reported(node, reports, actions, now));
            self.unknown_pipelines(node, reports, now);
        }
        Heard { changes, dropped: applied.dropped }
    }

    /// The containers that a datanode wants closed: they are full, or something is wrong with them there.
    fn asked_to_close(&self, actions: Option<&ContainerActionsProto>) -> Vec<Change> {
        let asked: BTreeSet<ContainerId> = actions
            .iter()
            .flat_map(|actions| &actions.container_actions)
            .filter_map(|action| ContainerId::try_from(action.container_id).ok())
            .collect();
        let open = asked.into_iter().filter_map(|id| self.blocks.container(id));
        open.filter(|container| container.state == ContainerState::Open)
            .map(|c| {
                let (used, keys) = (c.used.as_u64(), c.keys);
                Change::Step(Step::new(c.id, ContainerEvent::Finalize, c.sequence.as_u64(), used, keys))
            })
            .collect()
    }

    /// Raft groups that SCM does not know are to be forgotten.
    fn unknown_pipelines(&mut self, node: DatanodeId, pipelines: Option<&PipelineReportsProto>, now: Now) {
        for report in pipelines.into_iter().flat_map(|p| &p.pipeline_report) {
            if let Ok(id) = wire::pipeline_id_of(&report.pipeline_id)
                && self.blocks.pipeline(id).is_none()
            {
                self.commands.close_pipeline(node, id, now.monotonic_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::node::{Layout, Volume};
    use allotrope_proto::hdds::DatanodeDetailsProto;
    use allotrope_proto::heartbeat::StorageReportProto;

    #[test]
    fn a_heartbeat_changes_the_counts_of_who_serves_by_its_nodes_part() {
        let now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };
        let mut cluster = Cluster::new(&Config::new("/unused"), now);
        let node = |n: u8| DatanodeId::from_random_bytes([n; 16]);
        for n in 1..=3 {
            let volume = Volume { remaining: 1 << 40, capacity: 1 << 41, ..Volume::default() };
            let usage = Usage { volumes: vec![volume; usize::from(n)], metadata_volumes: 1 };
            let details = DatanodeDetailsProto { host_name: format!("dn-{n}"), ..Default::default() };
            let layout = Layout { metadata: 10, software: 10 };
            let peer = std::net::Ipv4Addr::LOCALHOST.into();
            cluster.nodes.register(node(n), details, peer, layout, usage, 0).unwrap();
        }
        cluster.count_serving();
        assert_eq!(cluster.serving(), (6, 3));
        for (n, good, failed) in [(2, 5, 0), (3, 1, 2), (2, 0, 1), (9, 4, 0)] {
            let disk = |failed| StorageReportProto { failed: Some(failed), ..StorageReportProto::default() };
            let disks = std::iter::repeat_n(disk(false), good).chain(std::iter::repeat_n(disk(true), failed));
            let disks = NodeReportProto { storage_report: disks.collect(), ..Default::default() };
            let report = Report { node: Some(disks), ..Report::default() };
            cluster.report(node(n), &report, true, now);
            let told = cluster.serving();
            cluster.count_serving();
            assert_eq!(told, cluster.serving(), "after node {n}");
        }
        assert_eq!(cluster.serving().0, 2, "one of the first node, one of the third");
    }
}
