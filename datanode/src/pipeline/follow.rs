//! A follower's end of the leader's stream: frames in, to the pipeline's home shard, and results back as they come.
//!
//! Shape   one task reads, one writes; what must be remembered over connections is on the home shard.
//! Errors  what does not parse ends the connection; the leader comes again or ends the epoch.

use super::execute;
use super::frame::{Ack, FRAME_LEN, Frame, Greeting, HELLO_LEN, Hello, MAGIC};
use super::group::Attached;
use super::home::Ask;
use crate::block::records::crc32c;
use crate::commands::Request;
use crate::pipeline::home_of;
use crate::store::{Node, ShardMessage};
use allotrope_io::{AlignedBuf, Answer, Refused, Reply, Shard, ShardId, TcpStream};
use allotrope_proto::Rope;
use allotrope_proto::container::ContainerCommandRequestProto;
use allotrope_types::PipelineId;
use bytes::Bytes;
use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use super::group::NoResult;

/// Longest wait for a connection's first words.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// Pause before a shard with a full inbox is asked again.
const INBOX_AGAIN: Duration = Duration::from_millis(1);

/// What the reader hands to the writer.
enum Owed {
    Result(u64, Answer<Result<allotrope_types::DatanodeResult, NoResult>>),
    Pong,
}

/// Serves a leader's connection whose first four bytes were [`MAGIC`].
pub(super) async fn serve(shard: &Shard, node: &Arc<Node>, mut stream: TcpStream) {
    let mut bytes = [0; HELLO_LEN];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    let said = shard.clock().timeout(HELLO_MAX, stream.read_exact(&mut bytes[MAGIC.len()..])).await;
    let Ok(Ok(())) = said else { return };
    let hello = match Hello::decode(&bytes) {
        Ok(hello) => hello,
        Err(e) => return tracing::info!(error = %e, "a member of a pipeline is refused"),
    };
    let attached = match node.pipelines.get(hello.pipeline) {
        None => None,
        Some(entry) if !entry.is_open() => {
            return drop(stream.write_all(&Greeting::Ended.encode()).await);
        }
        Some(_) => attach(shard, node, hello).await,
    };
    let Some(Attached { greeting, session, owed }) = attached else {
        return drop(stream.write_all(&Greeting::Unknown.encode()).await);
    };
    let Greeting::Goes(_) = greeting else {
        return drop(stream.write_all(&greeting.encode()).await);
    };
    let (mut reading, mut writing) = stream.split();
    if writing.write_all(&greeting.encode()).await.is_ok() {
        let (to_writer, from_reader) = mpsc::unbounded_channel();
        owed.into_iter().for_each(|(index, answer)| drop(to_writer.send(Owed::Result(index, answer))));
        let takes = pin!(read(shard, node, &mut reading, &hello, session, to_writer));
        let gives = pin!(write(&mut writing, from_reader));
        let ended = match select(takes, gives).await {
            // What it still owes is said in the leader's next session.
            Either::Left((ended, _)) => ended,
            Either::Right((ended, _)) => ended,
        };
        if let Err(e) = ended {
            tracing::debug!(pipeline = %hello.pipeline, error = %e, "the leader's connection ended");
        }
    }
    tell(shard, node, hello.pipeline, Ask::Detach { pipeline: hello.pipeline, session }).await;
}

async fn attach(shard: &Shard, node: &Arc<Node>, hello: Hello) -> Option<Attached> {
    let (reply, answer) = Reply::new();
    tell(shard, node, hello.pipeline, Ask::Attach { hello, reply }).await;
    answer.await.flatten()
}

/// Hands a message to a pipeline's home shard, however full its inbox is.
async fn tell(shard: &Shard, node: &Node, pipeline: PipelineId, ask: Ask) {
    let home: ShardId = home_of(node.id, pipeline, node.mesh.shards());
    let mut message = ShardMessage::Pipeline(ask);
    while let Err(Refused::Busy(back)) = node.mesh.send(home, message) {
        message = back;
        shard.clock().sleep(INBOX_AGAIN).await;
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

async fn read(
    shard: &Shard,
    node: &Arc<Node>,
    stream: &mut TcpStream,
    hello: &Hello,
    session: u64,
    owed: mpsc::UnboundedSender<Owed>,
) -> io::Result<()> {
    let pipeline = hello.pipeline;
    // By then the epoch has ended on both sides: what is waited for here would hold its room for ever.
    let silence_max = node.config.pipelines.member_deadline * 2;
    let mut head = [0; FRAME_LEN];
    loop {
        timed(shard, silence_max, stream.read_exact(&mut head)).await?;
        match Frame::decode(&head).map_err(|e| invalid(e.to_string()))? {
            Frame::End => {
                let why = "the leader has ended it".to_owned();
                tell(shard, node, pipeline, Ask::Fail { pipeline, why }).await;
                return Ok(());
            }
            Frame::Ping { answered } => {
                tell(shard, node, pipeline, Ask::Heard { pipeline, session, answered }).await;
                drop(owed.send(Owed::Pong));
            }
            Frame::Command { index, answered, command, data, sum } => {
                // Its room before its bytes: a leader that is faster than the disk waits in TCP.
                let room = node.pipelines.room(false, command + data).await;
                let message = timed(shard, silence_max, message(stream, command, sum)).await?;
                let bulk = timed(shard, silence_max, body(stream, data)).await?;
                let request = match execute::has_data(&message) {
                    true => Request { message, bulk: vec![bulk] },
                    false if data == 0 => Request { message, bulk: Vec::new() },
                    false => return Err(invalid("data behind a command that has none")),
                };
                let (reply, answer) = Reply::new();
                let request = Box::new(request);
                let ask = Ask::Follow { pipeline, session, index, answered, request, room, reply };
                tell(shard, node, pipeline, ask).await;
                drop(owed.send(Owed::Result(index, answer)));
            }
        }
    }
}

async fn timed<T>(
    shard: &Shard,
    longest: Duration,
    act: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let done = shard.clock().timeout(longest, act).await;
    done.map_err(|e| io::Error::new(io::ErrorKind::TimedOut, e))?
}

async fn message(stream: &mut TcpStream, len: usize, sum: u32) -> io::Result<ContainerCommandRequestProto> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await?;
    if crc32c(&bytes) != sum {
        return Err(invalid("a command's checksum is another"));
    }
    allotrope_proto::decode(Bytes::from(bytes)).map_err(|e| invalid(e.to_string()))
}

async fn body(stream: &mut TcpStream, len: usize) -> io::Result<Rope> {
    if len == 0 {
        return Ok(Rope::new());
    }
    let mut buf = AlignedBuf::heap(len);
    stream.read_into(&mut buf, len).await?;
    Ok(Rope::from(buf.freeze()))
}

/// Sends results in the order in which they come.
async fn write(stream: &mut TcpStream, mut owed: mpsc::UnboundedReceiver<Owed>) -> io::Result<()> {
    let mut results = FuturesUnordered::new();
    let mut bytes = Vec::new();
    loop {
        let next = match results.is_empty() {
            true => Either::Left(owed.recv().await),
            false => match select(pin!(owed.recv()), results.next()).await {
                Either::Left((next, _)) => Either::Left(next),
                Either::Right((done, _)) => Either::Right(done),
            },
        };
        match next {
            Either::Left(None) => return Ok(()),
            Either::Left(Some(Owed::Pong)) => bytes.extend(Ack::Pong.encode()),
            Either::Left(Some(Owed::Result(index, answer))) => {
                results.push(answer.map(move |result| (index, result)));
            }
            Either::Right(Some((index, Some(Ok(result))))) => {
                bytes.extend(Ack::Done { index, result }.encode());
            }
            Either::Right(Some((_, Some(Err(NoResult::Ended))))) => {
                bytes.extend(Ack::Ended.encode());
                return stream.write_all(&bytes).await;
            }
            Either::Right(Some((_, Some(Err(NoResult::Session)) | None))) => {
                return Err(invalid("the session is over"));
            }
            Either::Right(None) => {}
        }
        if !bytes.is_empty() {
            stream.write_all(&bytes).await?;
            bytes.clear();
        }
    }
}
