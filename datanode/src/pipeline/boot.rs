//! Pipelines at a start and by SCM's commands: made, taken up again, ended.
//!
//! Law     a member of a pipeline of several ends its epoch with every restart, before SCM hears of any container: what it
//!         did not flush may be gone, and its numbers are. One that is alone goes on behind every number it may have given.
//! Source  docs/pipelines.md.

use super::directory::Entry;
use super::group::RESERVE;
use super::plan::{Member, Plan, PlanError};
use super::record::{self, Record, Standing};
use super::{Ask, home_of};
use crate::boot::Lobby;
use crate::store::{Event, Node, ShardMessage};
use allotrope_io::{Shard, ShardId};
use allotrope_proto::edge::heartbeat::{ClosePipelineCommand, CreatePipelineCommand};
use allotrope_proto::edge::ratis::{RaftPeer, RaftPeerRole};
use allotrope_types::{ContainerId, DatanodeId, PipelineId};
use std::sync::Arc;

/// How long an ended pipeline that SCM has closed is remembered, in ms: a command to make it may still be under way.
const REMEMBERED_MS: u64 = 7 * 24 * 3600 * 1000;

/// Ends the epochs that a restart ends and takes up the others. Runs before SCM is told anything.
pub(crate) async fn take_up(
    shard: &Shard,
    node: &Arc<Node>,
    mut draw: impl FnMut() -> [u8; 16],
) -> Result<(), String> {
    let (disk, dir) = (shard.disk(), &node.config.metadata_dir);
    let (records, damaged) = record::load_all(disk, dir).await.map_err(|e| e.to_string())?;
    // Without its record an epoch does not go on here: a file that cannot be read counts as an end.
    damaged.iter().for_each(|e| tracing::error!(error = %e, "a pipeline is left ended"));
    let now_ms = shard.clock().wall_ms();
    for mut record in records {
        let id = record.id;
        match record.standing {
            Standing::Open if record.members.len() == 1 => {
                let next = record.reserved + 1;
                record.reserved += RESERVE;
                record::save(disk, dir, &record).await.map_err(|e| e.to_string())?;
                start(node, Arc::new(entry(&record, node.id)), record, next, draw()).await?;
                tracing::info!(pipeline = %id, next, "a pipeline goes on");
            }
            Standing::Open => {
                (record.standing, record.ended_ms) = (Standing::Ended, now_ms);
                record::save(disk, dir, &record).await.map_err(|e| e.to_string())?;
                let entry = entry(&record, node.id);
                entry.set_ending("the datanode was restarted");
                node.pipelines.insert(Arc::new(entry));
                tracing::info!(pipeline = %id, "a pipeline has ended with the restart");
            }
            Standing::Ended => node.pipelines.insert(Arc::new(entry(&record, node.id))),
            Standing::Closed if now_ms.saturating_sub(record.ended_ms) >= REMEMBERED_MS => {
                if let Err(e) = record::remove(disk, dir, id).await {
                    tracing::warn!(pipeline = %id, error = %e, "an old pipeline is not forgotten");
                }
            }
            Standing::Closed => {}
        }
    }
    Ok(())
}

/// A pipeline of which only its record is known.
fn entry(record: &Record, me: DatanodeId) -> Entry {
    let member = |id: &DatanodeId| Member {
        id: *id,
        address: None,
        ours: true,
        peer: RaftPeer {
            id: *id,
            address: String::new(),
            priority: 0,
            data_stream_address: String::new(),
            client_address: String::new(),
            admin_address: String::new(),
            startup_role: RaftPeerRole::Follower,
        },
    };
    let members = record.members.iter().map(member).collect();
    let plan = Plan { id: record.id, members, leader: record.leader };
    let me = plan.place_of(me).unwrap_or(record.leader);
    Entry::new(plan, me, record.standing)
}

async fn start(
    node: &Arc<Node>,
    entry: Arc<Entry>,
    record: Record,
    next: u64,
    run: [u8; 16],
) -> Result<(), String> {
    let home = home_of(node.id, entry.plan.id, node.mesh.shards());
    let asked = node
        .mesh
        .ask(home, |reply| ShardMessage::Pipeline(Ask::Start { entry, record, next, run, reply }))
        .await;
    asked.map_err(|e| e.to_string())
}

/// SCM's createPipeline. Repeated, it changes nothing.
pub async fn create(
    lobby: &Arc<Lobby>,
    node: &Arc<Node>,
    command: &CreatePipelineCommand,
) -> Result<(), String> {
    let plan = Plan::of_command(command, node.id).map_err(|e| e.to_string())?;
    let id = plan.id;
    if let Some(entry) = node.pipelines.get(id) {
        return match entry.is_open() {
            true => Ok(()),
            false => Err(format!("pipeline {id} has ended here")),
        };
    }
    if let Some(stranger) = plan.stranger() {
        return Err(refuse(node, plan, PlanError::Stranger(stranger)));
    }
    let members: Vec<DatanodeId> = plan.members.iter().map(|one| one.id).collect();
    let reserved = if members.len() == 1 { RESERVE } else { 0 };
    let (leader, standing) = (plan.leader, Standing::Open);
    let record = Record { id, members, leader, standing, reserved, ended_ms: 0 };
    let kept = on_disk(lobby, record).await?;
    let me = plan.place_of(node.id).ok_or_else(|| PlanError::Foreign(node.id).to_string())?;
    let leads = plan.leader == me;
    let entry = Arc::new(Entry::new(plan, me, Standing::Open));
    start(node, entry, kept, 1, lobby.random()).await?;
    tracing::info!(pipeline = %id, leads, "a pipeline is made");
    drop(node.events.try_send(Event::Pipelines));
    Ok(())
}

/// Takes no part in a pipeline, and asks SCM to close it, with each heartbeat until it does.
fn refuse(node: &Node, plan: Plan, why: PlanError) -> String {
    let why = why.to_string();
    let me = plan.place_of(node.id).unwrap_or(0);
    let entry = Entry::new(plan, me, Standing::Ended);
    entry.set_ending(&why);
    node.pipelines.insert(Arc::new(entry));
    drop(node.events.try_send(Event::Pipelines));
    why
}

/// Writes a new pipeline's record, unless there is one already: that pipeline has been here before.
async fn on_disk(lobby: &Arc<Lobby>, record: Record) -> Result<Record, String> {
    let dir = lobby.config.metadata_dir.clone();
    let writing = lobby.shards.run_on(ShardId(0), "pipeline record", move |shard| async move {
        let id = record.id;
        match record::load(shard.disk(), &dir, id).await {
            Ok(None) => {}
            Ok(Some(_)) => return Err(format!("pipeline {id} has been here before")),
            Err(e) => return Err(e.to_string()),
        }
        record::save(shard.disk(), &dir, &record).await.map_err(|e| e.to_string())?;
        Ok(record)
    });
    writing.map_err(|e| e.to_string())?.await.map_err(|e| e.to_string())?
}

/// SCM's closePipeline.
pub async fn close(lobby: &Arc<Lobby>, node: &Node, command: &ClosePipelineCommand) -> Result<(), String> {
    let id = command.pipeline;
    if node.pipelines.get(id).is_none() {
        return Ok(());
    }
    end(node, id, "SCM has closed it", true).await?;
    // One that a start found ended has no home shard that would note it.
    let dir = lobby.config.metadata_dir.clone();
    let noting = lobby.shards.run_on(ShardId(0), "pipeline record", move |shard| async move {
        match record::load(shard.disk(), &dir, id).await {
            Ok(Some(record)) if record.standing == Standing::Ended => {
                let closed = Record { standing: Standing::Closed, ..record };
                record::save(shard.disk(), &dir, &closed).await.map_err(|e| e.to_string())
            }
            Ok(_) => Ok(()),
            Err(e) => Err(e.to_string()),
        }
    });
    noting.map_err(|e| e.to_string())?.await.map_err(|e| e.to_string())?
}

/// Ends a pipeline here, durably, if it has not.
pub(crate) async fn end(node: &Node, id: PipelineId, why: &str, closed: bool) -> Result<(), String> {
    let why = why.to_owned();
    let home = home_of(node.id, id, node.mesh.shards());
    let ask = |reply| ShardMessage::Pipeline(Ask::End { pipeline: id, why, closed, reply });
    node.mesh.ask(home, ask).await.map_err(|e| e.to_string())?;
    // One that a start found ended has no home; it is let go here.
    if closed {
        node.pipelines.remove(id);
    }
    Ok(())
}

/// What becomes of SCM's wish to close a container, by its pipeline.
pub enum Closing {
    /// The pipeline is of the past here: the container is closed by this datanode alone.
    Alone,
    /// The leader has closed it on all members.
    Agreed,
    /// The leader sees to it.
    LeftToLeader,
}

/// Closes a container through its pipeline, if that is open here.
pub async fn close_container(
    node: &Arc<Node>,
    pipeline: PipelineId,
    container: ContainerId,
    force: bool,
) -> Result<Closing, String> {
    let Some(entry) = node.pipelines.get(pipeline) else { return Ok(Closing::Alone) };
    if force || !entry.is_open() {
        // The fence before anything of the container is told.
        if entry.standing() == Standing::Open {
            end(node, pipeline, "SCM closes its containers", false).await?;
        }
        return Ok(Closing::Alone);
    }
    if !entry.leads() {
        return Ok(Closing::LeftToLeader);
    }
    let request = Box::new(close_request(node, pipeline, container).into());
    let home = home_of(node.id, pipeline, node.mesh.shards());
    let asked = node.mesh.ask(home, |reply| {
        let (call, replied, room) = (None, Vec::new(), None);
        ShardMessage::Pipeline(Ask::Submit { pipeline, call, replied, request, room, reply })
    });
    use super::group::Answer;
    match asked.await.map_err(|e| e.to_string())? {
        Answer::Done { .. } => Ok(Closing::Agreed),
        Answer::Refused { why, .. } => Err(why),
        Answer::Ended => Ok(Closing::LeftToLeader),
        Answer::NotReady => Err("the pipeline reserves indexes".into()),
    }
}

fn close_request(
    node: &Node,
    pipeline: PipelineId,
    container: ContainerId,
) -> allotrope_proto::container::ContainerCommandRequestProto {
    use allotrope_proto::container::{CloseContainerRequestProto, ContainerCommandRequestProto, Type};
    ContainerCommandRequestProto {
        cmd_type: Type::CloseContainer.into(),
        container_id: container.to_wire(),
        datanode_uuid: node.id.to_string(),
        pipeline_id: Some(pipeline.to_string()),
        close_container: Some(CloseContainerRequestProto {}),
        ..Default::default()
    }
}
