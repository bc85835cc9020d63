//! OM's protocol: allocate blocks, delete blocks, sort datanodes, and who this SCM is.
//!
//! Errors  as Ozone has it: a request that fails is answered with `success = false`, a status and a message; only "I do not
//!         lead" and a request that does not make sense are exceptions.
//! Source  wire facts: scm.md 2.2.

pub(crate) mod allocate;
mod delete;
mod pipelines;
mod sort;

use std::sync::Arc;

use allotrope_consensus::{Member, MemberId};
use allotrope_proto::hdds::{AddScmResponseProto, GetScmInfoResponseProto};
use allotrope_proto::rpc::{CallContext, Fault, Service, catalog::ScmBlockSend};
use allotrope_proto::scm_block::{ScmBlockLocationRequest, ScmBlockLocationResponse, Type};
use allotrope_types::ScmStatus;

use super::lacks;
use crate::audit::{self, Act};
use crate::members;
use crate::scm::Scm;

/// Answers OM.
pub(crate) struct BlockService(pub(crate) Arc<Scm>);

/// A request that failed, in the words of the protocol.
struct Failed {
    status: ScmStatus,
    message: String,
}

impl Service<ScmBlockSend> for BlockService {
    async fn call(
        &self,
        context: CallContext,
        request: ScmBlockLocationRequest,
    ) -> Result<ScmBlockLocationResponse, Fault> {
        let scm = &self.0;
        let mut response = ScmBlockLocationResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id,
            success: Some(true),
            status: ScmStatus::Ok.number(),
            ..Default::default()
        };
        let kind = Type::try_from(request.cmd_type)
            .map_err(|_| Fault::io(format!("{} is no request about blocks", request.cmd_type)))?;
        if kind != Type::GetScmInfo {
            scm.leading(|leader| leader.block_port)?;
        }
        let failed = match kind {
            Type::AllocateScmBlock => {
                let asked =
                    request.allocate_scm_block_request.ok_or_else(|| lacks("allocateScmBlockRequest"))?;
                let params = [
                    ("owner", asked.owner.clone()),
                    ("size", asked.size.to_string()),
                    ("num", asked.num_blocks.to_string()),
                ];
                let allocated = allocate::answer(scm, asked).await?;
                let why = allocated.as_ref().err().map(|failed| failed.message.clone());
                let why = why.as_ref().map(|why| why as &dyn std::fmt::Display);
                audit::write(Act::Write, &context, "ALLOCATE_BLOCK", &params, why);
                allocated.map(|answer| response.allocate_scm_block_response = Some(answer)).err()
            }
            Type::DeleteScmKeyBlocks => {
                let asked = request
                    .delete_scm_key_blocks_request
                    .ok_or_else(|| lacks("deleteScmKeyBlocksRequest"))?;
                let params = [("keys", asked.key_blocks.len().to_string())];
                response.delete_scm_key_blocks_response = Some(delete::answer(scm, asked).await);
                audit::write(Act::Write, &context, "DELETE_KEY_BLOCK", &params, None);
                None
            }
            Type::GetScmInfo => {
                response.get_scm_info_response = Some(scm_info(scm));
                None
            }
            Type::SortDatanodes => {
                let asked = request.sort_datanodes_request.ok_or_else(|| lacks("sortDatanodesRequest"))?;
                response.sort_datanodes_response = Some(sort::answer(scm, &asked));
                None
            }
            Type::GetClusterTree => {
                response.get_cluster_tree_response = Some(sort::tree(scm));
                None
            }
            Type::AddScm => {
                let asked = request.add_scm_request_proto.ok_or_else(|| lacks("addScmRequestProto"))?;
                let params = [("scm", asked.scm_id.clone()), ("address", asked.ratis_addr.clone())];
                let added = members::add(scm, &asked).await;
                let why = added.as_ref().err().map(|why| why as &dyn std::fmt::Display);
                audit::write(Act::Write, &context, "ADD_SCM", &params, why);
                let success = added.is_ok();
                response.add_scm_response = Some(AddScmResponseProto { success, scm_id: Some(asked.scm_id) });
                let refused = |message| Failed { status: ScmStatus::InternalError, message };
                added.map_err(|why| refused(why.to_string())).err()
            }
        };
        if let Some(failed) = failed {
            response.success = Some(false);
            response.status = failed.status.number();
            response.message = Some(failed.message);
        }
        Ok(response)
    }
}

/// Who this SCM is, and the members of its group as `host:port:ROLE:id:host`. Of the others the name stands for the id.
pub(crate) fn scm_info(scm: &Scm) -> GetScmInfoResponseProto {
    let (config, id) = (&scm.config, &scm.identity.scm_id);
    let mine = if scm.term().is_some() { "LEADER" } else { "FOLLOWER" };
    let alone = |host: &str, port: u16| vec![format!("{host}:{port}:{mine}:{id}:{host}")];
    let status = scm.raft.status().now();
    let of = |number: &MemberId, member: &Member| {
        let (host, _) = member.address.rsplit_once(':').unwrap_or((&member.address, ""));
        let (role, id) = match (number.0 == config.member, status.leader == Some(*number)) {
            (true, _) => (mine, id),
            (false, true) => ("LEADER", &member.name),
            (false, false) => ("FOLLOWER", &member.name),
        };
        format!("{}:{role}:{id}:{host}", member.address)
    };
    let peer_roles = match config.members.is_empty() {
        true => alone(&config.host_name, config.raft_address.port()),
        false => status.members.iter().map(|(number, member)| of(number, member)).collect(),
    };
    GetScmInfoResponseProto { cluster_id: scm.identity.cluster_id.clone(), scm_id: id.clone(), peer_roles }
}
