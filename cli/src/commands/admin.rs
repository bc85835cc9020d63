//! `allotrope admin`: looking after running servers. One variant a task.
//!
//! Shape   a question to the servers that the settings name; to the one that leads, where there are several. Results go to
//!         stdout, as tables for people, with `--json` as JSON for programs.

mod ask;
mod container;
mod datanode;
mod duty;
mod pipeline;
mod replication_manager;
mod safemode;
mod scm;
mod table;
mod topology;

use std::process::ExitCode;

use allotrope_proto::admin::{CheckpointRequest, CheckpointResponse};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::net::{Plain, Target};
use allotrope_proto::rpc::catalog::AdminCheckpoint;
use allotrope_proto::rpc::{CallOptions, ClientId, RpcClient};
use allotrope_types::ReplicationConfig;
use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::om_admin::OmAdmin;
use crate::config::Settings;
use crate::roles::{Failure, scms};

#[derive(Debug, Subcommand)]
pub(super) enum Admin {
    /// Back up a server's state while it runs: its own folder then holds a checkpoint to copy away and to restore from.
    Checkpoint(Checkpoint),
    /// Who leads the OMs, handing leadership over, preparing for an upgrade.
    Om(OmAdmin),
    /// Who leads the SCMs, and handing leadership over.
    Scm(scm::ScmAdmin),
    /// Which datanodes there are, how full they are; taking them out of service and back.
    Datanode(datanode::DatanodeAdmin),
    /// Pipelines: list, create, close.
    Pipeline(pipeline::PipelineAdmin),
    /// Containers: list, show, create, close, and what ails them.
    Container(container::ContainerAdmin),
    /// Whether lost replicas are made anew, and what would be.
    #[command(name = "replicationmanager")]
    ReplicationManager(replication_manager::ReplicationManagerAdmin),
    /// Whether SCM allocates and deletes yet.
    Safemode(safemode::SafeModeAdmin),
    /// The datanodes by rack.
    #[command(name = "printTopology", alias = "print-topology")]
    PrintTopology(topology::Topology),
}

#[derive(Debug, Args)]
pub(super) struct Checkpoint {
    /// Whose state.
    role: Role,
    /// The backup's name; the server chooses one when left out.
    #[arg(long, default_value = "")]
    name: String,
    /// Where the server listens on this machine; as its settings say when left out.
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The servers that have a state of their own to back up.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// The Ozone manager.
    Om,
    /// The storage container manager.
    Scm,
}

impl Admin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        match self {
            Admin::Checkpoint(command) => command.run(settings),
            Admin::Om(command) => command.run(settings),
            Admin::Scm(command) => command.run(settings),
            Admin::Datanode(command) => command.run(settings),
            Admin::Pipeline(command) => command.run(settings),
            Admin::Container(command) => command.run(settings),
            Admin::ReplicationManager(command) => command.run(settings),
            Admin::Safemode(command) => command.run(settings),
            Admin::PrintTopology(command) => command.run(settings),
        }
    }
}

impl Checkpoint {
    fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let target = self.target(settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let made = runtime.block_on(async {
            let id = ClientId::from_bytes(*Uuid::new_v4().as_bytes());
            let client = GrpcClient::new(target, Plain, id, GrpcClientConfig::default())?;
            let asked = CheckpointRequest { name: self.name };
            Ok::<_, Failure>(client.call::<AdminCheckpoint>(&asked, &CallOptions::default()).await?)
        })?;
        if self.json {
            print_json(&made)
        } else {
            print(&made)
        }
        Ok(ExitCode::SUCCESS)
    }

    fn target(&self, settings: &Settings) -> Result<Target, Failure> {
        let (host, port) = match (&self.at, self.role) {
            (Some(at), _) => {
                let (host, port) = at.rsplit_once(':').ok_or(format!("--at {at:?} is not HOST:PORT"))?;
                (host.to_owned(), port.parse().map_err(|_| format!("--at {at:?}: {port:?} is not a port"))?)
            }
            (None, Role::Om) => settings.address("ozone.om.address", 9862)?,
            (None, Role::Scm) if scms::group(settings)?.is_some() => {
                let group = scms::group(settings)?.unwrap_or_default();
                let me = scms::me(settings, &group)?;
                (me.host.clone(), me.client_port)
            }
            (None, Role::Scm) if settings.text("ozone.scm.client.address").is_some() => {
                settings.address("ozone.scm.client.address", 9860)?
            }
            (None, Role::Scm) => ("127.0.0.1".to_owned(), 9860),
        };
        // A server that listens on all addresses listens on this one.
        let host = if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host };
        Ok(Target { host, port })
    }
}

fn print(made: &CheckpointResponse) {
    println!("cluster {}\nentry {}\nin {}", made.cluster_id, made.applied, made.folder);
}

fn print_json(made: &CheckpointResponse) {
    let fields = serde_json::json!({
        "folder": made.folder,
        "clusterId": made.cluster_id,
        "entry": made.applied,
        "timeMs": made.time_ms,
    });
    println!("{fields}");
}

/// A replication config as people write it, with the wire's name of its type.
fn config_text(config: ReplicationConfig) -> String {
    match config {
        ReplicationConfig::Ec(ec) => ec.to_string(),
        copies => format!("{}/{}", copies.kind().name(), copies.replication()),
    }
}
