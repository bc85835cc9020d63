//! Aligned memory: the buffers that disks read and write directly, and the fixed pool each shard has of them.
//!
//! Shape   a pool is one region, allocated and zeroed at start; a buffer is a run of its pages with a window of data.
//! Units   bytes; memory is handed out in pages of [`PAGE`] bytes.
//! Errors  [`PoolEmpty`] when no run of pages is free; a wait (`take`) is first come, first served.
//! Source  DESIGN.md, 'Threads': memory is planned, not discovered.
//!
//! memory  | start       | data (len)             | room                |
//!         | 0 .. start  | start .. start + len   | .. capacity         |
//!
//! A buffer may be dropped on any thread: its pages go back to the pool they came from.
#![allow(
    unsafe_code,
    reason = "aligned memory shared by pages; every block names the fact that makes it sound"
)]

use crate::buffer_pages::FreePages;
use bytes::Bytes;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::alloc::{Layout, handle_alloc_error};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The alignment of every buffer, in bytes: what O_DIRECT asks for on any disk we support.
pub const PAGE: usize = 4096;

/// Zeroed pages of the kernel's, given back on drop. They take memory when they are first touched.
#[derive(Debug)]
struct Region {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a region is plain memory that it alone frees; `AlignedBuf`s are handed disjoint parts of it.
unsafe impl Send for Region {}
// SAFETY: as above: `&Region` gives out a pointer and a length, never a reference to the bytes.
unsafe impl Sync for Region {}

impl Region {
    fn new(len: usize) -> Region {
        let len = len.max(1).next_multiple_of(PAGE);
        // SAFETY: a new private mapping at an address of the kernel's choice touches no memory of ours.
        let mapped = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        let layout = Layout::from_size_align(len, PAGE).expect("a region fits the address space");
        match mapped.ok().and_then(|at| NonNull::new(at.cast())) {
            Some(at) => Region { at, len },
            None => handle_alloc_error(layout),
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, whole, and no buffer outlives its region.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// No run of free pages in the pool is long enough now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buffer pool has no {wanted} B left in one piece ({left} B free)")]
pub struct PoolEmpty {
    /// Bytes that were asked for.
    pub wanted: usize,
    /// Bytes free in all.
    pub left: usize,
}

#[derive(Debug)]
struct Pool {
    region: Region,
    run_max: usize,
    state: Mutex<PoolState>,
}

#[derive(Debug)]
struct PoolState {
    pages: FreePages,
    waiting: VecDeque<(usize, oneshot::Sender<AlignedBuf>)>,
}

/// A fixed amount of aligned memory, given out as [`AlignedBuf`]s. Cheap to clone; clones share the memory.
#[derive(Debug, Clone)]
pub struct BufferPool(Arc<Pool>);

impl BufferPool {
    /// A pool of `bytes` (rounded up to pages) whose longest buffer is `buffer_max` bytes (rounded up to a power of
    /// two). The memory is reserved now and touched when first used.
    pub fn new(bytes: usize, buffer_max: usize) -> BufferPool {
        let run_max = buffer_max.max(PAGE).next_power_of_two();
        let pages = u32::try_from(bytes.max(run_max).div_ceil(PAGE)).expect("a pool is smaller than 16 TiB");
        let state =
            PoolState { pages: FreePages::new(pages, (run_max / PAGE) as u32), waiting: VecDeque::new() };
        let region = Region::new(pages as usize * PAGE);
        BufferPool(Arc::new(Pool { region, run_max, state: Mutex::new(state) }))
    }

    /// A buffer with room for `room` bytes and no data yet, or [`PoolEmpty`] at once.
    pub fn try_take(&self, room: usize) -> Result<AlignedBuf, PoolEmpty> {
        let mut state = self.state();
        if state.waiting.is_empty()
            && let Some(buf) = self.cut(&mut state, room)
        {
            return Ok(buf);
        }
        Err(PoolEmpty { wanted: room, left: state.pages.left as usize * PAGE })
    }

    /// A buffer with room for `room` bytes, when there is one: waiters are served in order, so put a deadline around
    /// the wait. Fails at once if no buffer of this pool can ever be that long.
    ///
    /// Cancel safety: a dropped wait takes nothing.
    pub async fn take(&self, room: usize) -> Result<AlignedBuf, PoolEmpty> {
        let wait = {
            let mut state = self.state();
            if room > self.0.run_max {
                return Err(PoolEmpty { wanted: room, left: state.pages.left as usize * PAGE });
            }
            if state.waiting.is_empty()
                && let Some(buf) = self.cut(&mut state, room)
            {
                return Ok(buf);
            }
            let (serve, wait) = oneshot::channel();
            state.waiting.push_back((room, serve));
            wait
        };
        wait.await.map_err(|_| PoolEmpty { wanted: room, left: 0 })
    }

    /// A buffer for `len` bytes that will lie at file offset `at`: the data starts where the offset has it within a
    /// page, so that a direct write needs no copy.
    pub fn try_take_for(&self, at: u64, len: usize) -> Result<AlignedBuf, PoolEmpty> {
        let start = (at % PAGE as u64) as usize;
        let mut buf = self.try_take(start + len)?;
        buf.start = start;
        Ok(buf)
    }

    /// Bytes not handed out.
    pub fn bytes_free(&self) -> usize {
        self.state().pages.left as usize * PAGE
    }

    /// Bytes in all.
    pub fn bytes_total(&self) -> usize {
        self.0.region.len
    }

    /// The longest buffer, in bytes.
    pub fn buffer_max(&self) -> usize {
        self.0.run_max
    }

    /// How many wait for a buffer.
    pub fn waiters(&self) -> usize {
        self.state().waiting.len()
    }

    /// Where the pool's memory lies, for registering it with a ring.
    pub(crate) fn extent(&self) -> (*mut u8, usize) {
        (self.0.region.at.as_ptr(), self.0.region.len)
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, state: &mut PoolState, room: usize) -> Option<AlignedBuf> {
        let pages = u32::try_from(room.max(1).div_ceil(PAGE)).ok()?;
        let first = state.pages.take(pages)?;
        // SAFETY: `FreePages` hands out runs inside the region's `pages` pages.
        let at = unsafe { self.0.region.at.add(first as usize * PAGE) };
        let owner = Owner::Pool { pool: self.0.clone(), first, pages };
        Some(AlignedBuf { at, capacity: pages as usize * PAGE, start: 0, len: 0, owner })
    }

    fn give(&self, first: u32, pages: u32) {
        let mut served = Vec::new();
        {
            let mut state = self.state();
            state.pages.give(first, pages);
            while let Some((room, _)) = state.waiting.front() {
                let room = *room;
                // A waiter that went away keeps no one behind it waiting.
                if state.waiting.front().is_some_and(|(_, serve)| serve.is_closed()) {
                    state.waiting.pop_front();
                    continue;
                }
                let Some(buf) = self.cut(&mut state, room) else { break };
                if let Some((_, serve)) = state.waiting.pop_front() {
                    served.push((serve, buf));
                }
            }
        }
        for (serve, buf) in served {
            // If the waiter left in between, the buffer is dropped here and serves the next.
            drop(serve.send(buf));
        }
    }
}

/// Where a buffer's memory goes when it is dropped.
#[derive(Debug)]
enum Owner {
    Pool { pool: Arc<Pool>, first: u32, pages: u32 },
    Heap { _region: Region },
}

/// Owned memory that starts at a multiple of [`PAGE`], with a window of data. Reads as a byte slice of its data.
///
/// ```
/// use allotrope_io::BufferPool;
/// let pool = BufferPool::new(1 << 20, 1 << 18);
/// let mut buf = pool.try_take(6000)?;
/// buf.extend_from_slice(b"chunk");
/// let bytes = buf.freeze(); // no copy; the memory goes back to the pool with the last `Bytes`
/// assert_eq!(&bytes[..], b"chunk");
/// # Ok::<(), allotrope_io::PoolEmpty>(())
/// ```
#[derive(Debug)]
pub struct AlignedBuf {
    at: NonNull<u8>,
    capacity: usize,
    start: usize,
    len: usize,
    owner: Owner,
}

// SAFETY: a buffer owns its memory alone: pool runs are disjoint, a heap region is its own.
unsafe impl Send for AlignedBuf {}
// SAFETY: `&AlignedBuf` only reads.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// A buffer outside any pool, for work that is not planned for (small metadata, tests).
    pub fn heap(room: usize) -> AlignedBuf {
        let region = Region::new(room.max(1).div_ceil(PAGE) * PAGE);
        let (at, capacity) = (region.at, region.len);
        AlignedBuf { at, capacity, start: 0, len: 0, owner: Owner::Heap { _region: region } }
    }

    /// As [`heap`](Self::heap), filled with a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> AlignedBuf {
        let mut buf = AlignedBuf::heap(bytes.len());
        buf.extend_from_slice(bytes);
        buf
    }

    /// Bytes between the start of the data and the end of the memory.
    pub fn room(&self) -> usize {
        self.capacity - self.start
    }

    /// Where the data starts in the memory, in bytes.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Makes the data start `start` bytes into the memory; it is empty afterwards.
    pub fn clear_at(&mut self, start: usize) {
        assert!(start <= self.capacity, "data starts inside its memory");
        self.start = start;
        self.len = 0;
    }

    /// Sets the data's length. Bytes that were never written read as whatever the memory held before, zeros at first.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.room(), "data of {len} B in room for {}", self.room());
        self.len = len;
    }

    /// Appends `bytes`, which must fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let old = self.len;
        self.set_len(old + bytes.len());
        self[old..].copy_from_slice(bytes);
    }

    /// Appends `parts` one after the other and hands each slice to `see` right after it was copied, while it is in
    /// cache: fill and checksum in one pass. `step` is the longest slice handed over, in bytes.
    pub fn extend_seen<'a>(
        &mut self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        step: usize,
        mut see: impl FnMut(&[u8]),
    ) {
        for part in parts {
            for slice in part.chunks(step.max(1)) {
                let old = self.len;
                self.extend_from_slice(slice);
                see(&self[old..]);
            }
        }
    }

    /// Turns the data into `Bytes` without a copy. The memory goes back to its pool when the last `Bytes` is gone.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// The whole memory, data or not.
    pub(crate) fn memory(&self) -> &[u8] {
        // SAFETY: `at` is valid for `capacity` bytes that the kernel zeroed and are ours while we live.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.capacity) }
    }

    /// The whole memory, data or not, to be written.
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `memory`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.capacity) }
    }

    /// Whether this buffer was cut from `pool`.
    pub(crate) fn is_from(&self, pool: &BufferPool) -> bool {
        matches!(&self.owner, Owner::Pool { pool: mine, .. } if Arc::ptr_eq(mine, &pool.0))
    }
}

impl Default for AlignedBuf {
    /// An empty buffer of one page, outside any pool.
    fn default() -> Self {
        AlignedBuf::heap(0)
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory()[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.start + self.len);
        &mut self.memory_mut()[start..end]
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if let Owner::Pool { pool, first, pages } = &self.owner {
            BufferPool(pool.clone()).give(*first, *pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_buffer_goes_back_to_its_pool_with_its_last_slice() {
        let pool = BufferPool::new(64 << 10, 16 << 10);
        let mut buf = pool.try_take(10_000).unwrap();
        assert_eq!(buf.memory().as_ptr() as usize % PAGE, 0);
        buf.extend_seen([&b"abc"[..], b"defg"], 2, |_| {});
        let bytes = buf.freeze();
        let tail = bytes.slice(3..);
        drop(bytes);
        assert_eq!(pool.bytes_free(), (64 << 10) - (12 << 10));
        assert_eq!(&tail[..], b"defg");
        drop(tail);
        assert_eq!(pool.bytes_free(), pool.bytes_total());
    }

    #[test]
    fn waiters_are_served_in_order_and_none_is_passed_by() {
        use futures_util::FutureExt;
        let pool = BufferPool::new(16 << 10, 16 << 10);
        let all = pool.try_take(16 << 10).unwrap();
        let mut first = Box::pin(pool.take(8 << 10));
        let mut second = Box::pin(pool.take(4 << 10));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert_eq!(pool.waiters(), 2);
        drop(all);
        assert!(pool.try_take(16 << 10).is_err());
        let (a, b) = (first.now_or_never().unwrap().unwrap(), second.now_or_never().unwrap().unwrap());
        drop((a, b));
        assert_eq!(pool.bytes_free(), 16 << 10);
        assert!(pool.take(17 << 10).now_or_never().unwrap().is_err(), "longer than any buffer: no wait");
    }

    #[test]
    fn a_waiter_that_left_does_not_keep_the_memory() {
        use futures_util::FutureExt;
        let pool = BufferPool::new(8 << 10, 8 << 10);
        let all = pool.try_take(8 << 10).unwrap();
        let mut gone = Box::pin(pool.take(8 << 10));
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(pool.take(4 << 10));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(all);
        assert!(next.now_or_never().unwrap().is_ok());
        assert_eq!(pool.bytes_free(), 8 << 10);
    }
}
