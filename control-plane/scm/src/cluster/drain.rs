//! Datanodes that leave for ever or for a while: who may, and what is still on them that is nowhere else.
//!
//! Shape   [`Cluster::may_leave`] checks a request and changes nothing; the change of duty goes through the log and comes
//!         back by [`Cluster::duty_set`]. [`Cluster::look_at_left`] is asked page by page what is left on a datanode, and
//!         [`Cluster::departed`] says which changes of duty follow from that, from the time, and from a death.
//! Source  wire facts: scm.md 2.10.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{ContainerId, ContainerState, DatanodeId, ReplicaState, ReplicationConfig};

use super::{Cluster, Now};
use crate::container::Container;
use crate::node::{Health, Node, OperationalState};
use crate::replication::{Condition, Verdict};

/// Ids of containers that are kept for each datanode, for people.
const NAMED_MAX: usize = 10_000;

/// What a datanode shall do from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Who.
    pub node: DatanodeId,
    /// The state it is to be in.
    pub state: OperationalState,
    /// When that ends by itself, in seconds since 1970; 0 for never.
    pub until_s: i64,
}

/// For how long a datanode shall leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// For ever.
    Decommission,
    /// Until that second since 1970; 0 for no end.
    Maintenance {
        /// When it ends.
        until_s: i64,
    },
}

/// A host for which a request makes no sense, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAllowed {
    /// As it was given; `AllHosts` if it is about all of them together.
    pub host: String,
    /// Why.
    pub why: String,
}

/// What is left on a datanode that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// When it began to leave, in ms since 1970.
    pub since_unix_ms: u64,
    /// Its pipelines that are not closed yet.
    pub pipelines: usize,
    /// Whether the datanode itself knows that it leaves.
    pub told: bool,
    /// How many containers are not closed yet.
    pub not_closed: usize,
    /// How many have too few replicas without it.
    pub lacking: usize,
    /// How many are safe without it.
    pub safe: usize,
    /// Bytes of its replicas of containers that have too few.
    pub bytes_lacking: u64,
    /// Some containers that are not closed yet.
    pub not_closed_ids: Vec<ContainerId>,
    /// Some containers that have too few.
    pub lacking_ids: Vec<ContainerId>,
    /// Why nothing can be done about one of them, if that is so.
    pub stuck: Option<String>,
}

impl Left {
    /// Whether nothing keeps the datanode any more.
    pub fn is_nothing(&self) -> bool {
        self.told && self.pipelines == 0 && self.not_closed == 0 && self.lacking == 0
    }
}

impl Cluster {
    /// The datanode that `host` names: a uuid, a host name, an address, either of these with one of its ports.
    pub fn find_host(&self, host: &str) -> Result<DatanodeId, String> {
        if let Ok(id) = host.parse::<DatanodeId>() {
            return self
                .nodes
                .get(id)
                .map(|n| n.id)
                .ok_or_else(|| format!("Host {host} is not known to SCM"));
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => match port.parse::<u32>() {
                Ok(port) => (name, Some(port)),
                Err(_) => return Err(format!("{host} is no HOST or HOST:PORT")),
            },
            None => (host, None),
        };
        let is_it = |node: &&Node| {
            let details = &node.details;
            (details.host_name == name || details.ip_address == name)
                && port.is_none_or(|port| details.ports.iter().any(|known| known.value == port))
        };
        let found: Vec<DatanodeId> = self.nodes.all().filter(is_it).map(|node| node.id).collect();
        match found[..] {
            [one] => Ok(one),
            [] => Err(format!("Host {host} is not known to SCM")),
            _ => Err(format!(
                "Host {host} runs {} datanodes: name one by its uuid, or by one of its ports as HOST:PORT",
                found.len()
            )),
        }
    }

    /// Who of `hosts` may leave, as new duties; and what is wrong with the others. Without `force` enough datanodes have to
    /// stay for every container on those that leave.
    pub fn may_leave(&self, hosts: &[String], how: Departure, force: bool) -> (Vec<Duty>, Vec<NotAllowed>) {
        let (mut duties, mut refused) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.find_host(host).and_then(|id| self.may_one_leave(id, how)) {
                Ok(Some(duty)) => duties.push(duty),
                Ok(None) => {}
                Err(why) => refused.push(NotAllowed { host: host.clone(), why }),
            }
        }
        duties.sort_unstable_by_key(|duty: &Duty| duty.node);
        duties.dedup();
        if !force && let Some(why) = self.too_few_stay(&duties, how) {
            refused.push(NotAllowed { host: "AllHosts".to_owned(), why });
            duties.clear();
        }
        (duties, refused)
    }

    /// The new duty of one; `None` if it leaves already.
    fn may_one_leave(&self, id: DatanodeId, how: Departure) -> Result<Option<Duty>, String> {
        use OperationalState::*;
        let Some(node) = self.nodes.get(id) else { return Ok(None) };
        let host = &node.details.host_name;
        let (begins, ends, act) = match how {
            Departure::Decommission => (Decommissioning, Decommissioned, "decommissioned"),
            Departure::Maintenance { .. } => (EnteringMaintenance, InMaintenance, "put in maintenance"),
        };
        if node.operational == begins || node.operational == ends {
            return Ok(None);
        }
        if node.operational != InService {
            let state = node.operational.name();
            return Err(format!("{host} is {state} and cannot be {act}; recommission it first"));
        }
        if node.health == Health::Dead {
            return Err(format!("{host} is dead: what it held counts as lost, there is nothing to wait for"));
        }
        let until_s = if let Departure::Maintenance { until_s } = how { until_s } else { 0 };
        Ok(Some(Duty { node: id, state: begins, until_s }))
    }

    /// Why too few datanodes stay for what those that leave hold.
    fn too_few_stay(&self, duties: &[Duty], how: Departure) -> Option<String> {
        let leaving: BTreeSet<DatanodeId> = duties.iter().map(|duty| duty.node).collect();
        let stay = self.nodes.all().filter(|node| node.serves() && !leaving.contains(&node.id)).count();
        let mut needed: BTreeMap<usize, ContainerId> = BTreeMap::new();
        for container in leaving.iter().flat_map(|node| self.replicas.on(*node)) {
            let Some(info) = self.blocks.container(container) else { continue };
            if !matches!(info.state, ContainerState::Deleting | ContainerState::Deleted) {
                needed.entry(self.nodes_needed(info, how)).or_insert(container);
            }
        }
        let (most, container) = needed.pop_last()?;
        let healthy = self.nodes.all().filter(|node| node.serves()).count();
        (stay < most).then(|| {
            format!(
                "Insufficient nodes: {} of {healthy} healthy datanodes in service would leave, {stay} would stay, and \
                 container {container} ({}) needs {most}. Add {} or leave fewer; --force does it all the same, and it \
                 does not end before there are enough.",
                leaving.len(),
                self.blocks.container(container).map(|c| c.config.to_string()).unwrap_or_default(),
                most - stay,
            )
        })
    }

    /// How many datanodes in service a container needs while others leave.
    fn nodes_needed(&self, container: &Container, how: Departure) -> usize {
        let settings = &self.config.replication;
        let all = container.config.required_nodes();
        match (how, container.config) {
            (Departure::Decommission, _) => all,
            (_, ReplicationConfig::Ec(ec)) => (ec.data() + settings.redundancy_in_maintenance).min(all),
            _ => all.min(settings.copies_in_maintenance),
        }
    }

    /// The new duty of each of `hosts`, back in service; and what is wrong with the others.
    pub fn may_return(&self, hosts: &[String]) -> (Vec<Duty>, Vec<NotAllowed>) {
        let (mut duties, mut refused) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.find_host(host) {
                Ok(node) if self.nodes.get(node).is_some_and(|node| !node.is_in_service()) => {
                    duties.push(Duty { node, state: OperationalState::InService, until_s: 0 });
                }
                Ok(_) => {}
                Err(why) => refused.push(NotAllowed { host: host.clone(), why }),
            }
        }
        (duties, refused)
    }

    /// A duty was applied: it counts from now on.
    pub fn duty_set(&mut self, duty: Duty, unix_ms: u64) {
        use OperationalState::*;
        self.nodes.set_duty(duty.node, duty.state, duty.until_s);
        match duty.state {
            Decommissioning | EnteringMaintenance => {
                self.leaving_since.entry(duty.node).or_insert(unix_ms);
            }
            InService => {
                self.leaving_since.remove(&duty.node);
                self.left.remove(&duty.node);
                // One that was away and is dead is away no more.
                if self.nodes.get(duty.node).is_some_and(|node| node.health == Health::Dead) {
                    let held: Vec<ContainerId> = self.replicas.on(duty.node).collect();
                    held.into_iter().for_each(|container| self.container_changed(container));
                    self.replicas.remove_node(duty.node);
                }
            }
            Decommissioned | InMaintenance => {}
        }
        self.count_serving();
        self.node_is_back(duty.node);
    }

    /// The datanodes that are leaving or may be away, whose progress is to be looked at.
    pub fn leaving(&self) -> Vec<DatanodeId> {
        self.nodes.all().filter(|node| !node.is_in_service()).map(|node| node.id).collect()
    }

    /// Whether `node` may be switched off: nothing is left on it that is nowhere else.
    pub fn has_left(&self, node: DatanodeId) -> bool {
        use OperationalState::{Decommissioned, InMaintenance};
        self.nodes.get(node).is_some_and(|n| matches!(n.operational, InMaintenance | Decommissioned))
    }

    /// What is left on `node`, without its containers: begins a look.
    pub fn begin_look(&self, node: DatanodeId) -> Option<(Left, Vec<ContainerId>)> {
        let known = self.nodes.get(node)?;
        let left = Left {
            since_unix_ms: self.leaving_since.get(&node).copied().unwrap_or(0),
            pipelines: self.pipelines_of(node).len(),
            told: known.kept.0 == known.operational,
            ..Left::default()
        };
        Some((left, self.replicas.on(node).collect()))
    }

    /// Adds to `left` what keeps `node` of some of its containers.
    pub fn look_at_left(&self, node: DatanodeId, containers: &[ContainerId], left: &mut Left) {
        let racks = self.racks_serving();
        for id in containers {
            let Some(container) = self.blocks.container(*id) else { continue };
            let Some(own) = self.replicas.of(*id).iter().find(|replica| replica.node == node) else {
                continue;
            };
            if matches!(container.state, ContainerState::Deleting | ContainerState::Deleted) {
                continue;
            }
            if !self.is_closed_everywhere(container) {
                left.not_closed += 1;
                if left.not_closed_ids.len() < NAMED_MAX {
                    left.not_closed_ids.push(*id);
                }
                continue;
            }
            let verdict = self.verdict(*id, racks);
            if !self.keeps(node, container, &verdict) {
                left.safe += 1;
                continue;
            }
            left.lacking += 1;
            left.bytes_lacking = left.bytes_lacking.saturating_add(own.used.as_u64());
            if left.lacking_ids.len() < NAMED_MAX {
                left.lacking_ids.push(*id);
            }
            let why = self.manager.ill(*id).and_then(|ill| ill.why.as_ref());
            if let Some(why) = why.filter(|why| **why != crate::replication::plan::Short::Busy) {
                left.stuck.get_or_insert_with(|| format!("container {id}: {why}"));
            }
        }
    }

    /// Whether the container, and each of its good replicas in service, is closed.
    fn is_closed_everywhere(&self, container: &Container) -> bool {
        let wanted = match container.state {
            ContainerState::Closed => ReplicaState::Closed,
            ContainerState::QuasiClosed => ReplicaState::QuasiClosed,
            _ => return false,
        };
        let here = |node: DatanodeId| self.nodes.get(node).is_some_and(|node| node.serves());
        let replicas = self.replicas.of(container.id).iter();
        let mut good = replicas.filter(|r| r.state != ReplicaState::Unhealthy && here(r.node));
        good.all(|replica| replica.state == wanted)
    }

    /// Whether `node` has to stay for this container: it has too few replicas, and that is not because of others which
    /// nobody can bring back.
    fn keeps(&self, node: DatanodeId, container: &Container, verdict: &Verdict) -> bool {
        if !verdict.has(Condition::UnderReplicated) {
            return false;
        }
        if !verdict.has(Condition::Missing) && !verdict.has(Condition::Unhealthy) {
            return true;
        }
        let replicas = self.replicas.of(container.id);
        let Some(own) = replicas.iter().find(|replica| replica.node == node) else { return false };
        let serves = |id: DatanodeId| self.nodes.get(id).is_some_and(|node| node.serves());
        !replicas.iter().any(|r| r.node != node && r.index == own.index && serves(r.node))
    }

    /// The look at `node` has ended. What follows for it, if anything: it is done, its time is over, or it is dead.
    pub fn departed(&mut self, node: DatanodeId, left: Left, now: Now) -> Option<Duty> {
        use OperationalState::*;
        let known = self.nodes.get(node)?;
        let (state, until_s, dead) =
            (known.operational, known.operational_until_s, known.health == Health::Dead);
        let nothing_left = left.is_nothing();
        self.left.insert(node, left);
        let maintenance = matches!(state, EnteringMaintenance | InMaintenance);
        let now_s = i64::try_from(now.unix_ms / 1000).unwrap_or(i64::MAX);
        let next = match state {
            _ if maintenance && until_s > 0 && now_s >= until_s => InService,
            Decommissioning | EnteringMaintenance if dead => InService,
            Decommissioning if nothing_left => Decommissioned,
            EnteringMaintenance if nothing_left => InMaintenance,
            _ => return None,
        };
        let until_s = if next == InMaintenance { until_s } else { 0 };
        Some(Duty { node, state: next, until_s })
    }

    /// What was left on `node` when it was last looked at.
    pub fn left(&self, node: DatanodeId) -> Option<&Left> {
        self.left.get(&node)
    }
}
