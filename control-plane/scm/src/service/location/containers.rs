//! Containers: look up, list, count, open, close.

use allotrope_proto::hdds::{
    ContainerId as ContainerIdMessage, ContainerWithPipeline, ScmContainerReplicaProto,
};
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_container::{
    ContainerRequestProto, ContainerResponseProto, GetContainerCountResponseProto,
    GetContainerReplicasResponseProto, GetContainerRequestProto, GetContainerResponseProto,
    GetContainerWithPipelineBatchResponseProto, GetContainerWithPipelineResponseProto,
    GetExistContainerWithPipelinesInBatchResponseProto, ScmCloseContainerResponseProto,
    ScmListContainerIDsRequestProto, ScmListContainerIDsResponseProto, ScmListContainerRequestProto,
    ScmListContainerResponseProto, SuppressContainerRequestProto, SuppressContainerResponseProto, Type,
    container_response_proto, scm_close_container_response_proto::Status,
};
use allotrope_types::{ContainerEvent, ContainerId, ContainerState, ReplicationConfig};

use crate::blocks::choose;
use crate::cluster::Cluster;
use crate::container::Container;
use crate::replicated::command::{Change, SetSuppressed, Step};
use crate::scm::{ProposeFault, Scm, class};
use crate::service::block::allocate::{Trouble, check_safe_mode, open_container, open_in_pipeline};
use crate::service::not_made;
use crate::wire;

/// Most containers in one answer (`ozone.scm.container.list.max.count`).
const LIST_MAX: usize = 4_096;

fn not_found(id: impl std::fmt::Display) -> Fault {
    Fault::application(class::CONTAINER_NOT_FOUND, format!("Container with id #{id} not found."))
}

fn find(cluster: &Cluster, id: i64) -> Result<Container, Fault> {
    let known = ContainerId::try_from(id).ok().and_then(|id| cluster.blocks.container(id));
    known.cloned().ok_or_else(|| not_found(id))
}

fn state_of(number: i32) -> Result<ContainerState, Fault> {
    ContainerState::from_number(number).ok_or_else(|| {
        Fault::io(format!("{number} is no state of a container; give 1 (OPEN) to 7 (RECOVERING)"))
    })
}

pub(super) fn get(scm: &Scm, asked: &GetContainerRequestProto) -> Result<GetContainerResponseProto, Fault> {
    let container = find(&scm.cluster(), asked.container_id)?;
    Ok(GetContainerResponseProto { container_info: container.to_message() })
}

fn join(cluster: &mut Cluster, id: i64) -> Result<ContainerWithPipeline, Fault> {
    let container = find(cluster, id)?;
    let pipeline = cluster.pipeline_for_reading(&container);
    Ok(ContainerWithPipeline {
        container_info: container.to_message(),
        pipeline: cluster.pipeline_message(&pipeline),
    })
}

pub(super) fn with_pipeline(scm: &Scm, id: i64) -> Result<GetContainerWithPipelineResponseProto, Fault> {
    let container_with_pipeline = join(&mut scm.cluster(), id)?;
    Ok(GetContainerWithPipelineResponseProto { container_with_pipeline })
}

pub(super) fn with_pipelines(
    scm: &Scm,
    ids: &[i64],
) -> Result<GetContainerWithPipelineBatchResponseProto, Fault> {
    let mut cluster = scm.cluster();
    let container_with_pipelines = ids.iter().map(|id| join(&mut cluster, *id)).collect::<Result<_, _>>()?;
    Ok(GetContainerWithPipelineBatchResponseProto { container_with_pipelines })
}

pub(super) fn existing_with_pipelines(
    scm: &Scm,
    ids: &[i64],
) -> GetExistContainerWithPipelinesInBatchResponseProto {
    let mut cluster = scm.cluster();
    let container_with_pipelines = ids.iter().filter_map(|id| join(&mut cluster, *id).ok()).collect();
    GetExistContainerWithPipelinesInBatchResponseProto { container_with_pipelines }
}

pub(super) fn list(
    scm: &Scm,
    asked: &ScmListContainerRequestProto,
) -> Result<ScmListContainerResponseProto, Fault> {
    let state = asked.state.map(state_of).transpose()?;
    let config = match (asked.r#type, asked.ec_replication_config.as_ref()) {
        (Some(kind), ec) if asked.factor.is_some() || ec.is_some() => {
            Some(wire::replication_of(kind, asked.factor, ec).map_err(|why| Fault::io(why.to_string()))?)
        }
        _ => None,
    };
    let count = usize::try_from(asked.count).unwrap_or(usize::MAX).min(LIST_MAX);
    let start = ContainerId::new(asked.start_container_id());
    let wanted = |c: &&Container| {
        state.is_none_or(|state| c.state == state)
            && config.is_none_or(|config| c.config == config)
            && asked.r#type.is_none_or(|kind| c.config.kind() as i32 == kind)
            && asked.factor.is_none_or(|factor| c.config.factor().is_some_and(|f| f as i32 == factor))
            && asked.suppressed.is_none_or(|suppressed| c.suppressed == suppressed)
    };
    let cluster = scm.cluster();
    // What "all" means to the reader who asks whether there are more pages: those of the state, without the start.
    let all = state.map_or(cluster.blocks.len(), |state| cluster.blocks.count(state));
    let page = cluster.blocks.containers_from(start).filter(wanted).take(count);
    Ok(ScmListContainerResponseProto {
        containers: page.map(Container::to_message).collect(),
        container_count: i64::try_from(all).ok(),
    })
}

pub(super) fn list_ids(
    scm: &Scm,
    asked: &ScmListContainerIDsRequestProto,
) -> Result<ScmListContainerIDsResponseProto, Fault> {
    let state = asked.state.map(state_of).transpose()?;
    let start = ContainerId::new(asked.start_container_id.as_ref().map_or(0, |id| id.id));
    let count = usize::try_from(asked.count).unwrap_or(usize::MAX).min(LIST_MAX);
    let cluster = scm.cluster();
    let page = cluster
        .blocks
        .containers_from(start)
        .filter(|c| state.is_none_or(|state| c.state == state))
        .take(count);
    let container_i_ds = page.map(|c| ContainerIdMessage { id: c.id.as_u64() }).collect();
    Ok(ScmListContainerIDsResponseProto { container_i_ds })
}

pub(super) fn count(
    scm: &Scm,
    kind: Type,
    state: Option<i32>,
) -> Result<GetContainerCountResponseProto, Fault> {
    let state = match kind {
        Type::GetClosedContainerCount => Some(ContainerState::Closed),
        _ => state.map(state_of).transpose()?,
    };
    let cluster = scm.cluster();
    let count = state.map_or(cluster.blocks.len(), |state| cluster.blocks.count(state));
    Ok(GetContainerCountResponseProto { container_count: i64::try_from(count).unwrap_or(i64::MAX) })
}

pub(super) fn replicas(scm: &Scm, id: i64) -> Result<GetContainerReplicasResponseProto, Fault> {
    let cluster = scm.cluster();
    let container = find(&cluster, id)?;
    let message = |r: &crate::container::Replica| ScmContainerReplicaProto {
        container_id: id,
        state: r.state.name().to_owned(),
        datanode_details: cluster.details(r.node).unwrap_or_default(),
        place_of_birth: r.origin.to_string(),
        sequence_id: r.bcsid.to_wire(),
        key_count: r.keys.cast_signed(),
        bytes_used: r.used.as_u64().cast_signed(),
        replica_index: Some(r.index.map_or(0, |index| i64::from(index.number()))),
        data_checksum: r.checksum,
    };
    let container_replica = cluster.replicas.of(container.id).iter().map(message).collect();
    Ok(GetContainerReplicasResponseProto { container_replica })
}

pub(super) async fn allocate(
    scm: &Scm,
    asked: ContainerRequestProto,
) -> Result<ContainerResponseProto, Fault> {
    let refused = |why: &dyn std::fmt::Display| Fault::application(class::SCM, why.to_string());
    check_safe_mode(scm).map_err(|why| refused(&why))?;
    let config = wire::replication_of(
        asked.replication_type,
        asked.replication_factor,
        asked.ec_replication_config.as_ref(),
    );
    let config = config.map_err(|why| refused(&why))?;
    choose::check_config(config).map_err(|why| refused(&why))?;
    let key = (config, asked.owner);
    let opened = match config {
        ReplicationConfig::Ratis(_) => open_in_pipeline(scm, &key).await,
        _ => {
            let nodes = choose::place(&mut scm.cluster(), &key, &Default::default(), &scm.config);
            open_container(scm, &key, &nodes.map_err(|why| refused(&why))?).await
        }
    };
    let container = match opened {
        Ok(container) => container,
        Err(Trouble::Known(why)) => return Err(refused(&why)),
        Err(Trouble::Log(why)) => return Err(not_made(&why)),
    };
    Ok(ContainerResponseProto {
        error_code: container_response_proto::Error::Success as i32,
        container_with_pipeline: join(&mut scm.cluster(), container.id.to_wire())?,
        error_message: None,
    })
}

pub(super) async fn close(scm: &Scm, id: i64) -> Result<ScmCloseContainerResponseProto, Fault> {
    let container = find(&scm.cluster(), id)?;
    let answer = |status: Status| Ok(ScmCloseContainerResponseProto { status: Some(status as i32) });
    match container.state {
        ContainerState::Open => {
            let (bcsid, used) = (container.sequence.as_u64(), container.used.as_u64());
            let step = Step::new(container.id, ContainerEvent::Finalize, bcsid, used, container.keys);
            scm.propose(Change::Step(step)).await.map_err(|why| not_made(&why))?;
            answer(Status::Ok)
        }
        ContainerState::Closing => answer(Status::ContainerAlreadyClosing),
        _ => answer(Status::ContainerAlreadyClosed),
    }
}

/// Marks containers for the replication manager to leave alone; answers with those that are not there.
pub(super) async fn suppress(
    scm: &Scm,
    asked: SuppressContainerRequestProto,
) -> Result<SuppressContainerResponseProto, Fault> {
    let suppressed = asked.suppress.unwrap_or(true);
    let mut failed_container_i_ds = Vec::new();
    for container in asked.container_i_ds {
        match scm.propose(Change::SetSuppressed(SetSuppressed { container, suppressed })).await {
            Ok(_) => {}
            Err(ProposeFault::Refused(_)) => failed_container_i_ds.push(container),
            Err(why) => return Err(not_made(&why)),
        }
    }
    Ok(SuppressContainerResponseProto { failed_container_i_ds })
}
