//! `allotrope admin datanode`: who there is, and how full they are. What takes them out of service is in [`super::duty`].

use std::process::ExitCode;

use allotrope_proto::hdds::{DatanodeUsageInfoProto, Node, NodeOperationalState, NodeState, QueryScope};
use allotrope_proto::scm_container::{DatanodeUsageInfoRequestProto, NodeQueryRequestProto, Type};
use allotrope_types::{ByteCount, DatanodeId};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Scms, part};
use super::duty::Duty;
use super::table;
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct DatanodeAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON, sizes in bytes.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the datanodes with their states.
    List {
        /// Only those of this state: HEALTHY, STALE or DEAD.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one datanode.
    Info {
        /// Its uuid, address or host name.
        node: String,
    },
    /// Show how full one datanode is, or all of them.
    Usageinfo {
        /// Its uuid, address or host name; all, the fullest first, when left out.
        node: Option<String>,
    },
    #[command(flatten)]
    Duty(Duty),
}

impl DatanodeAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::List { state } => list(&scms, state.as_deref(), self.json)?,
            Task::Info { node } => info(&scms, &node, self.json)?,
            Task::Usageinfo { node } => usage(&scms, node.as_deref(), self.json)?,
            Task::Duty(duty) => duty.run(&scms, self.json)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Every datanode of SCM's, or those of one state.
pub(super) fn nodes(scms: &Scms, state: Option<&str>) -> Result<Vec<Node>, Failure> {
    let wrong = |text: &str| format!("{text:?} is no state of a datanode\n  try: HEALTHY, STALE or DEAD");
    let number = |text: &str| {
        let state = NodeState::from_str_name(&text.to_ascii_uppercase()).ok_or_else(|| wrong(text))?;
        Ok::<_, Failure>(state as i32)
    };
    let asked = NodeQueryRequestProto {
        state: state.map(number).transpose()?,
        scope: QueryScope::Cluster as i32,
        ..Default::default()
    };
    let answer = scms.ask(Type::QueryNode, |request| request.node_query_request = Some(asked))?;
    Ok(part(answer.node_query_response, "the datanodes")?.datanodes)
}

fn state(node: &Node) -> &'static str {
    let known = node.node_states.first().and_then(|state| NodeState::try_from(*state).ok());
    known.map_or("UNKNOWN", |state| state.as_str_name())
}

fn operational(node: &Node) -> &'static str {
    let first = node.node_operational_states.first();
    let known = first.and_then(|state| NodeOperationalState::try_from(*state).ok());
    known.map_or("UNKNOWN", |state| state.as_str_name())
}

fn row(node: &Node) -> [String; 6] {
    let details = &node.node_id;
    [
        details.uuid().to_owned(),
        details.host_name.clone(),
        details.network_location().to_owned(),
        state(node).to_owned(),
        operational(node).to_owned(),
        format!("{} of {}", node.healthy_volume_count(), node.total_volume_count()),
    ]
}

fn object(node: &Node) -> Value {
    let details = &node.node_id;
    let ports: serde_json::Map<String, Value> =
        details.ports.iter().map(|port| (port.name.clone(), port.value.into())).collect();
    json!({
        "uuid": details.uuid(),
        "host": details.host_name,
        "address": details.ip_address,
        "rack": details.network_location(),
        "ports": ports,
        "state": state(node),
        "operationalState": operational(node),
        "volumes": node.total_volume_count(),
        "volumesHealthy": node.healthy_volume_count(),
        "volumesFailed": node.failed_volumes,
    })
}

fn list(scms: &Scms, state: Option<&str>, json: bool) -> Result<(), Failure> {
    let nodes = nodes(scms, state)?;
    if json {
        println!("{}", nodes.iter().map(object).collect::<Value>());
    } else {
        let rows: Vec<_> = nodes.iter().map(row).collect();
        println!("{}", table::text(["UUID", "HOST", "RACK", "STATE", "OPERATIONAL", "VOLUMES"], &rows));
    }
    Ok(())
}

fn info(scms: &Scms, name: &str, json: bool) -> Result<(), Failure> {
    let is_meant = |node: &&Node| {
        let details = &node.node_id;
        details.uuid() == name || details.host_name == name || details.ip_address == name
    };
    let all = nodes(scms, None)?;
    let found: Vec<&Node> = all.iter().filter(is_meant).collect();
    if found.is_empty() {
        return Err(unknown(name));
    }
    if json {
        println!("{}", found.into_iter().map(object).collect::<Value>());
        return Ok(());
    }
    for node in found {
        let details = &node.node_id;
        let ports: Vec<String> =
            details.ports.iter().map(|port| format!("{} {}", port.name, port.value)).collect();
        println!("uuid       {}", details.uuid());
        println!("host       {} ({})", details.host_name, details.ip_address);
        println!("rack       {}", details.network_location());
        println!("ports      {}", ports.join(", "));
        println!("state      {}, {}", state(node), operational(node));
        println!("volumes    {} of {} healthy", node.healthy_volume_count(), node.total_volume_count());
        for failed in &node.failed_volumes {
            println!("failed     {failed}");
        }
    }
    Ok(())
}

fn unknown(name: &str) -> Failure {
    format!("SCM knows no datanode {name:?}\n  try: allotrope admin datanode list").into()
}

fn usage(scms: &Scms, node: Option<&str>, json: bool) -> Result<(), Failure> {
    let asked = match node {
        None => DatanodeUsageInfoRequestProto {
            most_used: Some(true),
            count: Some(u32::MAX),
            ..Default::default()
        },
        Some(name) if name.parse::<DatanodeId>().is_ok() => {
            DatanodeUsageInfoRequestProto { uuid: Some(name.to_owned()), ..Default::default() }
        }
        Some(name) => {
            DatanodeUsageInfoRequestProto { ipaddress: Some(name.to_owned()), ..Default::default() }
        }
    };
    let answer =
        scms.ask(Type::DatanodeUsageInfo, |request| request.datanode_usage_info_request = Some(asked))?;
    let found = part(answer.datanode_usage_info_response, "the usage")?.info;
    if let (Some(name), true) = (node, found.is_empty()) {
        return Err(unknown(name));
    }
    if json {
        println!("{}", found.iter().map(usage_object).collect::<Value>());
    } else {
        let rows: Vec<_> = found.iter().map(usage_row).collect();
        let head = ["UUID", "HOST", "CAPACITY", "USED", "SHARE", "REMAINING", "CONTAINERS", "PIPELINES"];
        println!("{}", table::text(head, &rows));
    }
    Ok(())
}

fn usage_row(usage: &DatanodeUsageInfoProto) -> [String; 8] {
    let size = |bytes: i64| ByteCount::new(u64::try_from(bytes).unwrap_or(0)).to_string();
    let (uuid, host) = usage.node.as_ref().map_or(("", ""), |node| (node.uuid(), node.host_name.as_str()));
    let share = match usage.capacity() {
        0 => "-".to_owned(),
        capacity => format!("{:.1} %", usage.used() as f64 / capacity as f64 * 100.0),
    };
    [
        uuid.to_owned(),
        host.to_owned(),
        size(usage.capacity()),
        size(usage.used()),
        share,
        size(usage.remaining()),
        usage.container_count().to_string(),
        usage.pipeline_count().to_string(),
    ]
}

fn usage_object(usage: &DatanodeUsageInfoProto) -> Value {
    json!({
        "uuid": usage.node.as_ref().map(|node| node.uuid()),
        "host": usage.node.as_ref().map(|node| &node.host_name),
        "capacity": usage.capacity(),
        "used": usage.used(),
        "remaining": usage.remaining(),
        "committed": usage.committed(),
        "reserved": usage.reserved(),
        "containers": usage.container_count(),
        "pipelines": usage.pipeline_count(),
    })
}
