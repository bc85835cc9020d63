//! `allotrope admin printTopology`: the datanodes by rack.

use std::collections::BTreeMap;
use std::process::ExitCode;

use allotrope_proto::edge::hdds::Node;
use clap::Args;
use serde_json::{Value, json};

use super::ask::Scms;
use super::datanode::{nodes, rack, state};
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
            racks.entry(rack(node)).or_default().push(node);
        }
        if self.json {
            let object = |node: &&Node| {
                json!({
                    "uuid": node.datanode.id.to_string(),
                    "host": node.datanode.host_name,
                    "address": node.datanode.ip_address,
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
                let details = &node.datanode;
                println!("    {} {} ({})", state(node), details.host_name, details.ip_address);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
