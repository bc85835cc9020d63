//! `allotrope admin container`: list, show, open, close, report.

use std::process::ExitCode;

use allotrope_proto::hdds::{
    ContainerInfoProto, EcReplicationConfig, LifeCycleState, ScmContainerReplicaProto,
};
use allotrope_proto::scm_container::{
    ContainerRequestProto, GetContainerReplicasRequestProto, GetContainerRequestProto,
    ScmCloseContainerRequestProto, ScmListContainerRequestProto, Type, scm_close_container_response_proto,
};
use allotrope_types::{ByteCount, ReplicationConfig};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{Scms, part};
use super::pipeline::id_text;
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

fn row(info: &ContainerInfoProto) -> [String; 6] {
    [
        info.container_id.to_string(),
        info.state().as_str_name().to_owned(),
        config(info),
        ByteCount::new(info.used_bytes).to_string(),
        info.number_of_keys.to_string(),
        info.owner.clone(),
    ]
}

fn config(info: &ContainerInfoProto) -> String {
    config_text(info.replication_type(), info.replication_factor(), info.ec_replication_config.as_ref())
}

fn object(info: &ContainerInfoProto) -> Value {
    json!({
        "id": info.container_id,
        "state": info.state().as_str_name(),
        "replication": config(info),
        "used": info.used_bytes,
        "keys": info.number_of_keys,
        "owner": info.owner,
        "pipeline": info.pipeline_id.as_ref().map(id_text),
        "sequence": info.sequence_id(),
        "stateSinceMs": info.state_enter_time(),
        "suppressed": info.suppressed(),
    })
}

fn list(scms: &Scms, start: u64, count: u32, state: Option<&str>, json: bool) -> Result<(), Failure> {
    let number = |text: &str| {
        let state = LifeCycleState::from_str_name(&text.to_ascii_uppercase());
        let hint = "try: OPEN, CLOSING, QUASI_CLOSED, CLOSED, DELETING, DELETED or RECOVERING";
        let state = state.ok_or_else(|| format!("{text:?} is no state of a container\n  {hint}"))?;
        Ok::<_, Failure>(state as i32)
    };
    let asked = ScmListContainerRequestProto {
        count,
        start_container_id: Some(start),
        state: state.map(number).transpose()?,
        ..Default::default()
    };
    let answer = scms.ask(Type::ListContainer, |request| request.scm_list_container_request = Some(asked))?;
    let found = part(answer.scm_list_container_response, "the containers")?.containers;
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

fn info(scms: &Scms, id: i64, json: bool) -> Result<(), Failure> {
    let asked = GetContainerRequestProto { container_id: id, trace_id: None };
    let answer = scms.ask(Type::GetContainer, |request| request.get_container_request = Some(asked));
    let answer = answer.map_err(|error| unknown(id, error))?;
    let info = part(answer.get_container_response, "the container")?.container_info;
    let asked = GetContainerReplicasRequestProto { container_id: id, trace_id: None };
    let answer =
        scms.ask(Type::GetContainerReplicas, |request| request.get_container_replicas_request = Some(asked))?;
    let replicas = part(answer.get_container_replicas_response, "the replicas")?.container_replica;
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

fn replica_row(replica: &ScmContainerReplicaProto) -> [String; 7] {
    let node = &replica.datanode_details;
    [
        replica.replica_index().to_string(),
        node.uuid().to_owned(),
        node.host_name.clone(),
        replica.state.clone(),
        ByteCount::new(u64::try_from(replica.bytes_used).unwrap_or(0)).to_string(),
        replica.key_count.to_string(),
        replica.sequence_id.to_string(),
    ]
}

fn replica_object(replica: &ScmContainerReplicaProto) -> Value {
    json!({
        "index": replica.replica_index(),
        "datanode": replica.datanode_details.uuid(),
        "host": replica.datanode_details.host_name,
        "state": replica.state,
        "used": replica.bytes_used,
        "keys": replica.key_count,
        "sequence": replica.sequence_id,
        "origin": replica.place_of_birth,
    })
}

fn create(scms: &Scms, config: ReplicationConfig, owner: String) -> Result<ContainerInfoProto, Failure> {
    // A scheme's numbers are small; the message's are 32 bits wide.
    let small = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let ec = config.ec().map(|ec| EcReplicationConfig {
        data: small(ec.data()),
        parity: small(ec.parity()),
        codec: ec.codec().name().to_owned(),
        ec_chunk_size: i32::try_from(ec.cell_len().as_u64()).unwrap_or(i32::MAX),
    });
    let asked = ContainerRequestProto {
        replication_factor: config.factor().map(|factor| factor as i32),
        replication_type: config.kind() as i32,
        owner,
        trace_id: None,
        ec_replication_config: ec,
    };
    let answer = scms.ask(Type::AllocateContainer, |request| request.container_request = Some(asked))?;
    Ok(part(answer.container_response, "the container")?.container_with_pipeline.container_info)
}

fn close(scms: &Scms, id: i64, json: bool) -> Result<(), Failure> {
    use scm_close_container_response_proto::Status;
    let asked = ScmCloseContainerRequestProto { container_id: id, trace_id: None };
    let answer = scms.ask(Type::CloseContainer, |request| request.scm_close_container_request = Some(asked));
    let answer = answer.map_err(|error| unknown(id, error))?;
    let status = part(answer.scm_close_container_response, "the outcome")?.status();
    let told = match status {
        Status::Ok => "closing",
        Status::ContainerAlreadyClosing => "closing already",
        Status::ContainerAlreadyClosed => "closed already",
    };
    match json {
        true => println!("{}", json!({ "id": id, "outcome": status.as_str_name() })),
        false => println!("container {id} is {told}"),
    }
    Ok(())
}
