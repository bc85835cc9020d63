//! openraft's way to the other members: its calls as our messages, each with a deadline.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    RPCTypes, Snapshot,
    error::{
        Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Timeout, Unreachable,
    },
    network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};

use super::{Append, Envelope, Network, Peer, Request, Response, WIRE_VERSION, to_bytes};
use crate::{
    ids::{ClusterId, Member, MemberId},
    log::record,
    raft::{Types, Vote, blocking},
    snapshot::{Outgoing, SnapshotData},
};

type CallError<E = RaftError<u64>> = RPCError<u64, Member, E>;

/// Opens `PeerCalls` to members.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) cluster: ClusterId,
    pub(crate) me: MemberId,
    /// Longest a snapshot's installation may take; a piece of it a sixth.
    pub(crate) snapshot_deadline: Duration,
    pub(crate) outgoing: Arc<std::sync::atomic::AtomicU64>,
}

impl Peers {
    pub(crate) fn calls(&self, id: MemberId, member: &Member) -> PeerCalls {
        PeerCalls { peer: self.network.peer(id, member), to: id, peers: self.clone() }
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = PeerCalls;

    async fn new_client(&mut self, target: u64, node: &Member) -> PeerCalls {
        self.calls(MemberId(target), node)
    }
}

/// Calls to one member.
pub(crate) struct PeerCalls {
    peer: Box<dyn Peer>,
    to: MemberId,
    peers: Peers,
}

impl PeerCalls {
    /// Makes one call within `deadline`.
    pub(crate) async fn call(&mut self, request: Request, deadline: Duration) -> io::Result<Response> {
        let (cluster, from, to) = (self.peers.cluster.0.clone(), self.peers.me.0, self.to.0);
        let envelope = to_bytes(&Envelope { version: WIRE_VERSION, cluster, from, to, request });
        let answer = tokio::time::timeout(deadline, self.peer.call(envelope)).await;
        let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let response = postcard::from_bytes(&answer).map_err(|e| {
            io::Error::new(io::ErrorKind::InvalidData, format!("an answer that does not read: {e}"))
        })?;
        match response {
            Response::Refused(why) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, why)),
            response => Ok(response),
        }
    }

    async fn raft_call<E: std::error::Error>(
        &mut self,
        request: Request,
        action: RPCTypes,
        deadline: Duration,
    ) -> Result<Response, CallError<E>> {
        let (me, to) = (self.peers.me.0, self.to.0);
        self.call(request, deadline).await.map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => {
                RPCError::Timeout(Timeout { action, id: me, target: to, timeout: deadline })
            }
            // Not there, or not ours: openraft waits before it tries again.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                RPCError::Unreachable(Unreachable::new(&e))
            }
            _ => RPCError::Network(NetworkError::new(&e)),
        })
    }

    async fn send_snapshot(&mut self, vote: Vote, state: &SnapshotData) -> io::Result<SnapshotResponse<u64>> {
        let SnapshotData::Here(state) = state else {
            return Err(io::Error::other("a received snapshot is not sent on"));
        };
        // A lost message stalls the transfer, and the follower with it, for no longer than this.
        let deadline = self.peers.snapshot_deadline / 6;
        if let Response::Snapshot(higher) = self.call(Request::SnapshotOffer(vote), deadline).await? {
            return Ok(higher);
        }
        let number = self.peers.outgoing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let out = blocking(|| Outgoing::make(state, state.outgoing_dir(number)))?;
        if let Response::Snapshot(higher) =
            self.call(Request::SnapshotBegin(vote, out.manifest.clone()), deadline).await?
        {
            return Ok(higher);
        }
        for file in 0..out.manifest.files.len() as u32 {
            let mut at = 0;
            while let Some(piece) = blocking(|| out.piece(file, at))? {
                at += piece.bytes.len() as u64;
                self.call(Request::SnapshotPiece(piece), deadline).await?;
            }
        }
        match self.call(Request::SnapshotEnd(vote), self.peers.snapshot_deadline).await? {
            Response::Snapshot(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(response: &Response) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an answer to something else: {response:?}"))
}

fn mismatch<E: std::error::Error>(response: &Response) -> CallError<E> {
    RPCError::Network(NetworkError::new(&unexpected(response)))
}

impl RaftNetwork<Types> for PeerCalls {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        let records = rpc.entries.iter().map(|entry| Bytes::from(record::encode(entry))).collect();
        let append = Append { vote: rpc.vote, prev: rpc.prev_log_id, committed: rpc.leader_commit, records };
        match self.raft_call(Request::Append(append), RPCTypes::AppendEntries, option.hard_ttl()).await? {
            Response::Append(response) => Ok(response),
            other => Err(mismatch(&other)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError> {
        match self.raft_call(Request::Vote(rpc), RPCTypes::Vote, option.hard_ttl()).await? {
            Response::Vote(response) => Ok(response),
            other => Err(mismatch(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, &snapshot.snapshot) => {
                sent.map_err(|e| StreamingError::Unreachable(Unreachable::new(&e)))
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(200)))
    }
}
