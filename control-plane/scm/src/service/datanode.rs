//! The datanodes' protocol: version, registration, heartbeats with reports; commands go back with the answers.
//!
//! Law     a heartbeat of a node that SCM does not know changes nothing and is answered with the command to register.
//!         Followers take reports in too; only a leader gives commands and a term.
//! Errors  a call that is malformed as a whole is refused; a part of a report that is, by name, and the rest is believed
//!         ([`reports`](super::reports)).
//! Source  wire facts: scm.md 1.2 to 1.7.

use std::sync::Arc;

use allotrope_proto::edge::hdds::DatanodeDetails;
use allotrope_proto::edge::heartbeat::{CommandKind, CommandOutcome, CommandStatus, NodeReport};
use allotrope_proto::hdds::KeyValue;
use allotrope_proto::heartbeat::{
    ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatRequestProto, ScmHeartbeatResponseProto,
    ScmRegisterRequestProto, ScmRegisteredResponseProto, ScmVersionResponseProto, Status, Type,
    scm_registered_response_proto::ErrorCode,
};
use allotrope_proto::rpc::{CallContext, Fault, Service, catalog::DatanodeHeartbeat};
use allotrope_types::DatanodeId;

use super::reports::{Contents, Reader};
use super::{lacks, malformed};
use crate::audit::{self, Act};
use crate::cluster::{Cluster, Now, Report, reregister};
use crate::container::report::Entries;
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
                response.send_heartbeat_response = Some(self.heartbeat(heartbeat)?);
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
        // Kept as it came: others are told of it by the same message.
        let id = DatanodeDetails::try_from(details.clone()).map_err(malformed)?.id;
        let mut reader = Reader::of(id);
        let layout = Layout::of(reader.part(request.data_node_layout_version));
        // Without its disks nobody knows what a node has room for.
        let disks = NodeReport::try_from(request.node_report).map_err(malformed)?;
        let usage = Usage::of(disks);
        let report = Report {
            full: Some(Entries::read(id, request.container_report.reports)),
            pipelines: reader.each(request.pipeline_reports.pipeline_report),
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
            let heard = cluster.report(id, report, leads, now);
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
        scm.metrics.report_entries_dropped.add((heard.dropped + reader.dropped) as u64);
        scm.propose_later(heard.changes);
        audit::write(Act::Write, context, "REGISTER", &params, None);
        Ok(answer)
    }

    fn heartbeat(&self, request: ScmHeartbeatRequestProto) -> Result<ScmHeartbeatResponseProto, Fault> {
        let scm = &self.0;
        let details = request.datanode_details;
        let id = wire::datanode_id(&details).map_err(|why| Fault::io(why.to_string()))?;
        let mut answer = ScmHeartbeatResponseProto {
            datanode_uuid: details.uuid.unwrap_or_else(|| id.to_string()),
            ..Default::default()
        };
        let term = scm.term();
        let now = scm.now();
        let mut reader = Reader::of(id);
        let layout = Layout::of(reader.part(request.data_node_layout_version));
        let kept = reader.kept(details.persisted_op_state);
        let kept = kept.map(|kept| (kept, details.persisted_op_state_expiry.unwrap_or(0)));
        let statuses = reader.statuses(request.command_status_reports);
        let report = reader.report(Contents {
            node: request.node_report,
            full: request.container_report,
            incremental: request.incremental_container_report,
            actions: request.container_actions,
            pipelines: request.pipeline_reports,
            pipeline_actions: request.pipeline_actions,
            queued: request.command_queue_report,
        });
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
            let heard = cluster.report(id, report, term.is_some(), now);
            if let Some(kept) = kept {
                operational(&mut cluster, id, kept, term.is_some(), now);
            }
            if term.is_some() {
                answer.commands = cluster.commands.take(id);
            }
            if before == Health::Dead {
                // What it holds was forgotten when it was given up: a registration brings a full report.
                answer.commands.push(reregister());
            }
            heard
        };
        self.acknowledge(id, &statuses);
        self.failed(id, &statuses, now);
        scm.metrics.report_entries_dropped.add((heard.dropped + reader.dropped) as u64);
        scm.metrics.commands_sent.add(answer.commands.len() as u64);
        scm.propose_later(heard.changes);
        stamp(&mut answer, term);
        Ok(answer)
    }

    /// Takes in which deletions a node has carried out.
    fn acknowledge(&self, id: DatanodeId, statuses: &[CommandStatus]) {
        let acks = statuses.iter().filter_map(|status| status.block_deletion_ack.as_ref());
        let acks: Vec<_> = acks.flat_map(|ack| &ack.results).collect();
        if acks.is_empty() {
            return;
        }
        let mut deletions = self.0.deletions();
        for ack in acks {
            match u64::try_from(ack.tx_id) {
                Ok(transaction) => deletions.acknowledged(transaction, ack.container_id, id, ack.success),
                Err(_) => tracing::warn!(
                    node = %id,
                    container = %ack.container_id,
                    transaction = ack.tx_id,
                    "a datanode acknowledges a deletion that cannot be: its number is negative"
                ),
            }
        }
    }

    /// Takes in which copies and reconstructions a node could not make.
    fn failed(&self, id: DatanodeId, statuses: &[CommandStatus], now: Now) {
        let ours = [CommandKind::ReconstructEcContainersCommand, CommandKind::ReplicateContainerCommand];
        let failed = |s: &&CommandStatus| s.status == CommandOutcome::Failed && ours.contains(&s.r#type);
        for status in statuses.iter().filter(failed) {
            let container = self.0.cluster().manager.failed(status.cmd_id, now.monotonic_ms);
            if let Some(container) = container {
                self.0.metrics.repairs_failed.add(1);
                let why = status.msg.as_deref().unwrap_or_default();
                tracing::info!(node = %id, %container, why, "a replica could not be made");
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

/// A node keeps its operational state: the leader tells it where it differs, a follower believes it where the log says
/// nothing.
fn operational(
    cluster: &mut Cluster,
    id: DatanodeId,
    (kept, until_s): (OperationalState, i64),
    leads: bool,
    now: Now,
) {
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
