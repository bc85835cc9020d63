//! The datanodes' protocol: version, registration, heartbeats with reports; commands go back with the answers.
//!
//! Law     a heartbeat of a node that SCM does not know changes nothing and is answered with the command to register.
//!         Followers take reports in too; only a leader gives commands and a term.
//! Source  wire facts: scm.md 1.2 to 1.7.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_proto::hdds::KeyValue;
use allotrope_proto::heartbeat::{
    self as hb, CommandStatusReportsProto, ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatRequestProto,
    ScmHeartbeatResponseProto, ScmRegisterRequestProto, ScmRegisteredResponseProto, ScmVersionResponseProto,
    Status, Type, scm_registered_response_proto::ErrorCode,
};
use allotrope_proto::rpc::{CallContext, Fault, Service, catalog::DatanodeHeartbeat};
use allotrope_types::{ContainerId, DatanodeId};

use super::lacks;
use crate::audit::{self, Act};
use crate::cluster::{Cluster, Now, Report, reregister};
use crate::node::{Health, Layout, OperationalState, Usage, racks};
use crate::scm::Scm;
use crate::wire;

/// Answers datanodes.
pub(crate) struct DatanodeService(pub(crate) Arc<Scm>);

impl Service<DatanodeHeartbeat> for DatanodeService {
    async fn call(
        &self,
        context: CallContext,
        request: ScmDatanodeRequest,
    ) -> Result<ScmDatanodeResponse, Fault> {
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id,
            success: Some(true),
            status: Status::Ok as i32,
            ..Default::default()
        };
        match Type::try_from(request.cmd_type) {
            Ok(Type::GetVersion) => response.get_version_response = Some(self.version()),
            Ok(Type::Register) => {
                let register = request.register_request.ok_or_else(|| lacks("registerRequest"))?;
                self.find_rack(&context, &register).await;
                response.register_response = Some(self.register(&context, register)?);
            }
            Ok(Type::SendHeartbeat) => {
                let heartbeat =
                    request.send_heartbeat_request.ok_or_else(|| lacks("sendHeartbeatRequest"))?;
                response.send_heartbeat_response = Some(self.heartbeat(&heartbeat)?);
            }
            Err(_) => return Err(Fault::io(format!("{} is no request of a datanode", request.cmd_type))),
        }
        Ok(response)
    }
}

impl DatanodeService {
    fn version(&self) -> ScmVersionResponseProto {
        let pair = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: Some(value.to_owned()) };
        let identity = &self.0.identity;
        let keys = vec![pair("scmUuid", &identity.scm_id), pair("clusterID", &identity.cluster_id)];
        ScmVersionResponseProto { software_version: 1, keys }
    }

    /// Asks the operator's script, if there is one, for the rack of a node that no table names.
    async fn find_rack(&self, context: &CallContext, request: &ScmRegisterRequestProto) {
        let scm = &self.0;
        let Some(script) = &scm.config.rack_script else { return };
        let address = context.caller.remote.ip().to_canonical();
        let host = &request.extended_datanode_details.datanode_details.host_name;
        if scm.cluster().nodes.knows_rack(host, address) {
            return;
        }
        match racks::ask(script, address).await {
            Ok(rack) => scm.cluster().nodes.set_rack(address, rack),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                host,
                "a datanode is taken to be in the default rack"
            ),
        }
    }

    fn register(
        &self,
        context: &CallContext,
        request: ScmRegisterRequestProto,
    ) -> Result<ScmRegisteredResponseProto, Fault> {
        let scm = &self.0;
        let revision = request.extended_datanode_details.revision;
        let details = request.extended_datanode_details.datanode_details;
        let id = wire::datanode_id(&details).map_err(|why| Fault::io(why.to_string()))?;
        let layout = Layout::of(request.data_node_layout_version.as_ref());
        let usage = Usage::of(&request.node_report);
        let report = Report {
            full: Some(request.container_report),
            pipelines: Some(request.pipeline_reports),
            ..Report::default()
        };
        let params = [("datanode", id.to_string()), ("host", details.host_name.clone())];
        let mut answer = ScmRegisteredResponseProto {
            error_code: ErrorCode::Success as i32,
            datanode_uuid: id.to_string(),
            cluster_id: scm.identity.cluster_id.clone(),
            ..Default::default()
        };
        let (now, leads) = (scm.now(), scm.term().is_some());
        let heard = {
            let mut cluster = scm.cluster();
            let peer = context.caller.remote.ip();
            match cluster.nodes.register(id, details, peer, layout, usage, now.unix_ms) {
                Err(refusal) => {
                    tracing::warn!(node = %id, %refusal, "a datanode may not register");
                    audit::write(Act::Write, context, "REGISTER", &params, Some(&refusal));
                    answer.error_code = ErrorCode::ErrorNodeNotPermitted as i32;
                    return Ok(answer);
                }
                Ok(registered) => tracing::info!(node = %id, ?registered, "a datanode has registered"),
            }
            cluster.ratis.registered(id, revision.as_deref());
            cluster.count_serving();
            cluster.node_has_restarted(id);
            cluster.node_is_back(id);
            let heard = cluster.report(id, &report, leads, now);
            cluster.glance_at_safe_mode();
            if let Some(node) = cluster.nodes.get(id) {
                answer.hostname = Some(node.details.host_name.clone());
                answer.ip_address = Some(node.details.ip_address.clone());
                answer.network_name = node.details.network_name.clone();
                answer.network_location = node.details.network_location.clone();
            }
            heard
        };
        scm.metrics.registrations.add(1);
        scm.metrics.report_entries_dropped.add(heard.dropped as u64);
        scm.propose_later(heard.changes);
        audit::write(Act::Write, context, "REGISTER", &params, None);
        Ok(answer)
    }

    fn heartbeat(&self, request: &ScmHeartbeatRequestProto) -> Result<ScmHeartbeatResponseProto, Fault> {
        let scm = &self.0;
        let details = &request.datanode_details;
        let id = wire::datanode_id(details).map_err(|why| Fault::io(why.to_string()))?;
        let mut answer = ScmHeartbeatResponseProto {
            datanode_uuid: details.uuid.clone().unwrap_or_else(|| id.to_string()),
            ..Default::default()
        };
        let term = scm.term();
        let now = scm.now();
        let layout = Layout::of(request.data_node_layout_version.as_ref());
        let report = Report {
            node: request.node_report.clone(),
            full: request.container_report.clone(),
            incremental: request.incremental_container_report.clone(),
            actions: request.container_actions.clone(),
            pipelines: request.pipeline_reports.clone(),
            pipeline_actions: request.pipeline_actions.clone(),
            queued: request.command_queue_report.as_ref().map(queued),
        };
        scm.metrics.heartbeats.add(1);
        let heard = {
            let mut cluster = scm.cluster();
            let Some(before) = cluster.nodes.heard(id, layout, now.unix_ms) else {
                answer.commands = vec![reregister()];
                stamp(&mut answer, term);
                return Ok(answer);
            };
            if before != Health::Healthy {
                cluster.count_serving();
                cluster.node_is_back(id);
            }
            let heard = cluster.report(id, &report, term.is_some(), now);
            operational(&mut cluster, id, details, term.is_some(), now);
            if term.is_some() {
                answer.commands = cluster.commands.take(id);
            }
            if before == Health::Dead {
                // What it holds was forgotten when it was given up: a registration brings a full report.
                answer.commands.push(reregister());
            }
            heard
        };
        self.acknowledge(id, &request.command_status_reports);
        self.failed(id, &request.command_status_reports, now);
        scm.metrics.report_entries_dropped.add(heard.dropped as u64);
        scm.metrics.commands_sent.add(answer.commands.len() as u64);
        scm.propose_later(heard.changes);
        stamp(&mut answer, term);
        Ok(answer)
    }

    /// Takes in which deletions a node has carried out.
    fn acknowledge(&self, id: DatanodeId, reports: &[CommandStatusReportsProto]) {
        let statuses = reports.iter().flat_map(|report| &report.cmd_status);
        let acks: Vec<_> = statuses
            .filter_map(|status| status.block_deletion_ack.as_ref())
            .flat_map(|ack| &ack.results)
            .collect();
        if acks.is_empty() {
            return;
        }
        let mut deletions = self.0.deletions();
        for ack in acks {
            if let (Ok(transaction), Ok(container)) =
                (u64::try_from(ack.tx_id), ContainerId::try_from(ack.container_id))
            {
                deletions.acknowledged(transaction, container, id, ack.success);
            }
        }
    }

    /// Takes in which copies and reconstructions a node could not make.
    fn failed(&self, id: DatanodeId, reports: &[CommandStatusReportsProto], now: Now) {
        use hb::scm_command_proto::Type::{ReconstructEcContainersCommand, ReplicateContainerCommand};
        let ours = [ReconstructEcContainersCommand as i32, ReplicateContainerCommand as i32];
        let failed = |s: &&hb::CommandStatus| {
            s.status == hb::command_status::Status::Failed as i32 && ours.contains(&s.r#type)
        };
        for status in reports.iter().flat_map(|report| &report.cmd_status).filter(failed) {
            let container = self.0.cluster().manager.failed(status.cmd_id, now.monotonic_ms);
            if let Some(container) = container {
                self.0.metrics.repairs_failed.add(1);
                tracing::info!(node = %id, %container, why = status.msg(), "a replica could not be made");
            }
        }
    }
}

/// A leader's term goes with the answer and with each command; a datanode drops those of an older one.
fn stamp(answer: &mut ScmHeartbeatResponseProto, term: Option<allotrope_types::Term>) {
    let term = term.map(|term| term.to_wire());
    for command in &mut answer.commands {
        command.term = term;
    }
    answer.term = term;
}

/// How many commands of each type a node has queued: two arrays that run along.
fn queued(report: &hb::CommandQueueReportProto) -> BTreeMap<i32, u32> {
    report.command.iter().copied().zip(report.count.iter().copied()).collect()
}

/// A node keeps its operational state: the leader tells it where it differs, a follower believes it where the log says
/// nothing.
fn operational(
    cluster: &mut Cluster,
    id: DatanodeId,
    details: &allotrope_proto::hdds::DatanodeDetailsProto,
    leads: bool,
    now: Now,
) {
    let kept = details.persisted_op_state.and_then(OperationalState::from_wire).unwrap_or_default();
    let until_s = details.persisted_op_state_expiry.unwrap_or(0);
    cluster.nodes.keeps(id, kept, until_s);
    let Some(node) = cluster.nodes.get(id) else { return };
    let (wanted, wanted_until_s) = (node.operational, node.operational_until_s);
    if (wanted, wanted_until_s) == (kept, until_s) {
        return;
    }
    if leads {
        cluster.commands.set_operational(id, wanted, wanted_until_s, now.monotonic_ms);
    } else if !cluster.nodes.has_duty(id) {
        cluster.nodes.set_operational(id, kept, until_s);
        cluster.count_serving();
    }
}
