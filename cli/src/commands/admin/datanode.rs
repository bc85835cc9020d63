//! `allotrope admin datanode`: who there is, and how full they are. What takes them out of service is in [`super::duty`].

use std::process::ExitCode;

use allotrope_proto::edge::hdds::{Node, NodeState, QueryScope};
use allotrope_proto::edge::scm_container::nodes::{AskUsage, DatanodeUsage, QueryNodes};
use allotrope_types::{ByteCount, DatanodeId};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Scms, ask};
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
    let named = |text: &str| {
        NodeState::from_str_name(&text.to_ascii_uppercase()).ok_or_else(|| Failure::from(wrong(text)))
    };
    let asked = QueryNodes {
        state: state.map(named).transpose()?,
        scope: QueryScope::Cluster,
        pool_name: None,
        trace_id: None,
        op_state: None,
    };
    ask!(scms, QueryNode(asked))
}

// A list without any state says nothing; what else is not told is nothing, as for Java.

pub(super) fn state(node: &Node) -> &'static str {
    node.node_states.first().map_or("UNKNOWN", |state| state.as_str_name())
}

fn operational(node: &Node) -> &'static str {
    node.node_operational_states.first().map_or("UNKNOWN", |state| state.as_str_name())
}

pub(super) fn rack(node: &Node) -> &str {
    node.datanode.network_location.as_deref().unwrap_or_default()
}

/// Healthy volumes, and all of them.
fn volumes(node: &Node) -> String {
    let (healthy, all) = (node.healthy_volume_count.unwrap_or(0), node.total_volume_count.unwrap_or(0));
    format!("{healthy} of {all}")
}

fn row(node: &Node) -> [String; 6] {
    let details = &node.datanode;
    [
        details.id.to_string(),
        details.host_name.clone(),
        rack(node).to_owned(),
        state(node).to_owned(),
        operational(node).to_owned(),
        volumes(node),
    ]
}

fn object(node: &Node) -> Value {
    let details = &node.datanode;
    let ports: serde_json::Map<String, Value> =
        details.ports.iter().map(|port| (port.name.to_string(), port.number.into())).collect();
    json!({
        "uuid": details.id.to_string(),
        "host": details.host_name,
        "address": details.ip_address,
        "rack": rack(node),
        "ports": ports,
        "state": state(node),
        "operationalState": operational(node),
        "volumes": node.total_volume_count.unwrap_or(0),
        "volumesHealthy": node.healthy_volume_count.unwrap_or(0),
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
        let details = &node.datanode;
        details.id.to_string() == name || details.host_name == name || details.ip_address == name
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
        let details = &node.datanode;
        let ports: Vec<String> =
            details.ports.iter().map(|port| format!("{} {}", port.name, port.number)).collect();
        println!("uuid       {}", details.id);
        println!("host       {} ({})", details.host_name, details.ip_address);
        println!("rack       {}", rack(node));
        println!("ports      {}", ports.join(", "));
        println!("state      {}, {}", state(node), operational(node));
        println!("volumes    {} healthy", volumes(node));
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
    let nobody = AskUsage { ipaddress: None, uuid: None, most_used: None, count: None };
    let asked = match node {
        None => AskUsage { most_used: Some(true), count: Some(u32::MAX), ..nobody },
        Some(name) if name.parse::<DatanodeId>().is_ok() => {
            AskUsage { uuid: Some(name.to_owned()), ..nobody }
        }
        Some(name) => AskUsage { ipaddress: Some(name.to_owned()), ..nobody },
    };
    let found = ask!(scms, DatanodeUsageInfo(asked))?;
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

/// A size as it is told; what is not told is 0, as for Java.
fn bytes(size: Option<ByteCount>) -> ByteCount {
    size.unwrap_or(ByteCount::ZERO)
}

fn usage_row(usage: &DatanodeUsage) -> [String; 8] {
    let node = usage.node.as_ref();
    let (capacity, used) = (bytes(usage.capacity), bytes(usage.used));
    let share = match capacity.as_u64() {
        0 => "-".to_owned(),
        capacity => format!("{:.1} %", used.as_u64() as f64 / capacity as f64 * 100.0),
    };
    [
        node.map(|node| node.id.to_string()).unwrap_or_default(),
        node.map(|node| node.host_name.clone()).unwrap_or_default(),
        capacity.to_string(),
        used.to_string(),
        share,
        bytes(usage.remaining).to_string(),
        usage.container_count.unwrap_or(0).to_string(),
        usage.pipeline_count.unwrap_or(0).to_string(),
    ]
}

fn usage_object(usage: &DatanodeUsage) -> Value {
    let node = usage.node.as_ref();
    json!({
        "uuid": node.map(|node| node.id.to_string()),
        "host": node.map(|node| &node.host_name),
        "capacity": bytes(usage.capacity).as_u64(),
        "used": bytes(usage.used).as_u64(),
        "remaining": bytes(usage.remaining).as_u64(),
        "committed": bytes(usage.committed).as_u64(),
        "reserved": bytes(usage.reserved).as_u64(),
        "containers": usage.container_count.unwrap_or(0),
        "pipelines": usage.pipeline_count.unwrap_or(0),
    })
}
