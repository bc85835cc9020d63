//! Which container of which Ratis pipeline gets the next block.
//!
//! Shape   pipelines stand ready; chance picks one whose members all serve, and in it an open container with room. While the
//!         pipeline has fewer containers for the owner than its disks can feed, a new one is opened.
//! Source  wire facts: scm.md 2.3.

use std::collections::BTreeSet;

use allotrope_types::{ByteCount, ContainerState, PipelineId};

use super::AllocateError;
use super::choose::{Choice, Excluded};
use crate::Config;
use crate::cluster::{Cluster, OpenKey};
use crate::pipeline::Pipeline;

/// Where a block of `size` for `key` goes.
pub(super) fn choose(
    cluster: &mut Cluster,
    key: &OpenKey,
    size: ByteCount,
    excluded: &Excluded,
    settings: &Config,
) -> Result<Choice, AllocateError> {
    if size > settings.container_size {
        return Err(AllocateError::Size { size, container_size: settings.container_size });
    }
    // A copy on a node that failed this client before is better than none: containers stay excluded, they may be closed.
    let lenient = Excluded { containers: excluded.containers.clone(), ..Excluded::default() };
    let found = pick(cluster, key, excluded).or_else(|| pick(cluster, key, &lenient));
    let pipeline = found.ok_or(AllocateError::NoPipeline { config: key.0 })?;
    let mut fitting = Vec::new();
    let mut open = 0;
    for id in cluster.blocks.of_pipeline(pipeline) {
        let Some(container) = cluster.blocks.container(id) else { continue };
        if container.state != ContainerState::Open || container.owner != key.1 || container.config != key.0 {
            continue;
        }
        open += 1;
        let room = container.used.plus(size).is_some_and(|full| full <= settings.container_size);
        if room && !excluded.containers.contains(&id) {
            fitting.push(id);
        }
    }
    let or_else = any(cluster, &fitting);
    match or_else {
        Some(id) if open >= containers_wanted(cluster, pipeline, settings) => Ok(Choice::Use(id)),
        or_else => Ok(Choice::CreateIn { pipeline, or_else }),
    }
}

fn any<T: Copy>(cluster: &mut Cluster, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[cluster.rng.usize(..of.len())])
}

/// A pipeline for the key that takes writes.
fn pick(cluster: &mut Cluster, key: &OpenKey, excluded: &Excluded) -> Option<PipelineId> {
    let fits = |pipeline: &&Pipeline| {
        pipeline.config == key.0
            && !excluded.pipelines.contains(&pipeline.id)
            && !pipeline.members.iter().any(|member| excluded.nodes.contains(&member.node))
            && cluster.takes_writes(pipeline)
    };
    let ids: Vec<PipelineId> = cluster.blocks.pipelines().filter(fits).map(|pipeline| pipeline.id).collect();
    any(cluster, &ids)
}

/// How many containers of one owner a pipeline has open: what the disks of its weakest member can feed.
fn containers_wanted(cluster: &Cluster, pipeline: PipelineId, settings: &Config) -> usize {
    let Some(pipeline) = cluster.blocks.pipeline(pipeline) else { return 1 };
    let volumes = pipeline.members.iter().filter_map(|m| cluster.nodes.get(m.node));
    let volumes = volumes.map(|node| node.usage.healthy_volumes()).min().unwrap_or(1);
    let wanted = settings.containers_per_volume * volumes.max(1);
    1 + wanted.saturating_sub(1) / settings.pipelines_per_node.max(1)
}

/// The members of a pipeline: those that a new container of it is promised to.
pub(crate) fn members(cluster: &Cluster, pipeline: PipelineId) -> Vec<allotrope_types::DatanodeId> {
    let found = cluster.blocks.pipeline(pipeline).into_iter().flat_map(|pipeline| &pipeline.members);
    found.map(|member| member.node).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a pipeline for `config` takes writes, or is being made.
pub(crate) fn has_pipeline(cluster: &Cluster, config: allotrope_types::ReplicationConfig) -> (bool, bool) {
    use crate::pipeline::PipelineState::Allocated;
    let of = || cluster.blocks.pipelines().filter(|pipeline| pipeline.config == config);
    (of().any(|one| cluster.takes_writes(one)), of().any(|one| one.state == Allocated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Now;
    use crate::container::Container;
    use crate::node::{Layout, Usage, Volume};
    use crate::pipeline::PipelineState;
    use allotrope_proto::hdds::{DatanodeDetailsProto, Port};
    use allotrope_types::{Bcsid, ContainerId, DatanodeId};

    const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };

    fn node(n: u8) -> DatanodeId {
        DatanodeId::from_random_bytes([n; 16])
    }

    fn cluster(nodes: u8, settings: &Config) -> Cluster {
        let mut cluster = Cluster::new(settings, NOW);
        for n in 0..nodes {
            let volume = Volume { remaining: 1 << 40, capacity: 1 << 41, ..Volume::default() };
            let usage = Usage { volumes: vec![volume], metadata_volumes: 1 };
            let ports = vec![Port { name: "RATIS".into(), value: 9858 }];
            let details = DatanodeDetailsProto { host_name: format!("dn-{n}"), ports, ..Default::default() };
            let layout = Layout { metadata: 10, software: 10 };
            let peer = std::net::Ipv4Addr::LOCALHOST.into();
            cluster.nodes.register(node(n), details, peer, layout, usage, 0).unwrap();
        }
        cluster.count_serving();
        cluster
    }

    fn key() -> OpenKey {
        ("RATIS/THREE".parse().unwrap(), "om".into())
    }

    fn open(cluster: &mut Cluster) -> PipelineId {
        let mut pipeline = cluster.new_ratis(key().0, NOW).unwrap();
        pipeline.state = PipelineState::Open;
        let id = pipeline.id;
        cluster.blocks.put_pipeline(pipeline);
        id
    }

    fn container(cluster: &mut Cluster, id: u64, pipeline: PipelineId) -> ContainerId {
        let id = ContainerId::new(id);
        cluster.blocks.put_container(Container {
            id,
            state: ContainerState::Open,
            pipeline: Some(pipeline),
            config: key().0,
            owner: key().1,
            used: ByteCount::ZERO,
            keys: 0,
            sequence: Bcsid::new(0),
            state_entered_ms: 0,
            delete_transaction: 0,
            suppressed: false,
        });
        id
    }

    #[test]
    fn a_pipeline_gets_containers_until_its_disks_are_fed_and_then_shares_them() {
        let settings = Config::new("/unused");
        let mut cluster = cluster(3, &settings);
        let size = ByteCount::mib(256);
        let choose =
            |cluster: &mut Cluster| super::choose(cluster, &key(), size, &Excluded::default(), &settings);
        assert_eq!(choose(&mut cluster), Err(AllocateError::NoPipeline { config: key().0 }));
        let pipeline = open(&mut cluster);
        assert_eq!(choose(&mut cluster), Ok(Choice::CreateIn { pipeline, or_else: None }));
        let first = container(&mut cluster, 1, pipeline);
        assert_eq!(choose(&mut cluster), Ok(Choice::CreateIn { pipeline, or_else: Some(first) }));
        let second = container(&mut cluster, 2, pipeline);
        // 1 + (3 x 1 - 1) / 2.
        assert!(matches!(choose(&mut cluster), Ok(Choice::Use(id)) if id == first || id == second));
    }

    #[test]
    fn a_pipeline_is_avoided_while_there_is_another_and_taken_when_there_is_none() {
        let settings = Config::new("/unused");
        let mut cluster = cluster(6, &settings);
        let (a, b) = (open(&mut cluster), open(&mut cluster));
        for (not, wanted) in [(a, b), (b, a)] {
            let excluded = Excluded { pipelines: BTreeSet::from([not]), ..Excluded::default() };
            for _ in 0..20 {
                let chosen = choose(&mut cluster, &key(), ByteCount::mib(1), &excluded, &settings).unwrap();
                assert!(matches!(chosen, Choice::CreateIn { pipeline, .. } if pipeline == wanted));
            }
        }
        let excluded = Excluded { pipelines: BTreeSet::from([a, b]), ..Excluded::default() };
        assert!(choose(&mut cluster, &key(), ByteCount::mib(1), &excluded, &settings).is_ok());
        let huge = settings.container_size.plus(ByteCount::new(1)).unwrap();
        assert!(matches!(
            choose(&mut cluster, &key(), huge, &Excluded::default(), &settings),
            Err(AllocateError::Size { .. })
        ));
    }

    #[test]
    fn a_container_that_is_excluded_or_full_is_not_used_again() {
        let settings = Config::new("/unused");
        let mut cluster = cluster(3, &settings);
        let pipeline = open(&mut cluster);
        let ids = [1, 2].map(|id| container(&mut cluster, id, pipeline));
        let excluded = Excluded { containers: BTreeSet::from(ids), ..Excluded::default() };
        let chosen = choose(&mut cluster, &key(), ByteCount::mib(1), &excluded, &settings);
        assert_eq!(chosen, Ok(Choice::CreateIn { pipeline, or_else: None }));
    }
}
