//! `allotrope admin pipeline`: list, create, close.

use std::process::ExitCode;

use allotrope_proto::hdds::{self, Pipeline, PipelineState, ReplicationFactor, ReplicationType};
use allotrope_proto::scm_container::{ClosePipelineRequestProto, PipelineRequestProto, Type};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ask::{Scms, part};
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
                let asked = ClosePipelineRequestProto { pipeline_id: message(id), trace_id: None };
                scms.ask(Type::ClosePipeline, |request| request.close_pipeline_request = Some(asked))?;
                match self.json {
                    true => println!("{}", json!({ "closed": id.to_string() })),
                    false => println!("pipeline {id} is closed"),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn message(id: Uuid) -> hdds::PipelineId {
    let (most, least) = id.as_u64_pair();
    let uuid128 = hdds::Uuid { most_sig_bits: most.cast_signed(), least_sig_bits: least.cast_signed() };
    hdds::PipelineId { id: Some(id.to_string()), uuid128: Some(uuid128) }
}

fn state(pipeline: &Pipeline) -> &'static str {
    let name = pipeline.state().as_str_name();
    name.strip_prefix("PIPELINE_").unwrap_or(name)
}

/// A pipeline's id as text, whichever form the answer has.
pub(super) fn id_text(id: &hdds::PipelineId) -> String {
    match (&id.id, &id.uuid128) {
        (Some(text), _) => text.clone(),
        (None, Some(uuid)) => {
            let (most, least) = (uuid.most_sig_bits.cast_unsigned(), uuid.least_sig_bits.cast_unsigned());
            Uuid::from_u64_pair(most, least).to_string()
        }
        (None, None) => String::new(),
    }
}

fn list(scms: &Scms, wanted: Option<&str>, json: bool) -> Result<(), Failure> {
    if let Some(text) = wanted {
        let name = format!("PIPELINE_{}", text.to_ascii_uppercase());
        PipelineState::from_str_name(&name).ok_or_else(|| {
            format!("{text:?} is no state of a pipeline\n  try: ALLOCATED, OPEN, DORMANT or CLOSED")
        })?;
    }
    let answer =
        scms.ask(Type::ListPipelines, |request| request.list_pipeline_request = Some(Default::default()))?;
    let mut pipelines = part(answer.list_pipeline_response, "the pipelines")?.pipelines;
    pipelines.retain(|pipeline| wanted.is_none_or(|wanted| state(pipeline).eq_ignore_ascii_case(wanted)));
    print(&pipelines, json);
    Ok(())
}

fn create(scms: &Scms, kind: &str, factor: &str) -> Result<Pipeline, Failure> {
    let known = ReplicationType::from_str_name(&kind.to_ascii_uppercase());
    let kind = known.ok_or_else(|| format!("{kind:?} is no type\n  try: STAND_ALONE or RATIS"))?;
    let known = ReplicationFactor::from_str_name(&factor.to_ascii_uppercase());
    let factor = known.ok_or_else(|| format!("{factor:?} is no factor\n  try: ONE or THREE"))?;
    let asked = PipelineRequestProto {
        replication_type: kind as i32,
        replication_factor: factor as i32,
        ..Default::default()
    };
    let answer = scms.ask(Type::AllocatePipeline, |request| request.pipeline_request = Some(asked))?;
    part(answer.pipeline_response.and_then(|made| made.pipeline), "the pipeline")
}

fn print(pipelines: &[Pipeline], json: bool) {
    let config = |p: &Pipeline| config_text(p.r#type(), p.factor(), p.ec_replication_config.as_ref());
    let hosts = |p: &Pipeline| p.members.iter().map(|node| node.host_name.clone()).collect::<Vec<_>>();
    if json {
        let object = |p: &Pipeline| {
            let uuids: Vec<&str> = p.members.iter().map(|node| node.uuid()).collect();
            json!({
                "id": id_text(&p.id),
                "state": state(p),
                "replication": config(p),
                "datanodes": uuids,
                "leader": p.leader_id,
                "createdMs": p.creation_time_stamp(),
            })
        };
        println!("{}", pipelines.iter().map(object).collect::<Value>());
        return;
    }
    let row = |p: &Pipeline| [id_text(&p.id), state(p).to_owned(), config(p), hosts(p).join(", ")];
    let rows: Vec<_> = pipelines.iter().map(row).collect();
    println!("{}", table::text(["ID", "STATE", "REPLICATION", "DATANODES"], &rows));
}
