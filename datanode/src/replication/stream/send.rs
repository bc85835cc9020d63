//! The sender's side: an archive's parts go out in order, files by the kernel alone; a cut is mended.
//!
//! Units   the connection's deadlines are shorter than gRPC's: what hangs is cut and made again.
//! Errors  [`SendError::Foreign`] before anything was sent: the peer is one of Ozone's, or off.

use super::budget::Budget;
use super::wire::{ANSWER_LEN, Answer, Foreign, Hello};
use crate::commands::CommandError;
use crate::replication::Courtesy;
use crate::replication::export::{self, Part};
use crate::replication::serve::Peer;
use allotrope_io::{BulkConfig, BulkError, Disk, OpenHow, Shard, TcpStream};
use allotrope_types::ContainerId;
use allotrope_types::DatanodeResult::{IoException, Success};
use std::io;
use std::time::Duration;

/// Longest time for a connection, and for the peer's first word.
const GREET_MAX: Duration = Duration::from_secs(10);
/// Longest that the peer may take nothing.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Longest time from the last byte until the container is stable in its place.
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// Connections without progress that are tried.
const TRIES_MAX: u32 = 6;
/// How often, and how far apart, a peer is asked that has not noticed a cut: longer than it waits for a byte.
const BUSY_MAX: u32 = 80;
const BUSY_WAIT: Duration = Duration::from_millis(500);
/// Bytes that are asked of the budget at once, and while clients are there.
const RUN: u64 = 4 << 20;
const RUN_BUSY: u64 = 1 << 20;

/// Why an archive was not sent.
#[derive(Debug)]
pub enum SendError {
    /// The peer does not speak this transport.
    Foreign(String),
    /// It does, and the copy failed.
    Failed(CommandError),
}

impl From<CommandError> for SendError {
    fn from(e: CommandError) -> SendError {
        SendError::Failed(e)
    }
}

/// A transfer.
pub struct Transfer<'a> {
    /// Where to.
    pub peer: Peer,
    /// What.
    pub container: ContainerId,
    /// Bytes that it uses.
    pub used: u64,
    /// Its archive.
    pub parts: &'a [Part],
    /// Its number, which no other transfer has.
    pub id: [u8; 16],
    /// How fast.
    pub budget: &'a Budget,
    /// What it leaves to clients.
    pub courtesy: &'a Courtesy,
}

/// What a try came to.
enum Tried {
    /// The peer has said how it ended.
    Ended(Result<(), CommandError>),
    /// The connection was cut when the peer had this much.
    Cut(u64, io::Error),
    /// There is nobody.
    Away(io::Error),
    /// The peer has not noticed yet that the last connection is cut, or takes no more copies now.
    Busy,
    Foreign(String),
}

/// Sends an archive; answers once the container is stable in its place.
pub async fn send(shard: &Shard, disk: &Disk, transfer: &Transfer<'_>) -> Result<(), SendError> {
    let (mut had, mut tries, mut known, mut waits) = (0, 0, false, 0);
    loop {
        match attempt(shard, disk, transfer, known).await {
            Tried::Ended(done) => return done.map_err(SendError::Failed),
            Tried::Foreign(why) if !known => return Err(SendError::Foreign(why)),
            Tried::Away(e) if !known => {
                let Peer { id, address } = transfer.peer;
                let why = format!("datanode {id} at {address} is not reached: {e}");
                return Err(SendError::Failed(CommandError::new(IoException, why)));
            }
            Tried::Away(e) => tries = tries_after(transfer, tries, &e.to_string())?,
            Tried::Busy if waits < BUSY_MAX => {
                waits += 1;
                shard.clock().sleep(BUSY_WAIT).await;
                continue;
            }
            Tried::Busy => tries = tries_after(transfer, tries, "the datanode is still busy")?,
            Tried::Foreign(why) => tries = tries_after(transfer, tries, &why)?,
            Tried::Cut(has, e) => {
                known = true;
                tries = if has > had { 0 } else { tries };
                had = had.max(has);
                tries = tries_after(transfer, tries, &e.to_string())?;
            }
        }
        shard.clock().sleep(Duration::from_millis(100) * 2u32.pow(tries)).await;
    }
}

/// One more, or the end.
fn tries_after(transfer: &Transfer<'_>, tries: u32, why: &str) -> Result<u32, SendError> {
    let Peer { id, address } = transfer.peer;
    tracing::info!(container = %transfer.container, datanode = %id, why, "a transfer was cut");
    match tries + 1 {
        tries if tries < TRIES_MAX => Ok(tries),
        _ => {
            let why = format!("datanode {id} at {address}: the transfer was cut too often, last by: {why}");
            Err(SendError::Failed(CommandError::new(IoException, why)))
        }
    }
}

async fn attempt(shard: &Shard, disk: &Disk, transfer: &Transfer<'_>, resumes: bool) -> Tried {
    let len = export::len(transfer.parts);
    let hello =
        Hello { container: transfer.container, used: transfer.used, len, transfer: transfer.id, resumes };
    let late = |e| io::Error::new(io::ErrorKind::TimedOut, e);
    let mut stream = match shard.clock().timeout(GREET_MAX, shard.connect(transfer.peer.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return Tried::Away(e.source),
        Err(e) => return Tried::Away(late(e)),
    };
    let greeting = async {
        stream.write_all(&hello.encode()).await?;
        answer(&mut stream).await
    };
    let first = match shard.clock().timeout(GREET_MAX, greeting).await {
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(e))) => return Tried::Foreign(e.to_string()),
        Ok(Err(e)) => return Tried::Foreign(e.to_string()),
        Err(e) => return Tried::Foreign(e.to_string()),
    };
    match first.result {
        Some(Success) if first.has <= len => {}
        // The connection that was cut is not given up there yet, or others come first.
        None => return Tried::Busy,
        result => return Tried::Ended(ended(transfer, result, &first.text)),
    }
    if let Err(e) = write(shard, disk, &mut stream, transfer, first.has).await {
        return match e {
            // The source itself cannot be read: no other connection helps.
            BulkError::Disk(e) => Tried::Ended(Err(e.into())),
            BulkError::Net(e) => Tried::Cut(first.has, e),
            BulkError::Memory(e) => Tried::Ended(Err(CommandError::new(IoException, e.to_string()))),
        };
    }
    match shard.clock().timeout(SETTLE_MAX, answer(&mut stream)).await {
        Ok(Ok(Ok(last))) => Tried::Ended(ended(transfer, last.result, &last.text)),
        Ok(Ok(Err(e))) => Tried::Cut(first.has, io::Error::new(io::ErrorKind::InvalidData, e)),
        Ok(Err(e)) => Tried::Cut(first.has, e),
        Err(e) => Tried::Cut(first.has, io::Error::new(io::ErrorKind::TimedOut, e)),
    }
}

fn ended(
    transfer: &Transfer<'_>,
    result: Option<allotrope_types::DatanodeResult>,
    text: &str,
) -> Result<(), CommandError> {
    match result {
        Some(Success) => Ok(()),
        result => {
            let why = format!("datanode {}: {text}", transfer.peer.id);
            Err(CommandError::new(result.unwrap_or(IoException), why))
        }
    }
}

async fn answer(stream: &mut TcpStream) -> io::Result<Result<Answer, Foreign>> {
    let mut bytes = [0; ANSWER_LEN];
    stream.read_exact(&mut bytes).await?;
    let (mut answer, len) = match Answer::decode(&bytes) {
        Ok(read) => read,
        Err(e) => return Ok(Err(e)),
    };
    let mut text = vec![0; len];
    stream.read_exact(&mut text).await?;
    answer.text = String::from_utf8_lossy(&text).into_owned();
    Ok(Ok(answer))
}

/// Sends the archive's bytes from `from` on.
async fn write(
    shard: &Shard,
    disk: &Disk,
    stream: &mut TcpStream,
    transfer: &Transfer<'_>,
    from: u64,
) -> Result<(), BulkError> {
    let config = BulkConfig { stall_max: STALL_MAX, ..BulkConfig::default() };
    let mut at = 0;
    for part in transfer.parts {
        let len = export::len_of(part);
        let skip = from.saturating_sub(at).min(len);
        at += len;
        if skip == len {
            continue;
        }
        match part {
            Part::Bytes(bytes) => {
                transfer.budget.wait(shard.clock(), len - skip).await;
                let sent = shard.clock().timeout(STALL_MAX, stream.write_all(&bytes[skip as usize..])).await;
                sent.map_err(|e| io::Error::new(io::ErrorKind::TimedOut, e))??;
            }
            Part::File(path, len) => {
                let file = disk.open(path, OpenHow::read()).await?;
                let mut place = skip;
                while place < *len {
                    let run = if transfer.courtesy.is_busy(shard.clock()) { RUN_BUSY } else { RUN };
                    let run = run.min(len - place);
                    transfer.budget.wait(shard.clock(), run).await;
                    transfer.courtesy.wait(shard.clock(), run).await;
                    stream.send_file(&file, place..place + run, shard.buffers(), &config).await?;
                    place += run;
                }
            }
        }
    }
    Ok(())
}
