//! The container location protocol: what administrators, OM and Recon ask about containers, pipelines and nodes.
//!
//! Shape   one function an operation, in a file by its object; the match below is the list of what is served.
//! Errors  exceptions, under the classes that Ozone's clients know. Only a leader answers, apart from questions about safe
//!         mode and about who leads.
//! Source  wire facts: scm.md 2.1; docs/scm-operations.md lists every operation with its test.

mod containers;
mod duty;
mod figures;
mod nodes;
mod pipelines;
mod repair;
mod state;

use std::fmt::Display;
use std::sync::Arc;

use allotrope_proto::rpc::{CallContext, Fault, Service, catalog::ScmContainerSubmit};
use allotrope_proto::scm_container::{
    ScmContainerLocationRequest, ScmContainerLocationResponse, Type, scm_container_location_response::Status,
};

use super::lacks;
use crate::audit::{self, Act};
use crate::scm::{Scm, class};

/// Answers administrators, OM and Recon.
pub(crate) struct LocationService(pub(crate) Arc<Scm>);

/// A request's version from which its sender understands erasure coding.
const VERSION_EC: u32 = 2;
/// A request's version from which its sender takes ports that it does not know.
const VERSION_ANY_PORT: u32 = 1;

impl Service<ScmContainerSubmit> for LocationService {
    async fn call(
        &self,
        context: CallContext,
        request: ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, Fault> {
        let kind = Type::try_from(request.cmd_type)
            .map_err(|_| Fault::io(format!("{} is no request about containers", request.cmd_type)))?;
        let answer = self.answer(kind, request).await;
        let failed = answer.as_ref().err().map(|fault| fault as &dyn Display);
        audit::write(act(kind), &context, &screaming(kind.as_str_name()), &[], failed);
        answer
    }
}

/// Whether an operation changes something.
fn act(kind: Type) -> Act {
    use Type::*;
    match kind {
        AllocateContainer
        | DeleteContainer
        | CloseContainer
        | AllocatePipeline
        | ActivatePipeline
        | DeactivatePipeline
        | ClosePipeline
        | ForceExitSafeMode
        | SuppressContainer
        | TransferLeadership
        | DecommissionScm
        | DecommissionNodes
        | RecommissionNodes
        | StartMaintenanceNodes
        | StartReplicationManager
        | StopReplicationManager => Act::Write,
        _ => Act::Read,
    }
}

/// `GetContainerWithPipeline` as `GET_CONTAINER_WITH_PIPELINE`.
fn screaming(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && lower {
            out.push('_');
        }
        lower = c.is_ascii_lowercase();
        out.push(c.to_ascii_uppercase());
    }
    out
}

impl LocationService {
    async fn answer(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, Fault> {
        let scm = &*self.0;
        let mut out = ScmContainerLocationResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id,
            success: Some(true),
            status: Status::Ok as i32,
            ..Default::default()
        };
        // Which sub-message carries the arguments, or the fault that it is not there.
        macro_rules! payload {
            ($field:ident) => {
                request.$field.ok_or_else(|| lacks(stringify!($field)))?
            };
        }
        if !matches!(
            kind,
            Type::InSafeMode
                | Type::GetSafeModeRuleStatuses
                | Type::ForceExitSafeMode
                | Type::GetScmInfo
                | Type::StartReplicationManager
                | Type::StopReplicationManager
        ) {
            scm.leading(|leader| leader.client_port)?;
        }
        match kind {
            Type::AllocateContainer => {
                let answer = containers::allocate(scm, payload!(container_request)).await?;
                out.container_response = Some(answer);
            }
            Type::GetContainer => {
                out.get_container_response = Some(containers::get(scm, &payload!(get_container_request))?);
            }
            Type::GetContainerWithPipeline => {
                let asked = payload!(get_container_with_pipeline_request);
                out.get_container_with_pipeline_response =
                    Some(containers::with_pipeline(scm, asked.container_id)?);
            }
            Type::GetContainerWithPipelineBatch => {
                let asked = payload!(get_container_with_pipeline_batch_request);
                out.get_container_with_pipeline_batch_response =
                    Some(containers::with_pipelines(scm, &asked.container_i_ds)?);
            }
            Type::GetExistContainerWithPipelinesInBatch => {
                let asked = payload!(get_exist_container_with_pipelines_in_batch_request);
                out.get_exist_container_with_pipelines_in_batch_response =
                    Some(containers::existing_with_pipelines(scm, &asked.container_i_ds));
            }
            Type::ListContainer => {
                out.scm_list_container_response =
                    Some(containers::list(scm, &payload!(scm_list_container_request))?);
            }
            Type::ListContainerIDs => {
                let asked = payload!(scm_list_container_i_ds_request);
                out.scm_list_container_i_ds_response = Some(containers::list_ids(scm, &asked)?);
            }
            Type::GetContainerCount | Type::GetClosedContainerCount => {
                let state = request.get_container_count_request.and_then(|asked| asked.state);
                out.get_container_count_response = Some(containers::count(scm, kind, state)?);
            }
            Type::GetContainerReplicas => {
                let asked = payload!(get_container_replicas_request);
                out.get_container_replicas_response = Some(containers::replicas(scm, asked.container_id)?);
            }
            Type::CloseContainer => {
                let asked = payload!(scm_close_container_request);
                out.scm_close_container_response = Some(containers::close(scm, asked.container_id).await?);
            }
            Type::SuppressContainer => {
                out.suppress_container_response =
                    Some(containers::suppress(scm, payload!(suppress_container_request)).await?);
            }
            Type::ListPipelines => out.list_pipeline_response = Some(pipelines::list(scm)),
            Type::GetPipeline => {
                out.get_pipeline_response =
                    Some(pipelines::get(scm, &payload!(get_pipeline_request).pipeline_id)?);
            }
            Type::AllocatePipeline => {
                out.pipeline_response = Some(pipelines::allocate(scm, &payload!(pipeline_request)).await?);
            }
            Type::ActivatePipeline => {
                let asked = payload!(activate_pipeline_request);
                pipelines::set_dormant(scm, asked.pipeline_id, false).await?;
                out.activate_pipeline_response = Some(Default::default());
            }
            Type::DeactivatePipeline => {
                let asked = payload!(deactivate_pipeline_request);
                pipelines::set_dormant(scm, asked.pipeline_id, true).await?;
                out.deactivate_pipeline_response = Some(Default::default());
            }
            Type::ClosePipeline => {
                pipelines::close(scm, payload!(close_pipeline_request).pipeline_id).await?;
                out.close_pipeline_response = Some(Default::default());
            }
            Type::QueryNode => {
                out.node_query_response = Some(nodes::query(scm, &payload!(node_query_request)));
            }
            Type::SingleNodeQuery => {
                let asked = payload!(single_node_query_request);
                out.single_node_query_response = Some(nodes::query_one(scm, &asked));
            }
            Type::DatanodeUsageInfo => {
                let asked = payload!(datanode_usage_info_request);
                out.datanode_usage_info_response = Some(nodes::usage(scm, &asked)?);
            }
            Type::GetScmInfo => out.get_scm_info_response = Some(super::block::scm_info(scm)),
            Type::InSafeMode => out.in_safe_mode_response = Some(state::in_safe_mode(scm)),
            Type::ForceExitSafeMode => out.force_exit_safe_mode_response = Some(state::force_exit(scm)),
            Type::GetSafeModeRuleStatuses => {
                out.get_safe_mode_rule_statuses_response = Some(state::rules(scm))
            }
            Type::GetReplicationManagerStatus => {
                out.replication_manager_status_response = Some(repair::status(scm));
            }
            Type::StartReplicationManager => {
                repair::set_on(scm, true);
                out.start_replication_manager_response = Some(Default::default());
            }
            Type::StopReplicationManager => {
                repair::set_on(scm, false);
                out.stop_replication_manager_response = Some(Default::default());
            }
            Type::GetReplicationManagerReport => {
                out.get_replication_manager_report_response = Some(repair::report(scm));
            }
            Type::DecommissionNodes => {
                let asked = payload!(decommission_nodes_request);
                out.decommission_nodes_response = Some(duty::decommission(scm, &asked).await?);
            }
            Type::RecommissionNodes => {
                let asked = payload!(recommission_nodes_request);
                out.recommission_nodes_response = Some(duty::recommission(scm, &asked).await?);
            }
            Type::StartMaintenanceNodes => {
                let asked = payload!(start_maintenance_nodes_request);
                out.start_maintenance_nodes_response = Some(duty::maintain(scm, &asked).await?);
            }
            Type::GetContainersOnDecomNode => {
                let asked = payload!(get_containers_on_decom_node_request);
                out.get_containers_on_decom_node_response =
                    Some(duty::containers_on(scm, &asked.datanode_details)?);
            }
            Type::GetMetrics => {
                let asked = payload!(get_metrics_request);
                out.get_metrics_response = Some(figures::metrics(scm, asked.query()));
            }
            Type::TransferLeadership => {
                state::transfer_leadership(scm, &payload!(transfer_scm_leadership_request).new_leader_id)
                    .await?;
                out.transfer_scm_leadership_response = Some(Default::default());
            }
            Type::DecommissionScm => {
                let asked = payload!(decommission_scm_request).scm_id;
                out.decommission_scm_response = Some(state::decommission(scm, &asked).await);
            }
            other => {
                let text = format!("{} is not served by this SCM", other.as_str_name());
                return Err(Fault::application(class::SCM, text));
            }
        }
        for_version(request.version, out)
    }
}

/// Fits an answer to what its reader understands. A request without a version comes from a client of ours.
fn for_version(
    version: Option<u32>,
    mut out: ScmContainerLocationResponse,
) -> Result<ScmContainerLocationResponse, Fault> {
    let Some(version) = version else { return Ok(out) };
    let mut containers = Vec::new();
    let one = out.get_container_with_pipeline_response.as_mut().map(|r| &mut r.container_with_pipeline);
    containers.extend(one);
    if let Some(batch) = out.get_container_with_pipeline_batch_response.as_mut() {
        containers.extend(&mut batch.container_with_pipelines);
    }
    if let Some(batch) = out.get_exist_container_with_pipelines_in_batch_response.as_mut() {
        containers.extend(&mut batch.container_with_pipelines);
    }
    let ec = containers.iter().any(|c| c.container_info.ec_replication_config.is_some());
    let listed = out.scm_list_container_response.iter().flat_map(|r| &r.containers);
    let single = out.get_container_response.iter().map(|r| &r.container_info);
    let ec = ec || listed.chain(single).any(|c| c.ec_replication_config.is_some());
    if version < VERSION_EC && ec {
        let text = "the answer has erasure coded containers, which this client's version cannot read; upgrade the client";
        return Err(Fault::application(class::SCM, text));
    }
    if version < VERSION_ANY_PORT {
        for container in containers {
            for member in &mut container.pipeline.members {
                member.ports.retain(|port| matches!(port.name.as_str(), "STANDALONE" | "RATIS" | "REST"));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_as_ozones_audit_log_names_them() {
        assert_eq!(screaming("GetContainerWithPipeline"), "GET_CONTAINER_WITH_PIPELINE");
        assert_eq!(screaming("ListContainerIDs"), "LIST_CONTAINER_IDS");
        assert_eq!(screaming("InSafeMode"), "IN_SAFE_MODE");
    }
}
