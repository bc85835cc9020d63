//! Loads of simulated datanodes on SCM.

use std::sync::Arc;
use std::time::Duration;

use allotrope_perf::{
    Containers, CopyPace, Fleet, FleetParts, Load, Pace, Plan, ReplicationStorm, Reports, ScmHeartbeat, Until,
};
use allotrope_types::ReplicationConfig;
use clap::Args;

use super::datanode::Transport;
use super::flags::RunArgs;
use super::session::{NotReady, Ordered};
use crate::commands::sh;
use crate::config::{Settings, parse_time};
use crate::roles::scms;

pub(super) const EXAMPLES: &str = "Examples, with an SCM that has no datanodes of its own:
  allotrope perf scm-heartbeat --nodes 1000 --rate 1000 --duration 1m -c 50
  allotrope perf simulate-datanode --nodes 100 -n 6000 --replication RATIS/THREE --transport grpc

Datanodes register, SCM makes containers and closes them, and then heartbeats are measured. What SCM orders is obeyed. --rate is heartbeats a
second of all together.";
pub(super) const STORM_EXAMPLES: &str = "Examples, with an SCM that has no datanodes of its own:
  allotrope perf replication-storm --nodes 100 -c 200 --lose 2 -n 1 --deadline 10m
  allotrope perf replication-storm --nodes 1000 -c 100 --streams 4 --copy-time 5s -n 3 --deadline 30m

A round: datanodes die together, everything is whole without them, they come back, no replica is too many. -n counts rounds, --deadline is for
one step. No byte is copied: a copy or a rebuild takes a place and a time.";

/// The datanodes.
#[derive(Debug, Args)]
struct Datanodes {
    /// Simulated datanodes.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    nodes: u64,
    /// Containers of which each datanode holds a replica, on average.
    #[arg(short = 'c', long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    containers: u64,
    /// How containers are kept safe: rs-3-2-1024k, RATIS/THREE.
    #[arg(long, value_name = "REPLICATION", default_value = "rs-3-2-1024k")]
    replication: ReplicationConfig,
    /// How SCM is spoken to.
    #[arg(long, value_enum, default_value = "hadoop-rpc")]
    transport: Transport,
    /// Connections to each SCM, which the datanodes share.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    lanes: u16,
    /// Copies and rebuilds that a datanode carries out at once; the others wait.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    streams: u16,
    /// How long a copy or a rebuild takes.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    copy_time: Duration,
    /// Every so many heartbeats of a datanode one carries a full report; 0 is never.
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    full_report_every: u64,
}

impl Datanodes {
    fn said(&self) -> Vec<(&'static str, String)> {
        vec![
            ("nodes", self.nodes.to_string()),
            ("containers", self.containers.to_string()),
            ("replication", self.replication.to_string()),
            ("transport", format!("{:?}", self.transport)),
            ("lanes", self.lanes.to_string()),
            ("streams", self.streams.to_string()),
            ("copy-time", format!("{:?}", self.copy_time)),
            ("full-report-every", self.full_report_every.to_string()),
        ]
    }

    /// The datanodes, registered, with their containers closed.
    async fn made(&self, settings: &Settings, run: &RunArgs) -> Result<Arc<Fleet>, NotReady> {
        let named =
            scms::everywhere(settings, |scm| scm.datanode_port, ("ozone.scm.datanode.address", 9861))?;
        let seed = run.seed ^ u64::from(std::process::id());
        let (transport, lanes) = (self.transport.into(), usize::from(self.lanes));
        let fleet = Fleet::new(FleetParts {
            reports: Reports::new(&reached(named), transport, lanes, run.deadline, seed)?,
            containers: containers(settings, run)?,
            nodes: self.nodes,
            seed: run.seed,
            pace: CopyPace { streams: self.streams.into(), time: self.copy_time },
            full_every: self.full_report_every,
        });
        fleet.register().await?;
        fleet.grow(self.containers, self.replication, run.deadline.max(Duration::from_secs(120))).await?;
        Ok(Arc::new(fleet))
    }
}

/// SCM, as an administrator sees it.
pub(super) fn containers(settings: &Settings, run: &RunArgs) -> Result<Containers, NotReady> {
    let named = scms::everywhere(settings, |scm| scm.client_port, ("ozone.scm.client.address", 9860))?;
    let seed = run.seed ^ u64::from(std::process::id());
    Ok(Containers::new(&reached(named), &sh::user(), run.deadline, seed))
}

/// Hosts and ports that can be asked: what listens everywhere listens here.
pub(super) fn reached(named: Vec<(String, String, u16)>) -> Vec<(String, u16)> {
    let host = |host: String| if host == "0.0.0.0" { "127.0.0.1".to_owned() } else { host };
    named.into_iter().map(|(_, at, port)| (host(at), port)).collect()
}

#[derive(Debug, Args)]
pub(super) struct Heartbeat {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    datanodes: Datanodes,
}

impl Ordered for Heartbeat {
    const NAME: &'static str = "scm-heartbeat";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.datanodes.said()
    }

    /// Every datanode in its turn, however many heartbeats there are.
    fn plan(&self) -> Plan {
        Plan { objects: u64::MAX, ..self.run.plan() }
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        Ok(Arc::new(ScmHeartbeat { fleet: self.datanodes.made(settings, &self.run).await? }))
    }
}

#[derive(Debug, Args)]
pub(super) struct Storm {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    datanodes: Datanodes,
    /// Datanodes that die together.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    lose: u64,
    /// Time between two heartbeats of a datanode.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    heartbeat: Duration,
}

impl Ordered for Storm {
    const NAME: &'static str = "replication-storm";

    fn run_args(&self) -> &RunArgs {
        &self.run
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut said = self.datanodes.said();
        said.extend([("lose", self.lose.to_string()), ("heartbeat", format!("{:?}", self.heartbeat))]);
        said
    }

    /// One step at a time, in their order.
    fn plan(&self) -> Plan {
        let plan = self.run.plan();
        let until = match plan.until {
            Until::Count(rounds) => Until::Count(rounds.saturating_mul(ReplicationStorm::STEPS)),
            time => time,
        };
        let warm_up = Duration::ZERO;
        Plan {
            until,
            at_once: 1,
            objects: u64::MAX,
            pace: Pace::Closed,
            warm_up,
            stop_at_failure: true,
            ..plan
        }
    }

    async fn prepare(&self, settings: &Settings) -> Result<Arc<dyn Load>, NotReady> {
        let fleet = self.datanodes.made(settings, &self.run).await?;
        let every = self.heartbeat.max(Duration::from_millis(10));
        let replication = self.datanodes.replication;
        Ok(Arc::new(ReplicationStorm::new(fleet, replication, self.lose, every, self.run.seed)?))
    }
}
