//! Container commands between our datanodes, on the replication port: what a reconstruction asks of its sources and targets.
//!
//! Shape   after a greeting on both sides, requests and answers take turns, each a length and Ozone's message. All of it is in the
//!         replication class, from the connection on, and goes at [`Courtesy`](super::Courtesy)'s rate while clients are there; a
//!         chunk's bytes are received into the buffer that they are decoded from.
//! Errors  those of the connection. A peer that does not greet back is one of Ozone's, or another release: nothing was asked, and
//!         it is asked over gRPC.
//! Source  docs/formats/command-stream.md.

use super::stream::buffers::Buffers;
use crate::commands::{Request, Response};
use crate::server::ask_home_for_repair;
use crate::store::Node;
use allotrope_io::{Shard, TcpStream};
use allotrope_proto::Rope;
use allotrope_proto::bulk::{SplitLimits, split, split_request, weave};
use allotrope_proto::container::ContainerCommandRequestProto;
use bytes::Bytes;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What either side says first; HTTP/2 begins with `PRI `, a container's stream with `ALRC`.
pub(super) const MAGIC: [u8; 4] = *b"ALRQ";
const VERSION: u8 = 1;
const GREETING: [u8; 5] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION];
/// The longest message: Ozone's own limit, and room for its envelope.
const MESSAGE_MAX: usize = 33 << 20;
/// From this length on a message is received into a buffer that is used again.
const LONG: usize = 64 << 10;
/// Longest wait for a connection and its greeting.
const GREET_MAX: Duration = Duration::from_secs(5);
/// Longest that a peer may bring or take nothing in the middle of a message.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a further request.
const NEXT_MAX: Duration = Duration::from_secs(300);

/// Connections to one datanode that wait for their next call.
pub(super) struct Caller {
    shard: Shard,
    address: SocketAddr,
    idle: RefCell<Vec<TcpStream>>,
    buffers: Buffers,
}

impl Caller {
    /// None yet. Long answers come in `buffers`.
    pub(super) fn new(shard: &Shard, address: SocketAddr, buffers: Buffers) -> Caller {
        Caller { shard: shard.clone(), address, idle: RefCell::default(), buffers }
    }

    /// A connection for [`call`](Self::call): one that waits, or a new one. After an error nothing was asked.
    pub(super) async fn connection(&self) -> io::Result<TcpStream> {
        let waiting = self.idle.borrow_mut().pop();
        if let Some(stream) = waiting {
            return Ok(stream);
        }
        let greeting = async {
            let mut stream = self.shard.connect(self.address).await.map_err(|e| e.source)?;
            stream.write_all(&GREETING).await?;
            let mut theirs = [0; GREETING.len()];
            stream.read_exact(&mut theirs).await?;
            match theirs == GREETING {
                true => Ok(stream),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "it greets otherwise")),
            }
        };
        let greeted = self.shard.clock().timeout(GREET_MAX, greeting).await;
        greeted.map_err(|e| io::Error::new(io::ErrorKind::TimedOut, e))?
    }

    /// Carries a request over and its answer back. Put a deadline around it; a connection whose call was given up is closed.
    pub(super) async fn call(&self, mut stream: TcpStream, request: Request) -> io::Result<Response> {
        write(&self.shard, &mut stream, weave(request)).await?;
        // How long an answer takes is the caller's to judge.
        let len = length(&mut stream).await?;
        let answer = body(&self.shard, &mut stream, &self.buffers, len).await?;
        let answer = split(answer, SplitLimits::default());
        let answer = answer.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.idle.borrow_mut().push(stream);
        Ok(answer)
    }

    /// Closes the connections that wait: the next call makes one of its own.
    pub(super) fn close(&self) {
        self.idle.borrow_mut().clear();
    }
}

/// Serves a connection whose first four bytes were [`MAGIC`].
pub(super) async fn serve(shard: &Shard, node: &Arc<Node>, mut stream: TcpStream) {
    if let Err(e) = requests(shard, node, &mut stream).await {
        tracing::debug!(error = %e, "a datanode's connection for commands ended");
    }
}

async fn requests(shard: &Shard, node: &Arc<Node>, stream: &mut TcpStream) -> io::Result<()> {
    let (mut version, buffers) = ([0], Buffers::default());
    timed(shard, stream.read_exact(&mut version)).await?;
    timed(shard, stream.write_all(&GREETING)).await?;
    if version != [VERSION] {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it greets otherwise"));
    }
    loop {
        // No request for long, or the end of the connection: nobody is left to be told.
        let Ok(Ok(len)) = shard.clock().timeout(NEXT_MAX, length(stream)).await else { return Ok(()) };
        let request = body(shard, stream, &buffers, len).await?;
        let request = split_request(request, SplitLimits::default())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        node.courtesy.wait(shard.clock(), bytes_moved(&request)).await;
        let _place = node.courtesy.place().await;
        let answer = ask_home_for_repair(shard, node, request).await;
        write(shard, stream, weave(answer)).await?;
        // One that asks without a pause does not keep clients from the shard.
        shard.yield_now().await;
    }
}

/// Bytes of chunks that a command has read or written.
fn bytes_moved(request: &Request) -> u64 {
    let ContainerCommandRequestProto { read_chunk, .. } = &request.message;
    let read = read_chunk.as_ref().map_or(0, |read| read.chunk_data.len);
    read.saturating_add(request.bulk.iter().map(|rope| rope.len() as u64).sum())
}

async fn timed<T>(shard: &Shard, act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = shard.clock().timeout(STALL_MAX, act).await;
    done.map_err(|e| io::Error::new(io::ErrorKind::TimedOut, e))?
}

async fn length(stream: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await?;
    let len = u32::from_be_bytes(bytes) as usize;
    match len <= MESSAGE_MAX {
        true => Ok(len),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes"))),
    }
}

/// A message's bytes, in one piece.
async fn body(shard: &Shard, stream: &mut TcpStream, buffers: &Buffers, len: usize) -> io::Result<Rope> {
    if len < LONG {
        // What is kept of a short one shall keep no long buffer.
        let mut bytes = vec![0; len];
        fill(shard, stream, &mut bytes).await?;
        return Ok(Rope::from(Bytes::from(bytes)));
    }
    let mut buf = buffers.take(len);
    buf.set_len(len);
    fill(shard, stream, &mut buf).await?;
    Ok(Rope::from(buffers.lend(buf)))
}

async fn fill(shard: &Shard, stream: &mut TcpStream, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match timed(shard, stream.read(into)).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => into = &mut into[n..],
        }
    }
    Ok(())
}

/// A message with its length in front, in as few calls as the kernel allows.
async fn write(shard: &Shard, stream: &mut TcpStream, message: Rope) -> io::Result<()> {
    let len = u32::try_from(message.len()).ok().filter(|len| *len as usize <= MESSAGE_MAX);
    let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message too long"))?;
    let head = len.to_be_bytes();
    let mut parts = vec![IoSlice::new(&head)];
    parts.extend(message.pieces().map(|piece| IoSlice::new(piece)));
    timed(shard, stream.write_all_vectored(&mut parts)).await
}
