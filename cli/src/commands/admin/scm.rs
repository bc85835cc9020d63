//! `allotrope admin scm`: who leads the SCMs, and handing leadership over.

use std::process::ExitCode;

use allotrope_proto::edge::admin::TransferLeadership;
use allotrope_proto::edge::hdds::{GetScmInfo, ScmInfo};
use allotrope_proto::edge::scm_container::{LocationAnswer, LocationCall, LocationResponse};
use clap::{Args, Subcommand};
use serde_json::json;

use super::ask::{Scms, unusable};
use super::table;
use crate::config::Settings;
use crate::roles::Failure;

#[derive(Debug, Args)]
pub(in crate::commands) struct ScmAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List the SCMs of the group and who leads.
    Roles,
    /// Hand leadership to another SCM.
    Transfer {
        /// The SCM to lead; any other if none is named.
        #[arg(long, default_value = "")]
        to: String,
    },
}

impl ScmAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::Roles => roles(&scms, self.json)?,
            Task::Transfer { to } => {
                let asked = TransferLeadership { new_leader_id: to.clone() };
                scms.order(LocationCall::TransferLeadership(asked))?;
                match self.json {
                    true => println!("{}", json!({ "to": to })),
                    false => println!(
                        "leadership was handed to {}",
                        if to.is_empty() { "another SCM" } else { &to }
                    ),
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Each SCM says itself what it is; one that does not answer is listed with the reason.
fn roles(scms: &Scms, json: bool) -> Result<(), Failure> {
    let answers = scms.ask_each(LocationCall::GetScmInfo(GetScmInfo { trace_id: None }));
    let infos: Vec<_> = answers.into_iter().map(|(name, answer)| (name, answer.and_then(info))).collect();
    if let Some(why) = infos.iter().all(|(_, info)| info.is_err()).then(|| infos[0].1.clone()) {
        return Err(why.err().unwrap_or_default().into());
    }
    let mut rows = Vec::new();
    for (name, info) in infos {
        rows.push(match info {
            Ok(info) => {
                let own = info.peer_roles.iter().find(|peer| peer.contains(&info.scm_id));
                let [host, port, role] = own.map_or_else(Default::default, |own| parts(own));
                [name.to_owned(), format!("{host}:{port}"), role, info.scm_id]
            }
            Err(why) => [name.to_owned(), String::new(), "UNREACHABLE".to_owned(), why],
        });
    }
    if json {
        let object = |[name, address, role, id]: &[String; 4]| json!({ "node": name, "address": address, "role": role, "id": id });
        println!("{}", rows.iter().map(object).collect::<serde_json::Value>());
    } else {
        println!("{}", table::text(["NODE", "ADDRESS", "ROLE", "ID"], &rows));
    }
    Ok(())
}

fn info(answer: LocationResponse) -> Result<ScmInfo, String> {
    let kind = answer.kind;
    match answer.answered() {
        Ok(LocationAnswer::GetScmInfo(info)) => Ok(info),
        Ok(_) => unreachable!("an answer to another question was refused"),
        Err(why) => Err(unusable(kind, &why).to_string()),
    }
}

/// Host, port and role of `host:port:ROLE:id:host`. The host may hold colons.
fn parts(peer: &str) -> [String; 3] {
    let role = if peer.contains(":LEADER:") { "LEADER" } else { "FOLLOWER" };
    let address = peer.split(&format!(":{role}:")).next().unwrap_or_default();
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    [host.to_owned(), port.to_owned(), role.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_taken_apart() {
        assert_eq!(parts("scm1:9894:LEADER:6f0d:scm1"), ["scm1", "9894", "LEADER"]);
        assert_eq!(parts("::1:9894:FOLLOWER:6f0d:::1"), ["::1", "9894", "FOLLOWER"]);
    }
}
