//! SCM's commands, carried out.
//!
//! Shape   one function a type; what SCM is told of the outcome is a [`CommandStatus`], or nothing where the next report
//!         says it all. Copies and reconstructions go to the [`Supervisor`], which tells their end as an event.
//! Errors  logged with the container; SCM sees the outcome in the next report and asks again if it wants to.
//! Source  wire facts: scm.md 1.7.

use super::Shared;
use super::queue::cmd_id;
use crate::boot::Lobby;
use crate::container::delete_blocks::Transaction;
use crate::identity;
use crate::pipeline;
use crate::pipeline::boot::Closing;
use crate::replication::supervisor::Supervisor;
use crate::store::{Node, ShardMessage};
use crate::volume::check;
use allotrope_io::ShardId;
use allotrope_proto::hdds::NodeOperationalState;
use allotrope_proto::heartbeat::command_status::Status;
use allotrope_proto::heartbeat::container_blocks_deletion_ack_proto::DeleteBlockTransactionResult;
use allotrope_proto::heartbeat::scm_command_proto::Type;
use allotrope_proto::heartbeat::{
    CloseContainerCommandProto, CommandStatus, ContainerBlocksDeletionAckProto, DeletedBlocksTransaction,
    ScmCommandProto,
};
use allotrope_types::{ContainerId, ReplicaIndex};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Carries out one command. What SCM is to be told of it, if anything.
pub async fn carry_out(shared: &Shared, command: ScmCommandProto) -> Option<CommandStatus> {
    let (lobby, number) = (&shared.lobby, command.command_type);
    let node = lobby.door.get()?;
    let id = cmd_id(&command);
    let Ok(kind) = Type::try_from(number) else {
        tracing::warn!(number, "a command of an unknown type is not carried out");
        lobby.metrics.scm_command(number, "unknown");
        // Its number stands in a payload that nobody here can read.
        return Some(CommandStatus {
            cmd_id: 0,
            status: Status::Failed.into(),
            r#type: Type::UnknownScmCommand.into(),
            msg: Some(format!("command type {number} is not known here")),
            block_deletion_ack: None,
        });
    };
    let failed = |why: &str| {
        tracing::warn!(command = kind.as_str_name(), id, why, "a command of SCM's is not carried out");
        lobby.metrics.scm_command(number, "refused");
        let msg = Some(why.to_owned());
        id.map(|cmd_id| CommandStatus {
            cmd_id,
            status: Status::Failed.into(),
            r#type: number,
            msg,
            block_deletion_ack: None,
        })
    };
    match kind {
        Type::CloseContainerCommand => {
            let Some(close) = command.close_container_command_proto else { return failed(BARE) };
            close_container(node, &close).await;
        }
        Type::DeleteContainerCommand => {
            let Some(delete) = command.delete_container_command_proto else { return failed(BARE) };
            let replica = delete.replica_index.unwrap_or(0);
            delete_container(node, delete.container_id, delete.force, replica).await;
        }
        Type::DeleteBlocksCommand => {
            let Some(delete) = command.delete_blocks_command_proto else { return failed(BARE) };
            let ack = delete_blocks(node, delete.deleted_blocks_transactions).await;
            lobby.metrics.scm_command(number, "done");
            return Some(CommandStatus {
                cmd_id: delete.cmd_id,
                status: Status::Executed.into(),
                r#type: number,
                msg: None,
                block_deletion_ack: Some(ack),
            });
        }
        Type::SetNodeOperationalStateCommand => {
            let Some(set) = command.set_node_operational_state_command_proto else { return failed(BARE) };
            set_state(lobby, set.node_operational_state, set.state_expiry_epoch_seconds).await;
            node.supervisor.set_leaving(&lobby.identity().operational_state);
        }
        Type::RefreshVolumeUsageInfo => check::refresh_space(lobby, node).await,
        // The layout is the newest this release has from the first start on: there is nothing to finalize.
        Type::FinalizeNewLayoutVersionCommand => tracing::info!("the layout is final already"),
        Type::ClosePipelineCommand => {
            let Some(close) = command.close_pipeline_command_proto else { return failed(BARE) };
            if let Err(why) = pipeline::boot::close(lobby, node, &close).await {
                return failed(&why);
            }
        }
        Type::ReregisterCommand => {}
        Type::CreatePipelineCommand => {
            let Some(create) = command.create_pipeline_command_proto else { return failed(BARE) };
            if let Err(why) = pipeline::boot::create(lobby, node, &create).await {
                return failed(&why);
            }
        }
        // These take their time, in a queue of their own; their end comes as an event.
        Type::ReplicateContainerCommand | Type::ReconstructEcContainersCommand => {
            if id.is_none() {
                return failed(BARE);
            }
            Supervisor::offer(node, command, &shared.clock);
            return None;
        }
        Type::ReconcileContainerCommand => return failed("this release does not reconcile containers yet"),
        Type::UnknownScmCommand => return failed("the command says of itself that its type is unknown"),
    }
    lobby.metrics.scm_command(number, "done");
    None
}

/// What is wrong with a command whose payload is missing.
const BARE: &str = "it comes without its payload";

async fn close_container(node: &Arc<Node>, close: &CloseContainerCommandProto) {
    let Ok(container) = ContainerId::try_from(close.container_id) else { return };
    let force = close.force.unwrap_or(false);
    if let Ok(pipeline) = pipeline::id_of(&close.pipeline_id) {
        match pipeline::boot::close_container(node, pipeline, container, force).await {
            Ok(Closing::Alone) => {}
            Ok(Closing::Agreed) => return tracing::info!(%container, %pipeline, "closed on all members"),
            Ok(Closing::LeftToLeader) => return,
            Err(why) => return tracing::warn!(%container, %pipeline, why, "not closed"),
        }
    }
    let asked =
        node.mesh.ask(node.home_of(container), |reply| ShardMessage::Close { container, force, reply });
    match asked.await {
        Ok(Ok(())) => tracing::info!(%container, force, "closed as SCM asked"),
        Ok(Err(e)) => tracing::warn!(%container, force, error = %e, "not closed"),
        Err(e) => tracing::warn!(%container, error = %e, "not closed"),
    }
}

async fn delete_container(node: &Node, id: i64, force: bool, replica: i32) {
    let Ok(container) = ContainerId::try_from(id) else { return };
    let Ok(replica) = ReplicaIndex::from_wire(replica) else {
        return tracing::warn!(%container, replica, "not deleted: there is no such replica index");
    };
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
) -> ContainerBlocksDeletionAckProto {
    let mut results: BTreeMap<(i64, i64), bool> = BTreeMap::new();
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
            Ok(marked) => {
                results.extend(marked.into_iter().map(|(id, container)| ((id, container.to_wire()), true)))
            }
            Err(e) => tracing::warn!(shard, error = %e, "deletions are not taken"),
        }
    }
    let results = results.into_iter().map(|((tx_id, container_id), success)| DeleteBlockTransactionResult {
        tx_id,
        container_id,
        success,
    });
    ContainerBlocksDeletionAckProto { results: results.collect(), dn_id: node.id.to_string() }
}

/// Keeps the operational state durably; the next heartbeat tells it back, which is what SCM waits for.
async fn set_state(lobby: &Arc<Lobby>, state: i32, expiry_s: i64) {
    let Ok(state) = NodeOperationalState::try_from(state) else { return };
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
