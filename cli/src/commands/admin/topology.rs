//! `allotrope admin printTopology`: the datanodes by rack.

use std::collections::BTreeMap;
use std::process::ExitCode;

use allotrope_proto::hdds::{Node, NodeState};
use clap::Args;
use serde_json::{Value, json};

use super::ask::Scms;
use super::datanode::nodes;
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct Topology {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Topology {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let nodes = nodes(&Scms::of(settings)?, None)?;
        let mut racks: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in &nodes {
            racks.entry(node.node_id.network_location()).or_default().push(node);
        }
        let state = |node: &Node| {
            let first = node.node_states.first().and_then(|state| NodeState::try_from(*state).ok());
            first.map_or("UNKNOWN", |state| state.as_str_name())
        };
        if self.json {
            let object = |node: &&Node| {
                json!({
                    "uuid": node.node_id.uuid(),
                    "host": node.node_id.host_name,
                    "address": node.node_id.ip_address,
                    "state": state(node),
                })
            };
            let rack = |(name, nodes): (&&str, &Vec<&Node>)| json!({ "rack": name, "datanodes": nodes.iter().map(object).collect::<Value>() });
            println!("{}", racks.iter().map(rack).collect::<Value>());
            return Ok(ExitCode::SUCCESS);
        }
        for (rack, nodes) in racks {
            println!("{rack}");
            for node in nodes {
                let details = &node.node_id;
                println!("    {} {} ({})", state(node), details.host_name, details.ip_address);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
