//! `allotrope admin datanode decommission | maintenance | recommission | status`: datanodes out of service and back.
//!
//! Shape   a request names hosts and is answered host by host; `--dry-run` changes nothing and says what would move. Progress
//!         and forecasts are figures that our SCM gives by name; another SCM's answer lacks them, which is said.

use allotrope_proto::edge::scm_container::nodes::{
    DecommissionNodes, RecommissionNodes, RefusedHost, StartMaintenance,
};
use allotrope_proto::edge::scm_container::state::GetMetrics;
use allotrope_proto::scm_container::Type;
use allotrope_types::ByteCount;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Scms, ask, part};
use super::table;
use crate::roles::Failure;

/// Bytes a second that a forecast takes one datanode to send.
const FORECAST_BYTES_A_SECOND: u64 = 100 << 20;

/// Which datanodes, and whether anything is done.
#[derive(Debug, Args)]
pub(super) struct Hosts {
    /// Datanodes by uuid, host name, address, or HOST:PORT with one of their ports.
    #[arg(required = true)]
    hosts: Vec<String>,
    /// Change nothing: say what would move, how much, and about how long that takes.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Duty {
    /// Take datanodes out of service for ever: what only they hold is copied first.
    Decommission {
        #[command(flatten)]
        hosts: Hosts,
        /// Also where too few datanodes stay: it does not end before there are enough.
        #[arg(long)]
        force: bool,
    },
    /// Take datanodes out of service for a while: what must not be missed meanwhile is copied first.
    Maintenance {
        #[command(flatten)]
        hosts: Hosts,
        /// Hours after which it ends by itself; 0 for never.
        #[arg(long, value_name = "HOURS", default_value_t = 0)]
        end: u32,
        /// Also where too few datanodes stay.
        #[arg(long)]
        force: bool,
    },
    /// Take datanodes back into service, whatever they are leaving for.
    Recommission {
        #[command(flatten)]
        hosts: Hosts,
    },
    /// What is left on datanodes that are out of service, or on their way.
    Status {
        /// Only this one, by uuid or host name.
        node: Option<String>,
    },
}

impl Duty {
    pub(super) fn run(self, scms: &Scms, json: bool) -> Result<(), Failure> {
        match self {
            Duty::Decommission { hosts, .. } if hosts.dry_run => {
                forecast(scms, "decommission", &hosts.hosts, json)
            }
            Duty::Maintenance { hosts, .. } if hosts.dry_run => {
                forecast(scms, "maintenance", &hosts.hosts, json)
            }
            Duty::Recommission { hosts } if hosts.dry_run => {
                forecast(scms, "recommission", &hosts.hosts, json)
            }
            Duty::Decommission { hosts, force } => {
                let asked = DecommissionNodes { hosts: hosts.hosts.clone(), force: Some(force) };
                let failed = ask!(scms, DecommissionNodes(asked))?;
                told(&hosts.hosts, &failed, "leaves", json)
            }
            Duty::Maintenance { hosts, end, force } => {
                let asked = StartMaintenance {
                    hosts: hosts.hosts.clone(),
                    end_in_hours: Some(end.into()),
                    force: Some(force),
                };
                let failed = ask!(scms, StartMaintenanceNodes(asked))?;
                told(&hosts.hosts, &failed, "goes into maintenance", json)
            }
            Duty::Recommission { hosts } => {
                let asked = RecommissionNodes { hosts: hosts.hosts.clone() };
                let failed = ask!(scms, RecommissionNodes(asked))?;
                told(&hosts.hosts, &failed, "is in service", json)
            }
            Duty::Status { node } => status(scms, node.as_deref(), json),
        }
    }
}

/// Says what came of each host. One that was refused makes the command fail.
fn told(hosts: &[String], failed: &[RefusedHost], outcome: &str, json: bool) -> Result<(), Failure> {
    let all_failed = failed.iter().any(|one| one.host == "AllHosts");
    let ok = |host: &&String| !all_failed && !failed.iter().any(|one| one.host == **host);
    let done: Vec<&String> = hosts.iter().filter(ok).collect();
    if json {
        let refused = failed.iter().map(|one| json!({ "host": one.host, "why": one.error }));
        println!("{}", json!({ "accepted": done, "refused": refused.collect::<Value>() }));
    } else {
        for host in done {
            println!("{host} {outcome}");
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let why: Vec<String> =
        failed
            .iter()
            .map(|one| {
                if one.host == "AllHosts" {
                    one.error.clone()
                } else {
                    format!("{}: {}", one.host, one.error)
                }
            })
            .collect();
    Err(format!("{}\n  try: allotrope admin datanode list", why.join("\n")).into())
}

/// The beans that SCM gives for `query`.
fn beans(scms: &Scms, query: String) -> Result<Vec<Value>, Failure> {
    let text = ask!(scms, GetMetrics(GetMetrics { query: Some(query) }))?.metrics_json;
    let text = part(Type::GetMetrics, text, "GetMetricsResponseProto", "metricsJson")?;
    let mut all: Value =
        serde_json::from_str(&text).map_err(|e| format!("SCM's figures are no JSON: {e}"))?;
    match all.get_mut("beans").map(Value::take) {
        Some(Value::Array(beans)) => Ok(beans),
        _ => Err("SCM's figures have no beans".into()),
    }
}

fn number(bean: &Value, name: &str) -> u64 {
    bean.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'a>(bean: &'a Value, name: &str) -> &'a str {
    bean.get(name).and_then(Value::as_str).unwrap_or("")
}

/// Says what would follow, and changes nothing.
pub(super) fn forecast(scms: &Scms, act: &str, hosts: &[String], json: bool) -> Result<(), Failure> {
    let query = format!("Allotrope:name=forecast,act={act},hosts={}", hosts.join(";"));
    let bean = beans(scms, query)?.into_iter().next().ok_or("this SCM gives no forecasts")?;
    if json {
        println!("{bean}");
        return Ok(());
    }
    let refused = bean.get("refused").and_then(Value::as_array).cloned().unwrap_or_default();
    for one in &refused {
        println!("refused    {}: {}", text(one, "host"), text(one, "why"));
    }
    let bytes = number(&bean, "bytes");
    println!("containers {}", number(&bean, "containers"));
    println!("copies     {}", number(&bean, "copies"));
    println!("rebuilds   {}", number(&bean, "rebuilds"));
    println!("deletions  {}", number(&bean, "removals"));
    println!("bytes      {}", ByteCount::new(bytes));
    if number(&bean, "notClosed") > 0 {
        println!("to close   {} containers, which are written now", number(&bean, "notClosed"));
    }
    // Leaving datanodes send side by side; a repair's senders are not known before.
    let senders = bean.get("nodes").and_then(Value::as_array).map_or(1, |nodes| nodes.len().max(1)) as u64;
    let seconds = bytes / senders / FORECAST_BYTES_A_SECOND;
    println!(
        "time       about {seconds} s, at {} a second from each",
        ByteCount::new(FORECAST_BYTES_A_SECOND)
    );
    Ok(())
}

fn status(scms: &Scms, node: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all = beans(scms, "Allotrope:name=leaving".to_owned())?;
    if let Some(node) = node {
        all.retain(|bean| text(bean, "uuid") == node || text(bean, "host") == node);
    }
    if json {
        println!("{}", Value::Array(all));
        return Ok(());
    }
    if all.is_empty() {
        println!("every datanode is in service");
        return Ok(());
    }
    let row = |bean: &Value| {
        [
            text(bean, "uuid").to_owned(),
            text(bean, "host").to_owned(),
            text(bean, "state").to_owned(),
            number(bean, "pipelines").to_string(),
            number(bean, "notClosed").to_string(),
            number(bean, "lacking").to_string(),
            ByteCount::new(number(bean, "lackingBytes")).to_string(),
            number(bean, "safe").to_string(),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let head = ["UUID", "HOST", "STATE", "PIPELINES", "NOT CLOSED", "TO COPY", "BYTES", "SAFE"];
    println!("{}", table::text(head, &rows));
    for bean in &all {
        let ids = |name: &str| {
            let ids = bean.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            ids.iter().take(20).map(Value::to_string).collect::<Vec<_>>().join(", ")
        };
        for (what, name) in [("not closed", "notClosedIds"), ("to copy", "lackingIds")] {
            let ids = ids(name);
            if !ids.is_empty() {
                println!("{} {what}: containers {ids}", text(bean, "host"));
            }
        }
        if !text(bean, "stuck").is_empty() {
            println!("{} waits: {}", text(bean, "host"), text(bean, "stuck"));
        }
        if bean.get("told") == Some(&Value::Bool(false)) {
            println!("{} has not confirmed its state yet", text(bean, "host"));
        }
    }
    Ok(())
}
