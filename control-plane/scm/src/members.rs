//! SCMs that come to a group which runs already, and that leave it: one asks, the leader takes it in; an administrator has
//! the leader take one out.
//!
//! Law     only a leader takes in, and only whom its own settings name; a new one gets its vote when it has caught up. A
//!         member that asks again is told that it is in.
#![allow(clippy::disallowed_methods, reason = "the pace of asking follows tokio's clock, which tests pause")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use allotrope_consensus::{Member, MemberId, MembershipError};
use allotrope_proto::grpc::{GrpcClient, GrpcClientConfig};
use allotrope_proto::hdds::AddScmRequestProto;
use allotrope_proto::net::{Drain, Plain, Target};
use allotrope_proto::rpc::catalog::ScmBlockSend;
use allotrope_proto::rpc::{CallOptions, ClientId, Failover, RpcClient};
use allotrope_proto::scm_block::{ScmBlockLocationRequest, Type};

use crate::scm::Scm;

/// The pause between two requests to be taken in.
const ASKING_PAUSE: Duration = Duration::from_secs(1);
/// How long one request may take: the new member catches up meanwhile.
const ASKING_MAX: Duration = Duration::from_secs(60);

/// Why a member was not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    /// It is of another cluster.
    #[error("this SCM is of cluster {here}, not of {there}")]
    OtherCluster {
        /// This SCM's.
        here: String,
        /// The newcomer's.
        there: String,
    },
    /// The settings of the one that was asked do not have it.
    #[error("{address} is no SCM of this group; name it in the settings of all SCMs first")]
    Unknown {
        /// Where the newcomer says it is.
        address: String,
    },
    /// The group did not agree.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// Takes the SCM of `asked` into the group; returns when it votes.
pub(crate) async fn add(scm: &Scm, asked: &AddScmRequestProto) -> Result<(), AddError> {
    if asked.cluster_id != scm.identity.cluster_id {
        let (here, there) = (scm.identity.cluster_id.clone(), asked.cluster_id.clone());
        return Err(AddError::OtherCluster { here, there });
    }
    let address = asked.ratis_addr.clone();
    let named = scm.config.members.iter().find(|m| format!("{}:{}", m.host, m.raft_port) == address);
    let Some(named) = named else { return Err(AddError::Unknown { address }) };
    let (id, member) = (MemberId(named.number), Member { name: named.name.clone(), address });
    let status = scm.raft.status().now();
    if !status.members.contains_key(&id) {
        scm.raft.add_learner(id, member).await?;
    }
    if !status.voters.contains(&id) {
        scm.raft.promote(BTreeSet::from([id])).await?;
    }
    tracing::info!(scm = named.name, "an SCM has joined the group");
    Ok(())
}

/// Why a member was not taken out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    /// This SCM runs alone.
    #[error("this SCM runs alone; there is no group to take one out of")]
    Alone,
    /// The one that is asked is the one that leads.
    #[error("{name} leads; hand leadership over first (ozone admin scm transfer), then ask again")]
    Leads {
        /// The leader.
        name: String,
    },
    /// Nobody is called so.
    #[error("no SCM of this group has the id, name or number {asked:?}; the group has {members}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// Who there is.
        members: String,
    },
    /// The group did not agree.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// Takes an SCM out of the group, by its id, name or number; it may run or not. Returns when a majority of the others has it.
pub(crate) async fn remove(scm: &Scm, asked: &str) -> Result<(), RemoveError> {
    if scm.config.members.is_empty() {
        return Err(RemoveError::Alone);
    }
    let status = scm.raft.status().now();
    let mine = |id: &MemberId| id.0 == scm.config.member && asked == scm.identity.scm_id;
    let named =
        |(id, member): &(&MemberId, &Member)| member.name == asked || id.0.to_string() == asked || mine(id);
    let Some((id, member)) = status.members.iter().find(named) else {
        let names: Vec<&str> = status.members.values().map(|member| member.name.as_str()).collect();
        return Err(RemoveError::Unknown { asked: asked.to_owned(), members: names.join(", ") });
    };
    if id.0 == scm.config.member {
        return Err(RemoveError::Leads { name: member.name.clone() });
    }
    scm.raft.remove(*id).await?;
    tracing::info!(scm = member.name, "an SCM was taken out of the group");
    Ok(())
}

/// Asks the other SCMs to take this one in, until it votes.
pub(crate) async fn join(scm: Arc<Scm>, drain: Drain) {
    let me = MemberId(scm.config.member);
    let mut status = scm.raft.status();
    let asking = async {
        // It may have been taken in before it was last stopped: its log says so at once, a leader somewhat later.
        let known = status.wait_for(ASKING_PAUSE, |status| status.voters.contains(&me));
        if known.await.is_ok() {
            return;
        }
        loop {
            match ask(&scm).await {
                Ok(()) => break tracing::info!("this SCM is a member of the group"),
                Err(why) => tracing::info!(why, "not taken in yet"),
            }
            tokio::time::sleep(ASKING_PAUSE).await;
        }
    };
    let ended = drain.started();
    tokio::pin!(ended);
    tokio::select! {
        biased;
        () = &mut ended => {}
        () = asking => {}
    }
}

async fn ask(scm: &Scm) -> Result<(), String> {
    let config = &scm.config;
    let me = config.members.iter().find(|member| member.number == config.member);
    let me = me.ok_or("the settings do not name this SCM")?;
    let link = |other: &crate::ScmMember| {
        let target = Target { host: other.host.clone(), port: other.block_port };
        let id = ClientId::from_bytes(u128::from(config.seed ^ other.number).to_be_bytes());
        GrpcClient::new(target, Plain, id, GrpcClientConfig::default()).map_err(|error| error.to_string())
    };
    let others = config.members.iter().filter(|member| member.number != config.member);
    let others: Vec<GrpcClient> = others.map(link).collect::<Result<_, _>>()?;
    if others.is_empty() {
        return Err("the settings name no other SCM".to_owned());
    }
    let request = ScmBlockLocationRequest {
        cmd_type: Type::AddScm as i32,
        add_scm_request_proto: Some(AddScmRequestProto {
            cluster_id: scm.identity.cluster_id.clone(),
            scm_id: scm.identity.scm_id.clone(),
            ratis_addr: format!("{}:{}", me.host, me.raft_port),
        }),
        ..ScmBlockLocationRequest::default()
    };
    let options = CallOptions { time_max: Some(ASKING_MAX), ..CallOptions::default() };
    let answer = Failover::new(others).call::<ScmBlockSend>(&request, &options).await;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.add_scm_response.map(|added| added.success) {
        Some(true) => Ok(()),
        Some(false) | None => {
            Err(answer.message.unwrap_or_else(|| "it was refused without a reason".to_owned()))
        }
    }
}
