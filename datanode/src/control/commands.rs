//! SCM's commands, carried out.
//!
//! Shape   one function a type; what SCM is told of the outcome is a [`CommandStatus`], or nothing where the next report
//!         says it all. Copies and reconstructions go to the [`Supervisor`], which tells their end as an event.
//! Errors  logged with the container; SCM sees the outcome in the next report and asks again if it wants to. What is
//!         malformed does not come here: [`refuse`] says what SCM is told of it.
//! Source  wire facts: scm.md 1.7.

use super::Shared;
use super::link::chain;
use crate::boot::Lobby;
use crate::container::delete_blocks::Transaction;
use crate::identity;
use crate::metrics::Metrics;
use crate::pipeline;
use crate::pipeline::boot::Closing;
use crate::replication::queue::{Validity, Work};
use crate::replication::supervisor::Supervisor;
use crate::store::{Node, ShardMessage};
use crate::volume::check;
use allotrope_io::ShardId;
use allotrope_proto::edge::hdds::NodeOperationalState;
use allotrope_proto::edge::heartbeat::apart::RefusedCommand;
use allotrope_proto::edge::heartbeat::{
    CloseContainerCommand, CommandKind, CommandOutcome, CommandStatus, ContainerBlocksDeletionAck,
    DeleteBlockTransactionResult, DeleteContainerCommand, DeletedBlocksTransaction, ScmCommand, ScmOrder,
};
use allotrope_types::ContainerId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Refuses a command that is malformed: one line in the log, and what SCM is told, if it gave the command a number to tell it
/// by. One of a kind that nobody here knows is told of as number 0, of that name.
pub fn refuse(metrics: &Metrics, refused: &RefusedCommand) -> Option<CommandStatus> {
    let why = chain(&refused.why);
    let command = refused.kind.map_or("unknown", |kind| kind.as_str_name());
    tracing::warn!(command, id = refused.cmd_id, why, "a malformed command of SCM's is not carried out");
    metrics.scm_command(refused.kind, if refused.kind.is_some() { "refused" } else { "unknown" });
    match refused.kind {
        Some(kind) => refused.cmd_id.map(|id| failed(kind, id, why)),
        None => Some(failed(CommandKind::UnknownScmCommand, 0, why)),
    }
}

fn failed(kind: CommandKind, cmd_id: i64, why: String) -> CommandStatus {
    let status = CommandOutcome::Failed;
    CommandStatus { cmd_id, status, r#type: kind, msg: Some(why), block_deletion_ack: None }
}

/// Carries out one command. What SCM is to be told of it, if anything.
pub async fn carry_out(shared: &Shared, command: ScmCommand) -> Option<CommandStatus> {
    let lobby = &shared.lobby;
    let node = lobby.door.get()?;
    let (kind, id) = (command.call.kind(), command.call.cmd_id());
    let validity = Validity { term: command.term, deadline_ms: command.deadline_ms_since_epoch };
    let not_done = |why: String| {
        tracing::warn!(command = kind.as_str_name(), id, why, "a command of SCM's is not carried out");
        lobby.metrics.scm_command(kind, "refused");
        id.map(|id| failed(kind, id, why))
    };
    match command.call {
        ScmOrder::CloseContainerCommand(close) => close_container(node, &close).await,
        ScmOrder::DeleteContainerCommand(delete) => delete_container(node, &delete).await,
        ScmOrder::DeleteBlocksCommand(delete) => {
            let ack = delete_blocks(node, delete.deleted_blocks_transactions).await;
            lobby.metrics.scm_command(kind, "done");
            return Some(CommandStatus {
                cmd_id: delete.cmd_id,
                status: CommandOutcome::Executed,
                r#type: kind,
                msg: None,
                block_deletion_ack: Some(ack),
            });
        }
        ScmOrder::SetNodeOperationalStateCommand(set) => {
            set_state(lobby, set.node_operational_state, set.state_expiry_epoch_seconds).await;
            node.supervisor.set_leaving(&lobby.identity().operational_state);
        }
        ScmOrder::RefreshVolumeUsageInfo(_) => check::refresh_space(lobby, node).await,
        // The layout is the newest this release has from the first start on: there is nothing to finalize.
        ScmOrder::FinalizeNewLayoutVersionCommand(_) => tracing::info!("the layout is final already"),
        ScmOrder::ClosePipelineCommand(close) => {
            if let Err(why) = pipeline::boot::close(lobby, node, &close).await {
                return not_done(why);
            }
        }
        // Its endpoint has done it.
        ScmOrder::ReregisterCommand(_) => {}
        ScmOrder::CreatePipelineCommand(create) => {
            if let Err(why) = pipeline::boot::create(lobby, node, &create).await {
                return not_done(why);
            }
        }
        // These take their time, in a queue of their own; their end comes as an event.
        ScmOrder::ReplicateContainerCommand(replicate) => {
            Supervisor::offer(node, Work::Replicate(Box::new(replicate)), validity, &shared.clock);
            return None;
        }
        ScmOrder::ReconstructEcContainersCommand(reconstruct) => {
            Supervisor::offer(node, Work::Reconstruct(Box::new(reconstruct)), validity, &shared.clock);
            return None;
        }
        ScmOrder::ReconcileContainerCommand(_) => {
            return not_done("this release does not reconcile containers yet".to_owned());
        }
    }
    lobby.metrics.scm_command(kind, "done");
    None
}

async fn close_container(node: &Arc<Node>, close: &CloseContainerCommand) {
    let (container, pipeline, force) = (close.container_id, close.pipeline, close.force.unwrap_or(false));
    match pipeline::boot::close_container(node, pipeline, container, force).await {
        Ok(Closing::Alone) => {}
        Ok(Closing::Agreed) => return tracing::info!(%container, %pipeline, "closed on all members"),
        Ok(Closing::LeftToLeader) => return,
        Err(why) => return tracing::warn!(%container, %pipeline, why, "not closed"),
    }
    let asked =
        node.mesh.ask(node.home_of(container), |reply| ShardMessage::Close { container, force, reply });
    match asked.await {
        Ok(Ok(())) => tracing::info!(%container, force, "closed as SCM asked"),
        Ok(Err(e)) => tracing::warn!(%container, force, error = %e, "not closed"),
        Err(e) => tracing::warn!(%container, error = %e, "not closed"),
    }
}

async fn delete_container(node: &Node, delete: &DeleteContainerCommand) {
    let (container, force, replica) = (delete.container_id, delete.force, delete.replica);
    let asked = node.mesh.ask(node.home_of(container), |reply| ShardMessage::Delete {
        container,
        force,
        replica,
        reply,
    });
    match asked.await {
        Ok(Ok(())) => tracing::info!(%container, force, "deleted as SCM asked"),
        Ok(Err(e)) => tracing::warn!(%container, force, error = %e, "not deleted"),
        Err(e) => tracing::warn!(%container, error = %e, "not deleted"),
    }
}

/// Has each container's home shard remember the transactions durably; the blocks go later. What is not remembered is
/// acknowledged as failed, and SCM sends it again.
async fn delete_blocks(
    node: &Node,
    transactions: Vec<DeletedBlocksTransaction>,
) -> ContainerBlocksDeletionAck {
    let mut results: BTreeMap<(i64, ContainerId), bool> = BTreeMap::new();
    let mut homes: BTreeMap<usize, Vec<Transaction>> = BTreeMap::new();
    for one in transactions {
        results.insert((one.tx_id, one.container_id), false);
        match Transaction::try_from(one) {
            Ok(one) => homes.entry(node.home_of(one.container).0).or_default().push(one),
            Err(why) => tracing::warn!(why, "a deletion cannot be understood"),
        }
    }
    for (shard, transactions) in homes {
        let asked = node.mesh.ask(ShardId(shard), |reply| ShardMessage::DeleteBlocks { transactions, reply });
        match asked.await {
            Ok(marked) => results.extend(marked.into_iter().map(|one| (one, true))),
            Err(e) => tracing::warn!(shard, error = %e, "deletions are not taken"),
        }
    }
    let results = results.into_iter().map(|((tx_id, container_id), success)| DeleteBlockTransactionResult {
        tx_id,
        container_id,
        success,
    });
    ContainerBlocksDeletionAck { results: results.collect(), dn_id: node.id }
}

/// Keeps the operational state durably; the next heartbeat tells it back, which is what SCM waits for.
async fn set_state(lobby: &Arc<Lobby>, state: NodeOperationalState, expiry_s: i64) {
    let mut file = lobby.identity();
    file.operational_state = state.as_str_name().to_owned();
    file.operational_state_expiry_s = expiry_s;
    let (kept, written) = (lobby.clone(), file.clone());
    let saving = lobby.shards.run_on(ShardId(0), "identity", move |shard| async move {
        identity::save(shard.disk(), &kept.config, &written).await.map_err(|e| e.to_string())
    });
    let saved = match saving {
        Ok(saving) => saving.await.map_err(|e| e.to_string()).and_then(|done| done),
        Err(e) => Err(e.to_string()),
    };
    match saved {
        Ok(()) => {
            *lobby.identity.lock().unwrap_or_else(PoisonError::into_inner) = file;
            tracing::info!(state = state.as_str_name(), "the operational state is kept");
        }
        Err(e) => tracing::error!(error = %e, "the operational state is not kept"),
    }
}
