//! Answers the other members' calls.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use openraft::{
    Snapshot,
    raft::{AppendEntriesRequest, SnapshotResponse},
};
use tokio::sync::Mutex;

use super::{Append, Envelope, Request, Response, Service, WIRE_VERSION, to_bytes};
use crate::{
    ids::{ClusterId, MemberId},
    log::record,
    raft::{Raft, Vote, blocking},
    snapshot::{Incoming, Manifest, SnapshotData},
    state::State,
};

/// Serves openraft's requests and receives snapshots, one at a time.
pub(crate) struct Server {
    pub(crate) raft: Raft,
    pub(crate) state: Arc<State>,
    pub(crate) cluster: ClusterId,
    pub(crate) me: MemberId,
    pub(crate) incoming: Mutex<Option<Incoming>>,
    pub(crate) received: AtomicU64,
}

impl Server {
    async fn serve(&self, request: Bytes) -> Result<Response, String> {
        let envelope: Envelope =
            postcard::from_bytes(&request).map_err(|e| format!("a request that does not read: {e}"))?;
        if envelope.version != WIRE_VERSION {
            return Err(format!(
                "messages of version {}; this member speaks {WIRE_VERSION}",
                envelope.version
            ));
        }
        if envelope.cluster != self.cluster.0 {
            let (theirs, from) = (&envelope.cluster, envelope.from);
            tracing::warn!(cluster = theirs, member = from, "a member of another cluster called");
            return Err(format!("this member is of cluster {}, the caller of {theirs}", self.cluster));
        }
        if envelope.to != self.me.0 {
            return Err(format!("this is member {}, not {}", self.me, envelope.to));
        }
        let stopped = |e: &dyn std::fmt::Display| format!("member {} has stopped: {e}", self.me);
        match envelope.request {
            Request::Append(append) => {
                let append = entries(append)?;
                self.raft.append_entries(append).await.map(Response::Append).map_err(|e| stopped(&e))
            }
            Request::Vote(vote) => self.raft.vote(vote).await.map(Response::Vote).map_err(|e| stopped(&e)),
            Request::Elect => {
                self.raft.trigger().elect().await.map(|()| Response::Taken).map_err(|e| stopped(&e))
            }
            Request::SnapshotOffer(vote) => Ok(self.newer_vote(&vote).unwrap_or(Response::Taken)),
            Request::SnapshotBegin(vote, manifest) => self.begin(vote, manifest).await,
            Request::SnapshotPiece(piece) => {
                let mut incoming = self.incoming.lock().await;
                let receiving = incoming.as_mut().ok_or("no snapshot is being received")?;
                let taken = blocking(|| receiving.piece(&piece));
                if taken.is_err() {
                    *incoming = None;
                }
                taken.map(|()| Response::Taken)
            }
            Request::SnapshotEnd(vote) => {
                let incoming = self.incoming.lock().await.take().ok_or("no snapshot is being received")?;
                let (meta, received) = blocking(|| incoming.end())?;
                let snapshot = Snapshot { meta, snapshot: Box::new(SnapshotData::Received(received)) };
                let installed = self.raft.install_full_snapshot(vote, snapshot).await;
                installed.map(Response::Snapshot).map_err(|e| stopped(&e))
            }
        }
    }

    /// What the leader of `vote` is told if this member has heard of a later one.
    fn newer_vote(&self, vote: &Vote) -> Option<Response> {
        let mine = self.raft.metrics().borrow().vote;
        (mine > *vote).then(|| Response::Snapshot(SnapshotResponse::new(mine)))
    }

    async fn begin(&self, vote: Vote, manifest: Manifest) -> Result<Response, String> {
        if let Some(refusal) = self.newer_vote(&vote) {
            return Ok(refusal);
        }
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let mut incoming = self.incoming.lock().await;
        *incoming = None; // an interrupted one goes first: there is room for one
        *incoming = Some(blocking(|| Incoming::begin(self.state.incoming_dir(number), manifest))?);
        Ok(Response::Taken)
    }
}

fn entries(append: Append) -> Result<AppendEntriesRequest<crate::raft::Types>, String> {
    let decoded = append.records.iter().map(|bytes| record::decode(bytes).map_err(|e| e.to_string()));
    let entries = decoded.collect::<Result<Vec<_>, _>>()?;
    let first = append.prev.map_or(0, |id| id.index + 1);
    if entries.iter().zip(first..).any(|(entry, index)| entry.log_id.index != index) {
        return Err(format!("entries that do not follow entry {first} one by one"));
    }
    Ok(AppendEntriesRequest {
        vote: append.vote,
        prev_log_id: append.prev,
        entries,
        leader_commit: append.committed,
    })
}

impl Service for Server {
    fn answer(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>> {
        Box::pin(async move { to_bytes(&self.serve(request).await.unwrap_or_else(Response::Refused)) })
    }
}
