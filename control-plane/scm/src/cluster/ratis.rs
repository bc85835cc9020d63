//! Ratis pipelines: made ahead of the writers, open once their members have met, closed when one of them cannot go on.
//!
//! Shape   facts are the tables' pipelines and what members report of them; [`Cluster::sweep_ratis`] and
//!         [`Cluster::ratis_reported`] say what a leader has to propose, and queue commands for the members.
//! Law     SCM names the leader when it makes a pipeline. The members of one pipeline are of one kind of datanode: ours and
//!         Java's do not understand each other there.
//! Source  wire facts: scm.md 2.5.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_proto::edge::heartbeat::{PipelineAction, PipelineReport};
use allotrope_types::{DatanodeId, PipelineId, ReplicationConfig, ReplicationFactor};

use super::{Cluster, Now};
use crate::pipeline::{Pipeline, PipelineState};
use crate::placement::{Candidate, NotEnough, Policy, Wish};
use crate::replicated::command::{Change, OnPipeline, SetPipelineState};
use crate::wire;

/// How long members have to report a new pipeline (`ozone.scm.pipeline.allocated.timeout`), in ms.
const ALLOCATED_MAX_MS: u64 = 300_000;
/// How long after its end a pipeline's members may go on closing its containers together
/// (`ozone.scm.pipeline.destroy.timeout`), in ms.
const CLOSING_MS: u64 = 66_000;
/// Pipelines made in one sweep.
const MADE_AT_ONCE: usize = 16;
/// The port of a datanode that hosts Ratis pipelines.
const PORT_RATIS: &str = "RATIS";
/// What our datanodes call themselves when they register; behind it, how safe a write is that they acknowledge.
const OURS: &str = "allotrope/";
/// A write is on stable storage.
const ON_DISK: &str = "disk";

/// What the tables do not say of Ratis pipelines.
#[derive(Debug, Default)]
pub struct Ratis {
    heard: BTreeMap<PipelineId, Heard>,
    /// Datanodes of ours among those that registered, and whether what they acknowledge is on stable storage.
    ours: BTreeMap<DatanodeId, bool>,
    /// When pipelines were made last, in monotonic ms: what was proposed then may not be in the tables yet.
    made_ms: Option<u64>,
}

/// What members report of a pipeline.
#[derive(Debug, Default)]
struct Heard {
    by: BTreeSet<DatanodeId>,
    leader: Option<DatanodeId>,
    /// Since when it has been seen closed, in monotonic ms.
    closed_ms: Option<u64>,
    /// A member has ended it.
    failed: bool,
}

impl Ratis {
    /// Notes what kind of datanode has registered.
    pub fn registered(&mut self, node: DatanodeId, revision: Option<&str>) {
        match revision.and_then(|revision| revision.strip_prefix(OURS)) {
            Some(durability) => self.ours.insert(node, durability == ON_DISK),
            None => self.ours.remove(&node),
        };
    }

    /// Who leads a pipeline, as its members say.
    pub fn leader(&self, id: PipelineId) -> Option<DatanodeId> {
        self.heard.get(&id).and_then(|heard| heard.leader)
    }
}

fn is_ratis(pipeline: &Pipeline) -> bool {
    matches!(pipeline.config, ReplicationConfig::Ratis(_))
}

fn close(id: PipelineId) -> Change {
    Change::ClosePipeline(OnPipeline { pipeline: wire::pipeline_id(id) })
}

impl Cluster {
    /// Whether all three members of a pipeline must have a write on stable storage before it is acknowledged.
    pub fn all_acknowledge(&self, id: PipelineId) -> bool {
        let pipeline = self.blocks.pipeline(id).filter(|pipeline| is_ratis(pipeline));
        pipeline.is_some_and(|pipeline| {
            pipeline.members.len() > 1
                && pipeline.members.iter().all(|member| self.ratis.ours.get(&member.node) == Some(&true))
        })
    }

    /// Takes in what a node says of the pipelines it is in.
    pub(super) fn ratis_reported(
        &mut self,
        node: DatanodeId,
        reports: &[PipelineReport],
        actions: &[PipelineAction],
        now: Now,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for info in actions.iter().filter_map(|action| action.close_pipeline.as_ref()) {
            let id = info.pipeline;
            let state = self.blocks.pipeline(id).map(|pipeline| pipeline.state);
            if matches!(state, Some(state) if state != PipelineState::Closed) {
                let why = info.detailed_reason.as_deref().unwrap_or_default();
                tracing::warn!(%node, pipeline = %id, why, "a member has ended a pipeline");
                changes.push(close(id));
            }
            if state.is_some() {
                self.ratis.heard.entry(id).or_default().failed = true;
            }
            // There it need not be told again.
            self.commands.close_pipeline(node, id, now.monotonic_ms);
        }
        for report in reports {
            let id = report.pipeline;
            let Some(pipeline) = self.blocks.pipeline(id).filter(|p| is_ratis(p) && p.has(node)) else {
                continue;
            };
            let heard = self.ratis.heard.entry(id).or_default();
            heard.by.insert(node);
            if report.is_leader {
                heard.leader = Some(node);
            }
            let met = heard.leader.is_some() && pipeline.members.iter().all(|m| heard.by.contains(&m.node));
            match pipeline.state {
                PipelineState::Allocated if met => {
                    let state = PipelineState::Open as i32;
                    let set = SetPipelineState { pipeline: wire::pipeline_id(id), state };
                    changes.push(Change::SetPipelineState(set));
                }
                PipelineState::Closed => {
                    let since = *heard.closed_ms.get_or_insert(now.monotonic_ms);
                    let used = !self.blocks.of_pipeline(id).is_empty();
                    let over = now.monotonic_ms.saturating_sub(since) >= CLOSING_MS;
                    // Until then its leader closes its containers on all members at one index.
                    if heard.failed || !used || over {
                        self.commands.close_pipeline(node, id, now.monotonic_ms);
                    }
                }
                _ => {}
            }
        }
        changes
    }

    /// Tells members of new pipelines, gives up those that do not come up, and makes new ones where nodes have room.
    pub(super) fn sweep_ratis(&mut self, now: Now) -> Vec<Change> {
        let mut changes = Vec::new();
        let blocks = &self.blocks;
        self.ratis.heard.retain(|id, _| blocks.pipeline(*id).is_some());
        let new: Vec<Pipeline> = blocks
            .pipelines()
            .filter(|pipeline| is_ratis(pipeline) && pipeline.state == PipelineState::Allocated)
            .cloned()
            .collect();
        for pipeline in new {
            if now.unix_ms.saturating_sub(pipeline.created_ms) >= ALLOCATED_MAX_MS {
                tracing::warn!(pipeline = %pipeline.id, "a pipeline whose members do not meet is given up");
                changes.push(close(pipeline.id));
            } else {
                self.tell_members(&pipeline, now);
            }
        }
        changes.extend(self.make_pipelines(now));
        changes
    }

    /// Queues the command to take part for each member that has not said that it does.
    pub fn tell_members(&mut self, pipeline: &Pipeline, now: Now) {
        let heard = self.ratis.heard.get(&pipeline.id);
        let silent = |node: &DatanodeId| heard.is_none_or(|heard| !heard.by.contains(node));
        let to: Vec<DatanodeId> = pipeline.members.iter().map(|m| m.node).filter(silent).collect();
        let message = self.pipeline_message(pipeline);
        let leader = pipeline.leader;
        for node in to {
            self.commands.create_pipeline(node, pipeline.id, &message, leader, now.monotonic_ms);
        }
    }

    fn make_pipelines(&mut self, now: Now) -> Vec<Change> {
        // Those that were proposed by the last sweep are in the tables by the next but one.
        let pause_ms = 2 * crate::config::ms(self.config.sweep_interval);
        if self.ratis.made_ms.is_some_and(|made| now.monotonic_ms.saturating_sub(made) < pause_ms) {
            return Vec::new();
        }
        let mut load = Load::of(self);
        let mut made = Vec::new();
        let three = ReplicationConfig::Ratis(ReplicationFactor::Three);
        while made.len() < MADE_AT_ONCE
            && let Ok(pipeline) = self.place_ratis(three, &load, Some(self.config.pipelines_per_node), now)
        {
            load.add(&pipeline);
            made.push(Change::AddPipeline(pipeline.to_message(|_| None)));
        }
        let one = ReplicationConfig::Ratis(ReplicationFactor::One);
        while self.config.pipelines_of_one
            && made.len() < MADE_AT_ONCE
            && let Ok(pipeline) = self.place_ratis(one, &load, Some(1), now)
        {
            load.add(&pipeline);
            made.push(Change::AddPipeline(pipeline.to_message(|_| None)));
        }
        if !made.is_empty() {
            self.ratis.made_ms = Some(now.monotonic_ms);
        }
        made
    }

    /// A new pipeline for `config`, whatever the nodes have already.
    pub fn new_ratis(&mut self, config: ReplicationConfig, now: Now) -> Result<Pipeline, NotEnough> {
        let load = Load::of(self);
        self.place_ratis(config, &load, None, now)
    }

    /// A pipeline on nodes of one kind that have room, below `limit` pipelines of that factor each, the least loaded first.
    fn place_ratis(
        &mut self,
        config: ReplicationConfig,
        load: &Load,
        limit: Option<usize>,
        now: Now,
    ) -> Result<Pipeline, NotEnough> {
        let count = config.required_nodes();
        let hosts = |node: &crate::node::Node| node.details.ports.iter().any(|port| port.name == PORT_RATIS);
        let able = |node: &crate::node::Node| {
            let here = load.pipelines.get(&(node.id, count)).copied().unwrap_or(0);
            node.serves() && hosts(node) && limit.is_none_or(|limit| here < limit)
        };
        let kinds = [true, false].map(|ours| -> Vec<Candidate> {
            let all = self.nodes.all().filter(|node| able(node));
            all.filter(|node| self.ratis.ours.contains_key(&node.id) == ours)
                .map(|node| Candidate {
                    node: node.id,
                    rack: node.rack().to_owned(),
                    slots: node.slots_free(self.config.container_size),
                    share_used: node.usage.share_used(),
                })
                .collect()
        });
        let mut of_a_kind = kinds.into_iter().max_by_key(Vec::len).unwrap_or_default();
        // The least loaded, as far as there are enough of them.
        let here = |c: &Candidate| load.pipelines.get(&(c.node, count)).copied().unwrap_or(0);
        let mut loads: Vec<usize> = of_a_kind.iter().filter(|c| c.slots > 0).map(here).collect();
        loads.sort_unstable();
        if let Some(most) = loads.get(count - 1) {
            of_a_kind.retain(|c| here(c) <= *most);
        }
        let wish = Wish { count, ..Wish::default() };
        let nodes = Policy::RackAware.choose(&wish, &of_a_kind, &mut self.rng)?;
        let leads = |node: &DatanodeId| load.leads.get(node).copied().unwrap_or(0);
        let leader = nodes.iter().copied().min_by_key(leads);
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let members = nodes.iter().map(|node| (*node, self.details(*node).unwrap_or_default())).collect();
        let mut pipeline = Pipeline::open(PipelineId::from_random_bytes(id), config, members, now.unix_ms);
        (pipeline.state, pipeline.leader) = (PipelineState::Allocated, leader);
        Ok(pipeline)
    }
}

/// How many pipelines each node is in, by their nodes, and how many it leads.
#[derive(Default)]
struct Load {
    pipelines: BTreeMap<(DatanodeId, usize), usize>,
    leads: BTreeMap<DatanodeId, usize>,
}

impl Load {
    fn of(cluster: &Cluster) -> Load {
        let mut load = Load::default();
        let live = cluster.blocks.pipelines().filter(|p| is_ratis(p) && p.state != PipelineState::Closed);
        live.for_each(|pipeline| load.add(pipeline));
        load
    }

    fn add(&mut self, pipeline: &Pipeline) {
        for member in &pipeline.members {
            *self.pipelines.entry((member.node, pipeline.members.len())).or_default() += 1;
        }
        if let Some(leader) = pipeline.leader {
            *self.leads.entry(leader).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::node::{Layout, Usage, Volume};
    use allotrope_proto::hdds::{DatanodeDetailsProto, Port};

    const NOW: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_random_bytes([n; 16])
    }

    /// Three datanodes and a pipeline that they were told to take part in.
    fn cluster() -> (Cluster, Pipeline) {
        let settings = Config { safe_mode: false, pipelines_of_one: false, ..Config::new("/unused") };
        let mut cluster = Cluster::new(&settings, NOW);
        for n in 0..3 {
            let volume = Volume { remaining: 1 << 40, capacity: 1 << 41, ..Volume::default() };
            let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
            let ports = vec![Port { name: PORT_RATIS.into(), value: 9858 }];
            let details = DatanodeDetailsProto { host_name: format!("dn-{n}"), ports, ..Default::default() };
            let layout = Layout { metadata: 10, software: 10 };
            let peer = std::net::Ipv4Addr::LOCALHOST.into();
            cluster.nodes.register(node(n), details, peer, layout, usage, 0).unwrap();
        }
        cluster.count_serving();
        let pipeline = cluster.new_ratis("RATIS/THREE".parse().unwrap(), NOW).unwrap();
        cluster.blocks.put_pipeline(pipeline.clone());
        (cluster, pipeline)
    }

    fn reported(cluster: &mut Cluster, id: PipelineId, n: u8, is_leader: bool) -> Vec<Change> {
        let report = PipelineReport { pipeline: id, is_leader, bytes_written: None };
        cluster.ratis_reported(node(n), &[report], &[], NOW)
    }

    #[test]
    fn a_pipeline_with_a_member_that_never_comes_up_is_given_up_after_five_minutes() {
        let (mut cluster, pipeline) = cluster();
        for n in 0..2 {
            let leads = pipeline.leader == Some(node(n));
            assert!(reported(&mut cluster, pipeline.id, n, leads).is_empty(), "one is missing");
        }
        let closes = |cluster: &mut Cluster, later_ms: u64| {
            let then = Now { unix_ms: NOW.unix_ms + later_ms, monotonic_ms: NOW.monotonic_ms + later_ms };
            cluster.sweep_ratis(then).contains(&close(pipeline.id))
        };
        assert!(!closes(&mut cluster, ALLOCATED_MAX_MS - 1));
        assert!(closes(&mut cluster, ALLOCATED_MAX_MS));
    }

    #[test]
    fn a_report_of_who_is_no_member_opens_nothing() {
        let (mut cluster, mut pipeline) = cluster();
        pipeline.members.pop();
        pipeline.leader = Some(pipeline.members[0].node);
        cluster.blocks.put_pipeline(pipeline.clone());
        let outside = (0..3).find(|n| !pipeline.has(node(*n))).unwrap();
        assert!(reported(&mut cluster, pipeline.id, outside, true).is_empty());
        assert_eq!(cluster.ratis.leader(pipeline.id), None);
    }
}
