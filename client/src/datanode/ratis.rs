//! Commands to a Ratis pipeline.
//!
//! Shape   each command is one unordered call of Ratis' client protocol to the pipeline's leader; who writes a block awaits
//!         each answer before the next command that depends on it, so no order among calls is needed. A member that does not
//!         lead names the one that does, and is believed once a member.
//! Law     an answer that is a success is on all members that Ratis asked: all three of ours.
//! Source  wire facts: datapath.md 4.2, 4.3, 4.5, 4.6.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allotrope_proto::Rope;
use allotrope_proto::bulk::{SplitLimits, content_of_command};
use allotrope_proto::container::Type;
use allotrope_proto::edge::command::{CommandRequest, CommandResponse};
use allotrope_proto::edge::ratis::{
    RaftClientId, RaftFailure, RaftKind, RaftReply, RaftRequest, ReplicationLevel,
};
use allotrope_proto::ratis::RaftClientReplyProto;
use allotrope_types::{DatanodeId, DatanodeResult, PipelineId};

use super::{DatanodeError, Datanodes};
use crate::channel::CallError;
use crate::location::Member;

const UNORDERED: &str = "/ratis.grpc.RaftClientProtocolService/unordered";
/// A leader that has just been named may not be ready: pauses before it is asked again, and how many there are.
const NOT_READY_PAUSE: Duration = Duration::from_millis(200);
const NOT_READY_MAX: usize = 10;

/// The members of a pipeline that takes writes, the one that should lead first.
#[derive(Clone, Debug)]
pub(crate) struct RatisPipeline {
    pub(crate) id: PipelineId,
    pub(crate) members: Vec<Member>,
}

/// Who asks, as Ratis' servers know it: by id and call they see that a request comes again.
#[derive(Debug)]
pub(super) struct RatisCaller {
    id: RaftClientId,
    calls: AtomicU64,
}

impl RatisCaller {
    pub(super) fn new() -> RatisCaller {
        RatisCaller { id: RaftClientId(fastrand::u128(..).to_be_bytes()), calls: AtomicU64::new(1) }
    }
}

/// What a member said to a command.
enum Said {
    Answer(Box<CommandResponse>),
    /// Another leads, if it knows which.
    NotLeader(Option<DatanodeId>),
    NotReady,
}

impl Datanodes {
    /// Carries one command through a pipeline and gives back its answer if that is SUCCESS.
    pub(super) async fn submit(
        &self,
        pipeline: &RatisPipeline,
        command: CommandRequest,
    ) -> Result<CommandResponse, DatanodeError> {
        let call_id = self.ratis.calls.fetch_add(1, Ordering::Relaxed);
        let kind = command.command.kind();
        let content = content_of_command(command.into());
        let mut untried: Vec<&Member> = pipeline.members.iter().collect();
        let mut at = untried.remove(0);
        let mut pauses = 0;
        loop {
            let said = self.ask_member(pipeline, at, call_id, kind, content.clone()).await;
            let leader = match said {
                Ok(Said::Answer(answer)) => return super::successful(at, kind, *answer),
                Ok(Said::NotReady) if pauses < NOT_READY_MAX => {
                    pauses += 1;
                    tokio::time::sleep(NOT_READY_PAUSE).await;
                    continue;
                }
                Ok(Said::NotReady) => None,
                Ok(Said::NotLeader(leader)) => leader,
                // Nothing was sent: another member may lead by now.
                Err(DatanodeError::Call { source: CallError::Connect { .. }, .. }) if !untried.is_empty() => {
                    None
                }
                Err(error) => return Err(error),
            };
            let next = untried.iter().position(|member| Some(member.datanode) == leader);
            if untried.is_empty() || (leader.is_some() && next.is_none()) {
                let why = "no member of its pipeline leads".to_owned();
                return Err(DatanodeError::Answer { datanode: at.datanode, command: kind, why });
            }
            at = untried.remove(next.unwrap_or(0));
        }
    }

    async fn ask_member(
        &self,
        pipeline: &RatisPipeline,
        member: &Member,
        call_id: u64,
        command: Type,
        content: Rope,
    ) -> Result<Said, DatanodeError> {
        let datanode = member.datanode;
        let request = RaftRequest {
            client: self.ratis.id,
            server: datanode,
            group: pipeline.id,
            call_id,
            to_leader: true,
            span: None,
            replied_call_ids: Vec::new(),
            timeout_ms: 0,
            routing_table: None,
            sliding_window: None,
            kind: RaftKind::Write(ReplicationLevel::Majority),
            content: Some(content),
        };
        let failed = |source| DatanodeError::Call { datanode, command, source };
        let channel = self.channel(&member.ratis);
        let answer = channel.call(UNORDERED, request.frames(), self.deadline).await.map_err(failed)?;
        let garbled = |source| failed(CallError::Garbled { peer: member.ratis.clone(), source });
        let reply: RaftClientReplyProto = allotrope_proto::decode(answer.join()).map_err(garbled)?;
        let reply = RaftReply::try_from(reply).map_err(garbled)?;
        match (reply.failure, reply.content) {
            (None, Some(content)) if reply.success => {
                let answer = CommandResponse::read(Rope::from(content), SplitLimits::default());
                let answer = answer.map_err(garbled)?;
                Ok(Said::Answer(Box::new(answer)))
            }
            (Some(failure), _) => said(datanode, command, failure),
            (None, _) => {
                let why = "it is neither an answer nor a failure".to_owned();
                Err(DatanodeError::Answer { datanode, command, why })
            }
        }
    }
}

/// What a failure of Ratis' means to who writes a block.
fn said(datanode: DatanodeId, command: Type, failure: RaftFailure) -> Result<Said, DatanodeError> {
    let refused = |result, message| Err(DatanodeError::Refused { datanode, command, result, message });
    match failure {
        RaftFailure::NotLeader(other) => Ok(Said::NotLeader(other.suggested_leader.map(|peer| peer.id))),
        RaftFailure::LeaderNotReady(_) | RaftFailure::LeaderSteppingDown(_) => Ok(Said::NotReady),
        RaftFailure::StateMachine(thrown) => {
            let not_open = thrown.exception_class_name.ends_with(".ContainerNotOpenException");
            let result = match not_open {
                true => DatanodeResult::ContainerNotOpen,
                false => DatanodeResult::ContainerInternalError,
            };
            refused(result, thrown.error_msg)
        }
        other => refused(DatanodeResult::ContainerInternalError, format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::edge::ratis::{EMPTY_STACK_TRACE, NotLeader, StateMachineException};
    use bytes::Bytes;

    fn told(failure: RaftFailure) -> Result<Said, DatanodeError> {
        said(DatanodeId::from_bytes([1; 16]), Type::PutBlock, failure)
    }

    fn thrown(class: &str) -> RaftFailure {
        RaftFailure::StateMachine(StateMachineException {
            exception_class_name: format!("org.apache.hadoop.hdds.scm.container.common.helpers.{class}"),
            error_msg: "container 5 is closed".into(),
            stacktrace: Bytes::from_static(EMPTY_STACK_TRACE),
        })
    }

    #[test]
    fn a_closed_container_is_no_fault_of_its_pipeline_and_anything_else_is() {
        let closed = told(thrown("ContainerNotOpenException")).err().unwrap();
        assert!(closed.container_closed(), "{closed}");
        let other = told(thrown("StorageContainerException")).err().unwrap();
        assert!(!other.container_closed() && other.to_string().contains("container 5 is closed"), "{other}");
    }

    #[test]
    fn who_does_not_lead_sends_the_caller_on_and_who_is_not_ready_is_asked_again() {
        let nobody = RaftFailure::NotLeader(NotLeader { suggested_leader: None, peers_in_conf: vec![] });
        assert!(matches!(told(nobody), Ok(Said::NotLeader(None))));
        assert!(matches!(told(RaftFailure::LeaderNotReady(None)), Ok(Said::NotReady)));
    }
}
