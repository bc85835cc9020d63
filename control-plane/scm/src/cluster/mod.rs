//! The cluster as this SCM sees it: one value that holds all facts, behind one lock that is never held over an await.
//!
//! Owns    the mirror of the tables ([`Blocks`]), nodes, replicas, safe mode, commands for datanodes, and what follows
//!         when one of them changes.
//! Shape   facts come in (a report, an applied command, silence); what must be proposed comes out as [`Change`]s, which
//!         only a leader carries out.
//! Law     every change of a container's or pipeline's state goes through the log and comes back by `replicated`.

mod blocks;
mod commands;
mod drain;
mod forecast;
mod ratis;
mod repair;
mod reported;
mod sweep;

use std::collections::BTreeMap;

use allotrope_proto::hdds;
use allotrope_types::{ByteCount, ContainerId, ContainerState, DatanodeId, PipelineId, ReplicationConfig};

pub use blocks::{Blocks, OpenKey};
pub use commands::{CommandKey, Commands, Reconstruct, Replicate, reregister};
pub use drain::{Departure, Duty, Left, NotAllowed};
pub use forecast::Forecast;
pub use ratis::Ratis;
pub use repair::{Repaired, Report as RepairReport};
pub use reported::{Heard, Report};

use crate::Config;
use crate::container::{Container, Replicas, lifecycle};
use crate::node::{Health, Nodes};
use crate::pipeline::{Pipeline, PipelineState};
use crate::replicated::command::{Change, Step};
use crate::replication::Manager;
use crate::safe_mode::{Counts, SafeMode};

/// Everything SCM knows.
pub struct Cluster {
    /// The mirror of the tables.
    pub blocks: Blocks,
    /// The datanodes.
    pub nodes: Nodes,
    /// Who holds what.
    pub replicas: Replicas,
    /// Whether enough has been heard.
    pub safe_mode: SafeMode,
    /// What members say of Ratis pipelines.
    pub ratis: Ratis,
    /// What datanodes are to be told.
    pub commands: Commands,
    /// What ails containers, and what is done about it.
    pub manager: Manager,
    /// Rings when a container has changed that may have to be repaired.
    pub(crate) bell: std::sync::Arc<tokio::sync::Notify>,
    /// For placement and pipeline ids.
    pub rng: fastrand::Rng,
    /// Block ids that were taken and not yet given out: next and last.
    pub local_ids: std::ops::RangeInclusive<u64>,
    /// Whether this member has applied what was committed when it started.
    pub caught_up: bool,
    /// Healthy volumes of the nodes that serve, and how many nodes these are.
    serving: (usize, usize),
    /// Closed pipelines, by when they were seen to be (monotonic ms).
    closed_pipelines: BTreeMap<PipelineId, u64>,
    /// When each datanode began to leave, in ms since 1970.
    leaving_since: BTreeMap<DatanodeId, u64>,
    /// What was left on each of them when it was last looked at.
    left: BTreeMap<DatanodeId, Left>,
    /// Where the walk over all containers goes on; `None` when none is under way.
    walk_from: Option<ContainerId>,
    walked_at_ms: u64,
    started_ms: u64,
    config: Config,
}

/// Containers up to which the safe mode rules are looked at with each report.
const GLANCE_CONTAINERS_MAX: usize = 1_000;

/// The moment at which something is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of the clock that only runs forward.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Now {
    /// What `clock` shows.
    pub fn of(clock: &dyn crate::clock::Clock) -> Now {
        Now { monotonic_ms: clock.monotonic_ms(), unix_ms: clock.unix_ms() }
    }
}

impl Cluster {
    /// A cluster of which nothing is known yet.
    pub fn new(config: &Config, now: Now) -> Cluster {
        Cluster {
            blocks: Blocks::default(),
            nodes: Nodes::new(config),
            replicas: Replicas::default(),
            safe_mode: SafeMode::new(config.safe_mode),
            ratis: Ratis::default(),
            commands: Commands::new(crate::config::ms(config.command_resend), now.unix_ms),
            manager: Manager::default(),
            bell: std::sync::Arc::default(),
            rng: fastrand::Rng::with_seed(config.seed),
            local_ids: std::ops::RangeInclusive::new(1, 0),
            caught_up: false,
            serving: (0, 0),
            closed_pipelines: BTreeMap::new(),
            leaving_since: BTreeMap::new(),
            left: BTreeMap::new(),
            walk_from: None,
            walked_at_ms: now.monotonic_ms,
            started_ms: now.monotonic_ms,
            config: config.clone(),
        }
    }

    /// What a node last registered as its address.
    pub fn details(&self, node: DatanodeId) -> Option<hdds::DatanodeDetailsProto> {
        self.nodes.get(node).map(|node| node.details.clone())
    }

    /// A pipeline as a message, with the addresses its nodes registered last.
    pub fn pipeline_message(&self, pipeline: &Pipeline) -> hdds::Pipeline {
        let mut message = pipeline.to_message(|node| self.details(node));
        // Members of Java's choose among themselves.
        if let Some(leader) = self.ratis.leader(pipeline.id) {
            let id = crate::wire::uuid(leader.to_halves());
            message.leader_id = Some(leader.to_string());
            message.leader_id128 = Some(id);
            message.leader_datanode_id = Some(hdds::DatanodeIdProto { uuid: id });
        }
        message
    }

    /// Whether blocks may be written to `pipeline` now.
    pub fn takes_writes(&self, pipeline: &Pipeline) -> bool {
        pipeline.state == PipelineState::Open
            && pipeline.members.iter().all(|m| self.nodes.get(m.node).is_some_and(|node| node.serves()))
    }

    /// Healthy volumes of all nodes that serve, and how many nodes that are.
    pub fn serving(&self) -> (usize, usize) {
        self.serving
    }

    /// Counts the nodes that serve again; to be called when a node may have begun or ceased to.
    pub fn count_serving(&mut self) {
        let serving = self.nodes.all().filter(|node| node.serves());
        self.serving = serving
            .fold((0, 0), |(volumes, nodes), node| (volumes + node.usage.healthy_volumes(), nodes + 1));
    }

    /// What one node adds to the counts of [`count_serving`](Self::count_serving).
    fn part_of_serving(&self, node: DatanodeId) -> (usize, usize) {
        let serving = self.nodes.get(node).filter(|node| node.serves());
        serving.map_or((0, 0), |node| (node.usage.healthy_volumes(), 1))
    }

    /// What the safe mode rules look at, counted now: a walk over all containers while they are few reports away.
    pub fn safe_mode_counts(&self) -> Counts {
        let mut counts = Counts {
            datanodes: self.nodes.len(),
            datanodes_min: self.config.safe_mode_datanodes_min,
            containers_min: self.config.safe_mode_containers,
            caught_up: self.caught_up,
            ..Counts::default()
        };
        for container in self.blocks.containers() {
            let sealed = matches!(container.state, ContainerState::Closed | ContainerState::QuasiClosed);
            if !sealed || container.keys == 0 {
                continue;
            }
            let mut distinct: Vec<_> = self.replicas.of(container.id).iter().map(|r| r.index).collect();
            let readable = match container.config.ec() {
                None => !distinct.is_empty(),
                Some(ec) => {
                    distinct.sort_unstable();
                    distinct.dedup();
                    distinct.len() >= ec.data()
                }
            };
            let (all, reported) = match container.config.ec() {
                None => (&mut counts.replicated, &mut counts.replicated_reported),
                Some(_) => (&mut counts.ec, &mut counts.ec_reported),
            };
            *all += 1;
            *reported += usize::from(readable);
        }
        counts
    }

    /// After a report: looks at the rules at once where that is cheap, and leaves it to the next sweep where it is not.
    pub fn glance_at_safe_mode(&mut self) {
        if self.blocks.len() <= GLANCE_CONTAINERS_MAX {
            self.look_at_safe_mode();
        }
    }

    /// Leaves safe mode if the rules allow it; then every container is looked at again.
    pub fn look_at_safe_mode(&mut self) {
        if self.safe_mode.is_on() && self.safe_mode.look(&self.safe_mode_counts()) {
            self.walk_from = Some(ContainerId::new(0));
        }
    }

    /// Leaves safe mode because an administrator says so; true if it was on.
    pub fn force_exit_safe_mode(&mut self) -> bool {
        let was_on = self.safe_mode.force_exit();
        if was_on {
            self.walk_from = Some(ContainerId::new(0));
        }
        was_on
    }

    /// What `container` calls for now: changes to propose; commands to datanodes are queued.
    ///
    /// For a leader outside safe mode only.
    pub fn advance(&mut self, container: ContainerId, now: Now) -> Vec<Change> {
        let Some(info) = self.blocks.container(container) else { return Vec::new() };
        let pipeline = info.pipeline.and_then(|id| self.blocks.pipeline(id));
        let members: Vec<DatanodeId> =
            pipeline.iter().flat_map(|p| p.members.iter().map(|m| m.node)).collect();
        let writers = self.blocks.writers(container);
        let dead: Vec<DatanodeId> =
            writers.iter().copied().filter(|writer| self.is_gone(*writer, now)).collect();
        let room_for_one = self.config.container_size.saturating_minus(self.config.block_size);
        let facts = lifecycle::Facts {
            container: info,
            replicas: self.replicas.of(container),
            pipeline_open: pipeline.is_some_and(|p| p.state != PipelineState::Closed),
            members: &members,
            writers,
            dead_writers: &dead,
            full_at: self.config.close_at().min(ByteCount::new(room_for_one.as_u64() + 1)),
            in_state_ms: now.unix_ms.saturating_sub(info.state_entered_ms),
            close_wait_ms: crate::config::ms(self.config.close_wait),
            empty_wait_ms: crate::config::ms(self.config.closing_empty_wait),
            all_reported: !self.safe_mode.is_on(),
        };
        let actions = lifecycle::next(&facts);
        let pipeline = info.pipeline.unwrap_or_else(|| PipelineId::from_bytes([0; 16]));
        let (used, keys) = (info.used.as_u64(), info.keys);
        let mut changes = Vec::new();
        for action in actions {
            if let lifecycle::Action::CloseReplica { node, .. }
            | lifecycle::Action::DeleteReplica { node, .. } = action
                && self.nodes.get(node).is_none_or(|node| node.health == Health::Dead)
            {
                continue; // when it comes back it registers, and its report leads here again
            }
            match action {
                lifecycle::Action::Step(event, bcsid) => {
                    let step = Step::new(container, event, bcsid.as_u64(), used, keys);
                    changes.push(Change::Step(step));
                }
                lifecycle::Action::CloseReplica { node, force } => {
                    self.commands.close_container(node, container, pipeline, force, now.monotonic_ms);
                }
                lifecycle::Action::DeleteReplica { node, force } => {
                    let index =
                        self.replicas.of(container).iter().find(|r| r.node == node).and_then(|r| r.index);
                    self.commands.delete_container(node, container, index, force, now.monotonic_ms);
                }
            }
        }
        changes
    }

    /// Whether a datanode is dead, or has not come back since SCM started, for as long as makes one dead.
    fn is_gone(&self, node: DatanodeId, now: Now) -> bool {
        let up_ms = now.monotonic_ms.saturating_sub(self.started_ms);
        match self.nodes.get(node) {
            Some(node) => node.health == Health::Dead,
            None => up_ms >= crate::config::ms(self.config.nodes.dead),
        }
    }

    /// A pipeline through which a container can be read: its own while it is written, else one made of its replicas.
    pub fn pipeline_for_reading(&mut self, container: &Container) -> Pipeline {
        let own = container.pipeline.and_then(|id| self.blocks.pipeline(id));
        let replicas = self.replicas.of(container.id);
        let written = matches!(container.state, ContainerState::Open | ContainerState::Closing);
        if let Some(own) = own
            && written
            && (own.state != PipelineState::Closed || replicas.is_empty())
        {
            return own.clone();
        }
        let mut best: Vec<_> = replicas.iter().filter(|r| self.nodes.get(r.node).is_some()).collect();
        let rank = |r: &&crate::container::Replica| {
            use allotrope_types::ReplicaState::*;
            let sealed = match r.state {
                Closed => 0,
                QuasiClosed => 1,
                Closing | Open => 2,
                _ => 3,
            };
            let here = self.nodes.get(r.node).is_some_and(|node| node.reachable());
            (!here, sealed, r.index, r.node)
        };
        best.sort_by_key(rank);
        // Of a replica that is known to be damaged only when there is nothing else.
        let healthy = best.iter().filter(|r| rank(r).1 < 3).count();
        if healthy > 0 {
            best.retain(|r| rank(r).1 < 3);
        }
        let members = best
            .iter()
            .map(|r| crate::pipeline::Member {
                node: r.node,
                index: r.index,
                details: self.nodes.get(r.node).map(|n| n.details.clone()).unwrap_or_default(),
            })
            .collect();
        let config = match container.config {
            ReplicationConfig::Ratis(factor) => ReplicationConfig::StandAlone(factor),
            as_it_is => as_it_is,
        };
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let id = PipelineId::from_random_bytes(id);
        let created_ms = container.state_entered_ms;
        Pipeline { id, config, state: PipelineState::Open, members, created_ms, leader: None }
    }
}
