//! Files to sockets and sockets to files, in bulk.
//!
//! Shape   a file in the page cache goes out by sendfile, on one blocking thread, and never passes user space; a direct file
//!         goes through aligned buffers, the next being read while one is sent. On a ring the first of them is sent with
//!         SEND_ZC, and so are those after it if the kernel tells that it did not copy it. What comes in goes through aligned
//!         buffers, some being written while the next is filled.
//! Units   bytes.
//! Errors  [`BulkError`]: which side failed.
//! Source  docs/performance/io.md, 'File to socket', for the choice.

use crate::buffer::{AlignedBuf, BufferPool, PAGE, PoolEmpty};
use crate::clock::Elapsed;
use crate::engine::Engine;
use crate::error::DiskError;
use crate::file::File;
use crate::net::TcpStream;
use crate::sys::ZeroCopy;
use futures_util::stream::{FuturesUnordered, StreamExt, TryStreamExt};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Why a bulk transfer ended early.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// The file's side.
    #[error("the file's side of a bulk transfer failed")]
    Disk(#[from] DiskError),
    /// The connection's side.
    #[error("the connection's side of a bulk transfer failed")]
    Net(#[from] io::Error),
    /// No buffer of the pool is long enough.
    #[error(transparent)]
    Memory(#[from] PoolEmpty),
}

/// How a bulk transfer goes.
#[derive(Clone, Debug)]
pub struct BulkConfig {
    /// The longest piece, in bytes. Default 1 MiB.
    pub piece: usize,
    /// Pieces on their way between disk and socket. Default 4.
    pub pieces_ahead: usize,
    /// The longest the other side may take no byte. Default 30 s.
    pub stall_max: Duration,
    /// How bytes of a direct file leave their buffer. Default by measurement.
    pub send_by: SendBy,
}

/// How bytes leave a buffer for a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendBy {
    /// Without a copy to peers for which the kernel says that it makes none, found out with the first piece; else by copying.
    #[default]
    Measured,
    /// Copied by the kernel: a plain send.
    Copy,
    /// SEND_ZC, even if the kernel copies; by copying where there is no ring.
    ZeroCopy,
}

impl Default for BulkConfig {
    fn default() -> BulkConfig {
        BulkConfig {
            piece: 1 << 20,
            pieces_ahead: 4,
            stall_max: Duration::from_secs(30),
            send_by: SendBy::default(),
        }
    }
}

impl TcpStream {
    /// Sends the bytes `range` of `file`. A file that ends before is an error of kind `UnexpectedEof`; a receiver that takes
    /// nothing for `stall_max` one of kind `TimedOut`.
    ///
    /// Cancel safety: if dropped, what was under way may still be sent: the connection is of no further use.
    pub async fn send_file(
        &mut self,
        file: &File,
        range: Range<u64>,
        pool: &BufferPool,
        config: &BulkConfig,
    ) -> Result<(), BulkError> {
        match self.duplicate()? {
            Some(socket) if !file.is_direct() => self.send_cached(file, socket, range, config).await,
            socket => self.send_pieces(file, socket.map(Arc::new), range, pool, config).await,
        }
    }

    async fn send_cached(
        &mut self,
        file: &File,
        socket: OwnedFd,
        range: Range<u64>,
        config: &BulkConfig,
    ) -> Result<(), BulkError> {
        let (inner, stall_max) = (file.inner.clone(), config.stall_max);
        // On a thread of its own: a page that is not in the cache is waited for.
        let sent = file.disk.engine().blocking(move || send_all(inner.fd(), &socket, range, stall_max));
        Ok(sent.await?)
    }

    async fn send_pieces(
        &mut self,
        file: &File,
        socket: Option<Arc<OwnedFd>>,
        range: Range<u64>,
        pool: &BufferPool,
        config: &BulkConfig,
    ) -> Result<(), BulkError> {
        let clock = self.clock().clone();
        let waits = &clock;
        let piece = config.piece.max(1);
        let ahead = config.pieces_ahead.max(1);
        let reads =
            futures_util::stream::iter((range.start..range.end).step_by(piece)).map(|at| async move {
                let len = (range.end - at).min(piece as u64) as usize;
                let room = len + (at % PAGE as u64) as usize;
                let buf = waits.timeout(config.stall_max, pool.take(room)).await.map_err(late)??;
                let (buf, read) = file.read_exact_at(buf, at, len).await;
                read?;
                Ok::<_, BulkError>(buf)
            });
        // Read on one side, sent on the other, both in this task.
        let (put, mut get) = mpsc::channel(1);
        // The channel closes when this is done, and dropped with it.
        let read = reads.buffered(ahead).try_for_each(move |buf| {
            let put = put.clone();
            // The sending side has ended with an error of its own if it takes no more.
            async move { put.send(buf).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe).into()) }
        });
        let send = async {
            while let Some(buf) = get.recv().await {
                let sent = self.send_piece(file.disk.engine(), socket.as_ref(), buf, config.send_by);
                clock.timeout(config.stall_max, sent).await.map_err(late)??;
            }
            Ok(())
        };
        futures_util::future::try_join(read, send).await.map(drop)
    }

    /// Sends all of one buffer.
    async fn send_piece(
        &mut self,
        engine: &Engine,
        socket: Option<&Arc<OwnedFd>>,
        buf: AlignedBuf,
        by: SendBy,
    ) -> io::Result<()> {
        let found = self.zero_copy.clone();
        let spare = match (by, found.get()) {
            (SendBy::Copy, _) | (SendBy::Measured, ZeroCopy::Copies | ZeroCopy::Trying) => false,
            (SendBy::ZeroCopy, _) | (SendBy::Measured, ZeroCopy::Spares | ZeroCopy::Untried) => true,
        };
        let Some(socket) = socket.filter(|_| spare) else { return self.write_all(&buf).await };
        if found.get() == ZeroCopy::Untried {
            found.set(ZeroCopy::Trying);
        }
        let (start, buf) = (buf.start(), Arc::new(buf));
        let mut done = 0;
        while done < buf.len() {
            let memory = start + done..start + buf.len();
            match engine.send(socket, &buf, memory, &found).await {
                Some(Ok(n)) => done += n,
                Some(Err(e)) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                // The back or the kernel knows no such call.
                Some(Err(e)) if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
                    return Err(e);
                }
                _ => {
                    found.set(ZeroCopy::Copies);
                    return self.write_all(&buf[done..]).await;
                }
            }
        }
        Ok(())
    }

    /// Receives `len` bytes into `file` from `at` on. What arrives is written as it comes, not made durable. A connection that
    /// ends before is an error of kind `UnexpectedEof`, one that brings nothing for `stall_max` of kind `TimedOut`.
    ///
    /// Cancel safety: if dropped, pieces that were being written are; the connection is of no further use.
    pub async fn receive_file(
        &mut self,
        file: &File,
        at: u64,
        len: u64,
        pool: &BufferPool,
        config: &BulkConfig,
    ) -> Result<(), BulkError> {
        let clock = self.clock().clone();
        let mut writing = FuturesUnordered::new();
        let (mut from, end) = (at, at + len);
        while from < end {
            // Pieces end at multiples of their length, so that a direct file gets whole pages.
            let piece = config.piece.max(1) as u64;
            let to = ((from / piece + 1) * piece).min(end);
            let take = (to - from) as usize;
            let head = (from % PAGE as u64) as usize;
            let buf = clock.timeout(config.stall_max, pool.take(head + take)).await;
            let mut buf = buf.map_err(late)??;
            buf.clear_at(head);
            let received = clock.timeout(config.stall_max, self.read_into(&mut buf, take)).await;
            received.map_err(late)??;
            let file = file.clone();
            writing.push(async move { file.write_at(buf, from).await.1 });
            while writing.len() >= config.pieces_ahead.max(1) {
                writing.next().await.transpose()?;
            }
            from = to;
        }
        while let Some(written) = writing.next().await {
            written?;
        }
        Ok(())
    }
}

fn late(e: Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, e)
}

/// Sends bytes `range` of `file` to `socket` from the calling thread, which waits whenever the socket is full.
fn send_all(
    file: BorrowedFd<'_>,
    socket: &OwnedFd,
    range: Range<u64>,
    stall_max: Duration,
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(CALL_MAX);
        match rustix::fs::sendfile(socket, file, Some(&mut at), len) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // The call has moved `at`.
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_writable(socket, stall_max)?,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The most one call of sendfile is asked for: the kernel takes no more.
const CALL_MAX: usize = 0x7fff_f000;

fn wait_writable(socket: &OwnedFd, stall_max: Duration) -> io::Result<()> {
    let within = Timespec::try_from(stall_max).map_err(io::Error::other)?;
    let mut watch = [PollFd::new(socket, PollFlags::OUT)];
    match rustix::event::poll(&mut watch, Some(&within)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
