//! The system calls that need `unsafe`, behind safe functions: the ring of a shard's disk, receiving into memory that
//! is not initialised, and what rustix has no word for.
//!
//! Shape   [`Ring`] owns every operation it was given, buffer and file included, until the kernel has answered it.
//! Errors  `io::Error` as the kernel gives it.
//! Source  io_uring(7).
#![allow(
    unsafe_code,
    reason = "the one module of system calls; every block names the fact that makes it sound"
)]

use crate::buffer::{AlignedBuf, BufferPool};
use crate::file::FileInner;
use crate::inode::RangeGuard;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// The core that shard `n` is pinned to, if the process may use that many.
pub(crate) fn core_for(n: usize) -> Option<usize> {
    let may = rustix::thread::sched_getaffinity(None).ok()?;
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| may.is_set(*core)).nth(n)
}

/// Pins the calling thread.
pub(crate) fn pin_to(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// One disk operation, with all it needs to stay valid while the kernel works on it.
#[derive(Debug)]
pub(crate) enum RingOp {
    /// Reads into `memory` of `buf`.
    Read { file: Arc<FileInner>, buf: AlignedBuf, memory: Range<usize>, at: u64 },
    /// Writes `memory` of `buf`.
    Write {
        file: Arc<FileInner>,
        buf: AlignedBuf,
        memory: Range<usize>,
        at: u64,
        #[expect(dead_code, reason = "held until the kernel has answered")]
        keep: Option<Arc<RangeGuard>>,
    },
    /// Reads into, or writes, the data of several buffers in a row.
    Vectored {
        file: Arc<FileInner>,
        bufs: Vec<AlignedBuf>,
        write: bool,
        at: u64,
        #[expect(dead_code, reason = "held until the kernel has answered")]
        keep: Option<Arc<RangeGuard>>,
    },
    /// fdatasync.
    Sync { file: Arc<FileInner> },
    /// Sends `memory` of `buf` without copying it, where the kernel can. Answered when the bytes are queued; the buffer stays
    /// with the ring until the other side has them.
    Send { socket: Arc<OwnedFd>, buf: Arc<AlignedBuf>, memory: Range<usize>, found: Rc<Cell<ZeroCopy>> },
    /// The answer of a [`Send`](RingOp::Send) whose buffer the kernel still holds.
    Sent,
}

/// What sending to one peer without a copy came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ZeroCopy {
    #[default]
    Untried,
    Trying,
    /// The kernel took the bytes from our memory.
    Spares,
    /// It copied them all the same, or cannot do it: a plain send is cheaper.
    Copies,
}

/// IORING_SEND_ZC_REPORT_USAGE: the notification tells whether the bytes were copied after all.
const REPORT_USAGE: u16 = 1 << 3;
/// IORING_NOTIF_USAGE_ZC_COPIED, in the notification's result.
const WAS_COPIED: u32 = 1 << 31;

struct InFlight {
    op: RingOp,
    /// Backs a vectored operation while the kernel reads it.
    _vectors: Vec<libc::iovec>,
    tag: usize,
}

/// The ring one shard's disk operations go through.
pub(crate) struct Ring {
    ring: IoUring,
    ops: Slab<InFlight>,
    depth: usize,
    /// The pool whose memory the kernel holds pinned, if it does.
    registered: Option<BufferPool>,
    /// Pushed and not yet submitted.
    pending: usize,
}

/// So many operations that were pushed are submitted at once, whatever else is about to be pushed. When a whole batch was
/// answered together, the device works on the first of the next while the others are being prepared: with one submission a turn
/// it rests meanwhile, and random reads fall behind fio's by far more than the bench's target (`./dev bench io -- disk`). One at a
/// time costs a system call each and gains little.
const SUBMIT_AT: usize = 4;

/// The kernel takes no larger registered buffer.
const REGISTERED_MAX: usize = 1 << 30;

impl Ring {
    /// A ring that takes `depth` operations at once.
    pub(crate) fn new(depth: usize) -> io::Result<Ring> {
        let entries = u32::try_from(depth.next_power_of_two().clamp(8, 4096)).unwrap_or(4096);
        // One thread submits and asks for completions when it is ready for them: no interrupts to its other work.
        // (Not DEFER_TASKRUN: its answers are posted when this thread next enters the kernel for this ring. On kernel 6.18 that
        // wakes an eventfd, but no poll that waits on the ring already, and that poll is how glommio learns of an answer. By way
        // of an eventfd the random reads were no faster.)
        let ring = IoUring::builder()
            .setup_coop_taskrun()
            .setup_single_issuer()
            .build(entries)
            .or_else(|_| IoUring::new(entries))?;
        let depth = depth.min(entries as usize);
        Ok(Ring { ring, ops: Slab::with_capacity(depth), depth, registered: None, pending: 0 })
    }

    /// Registers the memory of `pool`, so that the kernel need not pin its pages for each operation.
    pub(crate) fn register(&mut self, pool: &BufferPool) -> io::Result<()> {
        let (at, len) = pool.extent();
        let vectors: Vec<libc::iovec> = (0..len)
            .step_by(REGISTERED_MAX)
            .map(|from| libc::iovec {
                iov_base: at.wrapping_add(from).cast(),
                iov_len: (len - from).min(REGISTERED_MAX),
            })
            .collect();
        // SAFETY: the region lives as long as `pool`, which is kept until the ring is dropped.
        unsafe { self.ring.submitter().register_buffers(&vectors)? };
        self.registered = Some(pool.clone());
        Ok(())
    }

    /// Whether one more operation may be pushed.
    pub(crate) fn has_room(&self) -> bool {
        self.ops.len() < self.depth
    }

    /// Operations the kernel has not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.ops.len()
    }

    /// Queues `op`; its answer carries `tag`. There must be room.
    pub(crate) fn push(&mut self, op: RingOp, tag: usize) {
        assert!(self.has_room(), "the caller asks for room first");
        let slot = self.ops.vacant_entry();
        let key = slot.key() as u64;
        let inflight = slot.insert(InFlight { op, _vectors: Vec::new(), tag });
        let entry = entry_of(inflight, self.registered.as_ref()).user_data(key);
        // SAFETY: buffers, vectors and file belong to the `InFlight` in `ops`, which is removed only when the kernel has
        // answered; an `AlignedBuf` and a `Vec` keep their memory where it is when they are moved.
        let full = unsafe { self.ring.submission().push(&entry) };
        full.expect("the submission queue has as many entries as operations are allowed");
        self.pending += 1;
    }

    /// Operations that were pushed since the last submit.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Whether what was pushed should be submitted now rather than with all that this turn of the shard pushes: there is a
    /// batch, or the device has little left to do.
    pub(crate) fn is_submit_due(&self) -> bool {
        let in_kernel = self.ops.len() - self.pending.min(self.ops.len());
        self.pending >= SUBMIT_AT || (self.pending > 0 && in_kernel < SUBMIT_AT)
    }

    /// Tells the kernel about all that was pushed.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        match self.ring.submit() {
            Ok(n) => self.pending -= n.min(self.pending),
            // Busy: completions must be taken first. Either way the entries stay queued for the next call.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::EINTR)) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// How many answers are there.
    pub(crate) fn answers(&mut self) -> usize {
        self.ring.completion().len()
    }

    /// Hands over the answers that are there, `most` at the most: tag, operation, bytes moved.
    pub(crate) fn reap(
        &mut self,
        most: usize,
        mut answer: impl FnMut(usize, RingOp, io::Result<usize>),
    ) -> usize {
        let mut reaped = 0;
        loop {
            let entry: Option<cqueue::Entry> =
                if reaped < most { self.ring.completion().next() } else { None };
            let Some(entry) = entry else { return reaped };
            reaped += 1;
            if cqueue::notif(entry.flags()) {
                self.sent(entry.user_data() as usize, entry.result());
                continue;
            }
            if cqueue::more(entry.flags())
                && let Some(sending) = self.ops.get(entry.user_data() as usize)
            {
                answer(sending.tag, RingOp::Sent, moved(entry.result()));
                continue;
            }
            let Some(done) = self.ops.try_remove(entry.user_data() as usize) else { continue };
            answer(done.tag, done.op, moved(entry.result()));
        }
    }

    /// The kernel is done with the buffer of a send.
    fn sent(&mut self, key: usize, usage: i32) {
        if let Some(InFlight { op: RingOp::Send { found, .. }, .. }) = self.ops.try_remove(key) {
            let copied = usage.cast_unsigned() & WAS_COPIED != 0;
            found.set(if copied { ZeroCopy::Copies } else { ZeroCopy::Spares });
        }
    }
}

/// The result of an operation: bytes, or the error whose negative it is.
fn moved(result: i32) -> io::Result<usize> {
    match result {
        e if e < 0 => Err(io::Error::from_raw_os_error(-e)),
        n => Ok(n as usize),
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel may still write into buffers we own: they are freed when it has answered, or never.
        let end = Instant::now() + Duration::from_secs(5);
        while !self.ops.is_empty() && Instant::now() < end {
            let wait = types::Timespec::new().sec(1);
            let args = types::SubmitArgs::new().timespec(&wait);
            let _ = self.ring.submitter().submit_with_args(1, &args);
            self.reap(usize::MAX, |_, _, _| {});
        }
        if !self.ops.is_empty() {
            tracing::error!(
                operations = self.ops.len(),
                "the disk has not answered; its buffers are left behind"
            );
            std::mem::forget(std::mem::take(&mut self.ops));
            std::mem::forget(self.registered.take());
        }
    }
}

/// The submission entry of an operation.
fn entry_of(inflight: &mut InFlight, registered: Option<&BufferPool>) -> squeue::Entry {
    let InFlight { op, _vectors: vectors, .. } = inflight;
    let len = |range: &Range<usize>| u32::try_from(range.len()).expect("a buffer is shorter than 4 GiB");
    match op {
        RingOp::Read { file, buf, memory, at } => {
            let fixed = fixed_index(buf, registered);
            let part = &mut buf.memory_mut()[memory.clone()];
            let (fd, ptr) = (types::Fd(file.fd().as_raw_fd()), part.as_mut_ptr());
            match fixed {
                Some(index) => opcode::ReadFixed::new(fd, ptr, len(memory), index).offset(*at).build(),
                None => opcode::Read::new(fd, ptr, len(memory)).offset(*at).build(),
            }
        }
        RingOp::Write { file, buf, memory, at, .. } => {
            let part = &buf.memory()[memory.clone()];
            let (fd, ptr) = (types::Fd(file.fd().as_raw_fd()), part.as_ptr());
            match fixed_index(buf, registered) {
                Some(index) => opcode::WriteFixed::new(fd, ptr, len(memory), index).offset(*at).build(),
                None => opcode::Write::new(fd, ptr, len(memory)).offset(*at).build(),
            }
        }
        RingOp::Vectored { file, bufs, write, at, .. } => {
            *vectors = bufs
                .iter_mut()
                .map(|buf| libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() })
                .collect();
            let count = u32::try_from(vectors.len()).expect("fewer vectors than UIO_MAXIOV");
            let fd = types::Fd(file.fd().as_raw_fd());
            match write {
                true => opcode::Writev::new(fd, vectors.as_ptr(), count).offset(*at).build(),
                false => opcode::Readv::new(fd, vectors.as_ptr(), count).offset(*at).build(),
            }
        }
        RingOp::Sync { file } => {
            opcode::Fsync::new(types::Fd(file.fd().as_raw_fd())).flags(types::FsyncFlags::DATASYNC).build()
        }
        RingOp::Send { socket, buf, memory, .. } => {
            let part = &buf.memory()[memory.clone()];
            opcode::SendZc::new(types::Fd(socket.as_raw_fd()), part.as_ptr(), len(memory))
                .buf_index(fixed_index(buf, registered))
                .flags(libc::MSG_NOSIGNAL)
                .zc_flags(REPORT_USAGE)
                .build()
        }
        RingOp::Sent => unreachable!("an answer is never submitted"),
    }
}

/// Which registered buffer `buf` lies in. Runs of pages are aligned to their size, so none lies in two.
fn fixed_index(buf: &AlignedBuf, registered: Option<&BufferPool>) -> Option<u16> {
    let pool = registered.filter(|pool| buf.is_from(pool))?;
    let from = buf.memory().as_ptr() as usize - pool.extent().0 as usize;
    u16::try_from(from / REGISTERED_MAX).ok()
}

/// Receives into hyper's buffer, which need not be initialised. Answers the number of bytes; 0 is the end.
pub(crate) fn receive_into(
    fd: BorrowedFd<'_>,
    cursor: &mut hyper::rt::ReadBufCursor<'_>,
) -> io::Result<usize> {
    // SAFETY: the kernel only writes into the slice, so nothing initialised becomes uninitialised.
    let room = unsafe { cursor.as_mut() };
    let ((filled, _), _) = rustix::net::recv(fd, room, rustix::net::RecvFlags::empty())?;
    let n = filled.len();
    // SAFETY: the kernel has initialised the first `n` bytes.
    unsafe { cursor.advance(n) };
    Ok(n)
}

/// Registers a descriptor with the tokio runtime this runs on.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open while it exists, and names the same file all along.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Takes the lock on a whole file for this open file, without waiting; `false` if another holds one that excludes it.
/// These are the locks of `fcntl`, which Java's `FileChannel.tryLock` takes too, so that each sees the other's; unlike
/// Java's they belong to the open file and not to the process, and end with it.
pub(crate) fn try_lock(fd: BorrowedFd<'_>, shared: bool) -> io::Result<bool> {
    match lock_call(fd, libc::F_OFD_SETLK, shared) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The process that holds a lock which excludes ours; 0 where the kernel names none, as for locks of open files.
pub(crate) fn lock_holder(fd: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    let found = lock_call(fd, libc::F_OFD_GETLK, false)?;
    let free = found.l_type == libc::F_UNLCK as libc::c_short;
    Ok((!free).then(|| u32::try_from(found.l_pid).unwrap_or(0)))
}

fn lock_call(fd: BorrowedFd<'_>, act: libc::c_int, shared: bool) -> io::Result<libc::flock> {
    let kind = if shared { libc::F_RDLCK } else { libc::F_WRLCK };
    // From the start, and to the end whatever it is (a length of 0); open files' locks want no process.
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads and writes the one struct that is passed,
    // which outlives the call.
    let done = unsafe { libc::fcntl(fd.as_raw_fd(), act, &raw mut lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(lock) }
}

/// Whether a time service keeps this machine's clock, as the kernel knows it.
pub fn clock_is_kept() -> io::Result<bool> {
    // SAFETY: all zeroes are a value of this plain struct of integers: `modes` 0, which only asks.
    let mut asked: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads and writes the one struct that is passed, which outlives the call.
    match unsafe { libc::adjtimex(&raw mut asked) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(asked.status & libc::STA_UNSYNC == 0),
    }
}
