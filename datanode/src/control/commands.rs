//! SCM's commands, carried out.
//!
//! Errors  logged with the container; SCM sees the outcome in the next report and asks again if it wants to.

use crate::boot::Lobby;
use crate::identity;
use crate::store::{Node, ShardMessage};
use allotrope_io::{Clock, ShardId};
use allotrope_proto::hdds::NodeOperationalState;
use allotrope_proto::heartbeat::ScmCommandProto;
use allotrope_proto::heartbeat::scm_command_proto::Type;
use allotrope_types::{ContainerId, ReplicaIndex};
use std::sync::{Arc, PoisonError};

/// What a command means for the conversation with SCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Done,
    /// SCM does not know the datanode: it registers again.
    Reregister,
}

/// Carries out one command.
pub async fn carry_out(lobby: &Arc<Lobby>, node: &Node, command: ScmCommandProto, clock: &Clock) -> Outcome {
    let kind = Type::try_from(command.command_type);
    let deadline = command.deadline_ms_since_epoch.unwrap_or(0);
    if deadline > 0 && (deadline as u64) < clock.wall_ms() {
        tracing::info!(command = ?kind, deadline, "a command came too late and is dropped");
        return Outcome::Done;
    }
    match kind {
        Ok(Type::ReregisterCommand) => return Outcome::Reregister,
        Ok(Type::CloseContainerCommand) => {
            if let Some(close) = command.close_container_command_proto {
                close_container(node, close.container_id, close.force.unwrap_or(false)).await;
            }
        }
        Ok(Type::DeleteContainerCommand) => {
            if let Some(delete) = command.delete_container_command_proto {
                let replica = delete.replica_index.unwrap_or(0);
                delete_container(node, delete.container_id, delete.force, replica).await;
            }
        }
        Ok(Type::SetNodeOperationalStateCommand) => {
            if let Some(set) = command.set_node_operational_state_command_proto {
                set_state(lobby, set.node_operational_state, set.state_expiry_epoch_seconds).await;
            }
        }
        Ok(kind) => tracing::warn!(
            command = kind.as_str_name(),
            "a command that this release does not know how to carry out"
        ),
        Err(_) => tracing::warn!(number = command.command_type, "a command of an unknown kind"),
    }
    Outcome::Done
}

async fn close_container(node: &Node, id: i64, force: bool) {
    let Ok(container) = ContainerId::try_from(id) else { return };
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
    let replica = ReplicaIndex::from_wire(replica).unwrap_or(None);
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
