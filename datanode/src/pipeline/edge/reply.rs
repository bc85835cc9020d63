//! What a client of Ratis is told: replies, refusals and the ends of streams, in the forms that Java's client reads.
//!
//! Source  wire facts: datapath.md 4.5, 4.6.

use crate::pipeline::directory::Entry;
use crate::pipeline::group::Answer;
use allotrope_proto::edge::ratis::{
    CommitInfo, EMPTY_STACK_TRACE, GroupMember, NotLeader, NotReplicated, RaftFailure, RaftReply,
    RaftRequest, ReplicationLevel, Required, StateMachineException,
};
use allotrope_types::{DatanodeResult, PipelineId};
use bytes::Bytes;

/// A container that takes no writes any more: the client leaves the container and keeps the pipeline.
const NOT_OPEN: &str = "org.apache.hadoop.hdds.scm.container.common.helpers.ContainerNotOpenException";
/// Any other refusal: the client leaves the pipeline.
const STORAGE: &str = "org.apache.hadoop.hdds.scm.container.common.helpers.StorageContainerException";
/// The group is not here, or not any more.
pub(super) const GROUP_MISMATCH: &str = "org.apache.ratis.protocol.exceptions.GroupMismatchException";

/// How a stream ends before its client ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamEnd {
    pub(super) status: u8,
    pub(super) message: String,
    /// Java's class, where there is one.
    pub(super) class: Option<&'static str>,
}

impl StreamEnd {
    /// The group is unknown here, or its epoch has ended.
    pub(super) fn group(id: PipelineId) -> StreamEnd {
        let message = format!("group {id} is not hosted here, or has ended");
        StreamEnd { status: 13, message, class: Some(GROUP_MISMATCH) }
    }

    /// The client does not speak the protocol.
    pub(super) fn invalid(message: impl Into<String>) -> StreamEnd {
        StreamEnd { status: 3, message: message.into(), class: None }
    }
}

/// What is said of every member: Java's client counts on all of them.
pub(super) fn commit_infos(entry: &Entry) -> Vec<CommitInfo> {
    let commit_index = entry.committed();
    let members = entry.plan.members.iter();
    members.map(|one| CommitInfo { commit_index, server: Required(one.peer.clone()) }).collect()
}

/// A reply to `request` that says nothing yet.
fn bare(entry: &Entry, request: &Asked) -> RaftReply {
    RaftReply {
        client: request.client,
        server: entry.plan.members[entry.me].id,
        group: entry.plan.id,
        call_id: request.call_id,
        success: false,
        content: None,
        failure: None,
        log_index: 0,
        commit_infos: commit_infos(entry),
    }
}

/// What of a request its reply needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    client: allotrope_proto::edge::ratis::RaftClientId,
    call_id: u64,
}

impl From<&RaftRequest> for Asked {
    fn from(request: &RaftRequest) -> Asked {
        Asked { client: request.client, call_id: request.call_id }
    }
}

/// It went well.
pub(super) fn done(entry: &Entry, asked: &Asked, log_index: u64, content: Option<Bytes>) -> RaftReply {
    RaftReply { success: true, log_index, content, ..bare(entry, asked) }
}

fn failed(entry: &Entry, asked: &Asked, failure: RaftFailure) -> RaftReply {
    RaftReply { failure: Some(failure), ..bare(entry, asked) }
}

/// Another member leads.
pub(super) fn not_leader(entry: &Entry, asked: &Asked) -> RaftReply {
    let peers_in_conf = entry.plan.members.iter().map(|one| one.peer.clone()).collect();
    let suggested_leader = Some(entry.plan.leader().peer.clone());
    failed(entry, asked, RaftFailure::NotLeader(NotLeader { suggested_leader, peers_in_conf }))
}

/// Ask again.
pub(super) fn not_ready(entry: &Entry, asked: &Asked) -> RaftReply {
    let member = GroupMember { peer_id: entry.plan.members[entry.me].id, group_id: entry.plan.id };
    failed(entry, asked, RaftFailure::LeaderNotReady(Some(member)))
}

/// An index is not as safe as was asked, after all the time there was.
pub(super) fn not_replicated(entry: &Entry, asked: &Asked, index: u64, level: ReplicationLevel) -> RaftReply {
    let told = NotReplicated { call_id: asked.call_id, replication: level, log_index: index };
    failed(entry, asked, RaftFailure::NotReplicated(told))
}

/// A command was refused.
pub(super) fn refused(entry: &Entry, asked: &Asked, result: DatanodeResult, why: &str) -> RaftReply {
    let not_open = [DatanodeResult::ClosedContainerIo, DatanodeResult::ContainerNotOpen].contains(&result);
    let told = StateMachineException {
        exception_class_name: if not_open { NOT_OPEN } else { STORAGE }.to_owned(),
        error_msg: format!("{result}: {why}"),
        stacktrace: Bytes::from_static(EMPTY_STACK_TRACE),
    };
    failed(entry, asked, RaftFailure::StateMachine(told))
}

/// What came of a command.
pub(super) fn of_answer(entry: &Entry, asked: &Asked, answer: Answer) -> Result<RaftReply, StreamEnd> {
    Ok(match answer {
        Answer::Done { index, response } => done(entry, asked, index, Some(response)),
        Answer::Refused { index, result, why } => {
            RaftReply { log_index: index, ..refused(entry, asked, result, &why) }
        }
        Answer::NotReady => not_ready(entry, asked),
        Answer::Ended => return Err(StreamEnd::group(entry.plan.id)),
    })
}
