//! Port 9857: `groupInfo` and `groupList` of Ratis' admin protocol, for `ozone admin` and Ratis' shell.

use crate::pipeline::directory::Entry;
use crate::server::body::Sender;
use crate::store::Node;
use allotrope_io::Shard;
use allotrope_proto::Rope;
use allotrope_proto::bulk::{GrpcMessages, grpc_message};
use allotrope_proto::ratis::{
    CommitInfoProto, GroupInfoReplyProto, GroupInfoRequestProto, GroupListReplyProto, GroupListRequestProto,
    LogInfoProto, RaftConfigurationProto, RaftGroupIdProto, RaftGroupProto, RaftPeerProto, RaftPeerRole,
    RaftRpcReplyProto, RaftRpcRequestProto, RoleInfoProto, TermIndexProto,
};
use allotrope_types::PipelineId;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use prost::Message;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

const GROUP_INFO: &str = "/ratis.grpc.AdminProtocolService/groupInfo";
const GROUP_LIST: &str = "/ratis.grpc.AdminProtocolService/groupList";
/// The longest request.
const MESSAGE_MAX: usize = 64 << 10;
/// Longest wait for it.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The only term there is: a pipeline's leader never changes.
const TERM: u64 = 1;

/// Whether a call of that path is answered.
pub(super) fn serves(path: &str) -> bool {
    [GROUP_INFO, GROUP_LIST].contains(&path)
}

/// Answers one call.
pub(super) async fn serve(shard: &Shard, node: &Arc<Node>, path: &str, body: Incoming, sender: Sender) {
    let answered = match shard.clock().timeout(WAIT_MAX, message(body)).await {
        Ok(Ok(request)) if path == GROUP_INFO => group_info(node, request),
        Ok(Ok(request)) => group_list(node, request),
        Ok(Err(why)) => Err((3, why, None)),
        Err(e) => Err((4, e.to_string(), None)),
    };
    let done = match answered {
        Ok(reply) => match sender.message(grpc_message(Rope::from(reply))).await {
            Ok(()) => sender.end(0, "").await,
            Err(gone) => Err(gone),
        },
        Err((status, why, Some(class))) => sender.end_with(status, &why, class).await,
        Err((status, why, None)) => sender.end(status, &why).await,
    };
    drop(done);
}

type Replied = Result<Bytes, (u8, String, Option<&'static str>)>;

async fn message(mut body: Incoming) -> Result<Bytes, String> {
    let mut messages = GrpcMessages::new(MESSAGE_MAX);
    loop {
        if let Some(message) = messages.next_message().map_err(|e| e.to_string())? {
            return Ok(message.join());
        }
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => frame.into_data().into_iter().for_each(|data| messages.push(data)),
            Some(Err(e)) => return Err(e.to_string()),
            None => return Err("the call has no message".to_owned()),
        }
    }
}

fn rpc_reply(
    node: &Node,
    request: Option<RaftRpcRequestProto>,
    group: RaftGroupIdProto,
) -> RaftRpcReplyProto {
    let request = request.unwrap_or_default();
    RaftRpcReplyProto {
        requestor_id: request.requestor_id,
        reply_id: Bytes::from(node.id.to_string()),
        raft_group_id: Some(group),
        call_id: request.call_id,
        success: true,
    }
}

fn wire_id(id: PipelineId) -> RaftGroupIdProto {
    RaftGroupIdProto { id: Bytes::copy_from_slice(id.as_bytes()) }
}

fn group_info(node: &Node, request: Bytes) -> Replied {
    let request: GroupInfoRequestProto =
        allotrope_proto::decode(request).map_err(|e| (3, e.to_string(), None))?;
    let named = request.group_id.map(|id| id.id);
    let id = named.as_deref().and_then(|id| <[u8; 16]>::try_from(id).ok()).map(PipelineId::from_bytes);
    let id = id.ok_or_else(|| (3, "the request names no group".to_owned(), None))?;
    let entry = node.pipelines.get(id).filter(|entry| entry.is_open()).ok_or_else(|| {
        (13, format!("group {id} is not hosted here, or has ended"), Some(super::reply::GROUP_MISMATCH))
    })?;
    Ok(info(node, &entry, request.rpc_request).encode_to_vec().into())
}

fn info(node: &Node, entry: &Entry, request: Option<RaftRpcRequestProto>) -> GroupInfoReplyProto {
    let peers: Vec<RaftPeerProto> = entry.plan.members.iter().map(|one| one.peer.clone().into()).collect();
    let (id, committed) = (wire_id(entry.plan.id), entry.committed());
    let at = Some(TermIndexProto { term: TERM, index: committed });
    let role = if entry.leads() { RaftPeerRole::Leader } else { RaftPeerRole::Follower };
    let commit_infos = peers
        .iter()
        .map(|peer| CommitInfoProto { server: Some(peer.clone()), commit_index: committed })
        .collect();
    GroupInfoReplyProto {
        rpc_reply: Some(rpc_reply(node, request, id.clone())),
        group: Some(RaftGroupProto { group_id: Some(id), peers: peers.clone() }),
        role: Some(RoleInfoProto {
            self_: peers.get(entry.me).cloned(),
            role: role.into(),
            role_elapsed_time_ms: 0,
            ..Default::default()
        }),
        is_raft_storage_healthy: true,
        commit_infos,
        conf: Some(RaftConfigurationProto { peers, ..Default::default() }),
        log_info: Some(LogInfoProto { applied: at, committed: at, last_entry: at, last_snapshot: None }),
    }
}

fn group_list(node: &Node, request: Bytes) -> Replied {
    let request: GroupListRequestProto =
        allotrope_proto::decode(request).map_err(|e| (3, e.to_string(), None))?;
    let open = node.pipelines.all().into_iter().filter(|entry| entry.is_open());
    let group_id: Vec<RaftGroupIdProto> = open.map(|entry| wire_id(entry.plan.id)).collect();
    let asked = request.rpc_request.as_ref().and_then(|rpc| rpc.raft_group_id.clone()).unwrap_or_default();
    let rpc_reply = Some(rpc_reply(node, request.rpc_request, asked));
    Ok(GroupListReplyProto { rpc_reply, group_id }.encode_to_vec().into())
}
