//! One SCM: get its version, register, then heartbeats.
//!
//! Shape   a state and what waits to be told. Changes and close requests are kept until a heartbeat that carried them was
//!         answered; the other reports are made anew each time.
//! Errors  logged; the state stays, and the next heartbeat tries again.

use super::link::ScmLink;
use super::{commands, report};
use crate::boot::Lobby;
use crate::store::{Event, Node, ReplicaFacts, ShardMessage};
use allotrope_io::{Clock, Moment, ShardId};
use allotrope_proto::hdds::ExtendedDatanodeDetailsProto;
use allotrope_proto::heartbeat::container_action::{Action, Reason};
use allotrope_proto::heartbeat::{
    CommandQueueReportProto, CommandStatusReportsProto, ContainerAction, ContainerActionsProto,
    IncrementalContainerReportProto, PipelineReportsProto, ScmDatanodeRequest, ScmDatanodeResponse,
    ScmHeartbeatRequestProto, ScmRegisterRequestProto, ScmVersionRequestProto, Status, Type,
};
use allotrope_types::ContainerId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Close requests in one heartbeat (`hdds.container.action.max.limit`).
const ACTIONS_MAX: usize = 20;
/// Success in a registration's answer.
const REGISTERED: i32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Version,
    Register,
    Beat,
}

/// What is kept for one SCM.
pub struct Endpoint<L> {
    lobby: Arc<Lobby>,
    link: L,
    state: State,
    changes: BTreeMap<ContainerId, ReplicaFacts>,
    closes: BTreeSet<ContainerId>,
    statuses: Vec<allotrope_proto::heartbeat::CommandStatus>,
    full_report_due: Option<Moment>,
    /// The newest term an SCM leader has named; commands of an older one are not carried out.
    term: i64,
    /// What was logged last, so that a trouble that stays is logged once.
    trouble: Option<String>,
}

impl<L: ScmLink> Endpoint<L> {
    /// An SCM that has not been asked anything yet.
    pub fn new(lobby: Arc<Lobby>, link: L) -> Endpoint<L> {
        Endpoint {
            lobby,
            link,
            state: State::Version,
            changes: BTreeMap::new(),
            closes: BTreeSet::new(),
            statuses: Vec::new(),
            full_report_due: None,
            term: 0,
            trouble: None,
        }
    }

    /// Whether this SCM knows the datanode.
    pub fn is_registered(&self) -> bool {
        self.state == State::Beat
    }

    /// Notes a change that this SCM shall hear of.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Replica(facts) => drop(self.changes.insert(facts.container, facts.clone())),
            Event::CloseWanted(container) => drop(self.closes.insert(*container)),
        }
    }

    /// One round: as many steps as SCM lets us take now.
    pub async fn beat(&mut self, clock: &Clock) {
        for _ in 0..3 {
            let before = self.state;
            let done = match self.state {
                State::Version => self.get_version().await,
                State::Register => self.register(clock).await,
                State::Beat => self.heartbeat(clock).await,
            };
            if let Err(why) = &done
                && self.trouble.as_ref() != Some(why)
            {
                tracing::warn!(scm = %self.link.name(), state = ?self.state, why, "SCM was not reached");
            }
            self.trouble = done.err();
            if self.trouble.is_some() || self.state == before {
                return;
            }
            tracing::info!(scm = %self.link.name(), state = ?self.state, "SCM took the step");
        }
    }

    async fn get_version(&mut self) -> Result<(), String> {
        let request = ScmDatanodeRequest {
            cmd_type: Type::GetVersion.into(),
            get_version_request: Some(ScmVersionRequestProto {}),
            ..Default::default()
        };
        let response = self.ask(request).await?;
        let keys = response.get_version_response.ok_or("the answer holds no version")?.keys;
        let cluster = keys.iter().find(|pair| pair.key == "clusterID").and_then(|pair| pair.value.clone());
        let cluster = cluster.filter(|id| !id.is_empty()).ok_or("SCM names no clusterID")?;
        match self.lobby.door.get() {
            Some(node) => {
                let here = &node.volumes[0].version().cluster_id;
                if *here != cluster {
                    return Err(format!("SCM is of cluster {cluster}, the volumes are of {here}"));
                }
            }
            None => {
                let lobby = self.lobby.clone();
                let opening = self.lobby.shards.run_on(ShardId(0), "open", move |shard| async move {
                    lobby.open(&shard, &cluster).await.map(drop).map_err(|e| e.to_string())
                });
                opening.map_err(|e| e.to_string())?.await.map_err(|e| e.to_string())??;
            }
        }
        self.state = State::Register;
        Ok(())
    }

    async fn register(&mut self, clock: &Clock) -> Result<(), String> {
        let node = self.node()?;
        let file = self.lobby.identity();
        let replicas = replicas(&node).await?;
        let extended_datanode_details = ExtendedDatanodeDetailsProto {
            datanode_details: report::details(&file),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            setup_time: Some(clock.wall_ms() as i64),
            revision: None,
            build_date: None,
        };
        let register = ScmRegisterRequestProto {
            extended_datanode_details,
            node_report: self.node_report(&node),
            container_report: report::containers(&replicas, node.id),
            pipeline_reports: PipelineReportsProto::default(),
            data_node_layout_version: Some(report::layout()),
        };
        let request = ScmDatanodeRequest {
            cmd_type: Type::Register.into(),
            register_request: Some(register),
            ..Default::default()
        };
        let response =
            self.ask(request).await?.register_response.ok_or("the answer holds no registration")?;
        if response.error_code != REGISTERED {
            return Err(format!("SCM does not permit this datanode (code {})", response.error_code));
        }
        if response.datanode_uuid != node.id.to_string() {
            return Err(format!("SCM registered {} instead of {}", response.datanode_uuid, node.id));
        }
        self.full_report_due = Some(clock.now() + self.lobby.config.container_report_every);
        self.state = State::Beat;
        Ok(())
    }

    async fn heartbeat(&mut self, clock: &Clock) -> Result<(), String> {
        let node = self.node()?;
        let full = self.full_report_due.is_none_or(|due| clock.now() >= due);
        let (changes, closes) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.closes));
        let statuses = std::mem::take(&mut self.statuses);
        let container_report = match full {
            true => Some(report::containers(&replicas(&node).await?, node.id)),
            false => None,
        };
        let incremental = match changes.is_empty() {
            true => Vec::new(),
            false => vec![IncrementalContainerReportProto {
                report: changes.values().map(|one| report::replica(one, node.id)).collect(),
            }],
        };
        let actions = closes.iter().take(ACTIONS_MAX).map(|id| ContainerAction {
            container_id: id.to_wire(),
            action: Action::Close.into(),
            reason: Some(Reason::ContainerFull.into()),
        });
        let heartbeat = ScmHeartbeatRequestProto {
            datanode_details: report::details(&self.lobby.identity()),
            node_report: Some(self.node_report(&node)),
            container_report,
            incremental_container_report: incremental,
            command_status_reports: match statuses.is_empty() {
                true => Vec::new(),
                false => vec![CommandStatusReportsProto { cmd_status: statuses.clone() }],
            },
            container_actions: Some(ContainerActionsProto { container_actions: actions.collect() }),
            pipeline_actions: None,
            pipeline_reports: Some(PipelineReportsProto::default()),
            data_node_layout_version: Some(report::layout()),
            command_queue_report: Some(CommandQueueReportProto::default()),
        };
        let request = ScmDatanodeRequest {
            cmd_type: Type::SendHeartbeat.into(),
            send_heartbeat_request: Some(heartbeat),
            ..Default::default()
        };
        let answered = self.ask(request).await;
        self.lobby.metrics.heartbeat(answered.is_ok());
        let Ok(response) = answered else {
            // They are differences: what SCM did not hear is told again, unless something newer has come.
            for (id, facts) in changes {
                self.changes.entry(id).or_insert(facts);
            }
            self.closes.extend(closes);
            self.statuses.splice(0..0, statuses);
            return answered.map(drop);
        };
        self.closes.extend(closes.into_iter().skip(ACTIONS_MAX));
        if full {
            self.full_report_due = Some(clock.now() + self.lobby.config.container_report_every);
        }
        let response = response.send_heartbeat_response.ok_or("the answer holds no heartbeat")?;
        self.term = self.term.max(response.term.unwrap_or(0));
        for command in response.commands {
            if command.term.is_some_and(|term| term < self.term) {
                tracing::info!(command = command.command_type, "a command of an older term is dropped");
                continue;
            }
            match commands::carry_out(&self.lobby, &node, command, clock).await {
                commands::Outcome::Done => {}
                commands::Outcome::Reregister => self.state = State::Version,
            }
        }
        Ok(())
    }

    async fn ask(&self, request: ScmDatanodeRequest) -> Result<ScmDatanodeResponse, String> {
        let response = self.link.submit(request).await.map_err(|e| e.to_string())?;
        match response.status == i32::from(Status::Ok) {
            true => Ok(response),
            false => Err(response.message.unwrap_or_else(|| "SCM answered with an error".into())),
        }
    }

    fn node(&self) -> Result<Arc<Node>, String> {
        self.lobby.door.get().cloned().ok_or_else(|| "the volumes are not open".to_owned())
    }

    fn node_report(&self, node: &Node) -> allotrope_proto::heartbeat::NodeReportProto {
        let dir = self.lobby.config.metadata_dir.to_string_lossy();
        report::node(node.volumes.iter().map(|one| &**one), &dir, node.volumes.first().map(|one| &**one))
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
