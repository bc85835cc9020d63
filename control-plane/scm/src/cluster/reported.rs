//! What a datanode reports, taken in as a whole: disks, containers, queue, actions.
//!
//! Law     one node's report is applied under one lock, the full container report before the incremental ones: a datanode
//!         drops the changes that it had queued when it makes a full report.
//! Source  wire facts: scm.md 1.5, 1.6, 1.8.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_proto::edge::heartbeat::{CommandKind, ContainerAction, PipelineAction, PipelineReport};
use allotrope_types::{ContainerEvent, ContainerId, ContainerState, DatanodeId};

use super::{Cluster, Now};
use crate::container::report::{self, Applied, Entries};
use crate::node::Usage;
use crate::replicated::command::{Change, Step};

/// The parts of a registration or heartbeat that say something of the node's contents, as far as they can be true.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its disks.
    pub node: Option<Usage>,
    /// All containers it holds.
    pub full: Option<Entries>,
    /// Containers that have changed, in order.
    pub incremental: Vec<Entries>,
    /// What it wants done about containers.
    pub actions: Vec<ContainerAction>,
    /// The Raft groups it is in.
    pub pipelines: Vec<PipelineReport>,
    /// The Raft groups that have ended there.
    pub pipeline_actions: Vec<PipelineAction>,
    /// Commands it has queued, by kind.
    pub queued: Option<BTreeMap<CommandKind, u32>>,
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
    pub fn report(&mut self, node: DatanodeId, report: Report, leads: bool, now: Now) -> Heard {
        if let Some(usage) = report.node {
            // A count of all nodes would make each heartbeat cost as much as there are nodes.
            let before = self.part_of_serving(node);
            self.nodes.reported_usage(node, usage);
            let after = self.part_of_serving(node);
            let (volumes, nodes) = self.serving;
            self.serving =
                ((volumes + after.0).saturating_sub(before.0), (nodes + after.1).saturating_sub(before.1));
        }
        if let Some(queued) = report.queued {
            self.nodes.reported_queue(node, queued);
        }
        let mut applied = Applied::default();
        let mut take = |more: Applied| {
            applied.touched.extend(more.touched);
            applied.dropped += more.dropped;
        };
        let blocks = &self.blocks;
        let config = |id: ContainerId| blocks.container(id).map(|container| container.config);
        if let Some(full) = &report.full {
            take(report::full(&mut self.replicas, node, full, config));
        }
        for change in &report.incremental {
            take(report::incremental(&mut self.replicas, node, change, config));
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
            changes.extend(self.asked_to_close(&report.actions));
            for container in &applied.touched {
                changes.extend(self.advance(*container, now));
            }
            changes.extend(self.ratis_reported(node, &report.pipelines, &report.pipeline_actions, now));
            self.unknown_pipelines(node, &report.pipelines, now);
        }
        Heard { changes, dropped: applied.dropped }
    }

    /// The containers that a datanode wants closed: they are full, or something is wrong with them there.
    fn asked_to_close(&self, actions: &[ContainerAction]) -> Vec<Change> {
        let asked: BTreeSet<ContainerId> = actions.iter().map(|action| action.container_id).collect();
        let open = asked.into_iter().filter_map(|id| self.blocks.container(id));
        open.filter(|container| container.state == ContainerState::Open)
            .map(|c| {
                let (used, keys) = (c.used.as_u64(), c.keys);
                Change::Step(Step::new(c.id, ContainerEvent::Finalize, c.sequence.as_u64(), used, keys))
            })
            .collect()
    }

    /// Raft groups that SCM does not know are to be forgotten.
    fn unknown_pipelines(&mut self, node: DatanodeId, pipelines: &[PipelineReport], now: Now) {
        for report in pipelines {
            if self.blocks.pipeline(report.pipeline).is_none() {
                self.commands.close_pipeline(node, report.pipeline, now.monotonic_ms);
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
            let disk = |failed| Volume { failed, ..Volume::default() };
            let disks = std::iter::repeat_n(disk(false), good).chain(std::iter::repeat_n(disk(true), failed));
            let usage = Usage { volumes: disks.collect(), metadata_volumes: 0 };
            let report = Report { node: Some(usage), ..Report::default() };
            cluster.report(node(n), report, true, now);
            let told = cluster.serving();
            cluster.count_serving();
            assert_eq!(told, cluster.serving(), "after node {n}");
        }
        assert_eq!(cluster.serving().0, 2, "one of the first node, one of the third");
    }
}
