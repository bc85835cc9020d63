//! AllocateScmBlock: blocks in open containers; a container is opened where one is wanted.
//!
//! Law     an answer's block id is nobody else's: its container is in the tables, its local id from a batch that the log has
//!         given to this member alone.

use std::collections::BTreeSet;

use allotrope_proto::hdds;
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_block::{
    AllocateBlockResponse, AllocateScmBlockRequestProto, AllocateScmBlockResponseProto,
};
use allotrope_types::{
    Bcsid, ByteCount, ContainerId, ContainerState, DatanodeId, PipelineId, ReplicationConfig,
};

use super::pipelines::wait_for_pipeline;
use super::{Failed, sort};
use crate::blocks::choose::{Choice, Excluded, choose};
use crate::blocks::choose_ratis;
use crate::blocks::{AllocateError, BLOCKS_MAX};
use crate::cluster::OpenKey;
use crate::container::Container;
use crate::pipeline::{Pipeline, only_client_ports};
use crate::replicated::command::{AddContainer, Change, Outcome};
use crate::scm::{ProposeFault, Scm};
use crate::service::not_made;
use crate::wire::{self, NotOurs};

/// Why a block or container was not given.
pub(crate) enum Trouble {
    /// As the protocol can say.
    Known(AllocateError),
    /// The log did not take it.
    Log(ProposeFault),
}

impl From<AllocateError> for Trouble {
    fn from(e: AllocateError) -> Trouble {
        Trouble::Known(e)
    }
}

impl From<ProposeFault> for Trouble {
    fn from(e: ProposeFault) -> Trouble {
        match e {
            ProposeFault::Refused(why) => Trouble::Known(AllocateError::Refused(why)),
            log @ ProposeFault::Log(_) => Trouble::Log(log),
        }
    }
}

pub(super) async fn answer(
    scm: &Scm,
    asked: AllocateScmBlockRequestProto,
) -> Result<Result<AllocateScmBlockResponseProto, Failed>, Fault> {
    match blocks(scm, &asked).await {
        Ok(blocks) => {
            scm.metrics.blocks_allocated.add(blocks.len() as u64);
            Ok(Ok(AllocateScmBlockResponseProto { blocks }))
        }
        Err(Trouble::Known(why)) => {
            scm.metrics.allocations_failed.add(1);
            Ok(Err(Failed { status: why.status(), message: why.to_string() }))
        }
        Err(Trouble::Log(why)) => Err(not_made(&why)),
    }
}

async fn blocks(
    scm: &Scm,
    asked: &AllocateScmBlockRequestProto,
) -> Result<Vec<AllocateBlockResponse>, Trouble> {
    check_safe_mode(scm)?;
    let count = usize::try_from(asked.num_blocks).unwrap_or(usize::MAX);
    if !(1..=BLOCKS_MAX).contains(&count) {
        return Err(AllocateError::Count { asked: asked.num_blocks }.into());
    }
    let config = wire::replication_of(asked.r#type, asked.factor, asked.ec_replication_config.as_ref());
    let key = (config.map_err(AllocateError::Replication)?, asked.owner.clone());
    let excluded = excluded(asked.exclude_list.as_ref()).map_err(AllocateError::Exclude)?;
    let size = ByteCount::new(asked.size);
    let client = asked.client.as_deref().filter(|client| !client.is_empty());
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        let container = container_for(scm, &key, size, &excluded).await?;
        let local = scm.local_id().await?;
        let cluster = scm.cluster();
        let pipeline = cluster.blocks.container(container).and_then(|c| c.pipeline);
        let Some(pipeline) = pipeline.and_then(|id| cluster.blocks.pipeline(id)) else {
            return Err(
                AllocateError::Refused(format!("container {container} lost its pipeline meanwhile")).into()
            );
        };
        let mut message = cluster.pipeline_message(pipeline);
        if let Some(client) = client {
            message.member_orders = sort::orders(&cluster, client, &message.members);
        }
        only_client_ports(&mut message);
        let id = hdds::ContainerBlockId { container_id: container.to_wire(), local_id: local.to_wire() };
        blocks.push(AllocateBlockResponse { container_block_id: Some(id), pipeline: Some(message) });
    }
    Ok(blocks)
}

pub(crate) fn check_safe_mode(scm: &Scm) -> Result<(), AllocateError> {
    let cluster = scm.cluster();
    if !cluster.safe_mode.is_on() {
        return Ok(());
    }
    let rules = crate::safe_mode::rules(&cluster.safe_mode_counts());
    let lacking: Vec<String> = rules.into_iter().filter(|rule| !rule.holds).map(|rule| rule.text).collect();
    Err(AllocateError::SafeMode { rules: lacking.join("; ") })
}

/// An open container for a block, opened now if that is better or nothing else is left.
async fn container_for(
    scm: &Scm,
    key: &OpenKey,
    size: ByteCount,
    excluded: &Excluded,
) -> Result<ContainerId, Trouble> {
    let first = choose(&mut scm.cluster(), key, size, excluded, &scm.config);
    let first = match first {
        Err(AllocateError::NoPipeline { .. }) => {
            wait_for_pipeline(scm, key).await?;
            choose(&mut scm.cluster(), key, size, excluded, &scm.config)?
        }
        chosen => chosen?,
    };
    let or_else = match first {
        Choice::Use(id) => return Ok(id),
        Choice::Create { or_else, .. } | Choice::CreateIn { or_else, .. } => or_else,
    };
    // One caller at a time opens: a burst of requests is to open one container, not one each.
    let opening = scm.opening(key);
    let _guard = match (opening.try_lock(), or_else) {
        (Ok(guard), _) => guard,
        (Err(_), Some(id)) => return Ok(id),
        (Err(_), None) => opening.lock().await,
    };
    let chosen = choose(&mut scm.cluster(), key, size, excluded, &scm.config)?;
    match chosen {
        Choice::Use(id) => Ok(id),
        Choice::Create { nodes, .. } => open_container(scm, key, &nodes).await.map(|container| container.id),
        Choice::CreateIn { pipeline, .. } => {
            let nodes = choose_ratis::members(&scm.cluster(), pipeline);
            add_container(scm, key, pipeline, None, &nodes).await.map(|container| container.id)
        }
    }
}

/// Opens a container with a pipeline of its own on `nodes`.
pub(crate) async fn open_container(
    scm: &Scm,
    key: &OpenKey,
    nodes: &[DatanodeId],
) -> Result<Container, Trouble> {
    let pipeline = new_pipeline(scm, key.0, nodes);
    add_container(scm, key, pipeline.id, Some(&pipeline), nodes).await
}

/// Opens a container of a Ratis pipeline that stands ready.
pub(crate) async fn open_in_pipeline(scm: &Scm, key: &OpenKey) -> Result<Container, Trouble> {
    wait_for_pipeline(scm, key).await?;
    let chosen = choose(&mut scm.cluster(), key, ByteCount::ZERO, &Excluded::default(), &scm.config)?;
    let id = match chosen {
        Choice::CreateIn { pipeline, .. } => Some(pipeline),
        Choice::Use(id) => scm.cluster().blocks.container(id).and_then(|container| container.pipeline),
        Choice::Create { .. } => None,
    };
    let id = id.ok_or(AllocateError::NoPipeline { config: key.0 })?;
    let nodes = choose_ratis::members(&scm.cluster(), id);
    add_container(scm, key, id, None, &nodes).await
}

/// Opens a container of a pipeline, which is new as well or in the tables already.
async fn add_container(
    scm: &Scm,
    key: &OpenKey,
    id: PipelineId,
    new: Option<&Pipeline>,
    nodes: &[DatanodeId],
) -> Result<Container, Trouble> {
    let now = scm.now();
    let container = Container {
        id: ContainerId::new(0),
        state: ContainerState::Open,
        pipeline: Some(id),
        config: key.0,
        owner: key.1.clone(),
        used: ByteCount::ZERO,
        keys: 0,
        sequence: Bcsid::new(0),
        state_entered_ms: now.unix_ms,
        delete_transaction: 0,
        suppressed: false,
    };
    let pipeline = new.map(|one| one.to_message(|_| None));
    let all_acknowledge = scm.cluster().all_acknowledge(id);
    let add = AddContainer { container: container.to_message(), pipeline, all_acknowledge };
    let added = match scm.propose(Change::AddContainer(add)).await? {
        Outcome::Container(message) => Container::of_message(&message),
        other => return Err(AllocateError::Refused(format!("{other:?} came back")).into()),
    };
    let container = added.map_err(|why| AllocateError::Refused(why.to_string()))?;
    tracing::info!(container = %container.id, pipeline = %id, config = %key.0, "a container is open");
    let until_ms = now.monotonic_ms.saturating_add(crate::config::ms(scm.config.slot_wait));
    let mut cluster = scm.cluster();
    for node in nodes {
        cluster.nodes.promise(*node, container.id, until_ms);
    }
    Ok(container)
}

/// A pipeline with a fresh id on `nodes`, not yet in the tables.
pub(crate) fn new_pipeline(scm: &Scm, config: ReplicationConfig, nodes: &[DatanodeId]) -> Pipeline {
    let mut cluster = scm.cluster();
    let mut bytes = [0; 16];
    cluster.rng.fill(&mut bytes);
    let members = nodes.iter().map(|node| (*node, cluster.details(*node).unwrap_or_default())).collect();
    Pipeline::open(PipelineId::from_random_bytes(bytes), config, members, scm.clock.unix_ms())
}

fn excluded(list: Option<&hdds::ExcludeListProto>) -> Result<Excluded, NotOurs> {
    let Some(list) = list else { return Ok(Excluded::default()) };
    let node = |text: &String| text.parse().map_err(|e| NotOurs::new("datanodes", e));
    let container = |id: &i64| ContainerId::try_from(*id).map_err(|e| NotOurs::new("containerIds", e));
    Ok(Excluded {
        nodes: list.datanodes.iter().map(node).collect::<Result<BTreeSet<DatanodeId>, _>>()?,
        containers: list.container_ids.iter().map(container).collect::<Result<_, _>>()?,
        pipelines: list.pipeline_ids.iter().map(wire::pipeline_id_of).collect::<Result<_, _>>()?,
    })
}
