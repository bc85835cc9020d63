//! Operations on the in-memory disk: each is a task of its own, takes virtual time, and is in the trace.

use super::disk::SimDisk;
use super::exec::SimExec;
use super::fault::SimFault;
use crate::buffer::{AlignedBuf, PAGE};
use crate::error::Act;
use crate::file::FileInner;
use crate::inode::RangeGuard;
use crate::mesh::Reply;
use crate::task::ShardCounters;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The engine of a simulated shard.
#[derive(Clone)]
pub(crate) struct SimEngine {
    exec: SimExec,
    counters: Arc<ShardCounters>,
}

impl SimEngine {
    pub(crate) fn new(exec: SimExec, counters: Arc<ShardCounters>) -> SimEngine {
        SimEngine { exec, counters }
    }

    pub(crate) async fn read(
        &self,
        file: Arc<FileInner>,
        mut buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
    ) -> (AlignedBuf, io::Result<usize>) {
        self.operate(Act::Read, file, at, memory.len(), move |disk, file, fault, rng| {
            let refused = aligned(file, memory.start, memory.len(), at).err();
            if let Some(e) = refused.or(fault.and_then(SimFault::error)) {
                return (buf, Err(e));
            }
            let asked = short(memory.len(), fault, rng);
            let into = &mut buf.memory_mut()[memory.start..memory.start + asked];
            let n = disk.read(file.body.memory().node, at, into);
            if fault == Some(SimFault::FlipBit) && n > 0 {
                into[rng.below(n as u64) as usize] ^= 1 << rng.below(8);
            }
            (buf, Ok(n))
        })
        .await
    }

    pub(crate) async fn write(
        &self,
        file: Arc<FileInner>,
        buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> (AlignedBuf, io::Result<usize>) {
        if let Err(e) = aligned(&file, memory.start, memory.len(), at) {
            return (buf, Err(e));
        }
        let begun = self.exec.disk().begin_write(file.body.memory().node, at, &buf.memory()[memory.clone()]);
        self.operate(Act::Write, file, at, memory.len(), move |disk, _, fault, rng| {
            let written = match fault.and_then(SimFault::error) {
                Some(e) => {
                    disk.drop_write(begun);
                    Err(e)
                }
                None => disk.end_write(begun, Some(short(memory.len(), fault, rng))),
            };
            drop(keep);
            (buf, written)
        })
        .await
    }

    pub(crate) async fn vectored(
        &self,
        file: Arc<FileInner>,
        bufs: Vec<AlignedBuf>,
        write: bool,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> (Vec<AlignedBuf>, io::Result<usize>) {
        let (mut back, mut moved, mut from) = (Vec::with_capacity(bufs.len()), Ok(0), at);
        let mut go_on = true;
        for buf in bufs {
            if !go_on {
                back.push(buf);
                continue;
            }
            let memory = buf.start()..buf.start() + buf.len();
            let len = memory.len();
            let (buf, part) = match write {
                true => self.write(file.clone(), buf, memory, from, keep.clone()).await,
                false => self.read(file.clone(), buf, memory, from).await,
            };
            back.push(buf);
            match part {
                Ok(n) => {
                    moved = moved.map(|sum: usize| sum + n);
                    go_on = n == len;
                }
                // What came before the error counts, as with a real disk.
                Err(e) => {
                    go_on = false;
                    if from == at {
                        moved = Err(e);
                    }
                }
            }
            from += len as u64;
        }
        (back, moved)
    }

    pub(crate) async fn sync(&self, file: Arc<FileInner>) -> io::Result<()> {
        let begun = self.exec.disk().snapshot(file.body.memory().node);
        let done = self.operate(Act::Sync, file, 0, 0, move |disk, file, fault, _| {
            let flushed = fault.and_then(SimFault::error).map_or(Ok(0), Err);
            if flushed.is_ok() {
                disk.make_durable(file.body.memory().node, begun);
            }
            ((), flushed)
        });
        done.await.1.map(drop)
    }

    /// A flush of the whole disk, in its time.
    pub(crate) async fn sync_whole(&self, file: Arc<FileInner>) -> io::Result<()> {
        let exec = self.exec.clone();
        let (reply, answer) = Reply::new();
        let begun = exec.disk().snapshot_all();
        self.exec.start_named("disk", async move {
            let takes = exec.disk().lock().latency.whole(exec.rng());
            exec.clock().sleep(takes).await;
            let flushed = exec.disk().end_sync_all(&file.path, begun);
            exec.note(format_args!("sync the whole disk: {flushed:?}"));
            reply.send(flushed);
        });
        answer.await.unwrap_or_else(|| Err(io::Error::other("the simulation ended")))
    }

    /// Runs a call that looks at names.
    pub(crate) async fn call<T: 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + 'static,
    ) -> io::Result<T> {
        let (reply, answer) = Reply::new();
        let exec = self.exec.clone();
        self.exec.start_named("names", async move {
            exec.pause().await;
            reply.send(work());
        });
        answer.await.unwrap_or_else(|| Err(io::Error::other("the simulation ended")))
    }

    /// Starts a task that waits the operation's time and then carries it out, whether or not anybody still waits.
    async fn operate<B: Default + 'static>(
        &self,
        act: Act,
        file: Arc<FileInner>,
        at: u64,
        len: usize,
        work: impl FnOnce(&SimDisk, &FileInner, Option<SimFault>, &super::SimRng) -> (B, io::Result<usize>)
        + 'static,
    ) -> (B, io::Result<usize>) {
        self.counters.disk_operations.fetch_add(1, Relaxed);
        let (reply, answer) = Reply::new();
        let exec = self.exec.clone();
        self.exec.start_named("disk", async move {
            let disk = exec.disk().clone();
            let (mut takes, fault) = {
                let mut state = disk.lock();
                (state.latency.of(act, exec.rng()), state.faults.take(act, &file.path))
            };
            if let Some(SimFault::Delay(by)) = fault {
                takes += by;
            }
            exec.clock().sleep(takes).await;
            let (back, moved) = work(&disk, &file, fault, exec.rng());
            exec.note(format_args!("{act} {} at {at} len {len}: {moved:?}", file.path.display()));
            reply.send((back, moved));
        });
        answer.await.unwrap_or_else(|| (B::default(), Err(io::Error::other("the simulation ended"))))
    }
}

/// What a direct file refuses.
fn aligned(file: &FileInner, memory: usize, len: usize, at: u64) -> io::Result<()> {
    let whole = |n: usize| n.is_multiple_of(PAGE);
    if file.how.direct && !(whole(memory) && whole(len) && at.is_multiple_of(PAGE as u64)) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(())
}

/// How many of `len` bytes an operation moves.
fn short(len: usize, fault: Option<SimFault>, rng: &super::SimRng) -> usize {
    match fault {
        Some(SimFault::Short) if len > PAGE => {
            (1 + rng.below((len.div_ceil(PAGE) - 1) as u64) as usize) * PAGE
        }
        _ => len,
    }
}
