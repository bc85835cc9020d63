//! One SCM: get its version, register, then heartbeats.
//!
//! Shape   a state and what waits to be told. Changes, close requests and outcomes of commands are kept until a heartbeat
//!         that carried them was answered; the other reports are made anew each time.
//! Errors  logged once while they stay; the state stays, and the next heartbeat tries again. A command that is malformed is
//!         refused by name, and those beside it are queued.

use super::link::{self, ScmLink};
use super::queue::Turned;
use super::{GATHER, Shared, commands, report};
use crate::store::{Event, Node, ReplicaFacts, ShardMessage};
use allotrope_io::{Moment, ShardId};
use allotrope_proto::edge::Empty;
use allotrope_proto::edge::hdds::ExtendedDatanodeDetails;
use allotrope_proto::edge::heartbeat::apart::{DatanodeAnswerApart, ScmHeartbeatApart};
use allotrope_proto::edge::heartbeat::{
    CommandQueueReport, CommandStatus, CommandStatusReports, ContainerAction, ContainerActions,
    ContainerReports, ContainerWish, ContainerWishReason, DatanodeCall, IncrementalContainerReport,
    NodeReport, Registered, ScmHeartbeatRequest, ScmOrder, ScmRegisterRequest,
};
use allotrope_types::ContainerId;
use futures_util::future::select;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::Notify;

/// Close requests in one heartbeat (`hdds.container.action.max.limit`).
const ACTIONS_MAX: usize = 20;
/// Outcomes of commands that wait for an SCM that does not answer; the oldest go first: SCM asks again.
const STATUSES_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Version,
    Register,
    Beat,
}

/// What is kept for one SCM.
pub struct Endpoint<'a, L> {
    shared: &'a Shared,
    number: usize,
    link: L,
    rung: Notify,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    state: State,
    changes: BTreeMap<ContainerId, ReplicaFacts>,
    closes: BTreeSet<ContainerId>,
    statuses: VecDeque<CommandStatus>,
    full_report_due: Option<Moment>,
    /// What was logged last, so that a trouble that stays is logged once.
    trouble: Option<String>,
}

impl Kept {
    fn note_status(&mut self, status: CommandStatus) {
        self.statuses.push_back(status);
        if self.statuses.len() > STATUSES_MAX {
            self.statuses.pop_front();
        }
    }
}

impl<'a, L: ScmLink> Endpoint<'a, L> {
    /// SCM number `number`, which has not been asked anything yet.
    pub fn new(shared: &'a Shared, number: usize, link: L) -> Endpoint<'a, L> {
        Endpoint { shared, number, link, rung: Notify::new(), kept: RefCell::default() }
    }

    /// Notes a change that this SCM shall hear of.
    pub fn note(&self, event: &Event) {
        let mut kept = self.kept.borrow_mut();
        match event {
            Event::Replica(facts) => drop(kept.changes.insert(facts.container, facts.clone())),
            Event::CloseWanted(container) => drop(kept.closes.insert(*container)),
            Event::FullReport => kept.full_report_due = None,
            // The next heartbeat says how it is then.
            Event::Pipelines => {}
            Event::CommandEnded(status) => kept.note_status(status.clone()),
        }
    }

    /// Notes the outcome of a command.
    pub fn note_status(&self, status: CommandStatus) {
        self.kept.borrow_mut().note_status(status);
    }

    /// Asks for a heartbeat soon.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Heartbeats for ever.
    pub async fn run(&self) {
        let (clock, config) = (&self.shared.clock, &self.shared.lobby.config);
        loop {
            self.beat().await;
            let (settled, well) = {
                let kept = self.kept.borrow();
                (kept.state == State::Beat, kept.trouble.is_none())
            };
            let wait = if settled && well { config.heartbeat_every } else { config.heartbeat_first };
            let next = clock.now() + wait.min(config.heartbeat_every);
            // An SCM that does not answer is not asked more often because there is more to say.
            if well {
                select(pin!(clock.sleep_until(next)), pin!(self.rung.notified())).await;
                clock.sleep(GATHER.min(next.since(clock.now()))).await;
            } else {
                clock.sleep_until(next).await;
            }
        }
    }

    /// One round: as many steps as SCM lets us take now.
    async fn beat(&self) {
        for _ in 0..3 {
            let before = self.kept.borrow().state;
            let done = match before {
                State::Version => self.get_version().await,
                State::Register => self.register().await,
                State::Beat => self.heartbeat().await,
            };
            let after = match done {
                Ok(after) => after,
                Err(why) => {
                    let mut kept = self.kept.borrow_mut();
                    if kept.trouble.as_ref() != Some(&why) {
                        tracing::warn!(scm = %self.link.name(), state = ?before, why, "SCM was not reached");
                    }
                    kept.trouble = Some(why);
                    return;
                }
            };
            self.enter(after);
            if after == before {
                return;
            }
            tracing::info!(scm = %self.link.name(), from = ?before, to = ?after, "SCM took the step");
        }
    }

    fn enter(&self, state: State) {
        {
            let mut kept = self.kept.borrow_mut();
            (kept.state, kept.trouble) = (state, None);
        }
        let mut queue = self.shared.queue.borrow_mut();
        queue.known_to(self.number, state == State::Beat);
        self.shared.lobby.scms_registered.store(queue.knowing(), Relaxed);
        drop(queue);
        self.shared.commands.notify_one();
    }

    async fn get_version(&self) -> Result<State, String> {
        let DatanodeAnswerApart::GetVersion(version) = self.ask(DatanodeCall::GetVersion(Empty)).await?
        else {
            return Err("the answer holds no version".into());
        };
        let cluster = version.keys.into_iter().find(|pair| pair.key == "clusterID");
        let cluster = cluster.and_then(|pair| pair.value);
        let cluster = cluster.filter(|id| !id.is_empty()).ok_or("SCM names no clusterID")?;
        let lobby = &self.shared.lobby;
        if let Some(node) = lobby.door.get() {
            return self.same_cluster(node, &cluster).map(|()| State::Register);
        }
        // Two SCMs may answer at once: the second finds the datanode open, and is held against the first.
        let (entering, wanted) = (lobby.clone(), cluster.clone());
        let opening = lobby.shards.run_on(ShardId(0), "open", move |shard| async move {
            entering.open(&shard, &wanted).await.map(drop).map_err(|e| super::link::chain(&e))
        });
        let opened = opening.map_err(|e| e.to_string())?.await.map_err(|e| e.to_string())?;
        match lobby.door.get() {
            Some(node) => self.same_cluster(node, &cluster).map(|()| State::Register),
            None => Err(opened.err().unwrap_or_else(|| "the volumes did not open".to_owned())),
        }
    }

    fn same_cluster(&self, node: &Node, cluster: &str) -> Result<(), String> {
        match node.cluster == cluster {
            true => Ok(()),
            false => Err(format!("SCM is of cluster {cluster}, the volumes are of {}", node.cluster)),
        }
    }

    async fn register(&self) -> Result<State, String> {
        let node = self.node()?;
        let (lobby, clock) = (&self.shared.lobby, &self.shared.clock);
        let replicas = replicas(&node).await?;
        let extended_datanode_details = ExtendedDatanodeDetails {
            datanode_details: report::details(&lobby.identity()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            setup_time: Some(clock.wall_ms() as i64),
            // By it SCM knows datanodes of this kind, and what they acknowledge: the members of one pipeline are of one kind.
            revision: Some(format!("allotrope/{}", node.config.durability.name())),
            build_date: None,
        };
        let register = ScmRegisterRequest {
            extended_datanode_details,
            node_report: self.node_report(&node),
            container_report: report::containers(&replicas, node.id),
            pipeline_reports: node.pipelines.reports(),
            data_node_layout_version: Some(report::layout(lobby.config.layout_version)),
        };
        let DatanodeAnswerApart::Register(response) = self.ask(DatanodeCall::Register(register)).await?
        else {
            return Err("the answer holds no registration".into());
        };
        if response.error_code != Registered::Success {
            return Err(format!("SCM does not permit this datanode (code {})", response.error_code as i32));
        }
        if response.datanode_uuid != node.id {
            return Err(format!("SCM registered {} instead of {}", response.datanode_uuid, node.id));
        }
        if !response.cluster_id.is_empty() {
            self.same_cluster(&node, &response.cluster_id)?;
        }
        self.kept.borrow_mut().full_report_due = Some(clock.now() + lobby.config.container_report_every);
        Ok(State::Beat)
    }

    async fn heartbeat(&self) -> Result<State, String> {
        let node = self.node()?;
        let (lobby, clock) = (&self.shared.lobby, &self.shared.clock);
        let full = self.kept.borrow().full_report_due.is_none_or(|due| clock.now() >= due);
        // What changes while the report is gathered is told with the next heartbeat, again if the report has it.
        let (changes, closes, statuses) = {
            let mut kept = self.kept.borrow_mut();
            let taken = (std::mem::take(&mut kept.changes), std::mem::take(&mut kept.closes));
            (taken.0, taken.1, std::mem::take(&mut kept.statuses))
        };
        let asked = match full {
            true => replicas(&node).await.map(|all| Some(report::containers(&all, node.id))),
            false => Ok(None),
        };
        let asked = match asked {
            Ok(full) => {
                let heartbeat = self.beat_of(&node, full, &changes, &closes, &statuses);
                self.ask(DatanodeCall::SendHeartbeat(heartbeat)).await
            }
            Err(e) => Err(e),
        };
        lobby.metrics.heartbeat(asked.is_ok());
        let mut kept = self.kept.borrow_mut();
        let response = match asked {
            Ok(response) => response,
            Err(e) => {
                // They are differences: what SCM did not hear is told again, unless something newer has come.
                for (id, facts) in changes {
                    kept.changes.entry(id).or_insert(facts);
                }
                kept.closes.extend(closes);
                for status in statuses.into_iter().rev() {
                    kept.statuses.push_front(status);
                }
                return Err(e);
            }
        };
        kept.closes.extend(closes.into_iter().skip(ACTIONS_MAX));
        if full {
            kept.full_report_due = Some(clock.now() + lobby.config.container_report_every);
        }
        drop(kept);
        match response {
            DatanodeAnswerApart::SendHeartbeat(response) => Ok(self.take_in(response)),
            _ => Err("the answer holds no heartbeat".into()),
        }
    }

    fn beat_of(
        &self,
        node: &Node,
        container_report: Option<ContainerReports>,
        changes: &BTreeMap<ContainerId, ReplicaFacts>,
        closes: &BTreeSet<ContainerId>,
        statuses: &VecDeque<CommandStatus>,
    ) -> ScmHeartbeatRequest {
        let lobby = &self.shared.lobby;
        let actions = closes.iter().take(ACTIONS_MAX).map(|id| ContainerAction {
            container_id: *id,
            action: ContainerWish::Close,
            reason: Some(ContainerWishReason::ContainerFull),
        });
        let mut counts = self.shared.queue.borrow().counts();
        for (kind, count) in node.supervisor.counts() {
            *counts.entry(kind).or_default() += count;
        }
        let (command, count) = counts.into_iter().unzip();
        ScmHeartbeatRequest {
            datanode_details: report::details(&lobby.identity()),
            node_report: Some(self.node_report(node)),
            container_report,
            incremental_container_report: match changes.is_empty() {
                true => Vec::new(),
                false => vec![IncrementalContainerReport {
                    report: changes.values().map(|one| report::replica(one, node.id)).collect(),
                }],
            },
            command_status_reports: match statuses.is_empty() {
                true => Vec::new(),
                false => vec![CommandStatusReports { cmd_status: statuses.iter().cloned().collect() }],
            },
            container_actions: Some(ContainerActions { container_actions: actions.collect() }),
            pipeline_actions: node.pipelines.actions(),
            pipeline_reports: Some(node.pipelines.reports()),
            data_node_layout_version: Some(report::layout(lobby.config.layout_version)),
            command_queue_report: Some(CommandQueueReport { command, count }),
        }
    }

    /// Queues the commands of an answer. Registering anew is this endpoint's own business and waits for nobody.
    fn take_in(&self, response: ScmHeartbeatApart) -> State {
        let (clock, metrics) = (&self.shared.clock, &self.shared.lobby.metrics);
        let mut state = State::Beat;
        let mut queue = self.shared.queue.borrow_mut();
        queue.heard_term(response.term);
        for command in response.commands {
            let command = match command {
                Ok(command) => command,
                Err(refused) => {
                    if let Some(status) = commands::refuse(metrics, &refused) {
                        self.note_status(status);
                        self.ring();
                    }
                    continue;
                }
            };
            let kind = command.call.kind();
            if matches!(command.call, ScmOrder::ReregisterCommand(_)) {
                state = State::Version;
                continue;
            }
            if let Err(why) = queue.push(command, clock.now(), clock.wall_ms()) {
                metrics.scm_command(kind, why.name());
                tracing::info!(
                    command = kind.as_str_name(),
                    why = why.name(),
                    "a command of SCM's is not carried out"
                );
                if why == Turned::Full {
                    break;
                }
            }
        }
        drop(queue);
        self.shared.commands.notify_one();
        state
    }

    async fn ask(&self, call: DatanodeCall) -> Result<DatanodeAnswerApart, String> {
        link::ask(&self.link, call).await
    }

    fn node(&self) -> Result<Arc<Node>, String> {
        self.shared.lobby.door.get().cloned().ok_or_else(|| "the volumes are not open".to_owned())
    }

    fn node_report(&self, node: &Node) -> NodeReport {
        let dir = self.shared.lobby.config.metadata_dir.to_string_lossy();
        let volumes = node.volumes();
        report::node(
            volumes.iter().map(|one| &**one),
            &dir,
            volumes.iter().find(|one| !one.is_failed()).map(|one| &**one),
        )
    }
}

/// What every shard says of its containers.
async fn replicas(node: &Node) -> Result<Vec<ReplicaFacts>, String> {
    let mut all = Vec::new();
    for n in 0..node.mesh.shards() {
        let part = node.mesh.ask(ShardId(n), ShardMessage::Replicas).await;
        all.extend(part.map_err(|e| format!("shard {n} does not report: {e}"))?);
    }
    Ok(all)
}
