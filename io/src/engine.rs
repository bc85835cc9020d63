//! The three ways a disk operation is carried out.
//!
//! Shape   one enum over io_uring, the blocking pool and memory; every operation owns its buffer and gives it back.
//! Errors  `io::Error` as the system gives it; short reads and writes are passed up.

use crate::blocking::BlockingPool;
use crate::buffer::AlignedBuf;
use crate::file::FileInner;
use crate::inode::RangeGuard;
use crate::ring::RingEngine;
use crate::sim::SimEngine;
use crate::sys::{RingOp, ZeroCopy};
use crate::task::ShardCounters;
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What carries out the reads, writes and flushes of one shard.
#[derive(Clone)]
pub(crate) enum Engine {
    /// A ring of the shard's own.
    Ring(RingEngine),
    /// Positioned calls on blocking threads.
    Pool(BlockingPool, Arc<ShardCounters>),
    /// The in-memory disk of a simulation.
    Memory(SimEngine),
}

/// A buffer back from an operation, with how many bytes moved.
pub(crate) type Moved = (AlignedBuf, io::Result<usize>);

impl Engine {
    /// Reads into `memory` of `buf`.
    pub(crate) async fn read(
        &self,
        file: &Arc<FileInner>,
        mut buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
    ) -> Moved {
        let file = file.clone();
        match self {
            Engine::Ring(ring) => match ring.run(RingOp::Read { file, buf, memory, at }).await {
                (RingOp::Read { buf, .. }, moved) => (buf, moved),
                _ => unreachable!("an operation comes back as itself"),
            },
            Engine::Pool(pool, counters) => {
                counters.disk_operations.fetch_add(1, Relaxed);
                owned(pool, move || {
                    let moved = rustix::io::pread(file.fd(), &mut buf.memory_mut()[memory], at);
                    (buf, moved.map_err(Into::into))
                })
                .await
            }
            Engine::Memory(memory_disk) => memory_disk.read(file, buf, memory, at).await,
        }
    }

    /// Writes `memory` of `buf`.
    pub(crate) async fn write(
        &self,
        file: &Arc<FileInner>,
        buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> Moved {
        let file = file.clone();
        match self {
            Engine::Ring(ring) => match ring.run(RingOp::Write { file, buf, memory, at, keep }).await {
                (RingOp::Write { buf, .. }, moved) => (buf, moved),
                _ => unreachable!("an operation comes back as itself"),
            },
            Engine::Pool(pool, counters) => {
                counters.disk_operations.fetch_add(1, Relaxed);
                owned(pool, move || {
                    let moved = rustix::io::pwrite(file.fd(), &buf.memory()[memory], at);
                    drop(keep);
                    (buf, moved.map_err(Into::into))
                })
                .await
            }
            Engine::Memory(memory_disk) => memory_disk.write(file, buf, memory, at, keep).await,
        }
    }

    /// Reads into, or writes, the data of `bufs` one after the other.
    pub(crate) async fn vectored(
        &self,
        file: &Arc<FileInner>,
        mut bufs: Vec<AlignedBuf>,
        write: bool,
        at: u64,
        keep: Option<Arc<RangeGuard>>,
    ) -> (Vec<AlignedBuf>, io::Result<usize>) {
        let file = file.clone();
        match self {
            Engine::Ring(ring) => match ring.run(RingOp::Vectored { file, bufs, write, at, keep }).await {
                (RingOp::Vectored { bufs, .. }, moved) => (bufs, moved),
                _ => unreachable!("an operation comes back as itself"),
            },
            Engine::Pool(pool, counters) => {
                counters.disk_operations.fetch_add(1, Relaxed);
                owned(pool, move || {
                    let moved = if write {
                        let parts: Vec<_> = bufs.iter().map(|buf| io::IoSlice::new(buf)).collect();
                        rustix::io::pwritev(file.fd(), &parts, at)
                    } else {
                        let mut parts: Vec<_> = bufs.iter_mut().map(|buf| io::IoSliceMut::new(buf)).collect();
                        rustix::io::preadv(file.fd(), &mut parts, at)
                    };
                    drop(keep);
                    (bufs, moved.map_err(Into::into))
                })
                .await
            }
            Engine::Memory(memory_disk) => memory_disk.vectored(file, bufs, write, at, keep).await,
        }
    }

    /// Sends `memory` of `buf` from where it lies; `None` where the back has no such call.
    pub(crate) async fn send(
        &self,
        socket: &Arc<OwnedFd>,
        buf: &Arc<AlignedBuf>,
        memory: Range<usize>,
        found: &Rc<Cell<ZeroCopy>>,
    ) -> Option<io::Result<usize>> {
        let Engine::Ring(ring) = self else { return None };
        let (socket, buf, found) = (socket.clone(), buf.clone(), found.clone());
        Some(ring.run(RingOp::Send { socket, buf, memory, found }).await.1)
    }

    /// Makes the file's data and length durable.
    pub(crate) async fn sync(&self, file: &Arc<FileInner>) -> io::Result<()> {
        let file = file.clone();
        match self {
            Engine::Ring(ring) => ring.run(RingOp::Sync { file }).await.1.map(drop),
            Engine::Pool(_, counters) => {
                counters.disk_operations.fetch_add(1, Relaxed);
                self.blocking(move || Ok(rustix::fs::fdatasync(file.fd())?)).await
            }
            Engine::Memory(memory_disk) => memory_disk.sync(file).await,
        }
    }

    /// Makes the whole file system of `file`, a direct one, durable. `false` if nothing was done: the page cache holds too
    /// much that would be written with it.
    pub(crate) async fn sync_whole(&self, file: &Arc<FileInner>) -> io::Result<bool> {
        let file = file.clone();
        if let Engine::Memory(memory_disk) = self {
            return memory_disk.sync_whole(file).await.map(|()| true);
        }
        self.blocking(move || {
            if crate::fs::dirty_bytes().is_none_or(|bytes| bytes > crate::flush::DIRTY_MAX) {
                return Ok(false);
            }
            Ok(rustix::fs::syncfs(file.fd()).map(|()| true)?)
        })
        .await
    }

    /// Runs `work`, which may block, off the shard.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Engine::Ring(RingEngine { blocking, .. }) | Engine::Pool(blocking, _) => {
                blocking.run_bounded_by_caller(work).await.map_err(io::Error::other)?
            }
            Engine::Memory(memory_disk) => memory_disk.call(work).await,
        }
    }
}

/// Runs `work`, which owns a buffer, on the pool. Only if no thread can be started at all is the buffer lost, and an empty
/// one comes back with the error.
async fn owned<B: Default + Send + 'static>(
    pool: &BlockingPool,
    work: impl FnOnce() -> (B, io::Result<usize>) + Send + 'static,
) -> (B, io::Result<usize>) {
    pool.run_bounded_by_caller(work).await.unwrap_or_else(|e| (B::default(), Err(io::Error::other(e))))
}
