//! Datanodes taken out of service and back: decommission, maintenance, recommission, and how far that has come.
//!
//! Law     one request at a time is checked and proposed, so that two administrators together take out no more than one may.

use allotrope_proto::hdds::{ContainerId as ContainerIdMessage, DatanodeDetailsProto};
use allotrope_proto::rpc::Fault;
use allotrope_proto::scm_container::{
    ContainersOnDecomNodeProto, DatanodeAdminErrorResponseProto, DecommissionNodesRequestProto,
    DecommissionNodesResponseProto, GetContainersOnDecomNodeResponseProto, RecommissionNodesRequestProto,
    RecommissionNodesResponseProto, StartMaintenanceNodesRequestProto, StartMaintenanceNodesResponseProto,
};
use allotrope_types::ContainerId;

use crate::cluster::{Departure, Duty, Left, NotAllowed};
use crate::node::OperationalState;
use crate::replicated::command::{Change, OnPipeline};
use crate::scm::Scm;
use crate::service::{duty_change, not_made};
use crate::wire;

fn refused(all: Vec<NotAllowed>) -> Vec<DatanodeAdminErrorResponseProto> {
    all.into_iter().map(|one| DatanodeAdminErrorResponseProto { host: one.host, error: one.why }).collect()
}

/// Proposes the duties, and for those who leave the end of their pipelines.
async fn set(scm: &Scm, duties: Vec<Duty>) -> Result<(), Fault> {
    for duty in duties {
        scm.propose(duty_change(duty)).await.map_err(|why| not_made(&why))?;
        if duty.state == OperationalState::InService {
            continue;
        }
        let pipelines = scm.cluster().pipelines_of(duty.node);
        for pipeline in pipelines {
            let pipeline = wire::pipeline_id(pipeline);
            let closed = scm.propose(Change::ClosePipeline(OnPipeline { pipeline })).await;
            closed.map_err(|why| not_made(&why))?;
        }
    }
    Ok(())
}

async fn leave(
    scm: &Scm,
    hosts: &[String],
    how: Departure,
    force: bool,
) -> Result<Vec<DatanodeAdminErrorResponseProto>, Fault> {
    let _one_at_a_time = scm.deciding_duties.lock().await;
    let (duties, wrong) = scm.cluster().may_leave(hosts, how, force);
    set(scm, duties).await?;
    Ok(refused(wrong))
}

pub(super) async fn decommission(
    scm: &Scm,
    asked: &DecommissionNodesRequestProto,
) -> Result<DecommissionNodesResponseProto, Fault> {
    let failed_hosts = leave(scm, &asked.hosts, Departure::Decommission, asked.force()).await?;
    Ok(DecommissionNodesResponseProto { failed_hosts })
}

pub(super) async fn maintain(
    scm: &Scm,
    asked: &StartMaintenanceNodesRequestProto,
) -> Result<StartMaintenanceNodesResponseProto, Fault> {
    let hours = asked.end_in_hours();
    let now_s = i64::try_from(scm.now().unix_ms / 1000).unwrap_or(i64::MAX);
    let until_s = match hours {
        0 => 0,
        hours if hours < 0 => {
            return Err(Fault::io(format!("a maintenance cannot end in {hours} hours; give 0 for no end")));
        }
        hours => now_s.saturating_add(hours.saturating_mul(3600)),
    };
    let failed_hosts = leave(scm, &asked.hosts, Departure::Maintenance { until_s }, asked.force()).await?;
    Ok(StartMaintenanceNodesResponseProto { failed_hosts })
}

pub(super) async fn recommission(
    scm: &Scm,
    asked: &RecommissionNodesRequestProto,
) -> Result<RecommissionNodesResponseProto, Fault> {
    let _one_at_a_time = scm.deciding_duties.lock().await;
    let (duties, wrong) = scm.cluster().may_return(&asked.hosts);
    set(scm, duties).await?;
    Ok(RecommissionNodesResponseProto { failed_hosts: refused(wrong) })
}

/// The containers that keep a datanode from leaving, by the reason. Looked at now.
pub(super) fn containers_on(
    scm: &Scm,
    details: &DatanodeDetailsProto,
) -> Result<GetContainersOnDecomNodeResponseProto, Fault> {
    let node = wire::datanode_id(details).map_err(|why| Fault::io(why.to_string()))?;
    let left = look(scm, node).unwrap_or_default();
    let named = |name: &str, ids: &[ContainerId]| ContainersOnDecomNodeProto {
        name: name.to_owned(),
        id: ids.iter().map(|id| ContainerIdMessage { id: id.as_u64() }).collect(),
    };
    let containers_on_decom_node =
        vec![named("UnderReplicated", &left.lacking_ids), named("UnClosed", &left.not_closed_ids)];
    Ok(GetContainersOnDecomNodeResponseProto { containers_on_decom_node })
}

/// What is left on a datanode now.
pub(super) fn look(scm: &Scm, node: allotrope_types::DatanodeId) -> Option<Left> {
    let (mut left, containers) = scm.cluster().begin_look(node)?;
    for page in containers.chunks(2_000) {
        scm.cluster().look_at_left(node, page, &mut left);
    }
    Some(left)
}
