//! Ratis' client protocol on a datanode's port 9858: requests in, replies out.
//!
//! A request's content is a container command ([`crate::bulk::command_of_content`]); a reply's is a whole answer.
//! Errors  proto3 leaves out what is zero, so only what can never be zero is missed: the ids, the kind of a request.

use allotrope_types::{DatanodeId, PipelineId};
use bytes::Bytes;

use super::field::{At, Field, enums};
use crate::bulk::{self, Bulky, SplitLimits};
use crate::ratis as wire;
use crate::ratis::raft_client_reply_proto::ExceptionDetails;
use crate::ratis::raft_client_request_proto::Type;
use crate::ratis::span_context_proto::ContextEntry;
use crate::ratis::{
    ClientMessageEntryProto, RaftClientReplyProto, RaftClientRequestProto, RaftGroupIdProto, RaftPeerIdProto,
    RaftRpcReplyProto, RaftRpcRequestProto,
};
use crate::{Checked, Rope, WireError};

pub use crate::ratis::{RaftPeerRole, ReplicationLevel};

enums!(ReplicationLevel, RaftPeerRole);

/// The Java-serialised empty stack trace. Java's client reads one from every exception and fails without.
pub const EMPTY_STACK_TRACE: &[u8] = &[
    0xac, 0xed, 0x00, 0x05, 0x75, 0x72, 0x00, 0x1e, 0x5b, 0x4c, 0x6a, 0x61, 0x76, 0x61, 0x2e, 0x6c, 0x61,
    0x6e, 0x67, 0x2e, 0x53, 0x74, 0x61, 0x63, 0x6b, 0x54, 0x72, 0x61, 0x63, 0x65, 0x45, 0x6c, 0x65, 0x6d,
    0x65, 0x6e, 0x74, 0x3b, 0x02, 0x46, 0x2a, 0x3c, 0x3c, 0xfd, 0x22, 0x39, 0x02, 0x00, 0x00, 0x78, 0x70,
    0x00, 0x00, 0x00, 0x00,
];

/// A Ratis client's name: 16 bytes of its own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RaftClientId(pub [u8; 16]);

impl Field<Bytes> for RaftClientId {
    fn read(wire: Bytes, at: At) -> Result<Self, WireError> {
        sixteen(&wire, at).map(RaftClientId)
    }

    fn write(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

fn sixteen(bytes: &[u8], at: At) -> Result<[u8; 16], WireError> {
    bytes.try_into().map_err(|_| at.invalid(format!("is {} bytes long, not 16", bytes.len())))
}

/// A group's name is its pipeline's, as 16 bytes.
impl Field<Option<RaftGroupIdProto>> for PipelineId {
    fn read(wire: Option<RaftGroupIdProto>, at: At) -> Result<Self, WireError> {
        let id = wire.ok_or_else(|| at.missing())?.id;
        sixteen(&id, At::new(RaftGroupIdProto::RULES, "id")).map(PipelineId::from_bytes)
    }

    fn write(self) -> Option<RaftGroupIdProto> {
        Some(RaftGroupIdProto { id: Bytes::copy_from_slice(self.as_bytes()) })
    }
}

/// A peer's name is its datanode's, as text in bytes.
impl Field<Bytes> for DatanodeId {
    fn read(wire: Bytes, at: At) -> Result<Self, WireError> {
        let text = std::str::from_utf8(&wire).map_err(|_| at.invalid("is not UTF-8"))?;
        text.parse().map_err(|source| at.malformed(source))
    }

    fn write(self) -> Bytes {
        self.to_string().into()
    }
}

impl Field<RaftPeerIdProto> for DatanodeId {
    fn read(wire: RaftPeerIdProto, _: At) -> Result<Self, WireError> {
        Field::read(wire.id, At::new(RaftPeerIdProto::RULES, "id"))
    }

    fn write(self) -> RaftPeerIdProto {
        RaftPeerIdProto { id: self.write() }
    }
}

message! {
    /// A member of a group and where it is reached.
    RaftPeer = wire => RaftPeerProto {
        id: DatanodeId,
        /// Where its peers find it.
        address: String,
        priority: u32,
        data_stream_address: String,
        client_address: String,
        admin_address: String,
        startup_role: RaftPeerRole,
    }
}

message! {
    /// How far a member is known to have committed.
    CommitInfo = wire => CommitInfoProto {
        commit_index: u64,
        ;
        server: Required<RaftPeer> = (server),
    }
}

/// A message that proto3 lets be absent and that has no meaning without.
#[derive(Clone, Debug, PartialEq)]
pub struct Required<T>(pub T);

impl<Wire, T: Field<Wire>> Field<(Option<Wire>,)> for Required<T> {
    fn read((wire,): (Option<Wire>,), at: At) -> Result<Self, WireError> {
        T::read(wire.ok_or_else(|| at.missing())?, at).map(Required)
    }

    fn write(self) -> (Option<Wire>,) {
        (Some(self.0.write()),)
    }
}

message! {
    /// A request's place in the order of its stream.
    SlidingWindow = wire => SlidingWindowEntry {
        seq_num: u64,
        is_first: bool,
    }
}

message! {
    /// Where the data stream goes on from one peer.
    Route = wire => RouteProto {
        peer_id: Option<DatanodeId>,
        successors: Vec<DatanodeId>,
    }
}

/// Routes, in the order of the list.
impl Field<wire::RoutingTableProto> for Vec<Route> {
    fn read(wire: wire::RoutingTableProto, at: At) -> Result<Self, WireError> {
        Field::read(wire.routes, at)
    }

    fn write(self) -> wire::RoutingTableProto {
        wire::RoutingTableProto { routes: self.write() }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftKind {
    /// Append to the log.
    Write(ReplicationLevel),
    /// Read without appending.
    Read {
        /// A read that need not see the newest writes.
        prefer_non_linearizable: bool,
        /// A read that must see the client's own writes.
        read_after_write_consistent: bool,
        /// A read of nothing.
        dummy: bool,
    },
    /// Read from any member that has applied this index.
    StaleRead {
        /// The index.
        min_index: u64,
    },
    /// Wait until an index is as safe as the level says. A client's first request waits for index 0.
    Watch {
        /// The index.
        index: u64,
        /// How safe.
        level: ReplicationLevel,
    },
    /// A part of a long message.
    MessageStream {
        /// The message.
        stream_id: u64,
        /// The part.
        message_id: u64,
        /// Whether it is the last.
        end_of_request: bool,
    },
    /// The head of a data stream.
    DataStream,
    /// A request that another member passes on.
    Forward,
}

impl Field<Option<Type>> for RaftKind {
    fn read(wire: Option<Type>, _: At) -> Result<Self, WireError> {
        let level = |number, rules| Field::read(number, At::new(rules, "replication"));
        Ok(match wire {
            None => {
                // The oneof has no name of its own on the wire; `write` is the one a client must have meant.
                return Err(At::new(RaftClientRequestProto::RULES, "write").missing());
            }
            Some(Type::Write(write)) => {
                RaftKind::Write(level(write.replication, wire::WriteRequestTypeProto::RULES)?)
            }
            Some(Type::Read(read)) => RaftKind::Read {
                prefer_non_linearizable: read.prefer_non_linearizable,
                read_after_write_consistent: read.read_after_write_consistent,
                dummy: read.dummy,
            },
            Some(Type::StaleRead(read)) => RaftKind::StaleRead { min_index: read.min_index },
            Some(Type::Watch(watch)) => RaftKind::Watch {
                index: watch.index,
                level: level(watch.replication, wire::WatchRequestTypeProto::RULES)?,
            },
            Some(Type::MessageStream(part)) => RaftKind::MessageStream {
                stream_id: part.stream_id,
                message_id: part.message_id,
                end_of_request: part.end_of_request,
            },
            Some(Type::DataStream(_)) => RaftKind::DataStream,
            Some(Type::Forward(_)) => RaftKind::Forward,
        })
    }

    fn write(self) -> Option<Type> {
        Some(match self {
            RaftKind::Write(level) => Type::Write(wire::WriteRequestTypeProto { replication: level as i32 }),
            RaftKind::Read { prefer_non_linearizable, read_after_write_consistent, dummy } => {
                Type::Read(wire::ReadRequestTypeProto {
                    prefer_non_linearizable,
                    read_after_write_consistent,
                    dummy,
                })
            }
            RaftKind::StaleRead { min_index } => {
                Type::StaleRead(wire::StaleReadRequestTypeProto { min_index })
            }
            RaftKind::Watch { index, level } => {
                Type::Watch(wire::WatchRequestTypeProto { index, replication: level as i32 })
            }
            RaftKind::MessageStream { stream_id, message_id, end_of_request } => {
                Type::MessageStream(wire::MessageStreamRequestTypeProto {
                    stream_id,
                    message_id,
                    end_of_request,
                })
            }
            RaftKind::DataStream => Type::DataStream(wire::DataStreamRequestTypeProto {}),
            RaftKind::Forward => Type::Forward(wire::ForwardRequestTypeProto {}),
        })
    }
}

/// A client's request.
#[derive(Clone, Debug, PartialEq)]
pub struct RaftRequest {
    /// Who asks.
    pub client: RaftClientId,
    /// Whom.
    pub server: DatanodeId,
    /// In which group.
    pub group: PipelineId,
    /// The client's number for the call; a retry has the same.
    pub call_id: u64,
    /// Whether only the leader shall answer.
    pub to_leader: bool,
    /// Tracing, as name and value.
    pub span: Option<Vec<(String, String)>>,
    /// Calls whose replies have arrived, so that the server may forget them.
    pub replied_call_ids: Vec<u64>,
    /// How long the client waits; 0 says nothing.
    pub timeout_ms: u64,
    /// Where a data stream goes.
    pub routing_table: Option<Vec<Route>>,
    /// The place in the order of an ordered stream.
    pub sliding_window: Option<SlidingWindow>,
    /// What is asked.
    pub kind: RaftKind,
    /// The state machine's message; a watch has none.
    pub content: Option<Rope>,
}

impl RaftRequest {
    /// Reads a request of which `frames` is the whole.
    ///
    /// # Errors
    /// [`WireError`] if it is no request, or exceeds `limits`.
    pub fn read(frames: Rope, limits: SplitLimits) -> Result<RaftRequest, WireError> {
        bulk::split(frames, limits)?.try_into()
    }

    /// The request as it goes on the wire.
    pub fn frames(self) -> Rope {
        bulk::weave(Bulky::<RaftClientRequestProto>::from(self))
    }
}

impl TryFrom<Bulky<RaftClientRequestProto>> for RaftRequest {
    type Error = WireError;

    fn try_from(bulky: Bulky<RaftClientRequestProto>) -> Result<RaftRequest, WireError> {
        let Bulky { message: RaftClientRequestProto { rpc_request, message, r#type }, bulk } = bulky;
        let at = |field| At::new(RaftClientRequestProto::RULES, field);
        let rpc = rpc_request.ok_or_else(|| at("rpc_request").missing())?;
        let content = message.map(|message| match message.content {
            inside if inside.is_empty() => bulk.into_iter().flatten().collect(),
            inside => Rope::from(inside),
        });
        let at = |field| At::new(RaftRpcRequestProto::RULES, field);
        let pairs = |entry: ContextEntry| (entry.key, entry.value);
        Ok(RaftRequest {
            client: Field::read(rpc.requestor_id, at("requestor_id"))?,
            server: Field::read(rpc.reply_id, at("reply_id"))?,
            group: Field::read(rpc.raft_group_id, at("raft_group_id"))?,
            call_id: rpc.call_id,
            to_leader: rpc.to_leader,
            span: rpc.span_context.map(|span| span.context.into_iter().map(pairs).collect()),
            replied_call_ids: rpc.replied_call_ids,
            timeout_ms: rpc.timeout_ms,
            routing_table: Field::read(rpc.routing_table, at("routing_table"))?,
            sliding_window: Field::read(rpc.sliding_window_entry, at("sliding_window_entry"))?,
            kind: Field::read(r#type, at("type"))?,
            content,
        })
    }
}

impl From<RaftRequest> for Bulky<RaftClientRequestProto> {
    fn from(request: RaftRequest) -> Bulky<RaftClientRequestProto> {
        let entries = |span: Vec<(String, String)>| wire::SpanContextProto {
            context: span.into_iter().map(|(key, value)| ContextEntry { key, value }).collect(),
        };
        let rpc_request = RaftRpcRequestProto {
            requestor_id: request.client.write(),
            reply_id: request.server.write(),
            raft_group_id: request.group.write(),
            call_id: request.call_id,
            to_leader: request.to_leader,
            span_context: request.span.map(entries),
            replied_call_ids: request.replied_call_ids,
            timeout_ms: request.timeout_ms,
            routing_table: request.routing_table.write(),
            sliding_window_entry: request.sliding_window.write(),
        };
        let message = RaftClientRequestProto {
            rpc_request: Some(rpc_request),
            message: request.content.is_some().then(ClientMessageEntryProto::default),
            r#type: request.kind.write(),
        };
        Bulky { message, bulk: request.content.into_iter().collect() }
    }
}

message! {
    /// An exception as Java makes it again: class, message, stack trace ([`EMPTY_STACK_TRACE`]).
    StateMachineException = wire => StateMachineExceptionProto {
        exception_class_name: String,
        error_msg: String,
        stacktrace: Bytes,
    }
}

message! {
    /// The group is closed.
    AlreadyClosedException = wire => AlreadyClosedExceptionProto {
        exception_class_name: String,
        error_msg: String,
        stacktrace: Bytes,
    }
}

message! {
    /// Any exception of Ratis' own; the class must be exactly the one Java knows.
    Throwable = wire => ThrowableProto {
        class_name: String,
        error_message: String,
        stack_trace: Bytes,
        cause: Bytes,
    }
}

message! {
    /// Another member leads.
    NotLeader = wire => NotLeaderExceptionProto {
        suggested_leader: Option<RaftPeer>,
        peers_in_conf: Vec<RaftPeer>,
    }
}

message! {
    /// The watch ended before the index was that safe.
    NotReplicated = wire => NotReplicatedExceptionProto {
        call_id: u64,
        replication: ReplicationLevel,
        log_index: u64,
    }
}

message! {
    /// A member of a group.
    GroupMember = wire => RaftGroupMemberIdProto {
        peer_id: DatanodeId,
        ;
        group_id: PipelineId = (group_id),
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub enum RaftFailure {
    /// Ask another member.
    NotLeader(NotLeader),
    /// The watch ended too early.
    NotReplicated(NotReplicated),
    /// The state machine refused.
    StateMachine(StateMachineException),
    /// The leader is new: ask again.
    LeaderNotReady(Option<GroupMember>),
    /// The group is closed.
    AlreadyClosed(AlreadyClosedException),
    /// The data stream broke.
    DataStream(Throwable),
    /// The leader is about to step down: ask again.
    LeaderSteppingDown(Throwable),
    /// Leadership could not be passed on.
    TransferLeadership(Throwable),
    /// A read failed.
    Read(Throwable),
    /// A read's index could not be had.
    ReadIndex(Throwable),
}

impl Field<ExceptionDetails> for RaftFailure {
    fn read(wire: ExceptionDetails, at: At) -> Result<Self, WireError> {
        Ok(match wire {
            ExceptionDetails::NotLeaderException(it) => RaftFailure::NotLeader(it.try_into()?),
            ExceptionDetails::NotReplicatedException(it) => RaftFailure::NotReplicated(it.try_into()?),
            ExceptionDetails::StateMachineException(it) => RaftFailure::StateMachine(it.try_into()?),
            ExceptionDetails::LeaderNotReadyException(it) => {
                RaftFailure::LeaderNotReady(Field::read(it.server_id, at)?)
            }
            ExceptionDetails::AlreadyClosedException(it) => RaftFailure::AlreadyClosed(it.try_into()?),
            ExceptionDetails::DataStreamException(it) => RaftFailure::DataStream(it.try_into()?),
            ExceptionDetails::LeaderSteppingDownException(it) => {
                RaftFailure::LeaderSteppingDown(it.try_into()?)
            }
            ExceptionDetails::TransferLeadershipException(it) => {
                RaftFailure::TransferLeadership(it.try_into()?)
            }
            ExceptionDetails::ReadException(it) => RaftFailure::Read(it.try_into()?),
            ExceptionDetails::ReadIndexException(it) => RaftFailure::ReadIndex(it.try_into()?),
        })
    }

    fn write(self) -> ExceptionDetails {
        match self {
            RaftFailure::NotLeader(it) => ExceptionDetails::NotLeaderException(it.into()),
            RaftFailure::NotReplicated(it) => ExceptionDetails::NotReplicatedException(it.into()),
            RaftFailure::StateMachine(it) => ExceptionDetails::StateMachineException(it.into()),
            RaftFailure::LeaderNotReady(server) => {
                ExceptionDetails::LeaderNotReadyException(wire::LeaderNotReadyExceptionProto {
                    server_id: server.write(),
                })
            }
            RaftFailure::AlreadyClosed(it) => ExceptionDetails::AlreadyClosedException(it.into()),
            RaftFailure::DataStream(it) => ExceptionDetails::DataStreamException(it.into()),
            RaftFailure::LeaderSteppingDown(it) => ExceptionDetails::LeaderSteppingDownException(it.into()),
            RaftFailure::TransferLeadership(it) => ExceptionDetails::TransferLeadershipException(it.into()),
            RaftFailure::Read(it) => ExceptionDetails::ReadException(it.into()),
            RaftFailure::ReadIndex(it) => ExceptionDetails::ReadIndexException(it.into()),
        }
    }
}

/// A server's reply.
#[derive(Clone, Debug, PartialEq)]
pub struct RaftReply {
    /// Who asked.
    pub client: RaftClientId,
    /// Who answers.
    pub server: DatanodeId,
    /// In which group.
    pub group: PipelineId,
    /// The request's.
    pub call_id: u64,
    /// Whether it went well; a command's own failure can still be inside `content`.
    pub success: bool,
    /// The state machine's answer: a whole ContainerCommandResponseProto.
    pub content: Option<Bytes>,
    /// Why it failed.
    pub failure: Option<RaftFailure>,
    /// The entry in the log; for a watch, the index reached.
    pub log_index: u64,
    /// Every member, each time: Java's client counts on it.
    pub commit_infos: Vec<CommitInfo>,
}

impl TryFrom<RaftClientReplyProto> for RaftReply {
    type Error = WireError;

    fn try_from(message: RaftClientReplyProto) -> Result<RaftReply, WireError> {
        let RaftClientReplyProto { rpc_reply, message, exception_details, log_index, commit_infos } = message;
        let at = |field| At::new(RaftClientReplyProto::RULES, field);
        let rpc = rpc_reply.ok_or_else(|| at("rpc_reply").missing())?;
        let failure = Field::read(exception_details, at("leader_not_ready_exception"))?;
        let commit_infos = Field::read(commit_infos, at("commit_infos"))?;
        let at = |field| At::new(RaftRpcReplyProto::RULES, field);
        Ok(RaftReply {
            client: Field::read(rpc.requestor_id, at("requestor_id"))?,
            server: Field::read(rpc.reply_id, at("reply_id"))?,
            group: Field::read(rpc.raft_group_id, at("raft_group_id"))?,
            call_id: rpc.call_id,
            success: rpc.success,
            content: message.map(|message| message.content),
            failure,
            log_index,
            commit_infos,
        })
    }
}

impl From<RaftReply> for RaftClientReplyProto {
    fn from(reply: RaftReply) -> RaftClientReplyProto {
        RaftClientReplyProto {
            rpc_reply: Some(RaftRpcReplyProto {
                requestor_id: reply.client.write(),
                reply_id: reply.server.write(),
                raft_group_id: reply.group.write(),
                call_id: reply.call_id,
                success: reply.success,
            }),
            message: reply.content.map(|content| ClientMessageEntryProto { content }),
            exception_details: reply.failure.write(),
            log_index: reply.log_index,
            commit_infos: reply.commit_infos.write(),
        }
    }
}
