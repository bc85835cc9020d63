//! What all open handles of one file share: its flushes, its length, who writes which bytes.
//!
//! Shape   one [`Inode`] a file and process, found by device and inode number, whatever names and shards it is used under.
//! Units   bytes; locks cover whole pages.

use crate::buffer::PAGE;
use crate::flush::Device;
use crate::fs::FileId;
use crate::sync::SyncState;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// One file, as all its handles see it.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) sync: Arc<SyncState>,
    pub(crate) writing: Arc<RangeLocks>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The length that was asked for. A direct file may be longer by the padding of its last page.
    len: u64,
    /// The page the file ends in, while it ends inside one and was written here.
    tail: Option<(u64, Box<[u8]>)>,
    writers: Writers,
}

#[derive(Debug, Default)]
struct Writers {
    direct: usize,
    buffered: usize,
}

impl Inode {
    fn new(len: u64) -> Inode {
        let state = State { len, tail: None, writers: Writers::default() };
        Inode { sync: SyncState::unknown(), writing: Arc::default(), state: Mutex::new(state) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.lock().len
    }

    /// Sets the length, which forgets the tail.
    pub(crate) fn set_len(&self, len: u64) {
        let mut state = self.lock();
        state.len = len;
        state.tail = None;
    }

    /// Copies the kept tail page to `page` if it is the one at `at`.
    pub(crate) fn copy_tail(&self, at: u64, page: &mut [u8]) -> bool {
        match &self.lock().tail {
            Some((kept, bytes)) if *kept == at => {
                page.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }

    /// Whether the kept tail page is the one at `at`.
    pub(crate) fn holds_tail(&self, at: u64) -> bool {
        self.lock().tail.as_ref().is_some_and(|(kept, _)| *kept == at)
    }

    /// Notes that whole pages were written at `at`, of which the file uses the bytes up to `end`.
    pub(crate) fn written(&self, at: u64, pages: &[u8], end: u64) {
        let mut state = self.lock();
        state.len = state.len.max(end);
        let tail = state.len - state.len % PAGE as u64;
        let ends_inside = !state.len.is_multiple_of(PAGE as u64);
        if ends_inside && (at..at + pages.len() as u64).contains(&tail) {
            let from = (tail - at) as usize;
            state.tail = Some((tail, pages[from..from + PAGE].into()));
        } else if !ends_inside {
            state.tail = None;
        }
    }

    /// Forgets the tail page: a write over it may have failed half-way.
    pub(crate) fn forget_tail(&self) {
        self.lock().tail = None;
    }

    /// Notes that the file was opened when it was `len` bytes long, and counts a writer in. `false` if it is open for
    /// writing the other way.
    pub(crate) fn enter(&self, write: bool, direct: bool, len: u64) -> bool {
        let mut state = self.lock();
        if state.writers.direct == 0 {
            // Nobody here has padded it, so the file system knows best.
            state.len = len;
            state.tail = None;
        }
        let writers = &mut state.writers;
        let (mine, other) = match direct {
            true => (&mut writers.direct, writers.buffered),
            false => (&mut writers.buffered, writers.direct),
        };
        if write && other == 0 {
            *mine += 1;
        }
        !write || other == 0
    }

    /// Where the file ends for readers, if its last page may be padded.
    pub(crate) fn padded_len(&self) -> Option<u64> {
        let state = self.lock();
        (state.writers.direct > 0).then_some(state.len)
    }

    pub(crate) fn leave(&self, direct: bool) {
        let writers = &mut self.lock().writers;
        match direct {
            true => writers.direct -= 1,
            false => writers.buffered -= 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Byte ranges that are being written. Writers of ranges that overlap take turns.
#[derive(Debug, Default)]
pub(crate) struct RangeLocks {
    held: Mutex<Vec<Range<u64>>>,
    freed: Notify,
}

/// A range that is being written. The operation on it holds the lock too, so that a dropped future does not free a range
/// the disk still writes.
#[derive(Debug)]
pub(crate) struct RangeGuard {
    locks: Arc<RangeLocks>,
    range: Range<u64>,
}

impl RangeLocks {
    pub(crate) async fn hold(self: &Arc<Self>, range: Range<u64>) -> Arc<RangeGuard> {
        loop {
            // Made before the look, so that a release in between is not missed.
            let freed = self.freed.notified();
            {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                if !held.iter().any(|other| other.start < range.end && range.start < other.end) {
                    held.push(range.clone());
                    return Arc::new(RangeGuard { locks: self.clone(), range });
                }
            }
            freed.await;
        }
    }
}

impl Drop for RangeGuard {
    fn drop(&mut self) {
        let mut held = self.locks.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = held.iter().position(|range| *range == self.range) {
            held.swap_remove(at);
        }
        drop(held);
        self.locks.freed.notify_waiters();
    }
}

/// The files that are open in a pool of shards, and the directories that are being flushed.
#[derive(Debug, Default)]
pub(crate) struct Inodes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<FileId, Weak<Inode>>,
    dirs: BTreeMap<PathBuf, Weak<SyncState>>,
    /// By number of device: a handful.
    devices: BTreeMap<u64, Arc<Device>>,
    /// Files and directories with a failed flush: remembered, so that opening them again does not clear it.
    failed: Vec<Failed>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that the entries above stay alive")]
enum Failed {
    File(Arc<Inode>),
    Dir(Arc<SyncState>),
}

/// Dead entries are swept when the table has grown by this many.
const SWEEP: usize = 1024;

impl Inodes {
    /// The file `id`, whose length is `len` if it is not known yet.
    pub(crate) fn file(&self, id: FileId, len: u64) -> Arc<Inode> {
        let mut known = self.lock();
        if let Some(inode) = known.files.get(&id).and_then(Weak::upgrade) {
            return inode;
        }
        if known.files.len().is_multiple_of(SWEEP) {
            known.files.retain(|_, inode| inode.strong_count() > 0);
        }
        let inode = Arc::new(Inode::new(len));
        known.files.insert(id, Arc::downgrade(&inode));
        inode
    }

    /// The file system with number `device`; `whole` tells whether it can be flushed whole.
    pub(crate) fn device(&self, device: u64, whole: impl FnOnce() -> bool) -> Arc<Device> {
        let known = self.lock().devices.get(&device).cloned();
        // Looked up outside the lock: it reads the table of mounts.
        known.unwrap_or_else(|| {
            let new = Arc::new(Device::new(whole()));
            self.lock().devices.entry(device).or_insert(new).clone()
        })
    }

    /// The directory at `dir`.
    pub(crate) fn dir(&self, dir: &Path) -> Arc<SyncState> {
        let mut known = self.lock();
        if let Some(state) = known.dirs.get(dir).and_then(Weak::upgrade) {
            return state;
        }
        if known.dirs.len().is_multiple_of(SWEEP) {
            known.dirs.retain(|_, state| state.strong_count() > 0);
        }
        let state = SyncState::unknown();
        known.dirs.insert(dir.to_owned(), Arc::downgrade(&state));
        state
    }

    pub(crate) fn file_failed(&self, inode: &Arc<Inode>) {
        let mut known = self.lock();
        if !known.failed.iter().any(|f| matches!(f, Failed::File(file) if Arc::ptr_eq(file, inode))) {
            known.failed.push(Failed::File(inode.clone()));
        }
    }

    pub(crate) fn dir_failed(&self, dir: &Arc<SyncState>) {
        self.lock().failed.push(Failed::Dir(dir.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
