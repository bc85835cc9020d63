//! Which open container gets the next block, or which nodes get a new container.
//!
//! Shape   one container a pipeline. While fewer are open than the cluster's volumes can feed, a new one is made; else
//!         chance picks among those that have room and whose nodes all serve. An exclude list keeps nodes, pipelines and
//!         containers out; a replicated block goes to excluded nodes when there are no others, an EC block never.
//! Source  wire facts: scm.md 2.3.

use std::collections::{BTreeMap, BTreeSet};

use allotrope_types::{ByteCount, ContainerId, DatanodeId, PipelineId, ReplicationConfig, ReplicationFactor};

use super::AllocateError;
use crate::Config;
use crate::cluster::{Cluster, OpenKey};
use crate::placement::{Candidate, NotEnough, Policy, Wish};

/// What a client had trouble with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// Datanodes.
    pub nodes: BTreeSet<DatanodeId>,
    /// Pipelines.
    pub pipelines: BTreeSet<PipelineId>,
    /// Containers.
    pub containers: BTreeSet<ContainerId>,
}

/// Where a block goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Into this open container.
    Use(ContainerId),
    /// Into a new container on these nodes, in replica order; into `or_else` if somebody else makes one meanwhile.
    Create {
        /// Who shall hold it.
        nodes: Vec<DatanodeId>,
        /// An open one that would do.
        or_else: Option<ContainerId>,
    },
    /// Into a new container of a pipeline that is there; into `or_else` if somebody else makes one meanwhile.
    CreateIn {
        /// Whose.
        pipeline: PipelineId,
        /// An open one that would do.
        or_else: Option<ContainerId>,
    },
}

/// Refuses what no pipeline can be made for.
pub fn check_config(config: ReplicationConfig) -> Result<(), AllocateError> {
    match config {
        ReplicationConfig::StandAlone(ReplicationFactor::One)
        | ReplicationConfig::Ratis(_)
        | ReplicationConfig::Ec(_) => Ok(()),
        _ => Err(AllocateError::Unsupported { config }),
    }
}

/// How many pipelines of `config` should be open: what the volumes that serve can feed.
pub fn pipelines_wanted(config: ReplicationConfig, serving_volumes: usize, settings: &Config) -> usize {
    let fed = settings.pipelines_per_volume * serving_volumes as f64 / config.required_nodes() as f64;
    let least = if config.ec().is_some() { settings.ec_pipelines_min } else { 1 };
    // A float that is not negative and far below 2^53.
    (fed as usize).max(least)
}

/// The policy for a config's replicas: Ozone's defaults.
pub fn policy(config: ReplicationConfig) -> Policy {
    match config {
        ReplicationConfig::Ec(_) => Policy::RackScatter,
        ReplicationConfig::Ratis(_) | ReplicationConfig::StandAlone(_) => Policy::RackAware,
    }
}

/// The nodes that may take a container now.
pub fn candidates(cluster: &Cluster, container_size: ByteCount) -> Vec<Candidate> {
    let serving = cluster.nodes.all().filter(|node| node.serves());
    serving
        .map(|node| Candidate {
            node: node.id,
            rack: node.rack().to_owned(),
            slots: node.slots_free(container_size),
            share_used: node.usage.share_used(),
        })
        .collect()
}

/// Nodes for a new container for `key`, none of them excluded.
///
/// A replicated container goes to those that have the fewest open ones for the same key: each disk is to be written. An EC
/// container takes many nodes, and racks come first.
pub fn place(
    cluster: &mut Cluster,
    key: &OpenKey,
    excluded: &BTreeSet<DatanodeId>,
    settings: &Config,
) -> Result<Vec<DatanodeId>, NotEnough> {
    let config = key.0;
    let mut able = candidates(cluster, settings.container_size);
    if config.ec().is_none() {
        let open = open_by_node(cluster, key);
        let of = |c: &Candidate| open.get(&c.node).copied().unwrap_or(0);
        let fit = |c: &&Candidate| c.slots > 0 && !excluded.contains(&c.node);
        let mut counts: Vec<usize> = able.iter().filter(fit).map(of).collect();
        counts.sort_unstable();
        if let Some(most) = counts.get(config.required_nodes() - 1) {
            able.retain(|c| of(c) <= *most);
        }
    }
    let wish = Wish { count: config.required_nodes(), excluded: excluded.clone(), ..Wish::default() };
    policy(config).choose(&wish, &able, &mut cluster.rng)
}

/// How many open containers for `key` each node writes.
fn open_by_node(cluster: &Cluster, key: &OpenKey) -> BTreeMap<DatanodeId, usize> {
    let mut counts = BTreeMap::new();
    for id in cluster.blocks.open_for(key) {
        let pipeline = cluster.blocks.container(*id).and_then(|c| c.pipeline);
        for member in pipeline.and_then(|id| cluster.blocks.pipeline(id)).iter().flat_map(|p| &p.members) {
            *counts.entry(member.node).or_default() += 1;
        }
    }
    counts
}

/// Where a block of `size` for `key` goes.
pub fn choose(
    cluster: &mut Cluster,
    key: &OpenKey,
    size: ByteCount,
    excluded: &Excluded,
    settings: &Config,
) -> Result<Choice, AllocateError> {
    let config = key.0;
    check_config(config)?;
    if matches!(config, ReplicationConfig::Ratis(_)) {
        return super::choose_ratis::choose(cluster, key, size, excluded, settings);
    }
    if size > settings.container_size {
        return Err(AllocateError::Size { size, container_size: settings.container_size });
    }
    let open = cluster.blocks.open_for(key).len();
    let (volumes, nodes) = cluster.serving();
    let wanted = pipelines_wanted(config, volumes, settings);
    let found = pick(cluster, key, size, excluded, settings);
    if open >= wanted
        && let Some(found) = found
    {
        return Ok(Choice::Use(found));
    }
    let may_create = open < 2 * wanted.max(nodes);
    let placed = if may_create { Some(place(cluster, key, &excluded.nodes, settings)) } else { None };
    match (placed, found) {
        (Some(Ok(nodes)), or_else) => return Ok(Choice::Create { nodes, or_else }),
        (_, Some(found)) => return Ok(Choice::Use(found)),
        (Some(Err(source)), None) if config.ec().is_some() => {
            return Err(AllocateError::Nodes { config, source });
        }
        (None, None) if config.ec().is_some() => return Err(AllocateError::NoRoom { config, size, open }),
        _ => {}
    }
    // A copy on a node that failed this client before is better than none: containers stay excluded, they may be closed.
    let lenient = Excluded { containers: excluded.containers.clone(), ..Excluded::default() };
    if let Some(found) = pick(cluster, key, size, &lenient, settings) {
        return Ok(Choice::Use(found));
    }
    if !may_create {
        return Err(AllocateError::NoRoom { config, size, open });
    }
    match place(cluster, key, &BTreeSet::new(), settings) {
        Ok(nodes) => Ok(Choice::Create { nodes, or_else: None }),
        Err(source) => Err(AllocateError::Nodes { config, source }),
    }
}

/// An open container with room whose nodes all serve: the first that fits, from one that chance picks on.
fn pick(
    cluster: &mut Cluster,
    key: &OpenKey,
    size: ByteCount,
    excluded: &Excluded,
    settings: &Config,
) -> Option<ContainerId> {
    let len = cluster.blocks.open_for(key).len();
    if len == 0 {
        return None;
    }
    let start = cluster.rng.usize(..len);
    let open = cluster.blocks.open_for(key);
    (0..len).map(|step| open[(start + step) % len]).find(|id| fits(cluster, *id, size, excluded, settings))
}

fn fits(cluster: &Cluster, id: ContainerId, size: ByteCount, excluded: &Excluded, settings: &Config) -> bool {
    let Some(container) = cluster.blocks.container(id) else { return false };
    let Some(pipeline) = container.pipeline.and_then(|id| cluster.blocks.pipeline(id)) else { return false };
    let room = container.used.plus(size).is_some_and(|full| full <= settings.container_size);
    room && !excluded.containers.contains(&id)
        && !excluded.pipelines.contains(&pipeline.id)
        && !pipeline.members.iter().any(|member| excluded.nodes.contains(&member.node))
        && cluster.takes_writes(pipeline)
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
