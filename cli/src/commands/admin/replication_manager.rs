//! `allotrope admin replicationmanager`, and `allotrope admin container report`: what ails containers, and who mends it.

use std::process::ExitCode;

use allotrope_proto::hdds::ReplicationManagerReportProto;
use allotrope_proto::scm_container::{ScmContainerLocationRequest, Type};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::ask::{Scms, part};
use super::duty;
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct ReplicationManagerAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Whether containers are repaired.
    Status,
    /// Repair containers from now on.
    Start {
        /// Start nothing: say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Repair nothing until it is started again, or SCM is. What is under way goes on.
    Stop,
}

impl ReplicationManagerAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::Status => {}
            Task::Start { dry_run: true } => {
                duty::forecast(&scms, "repair", &[], self.json)?;
                return Ok(ExitCode::SUCCESS);
            }
            Task::Start { .. } => on_each(&scms, Type::StartReplicationManager, |request| {
                request.start_replication_manager_request = Some(Default::default());
            })?,
            Task::Stop => on_each(&scms, Type::StopReplicationManager, |request| {
                request.stop_replication_manager_request = Some(Default::default());
            })?,
        }
        let running = is_running(&scms)?;
        match self.json {
            true => println!("{}", json!({ "running": running })),
            false if running => println!("the replication manager runs"),
            false => println!("the replication manager is stopped"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Each SCM has its own: one that follows would go on, or not, when it leads.
fn on_each(scms: &Scms, kind: Type, fill: fn(&mut ScmContainerLocationRequest)) -> Result<(), Failure> {
    let answers = scms.ask_each(kind, fill);
    let failed: Vec<String> =
        answers.iter().filter_map(|(_, answer)| answer.as_ref().err().cloned()).collect();
    if failed.len() == answers.len() {
        return Err(failed.join("\n").into());
    }
    for why in failed {
        eprintln!("warning: {why}");
    }
    Ok(())
}

fn is_running(scms: &Scms) -> Result<bool, Failure> {
    let answer = scms.ask(Type::GetReplicationManagerStatus, |request| {
        request.seplication_manager_status_request = Some(Default::default());
    })?;
    Ok(part(answer.replication_manager_status_response, "whether it runs")?.is_running)
}

/// States of containers' lives come before what ails them, as in Ozone's report.
const STATES: [&str; 7] = ["OPEN", "CLOSING", "QUASI_CLOSED", "CLOSED", "DELETING", "DELETED", "RECOVERING"];

/// Prints what ails the cluster's containers.
pub(super) fn report(scms: &Scms, json: bool) -> Result<(), Failure> {
    let answer = scms.ask(Type::GetReplicationManagerReport, |request| {
        request.replication_manager_report_request = Some(Default::default());
    })?;
    let report = part(answer.get_replication_manager_report_response, "the report")?.report;
    if json {
        println!("{}", object(&report));
        return Ok(());
    }
    if report.timestamp == 0 {
        println!("not all containers have been checked yet");
    }
    let counts = |of_state: bool| {
        report.stat.iter().filter(move |stat| STATES.contains(&stat.key.as_str()) == of_state)
    };
    println!("Container State Summary\n=======================");
    counts(true).for_each(|stat| println!("{}: {}", stat.key, stat.value()));
    println!("\nContainer Health Summary\n========================");
    counts(false).for_each(|stat| println!("{}: {}", stat.key, stat.value()));
    for sample in &report.stat_sample {
        let ids: Vec<String> = sample.container.iter().map(|id| format!("#{}", id.id)).collect();
        println!("\nFirst {} {} containers:\n{}", report.sample_limit(), sample.key, ids.join(", "));
    }
    Ok(())
}

fn object(report: &ReplicationManagerReportProto) -> Value {
    let counts: Map<String, Value> =
        report.stat.iter().map(|stat| (stat.key.clone(), stat.value().into())).collect();
    let samples: Map<String, Value> = report
        .stat_sample
        .iter()
        .map(|sample| (sample.key.clone(), sample.container.iter().map(|id| id.id).collect::<Value>()))
        .collect();
    json!({ "checkedMs": report.timestamp, "counts": counts, "samples": samples })
}
