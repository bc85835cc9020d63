//! `allotrope admin container`: list, show, open, close, report.

use std::process::ExitCode;

use allotrope_proto::edge::hdds::ContainerInfo;
use allotrope_proto::edge::scm_container::containers::{
    AllocateContainer, CloseOutcome, ListContainers, NamedContainer, ReplicaOnDatanode,
};
use allotrope_types::{ContainerId, ContainerState, ReplicationConfig};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Scms, ask};
use super::{config_text, replication_manager, table};
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct ContainerAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON, sizes in bytes.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List containers by their ids.
    List {
        /// The first id.
        #[arg(long, default_value_t = 0)]
        start: u64,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        count: u32,
        /// Only those of this state, such as OPEN or CLOSED.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show a container and its replicas.
    Info {
        /// Its id.
        id: i64,
    },
    /// Open a container.
    Create {
        /// How its data is kept, such as STAND_ALONE/ONE or rs-3-2-1024k.
        #[arg(long, default_value = "STAND_ALONE/ONE")]
        replication: ReplicationConfig,
        /// Whose it is.
        #[arg(long, default_value = "admin")]
        owner: String,
    },
    /// Close a container.
    Close {
        /// Its id.
        id: i64,
    },
    /// What ails containers: how many, and which.
    Report,
}

impl ContainerAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::List { start, count, state } => list(&scms, start, count, state.as_deref(), self.json)?,
            Task::Info { id } => info(&scms, id, self.json)?,
            Task::Create { replication, owner } => {
                let made = create(&scms, replication, owner)?;
                match self.json {
                    true => println!("{}", object(&made)),
                    false => println!("container {} is open", made.container_id),
                }
            }
            Task::Close { id } => close(&scms, id, self.json)?,
            Task::Report => replication_manager::report(&scms, self.json)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(info: &ContainerInfo) -> [String; 6] {
    [
        info.container_id.to_string(),
        info.state.name().to_owned(),
        config_text(info.replication),
        info.used_bytes.to_string(),
        info.number_of_keys.to_string(),
        info.owner.clone(),
    ]
}

/// What is not told is 0 or false, as for Java.
fn object(info: &ContainerInfo) -> Value {
    json!({
        "id": info.container_id.as_u64(),
        "state": info.state.name(),
        "replication": config_text(info.replication),
        "used": info.used_bytes.as_u64(),
        "keys": info.number_of_keys,
        "owner": info.owner,
        "pipeline": info.pipeline_id.map(|id| id.to_string()),
        "sequence": info.sequence_id.unwrap_or(0),
        "stateSinceMs": info.state_enter_time.unwrap_or(0),
        "suppressed": info.suppressed.unwrap_or(false),
    })
}

fn list(scms: &Scms, start: u64, count: u32, state: Option<&str>, json: bool) -> Result<(), Failure> {
    let named = |text: &str| {
        let hint = "try: OPEN, CLOSING, QUASI_CLOSED, CLOSED, DELETING, DELETED or RECOVERING";
        let state = ContainerState::from_name(&text.to_ascii_uppercase());
        state.ok_or_else(|| Failure::from(format!("{text:?} is no state of a container\n  {hint}")))
    };
    let asked = ListContainers {
        count,
        start_container_id: Some(ContainerId::new(start)),
        trace_id: None,
        state: state.map(named).transpose()?,
        factor: None,
        r#type: None,
        ec_replication_config: None,
        suppressed: None,
    };
    let found = ask!(scms, ListContainer(asked))?.containers;
    if json {
        println!("{}", found.iter().map(object).collect::<Value>());
    } else {
        let rows: Vec<_> = found.iter().map(row).collect();
        println!("{}", table::text(["CONTAINER", "STATE", "REPLICATION", "USED", "KEYS", "OWNER"], &rows));
    }
    Ok(())
}

fn unknown(id: i64, error: Failure) -> Failure {
    if !error.to_string().contains("not found") {
        return error;
    }
    let near = id.saturating_sub(10).max(0);
    format!("SCM knows no container {id}\n  try: allotrope admin container list --start {near}").into()
}

fn named(id: i64) -> Result<NamedContainer, Failure> {
    Ok(NamedContainer { container_id: ContainerId::try_from(id)?, trace_id: None })
}

fn info(scms: &Scms, id: i64, json: bool) -> Result<(), Failure> {
    let info = ask!(scms, GetContainer(named(id)?)).map_err(|error| unknown(id, error))?;
    let replicas = ask!(scms, GetContainerReplicas(named(id)?))?;
    if json {
        let mut whole = object(&info);
        whole["replicas"] = replicas.iter().map(replica_object).collect();
        println!("{whole}");
        return Ok(());
    }
    println!(
        "{}\n",
        table::text(["CONTAINER", "STATE", "REPLICATION", "USED", "KEYS", "OWNER"], &[row(&info)])
    );
    let rows: Vec<_> = replicas.iter().map(replica_row).collect();
    println!("{}", table::text(["INDEX", "DATANODE", "HOST", "STATE", "USED", "KEYS", "SEQUENCE"], &rows));
    Ok(())
}

fn replica_index(replica: &ReplicaOnDatanode) -> u8 {
    replica.replica.map_or(0, |index| index.number())
}

fn replica_row(replica: &ReplicaOnDatanode) -> [String; 7] {
    let node = &replica.datanode_details;
    [
        replica_index(replica).to_string(),
        node.id.to_string(),
        node.host_name.clone(),
        replica.state.clone(),
        replica.bytes_used.to_string(),
        replica.key_count.to_string(),
        replica.sequence_id.to_string(),
    ]
}

fn replica_object(replica: &ReplicaOnDatanode) -> Value {
    json!({
        "index": replica_index(replica),
        "datanode": replica.datanode_details.id.to_string(),
        "host": replica.datanode_details.host_name,
        "state": replica.state,
        "used": replica.bytes_used.as_u64(),
        "keys": replica.key_count,
        "sequence": replica.sequence_id,
        "origin": replica.place_of_birth,
    })
}

fn create(scms: &Scms, replication: ReplicationConfig, owner: String) -> Result<ContainerInfo, Failure> {
    let asked = AllocateContainer { owner, trace_id: None, replication };
    Ok(ask!(scms, AllocateContainer(asked))?.container_with_pipeline.container_info)
}

fn close(scms: &Scms, id: i64, json: bool) -> Result<(), Failure> {
    let closed = ask!(scms, CloseContainer(named(id)?)).map_err(|error| unknown(id, error))?;
    // An SCM that does not say it has begun to close it.
    let outcome = closed.status.unwrap_or(CloseOutcome::Ok);
    let told = match outcome {
        CloseOutcome::Ok => "closing",
        CloseOutcome::ContainerAlreadyClosing => "closing already",
        CloseOutcome::ContainerAlreadyClosed => "closed already",
    };
    match json {
        true => println!("{}", json!({ "id": id, "outcome": outcome.as_str_name() })),
        false => println!("container {id} is {told}"),
    }
    Ok(())
}
