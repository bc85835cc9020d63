//! `allotrope admin safemode`: whether SCM allocates and deletes yet, and why not.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use allotrope_proto::edge::Empty;
use allotrope_proto::edge::scm_container::LocationCall;
use allotrope_proto::edge::scm_container::state::SafeModeRule;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::ask::{NOTHING, Scms, ask};
use super::table;
use crate::config::Settings;
use crate::roles::Failure;

/// How often a wait looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(in crate::commands) struct SafeModeAdmin {
    #[command(subcommand)]
    task: Task,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Whether SCM is in safe mode, and how each rule stands.
    Status,
    /// Wait until SCM has left safe mode.
    Wait {
        /// For so many seconds at most.
        #[arg(short, long, value_name = "SECONDS", default_value_t = 30)]
        timeout: u64,
    },
    /// Leave safe mode now, whatever the rules say.
    Exit,
}

impl SafeModeAdmin {
    pub(super) fn run(self, settings: &Settings) -> Result<ExitCode, Failure> {
        let scms = Scms::of(settings)?;
        match self.task {
            Task::Status => {
                let (on, rules) = (is_on(&scms)?, rules(&scms)?);
                print(on, &rules, self.json);
            }
            Task::Wait { timeout } => {
                let began = Instant::now();
                let patience = Duration::from_secs(timeout);
                loop {
                    let last = match is_on(&scms) {
                        Ok(false) => break print_left(self.json),
                        Ok(true) => "SCM is in safe mode".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    if began.elapsed() >= patience {
                        let rule = "try: allotrope admin safemode status, which says what it waits for";
                        return Err(format!("{last} after {timeout} s\n  {rule}").into());
                    }
                    std::thread::sleep(LOOK_EVERY.min(patience));
                }
            }
            Task::Exit => {
                // Each SCM has its own: one that follows would be in safe mode still when it leads.
                let answers = scms.ask_each(LocationCall::ForceExitSafeMode(NOTHING));
                let mut failed = None;
                let mut left = 0;
                for (_, answer) in answers {
                    match answer {
                        Ok(_) => left += 1,
                        Err(why) => failed = Some(why),
                    }
                }
                match failed {
                    Some(why) if left == 0 => return Err(why.into()),
                    Some(why) => eprintln!("warning: {why}"),
                    None => {}
                }
                print_left(self.json);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_on(scms: &Scms) -> Result<bool, Failure> {
    scms.find_leader()?;
    Ok(ask!(scms, InSafeMode(NOTHING))?.in_safe_mode)
}

fn rules(scms: &Scms) -> Result<Vec<SafeModeRule>, Failure> {
    ask!(scms, GetSafeModeRuleStatuses(Empty))
}

fn print(on: bool, rules: &[SafeModeRule], json: bool) {
    if json {
        let object = |rule: &SafeModeRule| json!({ "name": rule.rule_name, "holds": rule.validate, "text": rule.status_text });
        println!("{}", json!({ "safeMode": on, "rules": rules.iter().map(object).collect::<Value>() }));
        return;
    }
    println!("SCM is {} safe mode\n", if on { "in" } else { "out of" });
    let row = |rule: &SafeModeRule| {
        let holds = if rule.validate { "yes" } else { "no" };
        [rule.rule_name.clone(), holds.to_owned(), rule.status_text.clone()]
    };
    let rows: Vec<_> = rules.iter().map(row).collect();
    println!("{}", table::text(["RULE", "HOLDS", "FIGURES"], &rows));
}

fn print_left(json: bool) {
    match json {
        true => println!("{}", json!({ "safeMode": false })),
        false => println!("SCM is out of safe mode"),
    }
}
