//! `allotrope admin pipeline`: list, create, close.

use std::process::ExitCode;

use allotrope_proto::edge::hdds::{Pipeline, PipelineState};
use allotrope_proto::edge::scm_container::LocationCall;
use allotrope_proto::edge::scm_container::pipelines::{AllocatePipeline, NamedPipeline};
use allotrope_proto::scm_container::Type;
use allotrope_types::{PipelineId, ReplicationConfig, ReplicationFactor};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ask::{NOTHING, Scms, ask, part};
use super::{config_text, table};
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct PipelineAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the pipelines.
    List {
        /// Only those of this state: ALLOCATED, OPEN, DORMANT or CLOSED.
        #[arg(long)]
        state: Option<String>,
    },
    /// Make a pipeline that is not erasure coded; those are made as they are needed.
    Create {
        /// STAND_ALONE or RATIS.
        #[arg(long = "type", default_value = "STAND_ALONE")]
        kind: String,
        /// ONE or THREE.
        #[arg(long, default_value = "ONE")]
        factor: String,
    },
    /// Close a pipeline and its containers.
    Close {
        /// Its id.
        id: Uuid,
    },
}

impl PipelineAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::List { state } => list(&scms, state.as_deref(), self.json)?,
            Task::Create { kind, factor } => print(&[create(&scms, &kind, &factor)?], self.json),
            Task::Close { id } => {
                let pipeline = PipelineId::from_bytes(*id.as_bytes());
                scms.order(LocationCall::ClosePipeline(NamedPipeline { trace_id: None, pipeline }))?;
                match self.json {
                    true => println!("{}", json!({ "closed": id.to_string() })),
                    false => println!("pipeline {id} is closed"),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn state(pipeline: &Pipeline) -> &'static str {
    // The message's own default.
    let name = pipeline.state.unwrap_or(PipelineState::PipelineAllocated).as_str_name();
    name.strip_prefix("PIPELINE_").unwrap_or(name)
}

fn list(scms: &Scms, wanted: Option<&str>, json: bool) -> Result<(), Failure> {
    if let Some(text) = wanted {
        let name = format!("PIPELINE_{}", text.to_ascii_uppercase());
        PipelineState::from_str_name(&name).ok_or_else(|| {
            format!("{text:?} is no state of a pipeline\n  try: ALLOCATED, OPEN, DORMANT or CLOSED")
        })?;
    }
    let mut pipelines = ask!(scms, ListPipelines(NOTHING))?;
    pipelines.retain(|pipeline| wanted.is_none_or(|wanted| state(pipeline).eq_ignore_ascii_case(wanted)));
    print(&pipelines, json);
    Ok(())
}

fn create(scms: &Scms, kind: &str, factor: &str) -> Result<Pipeline, Failure> {
    let copies: fn(ReplicationFactor) -> ReplicationConfig = match kind.to_ascii_uppercase().as_str() {
        "STAND_ALONE" => ReplicationConfig::StandAlone,
        "RATIS" => ReplicationConfig::Ratis,
        _ => return Err(format!("{kind:?} is no type\n  try: STAND_ALONE or RATIS").into()),
    };
    let factor = match factor.to_ascii_uppercase().as_str() {
        "ONE" => ReplicationFactor::One,
        "THREE" => ReplicationFactor::Three,
        _ => return Err(format!("{factor:?} is no factor\n  try: ONE or THREE").into()),
    };
    let asked =
        AllocatePipeline { node_pool: None, pipeline_id: None, trace_id: None, replication: copies(factor) };
    let made = ask!(scms, AllocatePipeline(asked))?;
    part(Type::AllocatePipeline, made.pipeline, "PipelineResponseProto", "pipeline")
}

fn print(pipelines: &[Pipeline], json: bool) {
    let hosts =
        |p: &Pipeline| p.members.iter().map(|member| member.datanode.host_name.clone()).collect::<Vec<_>>();
    if json {
        let object = |p: &Pipeline| {
            let uuids: Vec<String> = p.members.iter().map(|member| member.datanode.id.to_string()).collect();
            json!({
                "id": p.id.to_string(),
                "state": state(p),
                "replication": config_text(p.replication),
                "datanodes": uuids,
                "leader": p.leader.map(|leader| leader.to_string()),
                // As for Java, a time that is not told is 0.
                "createdMs": p.creation_time_stamp.unwrap_or(0),
            })
        };
        println!("{}", pipelines.iter().map(object).collect::<Value>());
        return;
    }
    let row = |p: &Pipeline| {
        [p.id.to_string(), state(p).to_owned(), config_text(p.replication), hosts(p).join(", ")]
    };
    let rows: Vec<_> = pipelines.iter().map(row).collect();
    println!("{}", table::text(["ID", "STATE", "REPLICATION", "DATANODES"], &rows));
}
