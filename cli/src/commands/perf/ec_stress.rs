//! `allotrope perf ec-stress`: erasure coding while datanodes of a quickstart come and go.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use allotrope_perf::{
    BoxFuture, EcStress, EcStressParts, Faults, KeyWrite, Load, Plan, Trouble, TroubleKind, Until,
};
use allotrope_types::{ByteCount, ReplicationConfig};
use clap::Args;

use super::flags::RunArgs;
use super::fleet::containers;
use super::keys::Place;
use super::session::{NotReady, Ordered};
use crate::commands::quickstart;
use crate::config::Settings;

pub(super) const EXAMPLES: &str = "Examples, with allotrope quickstart --data /tmp/cluster running:
  allotrope perf ec-stress --data /tmp/cluster -n 3
  allotrope perf ec-stress --data /tmp/cluster --duration 2h --seed 7 --budget 4GB

With any other cluster, Ozone's too:
  allotrope perf ec-stress -n 1 --kill-with 'KILL=1 ./stop.sh dn$1 >&2; echo $((11859 + $1 * 1000))' --start-with './start.sh dn$1'

A round writes keys, ends a datanode as a power cut would, reads everything, waits until what it held is made anew, reads everything again, and
starts the datanode. -n counts rounds, --deadline is for one step; the same seed gives the same rounds.";

#[derive(Debug, Args)]
pub(super) struct Stress {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    place: Place,
    /// The data folder of the quickstart whose datanodes come and go.
    #[arg(long, value_name = "DIR", required_unless_present = "kill_with", conflicts_with = "kill_with")]
    data: Option<PathBuf>,
    /// For any other cluster: a command of the shell that ends the datanode whose number is $1, from 1, and prints on which port that
    /// served blocks.
    #[arg(long, value_name = "COMMAND", requires = "start_with")]
    kill_with: Option<String>,
    /// And one that starts it again.
    #[arg(long, value_name = "COMMAND", requires = "kill_with")]
    start_with: Option<String>,
    /// Datanodes that it runs.
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=32))]
    datanodes: u16,
    /// Keys that a round writes.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    keys: u64,
    /// Most bytes of a key; how many, the seed chooses for each round.
    #[arg(short = 's', long, value_name = "SIZE", default_value = "4MB")]
    size: ByteCount,
    /// Bytes of keys that are kept and read again; beyond it the oldest are removed.
    #[arg(long, value_name = "SIZE", default_value = "1GB")]
    budget: ByteCount,
    /// How the keys are kept safe.
    #[arg(long, value_name = "REPLICATION", default_value = "rs-3-2-1024k")]
    replication: ReplicationConfig,
}

impl Ordered for Stress {
    const NAME: &'static str = "ec-stress";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("size", self.size.to_string()),
            ("keys", self.keys.to_string()),
            ("datanodes", self.datanodes.to_string()),
            ("budget", self.budget.to_string()),
            ("replication", self.replication.to_string()),
        ]
    }

    /// One step at a time, and rounds without end: steps must come in their order.
    fn plan(&self) -> Plan {
        let plan = self.run.plan();
        let until = match plan.until {
            Until::Count(rounds) => Until::Count(rounds.saturating_mul(EcStress::STEPS)),
            time => time,
        };
        let (warm_up, stop_at_failure) = (Duration::ZERO, true);
        Plan {
            until,
            at_once: 1,
            objects: u64::MAX,
            pace: allotrope_perf::Pace::Closed,
            warm_up,
            stop_at_failure,
            ..plan
        }
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        if self.replication.ec().is_none() {
            return Err(format!(
                "--replication {} is no erasure code\n  try: rs-3-2-1024k",
                self.replication
            )
            .into());
        }
        let keys = self.place.made(settings, &self.run, self.size.as_u64()).await?;
        Ok(Arc::new(EcStress::new(EcStressParts {
            write: KeyWrite { keys, replication: Some(self.replication) },
            containers: containers(settings, &self.run)?,
            faults: self.faults(),
            datanodes: self.datanodes.into(),
            keys_a_round: self.keys,
            budget: self.budget.as_u64(),
            seed: self.run.seed,
            at_once: self.run.threads as usize,
        })))
    }
}

impl Stress {
    fn faults(&self) -> Box<dyn Faults> {
        match (&self.kill_with, &self.start_with) {
            (Some(kill), Some(start)) => Box::new(Commands { kill: kill.clone(), start: start.clone() }),
            _ => Box::new(Quick { data: self.data.clone().unwrap_or_default() }),
        }
    }
}

/// The datanodes of a cluster that others run, through the shell.
struct Commands {
    kill: String,
    start: String,
}

impl Commands {
    /// What the command prints, if it works.
    async fn run(&self, command: &str, datanode: usize) -> Result<String, Trouble> {
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", command, "sh", &datanode.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let asked = tokio::task::spawn_blocking(move || shell.output());
        let refused = |why: String| {
            Trouble::new(TroubleKind::Refused, format!("{command:?} for datanode {datanode}: {why}"))
        };
        let output = asked.await.map_err(|error| refused(error.to_string()))?;
        let output = output.map_err(|error| refused(error.to_string()))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(refused(output.status.to_string())),
        }
    }
}

impl Faults for Commands {
    fn kill(&self, datanode: usize) -> BoxFuture<'_, Result<u16, Trouble>> {
        Box::pin(async move {
            let said = self.run(&self.kill, datanode).await?;
            let port = said.split_whitespace().last().and_then(|word| word.parse().ok());
            port.ok_or_else(|| {
                Trouble::new(TroubleKind::Broken, format!("--kill-with prints no port: {said:?}"))
            })
        })
    }

    fn start(&self, datanode: usize) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move { self.run(&self.start, datanode).await.map(drop) })
    }
}

/// The datanodes of a quickstart, through its door.
struct Quick {
    data: PathBuf,
}

impl Quick {
    async fn ask(&self, act: quickstart::Fault, datanode: usize) -> Result<String, Trouble> {
        let data = self.data.clone();
        let asked = tokio::task::spawn_blocking(move || {
            quickstart::ask(Path::new(&data), act, datanode).map_err(|error| error.to_string())
        });
        let refused = |text: String| Trouble::new(TroubleKind::Refused, text);
        asked.await.map_err(|error| refused(error.to_string()))?.map_err(refused)
    }
}

impl Faults for Quick {
    fn kill(&self, datanode: usize) -> BoxFuture<'_, Result<u16, Trouble>> {
        Box::pin(async move {
            let said = self.ask(quickstart::Fault::Kill, datanode).await?;
            // datanode 2 (127.0.0.1:9859) is gone, …
            let address = said.split(['(', ')']).nth(1).and_then(|address| address.rsplit_once(':'));
            let port = address.and_then(|(_, port)| port.parse().ok());
            port.ok_or_else(|| {
                Trouble::new(TroubleKind::Broken, format!("quickstart does not say which: {said}"))
            })
        })
    }

    fn start(&self, datanode: usize) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move { self.ask(quickstart::Fault::Start, datanode).await.map(drop) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_the_shell_end_datanodes_and_say_where_they_served() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let kill = |command: &str| {
            let commands = Commands { kill: command.to_owned(), start: "exit 3".to_owned() };
            runtime.block_on(commands.kill(4))
        };
        assert_eq!(kill("echo datanode $1 is gone; echo $((9000 + $1))"), Ok(9004));
        assert_eq!(kill("echo gone").unwrap_err().kind, TroubleKind::Broken);
        assert_eq!(kill("echo 1; exit 1").unwrap_err().kind, TroubleKind::Refused);
        let commands = Commands { kill: String::new(), start: "exit 3".to_owned() };
        let failed = runtime.block_on(commands.start(4)).unwrap_err();
        assert!(failed.text.contains("\"exit 3\" for datanode 4"), "{failed}");
    }
}
