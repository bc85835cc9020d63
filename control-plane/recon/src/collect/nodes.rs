//! Datanodes, their room, pipelines, safe mode, who leads, and what the replication manager reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use allotrope_proto::hdds::{DatanodeUsageInfoProto, Node, QueryScope};
use allotrope_proto::scm_container::{DatanodeUsageInfoRequestProto, NodeQueryRequestProto, Type};

use crate::model::{Datanode, Pipeline, Room, uuid_of};
use crate::recon::{AskError, Recon};
use crate::state::{DATANODES_MAX, PIPELINES_MAX, Repair, SafeMode, State};

/// Most containers that are named for each finding of the replication manager.
const SAMPLES_MAX: usize = 100;

/// Asks for all of it once.
pub(super) async fn round(recon: &Recon) -> Result<(), AskError> {
    let nodes = recon
        .ask_scm(Type::QueryNode, |request| {
            request.node_query_request =
                Some(NodeQueryRequestProto { scope: QueryScope::Cluster as i32, ..Default::default() });
        })
        .await?;
    let nodes = nodes.node_query_response.ok_or(AskError::Empty("QueryNode"))?.datanodes;
    let usage = recon
        .ask_scm(Type::DatanodeUsageInfo, |request| {
            request.datanode_usage_info_request = Some(DatanodeUsageInfoRequestProto {
                most_used: Some(true),
                count: Some(u32::MAX),
                ..Default::default()
            });
        })
        .await?;
    let usage = usage.datanode_usage_info_response.ok_or(AskError::Empty("DatanodeUsageInfo"))?.info;
    let pipelines = recon
        .ask_scm(Type::ListPipelines, |request| request.list_pipeline_request = Some(Default::default()))
        .await?;
    let pipelines = pipelines.list_pipeline_response.ok_or(AskError::Empty("ListPipelines"))?.pipelines;
    let safe_mode = safe_mode(recon).await?;
    let info = recon
        .ask_scm(Type::GetScmInfo, |request| request.get_scm_info_request = Some(Default::default()))
        .await?;
    let info = info.get_scm_info_response.ok_or(AskError::Empty("GetScmInfo"))?;
    let repair = repair(recon).await?;
    let now_ms = recon.now_ms();
    let mut state = recon.state();
    take_nodes(&mut state, &nodes, &usage, now_ms);
    state.pipelines = pipelines.iter().take(PIPELINES_MAX).map(Pipeline::read).collect();
    state.safe_mode = Some(safe_mode);
    (state.cluster_id, state.scm_roles) = (info.cluster_id, info.peer_roles);
    state.repair = repair;
    Ok(())
}

async fn safe_mode(recon: &Recon) -> Result<SafeMode, AskError> {
    let answer = recon
        .ask_scm(Type::InSafeMode, |request| request.in_safe_mode_request = Some(Default::default()))
        .await?;
    let is_on = answer.in_safe_mode_response.ok_or(AskError::Empty("InSafeMode"))?.in_safe_mode;
    if !is_on {
        return Ok(SafeMode::default());
    }
    let rules = recon
        .ask_scm(Type::GetSafeModeRuleStatuses, |request| {
            request.get_safe_mode_rule_statuses_request = Some(Default::default());
        })
        .await?;
    let rules = rules.get_safe_mode_rule_statuses_response.unwrap_or_default().safe_mode_rule_statuses_proto;
    let rules = rules.into_iter().map(|rule| (rule.rule_name, rule.validate, rule.status_text));
    Ok(SafeMode { is_on, rules: rules.collect() })
}

/// The replication manager's report. An SCM without one refuses; that is an answer.
async fn repair(recon: &Recon) -> Result<Repair, AskError> {
    let answer = recon.ask_scm(Type::GetReplicationManagerReport, |request| {
        request.replication_manager_report_request = Some(Default::default());
    });
    let report = match answer.await {
        Ok(answer) => match answer.get_replication_manager_report_response {
            Some(answer) => answer.report,
            None => return Ok(Repair::Unknown),
        },
        Err(AskError::Refused(why)) => return Ok(Repair::NotOffered(why)),
        Err(error) => return Err(error),
    };
    let samples = report.stat_sample.into_iter().map(|sample| {
        let ids = sample.container.into_iter().take(SAMPLES_MAX).map(|container| container.id);
        (sample.key, ids.collect())
    });
    Ok(Repair::Report {
        at_ms: u64::try_from(report.timestamp).unwrap_or(0),
        counts: report.stat.into_iter().map(|stat| (stat.key, stat.value.unwrap_or(0))).collect(),
        samples: samples.collect(),
    })
}

/// Puts what SCM said in place of what was known; who is no longer named is forgotten.
fn take_nodes(state: &mut State, nodes: &[Node], usage: &[DatanodeUsageInfoProto], now_ms: u64) {
    let mut datanodes = BTreeMap::new();
    for node in nodes.iter().take(DATANODES_MAX) {
        let before = state.datanodes.get(uuid_of(&node.node_id).as_str());
        let node = Datanode::read(node, before, now_ms);
        datanodes.insert(Arc::clone(&node.id), node);
    }
    for usage in usage {
        let id = usage.node.as_ref().map(uuid_of).unwrap_or_default();
        if let Some(node) = datanodes.get_mut(id.as_str()) {
            node.room = Room::read(usage);
            node.containers = usage.container_count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        }
    }
    state.figures.retain(|name, _| name.contains('/') || datanodes.contains_key(name.as_str()));
    state.datanodes = datanodes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::hdds::{DatanodeDetailsProto, NodeState};

    fn node(state: NodeState) -> Node {
        let details =
            DatanodeDetailsProto { uuid: Some("a".into()), host_name: "h".into(), ..Default::default() };
        Node { node_id: details, node_states: vec![state as i32], ..Default::default() }
    }

    #[test]
    fn a_datanode_that_dies_keeps_its_last_room_and_says_since_when() {
        let mut state = State::default();
        let usage = DatanodeUsageInfoProto {
            capacity: Some(10),
            used: Some(-4),
            node: Some(node(NodeState::Healthy).node_id),
            ..Default::default()
        };
        take_nodes(&mut state, &[node(NodeState::Healthy)], &[usage], 100);
        take_nodes(&mut state, &[node(NodeState::Stale)], &[], 200);
        take_nodes(&mut state, &[node(NodeState::Dead)], &[], 300);
        take_nodes(&mut state, &[node(NodeState::Dead)], &[], 400);
        let dead = &state.datanodes["a"];
        assert_eq!(
            (dead.state, dead.since_ms, dead.healthy_ms, dead.room.capacity, dead.room.used),
            ("DEAD", 300, 100, 10, 0)
        );
        assert_eq!(state.room().capacity, 0, "a dead datanode offers nothing");
        take_nodes(&mut state, &[], &[], 500);
        assert!(state.datanodes.is_empty());
    }
}
