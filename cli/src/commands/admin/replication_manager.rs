//! `allotrope admin replicationmanager`, and `allotrope admin container report`: what ails containers, and who mends it.

use std::process::ExitCode;

use allotrope_proto::edge::scm_container::LocationCall;
use allotrope_proto::edge::scm_container::state::ReplicationReport;
use allotrope_types::ContainerId;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::ask::{NOTHING, Scms, ask};
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
            Task::Start { .. } => on_each(&scms, LocationCall::StartReplicationManager(NOTHING))?,
            Task::Stop => on_each(&scms, LocationCall::StopReplicationManager(NOTHING))?,
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
fn on_each(scms: &Scms, call: LocationCall) -> Result<(), Failure> {
    let answers = scms.ask_each(call);
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
    Ok(ask!(scms, GetReplicationManagerStatus(NOTHING))?.is_running)
}

/// States of containers' lives come before what ails them, as in Ozone's report.
const STATES: [&str; 7] = ["OPEN", "CLOSING", "QUASI_CLOSED", "CLOSED", "DELETING", "DELETED", "RECOVERING"];

/// Containers that are named of each ailment where SCM does not say how many: the message's own default.
const SAMPLE_LIMIT: i32 = 100;

/// Prints what ails the cluster's containers. A statistic without a number is 0, as for Java.
pub(super) fn report(scms: &Scms, json: bool) -> Result<(), Failure> {
    let report = ask!(scms, GetReplicationManagerReport(NOTHING))?;
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
    counts(true).for_each(|stat| println!("{}: {}", stat.key, stat.value.unwrap_or(0)));
    println!("\nContainer Health Summary\n========================");
    counts(false).for_each(|stat| println!("{}: {}", stat.key, stat.value.unwrap_or(0)));
    for sample in &report.stat_sample {
        let ids: Vec<String> = sample.container.iter().map(|id| format!("#{id}")).collect();
        let limit = report.sample_limit.unwrap_or(SAMPLE_LIMIT);
        println!("\nFirst {limit} {} containers:\n{}", sample.key, ids.join(", "));
    }
    Ok(())
}

fn object(report: &ReplicationReport) -> Value {
    let counts: Map<String, Value> =
        report.stat.iter().map(|stat| (stat.key.clone(), stat.value.unwrap_or(0).into())).collect();
    let samples: Map<String, Value> = report
        .stat_sample
        .iter()
        .map(|sample| {
            let ids = sample.container.iter().copied().map(ContainerId::as_u64);
            (sample.key.clone(), ids.collect::<Value>())
        })
        .collect();
    json!({ "checkedMs": report.timestamp, "counts": counts, "samples": samples })
}
