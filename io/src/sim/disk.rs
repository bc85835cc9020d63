//! The in-memory disk: files, names and what of them would survive a crash.
//!
//! Shape   every file has its bytes as they are and as they are durable, page by page; every change of names is kept until
//!         its directories are synced. One disk serves all shards of a simulation and outlives it.
//! Units   pages of [`PAGE`] bytes; a crash tears them at sectors of [`SECTOR`] bytes.
//! Errors  those of a disk, and those a test asks for with [`SimDisk::fault`].

use super::crash::Change;
use super::fault::{Faults, SimFault, SimLatency};
use crate::buffer::PAGE;
use crate::error::Act;
use crate::file::OpenHow;
use crate::fs::{Body, DirEntry, DiskSpace, FileId, Fs};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the device writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;

pub(super) type Page = Box<[u8; PAGE]>;

/// The dirty pages of a file at one moment, and its length.
pub(super) type Snapshot = (Vec<(u64, Option<Page>)>, u64);

/// A disk in memory. Clones are the same disk.
///
/// ```
/// use allotrope_io::{AlignedBuf, OpenHow, ShardId, Sim, SimConfig, SimDisk};
/// let disk = SimDisk::new(1 << 30);
/// let sim = Sim::with_disk(SimConfig::seeded(1, 1), disk.clone());
/// let shards = sim.shards();
/// sim.run(async move {
///     let write = shards.run_on(ShardId(0), "write", |shard| async move {
///         let file = shard.disk().open("/block", OpenHow::create_new()).await.unwrap();
///         file.write_at(AlignedBuf::copy_of(b"not synced"), 0).await.1.unwrap();
///         shard.disk().sync_dir("/").await.unwrap();
///     });
///     write.unwrap().await.unwrap();
/// });
/// drop(sim);
/// disk.crash(3); // the entry was synced, the bytes were not: any of them may be gone
/// assert!(disk.contents("/block").is_some());
/// ```
#[derive(Clone)]
pub struct SimDisk(pub(super) Arc<Mutex<State>>);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(u64),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) names: BTreeMap<PathBuf, Entry>,
    pub(super) names_durable: BTreeMap<PathBuf, Entry>,
    /// Changes of names that are not durable yet, oldest first.
    pub(super) changes: Vec<Change>,
    /// Writes that were begun and not answered: a crash may leave any part of them.
    pub(super) in_flight: BTreeMap<u64, (u64, u64, Vec<u8>)>,
    pub(super) faults: Faults,
    pub(super) latency: SimLatency,
    next: u64,
    pages_max: u64,
    pages_used: u64,
}

/// One file.
#[derive(Default)]
pub(super) struct Node {
    pub(super) pages: BTreeMap<u64, Page>,
    pub(super) len: u64,
    pub(super) pages_durable: BTreeMap<u64, Page>,
    pub(super) len_durable: u64,
    pub(super) dirty: BTreeSet<u64>,
    open: usize,
    locked_by: Option<u64>,
}

impl SimDisk {
    /// An empty disk of `bytes` bytes, with its root directory.
    pub fn new(bytes: u64) -> SimDisk {
        let mut state = State { pages_max: bytes / PAGE as u64, ..State::default() };
        state.names.insert("/".into(), Entry::Dir);
        state.names_durable = state.names.clone();
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Lets an operation fail: the `nth` (from 0) `act` from now on a path that starts with `under`.
    pub fn fault(&self, act: Act, under: impl AsRef<Path>, nth: u64, fault: SimFault) {
        self.lock().faults.add(act, whole(under.as_ref()), nth, fault);
    }

    /// Takes back all faults that have not happened.
    pub fn clear_faults(&self) {
        self.lock().faults = Faults::default();
    }

    /// Sets how long operations take from now on.
    pub fn set_latency(&self, latency: SimLatency) {
        self.lock().latency = latency;
    }

    /// Sets how many bytes fit from now on; what is there stays.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().pages_max = bytes / PAGE as u64;
    }

    /// The bytes of a file as a read would see them; `None` if there is none.
    pub fn contents(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.lock();
        let node = state.node_at(&whole(path.as_ref())).ok()?;
        let node = &state.nodes[&node];
        let mut bytes = vec![0; node.len as usize];
        node.read(0, &mut bytes);
        Some(bytes)
    }

    /// How many handles of files are open.
    pub fn files_open(&self) -> usize {
        self.lock().nodes.values().map(|node| node.open).sum()
    }

    /// Flips one bit of a file at rest, durable as well. `false` if the file has no such byte.
    pub fn flip_bit(&self, path: impl AsRef<Path>, byte: u64, bit: u8) -> bool {
        let mut state = self.lock();
        let Ok(id) = state.node_at(&whole(path.as_ref())) else { return false };
        let Some(node) = state.nodes.get_mut(&id).filter(|node| byte < node.len) else { return false };
        let (page, at) = (byte / PAGE as u64, byte as usize % PAGE);
        for pages in [&mut node.pages, &mut node.pages_durable] {
            pages.entry(page).or_insert_with(|| Box::new([0; PAGE]))[at] ^= 1 << (bit % 8);
        }
        true
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the start of a write and answers its number.
    pub(super) fn begin_write(&self, node: u64, at: u64, bytes: &[u8]) -> u64 {
        let mut state = self.lock();
        let id = state.new_id();
        state.in_flight.insert(id, (node, at, bytes.to_vec()));
        id
    }

    /// Carries out the write `id`, of which only the first `only` bytes if given.
    pub(super) fn end_write(&self, id: u64, only: Option<usize>) -> io::Result<usize> {
        let mut state = self.lock();
        let (node, at, bytes) = state.in_flight.remove(&id).ok_or(ErrorKind::NotFound)?;
        state.write(node, at, &bytes[..only.unwrap_or(bytes.len()).min(bytes.len())])
    }

    /// Forgets the write `id`, which failed.
    pub(super) fn drop_write(&self, id: u64) {
        self.lock().in_flight.remove(&id);
    }

    pub(super) fn read(&self, node: u64, at: u64, into: &mut [u8]) -> usize {
        self.lock().nodes.get(&node).map_or(0, |node| node.read(at, into))
    }

    /// What a flush that starts now makes durable.
    pub(super) fn snapshot(&self, node: u64) -> Snapshot {
        let state = self.lock();
        let Some(node) = state.nodes.get(&node) else { return (Vec::new(), 0) };
        (node.dirty.iter().map(|page| (*page, node.pages.get(page).cloned())).collect(), node.len)
    }

    /// What a flush of the whole disk that starts now makes durable.
    pub(super) fn snapshot_all(&self) -> Vec<(u64, Snapshot)> {
        let nodes: Vec<u64> = self.lock().nodes.keys().copied().collect();
        nodes.into_iter().map(|node| (node, self.snapshot(node))).collect()
    }

    /// The end of a flush that began with `snapshot_all`, asked for through the file at `path`.
    pub(super) fn end_sync_all(&self, path: &Path, begun: Vec<(u64, Snapshot)>) -> io::Result<()> {
        self.lock().faults.strike(Act::Sync, path)?;
        for (node, snapshot) in begun {
            self.make_durable(node, snapshot);
        }
        Ok(())
    }

    /// The end of a flush that began with `snapshot`.
    pub(super) fn make_durable(&self, node: u64, (pages, len): Snapshot) {
        let mut state = self.lock();
        let Some(node) = state.nodes.get_mut(&node) else { return };
        for (page, bytes) in pages {
            if node.pages.get(&page) == bytes.as_ref() {
                node.dirty.remove(&page);
            }
            match bytes {
                Some(bytes) => node.pages_durable.insert(page, bytes),
                None => node.pages_durable.remove(&page),
            };
        }
        node.len_durable = len;
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn node_at(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Entry::File(node)) => Ok(*node),
            Some(Entry::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn write(&mut self, node: u64, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let Some(node) = self.nodes.get_mut(&node).filter(|_| !bytes.is_empty()) else {
            return Ok(bytes.len());
        };
        let touched = at / PAGE as u64..(at + bytes.len() as u64).div_ceil(PAGE as u64);
        let new = touched.clone().filter(|page| !node.pages.contains_key(page)).count() as u64;
        if self.pages_used + new > self.pages_max {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.pages_used += new;
        for page in touched {
            let from = (page * PAGE as u64).max(at);
            let to = ((page + 1) * PAGE as u64).min(at + bytes.len() as u64);
            let bytes = &bytes[(from - at) as usize..(to - at) as usize];
            let place = (from % PAGE as u64) as usize;
            let kept = node.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            kept[place..place + bytes.len()].copy_from_slice(bytes);
            node.dirty.insert(page);
        }
        node.len = node.len.max(at + bytes.len() as u64);
        Ok(bytes.len())
    }

    /// Makes a change of names, which is durable once all `dirs` are synced.
    fn change(&mut self, edits: Vec<(PathBuf, Option<Entry>)>, dirs: BTreeSet<PathBuf>) {
        for (path, entry) in &edits {
            match entry {
                Some(entry) => self.names.insert(path.clone(), *entry),
                None => self.names.remove(path),
            };
        }
        self.changes.push(Change { edits, dirs });
    }

    /// Frees the files that no name and no handle leads to.
    pub(super) fn sweep(&mut self) {
        let named: BTreeSet<u64> = self
            .names
            .values()
            .chain(self.names_durable.values())
            .chain(self.changes.iter().flat_map(|change| change.edits.iter().filter_map(|(_, e)| e.as_ref())))
            .filter_map(|entry| match entry {
                Entry::File(node) => Some(*node),
                Entry::Dir => None,
            })
            .collect();
        self.nodes.retain(|id, node| node.open > 0 || named.contains(id));
        self.pages_used = self.nodes.values().map(|node| node.pages.len() as u64).sum();
    }

    fn parent_is_dir(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
        match self.names.get(parent) {
            Some(Entry::Dir) => Ok(parent.to_owned()),
            Some(Entry::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn below(&self, dir: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|path| path.starts_with(dir) && *path != dir).cloned().collect()
    }

    fn entry(&self, path: &Path, entry: Entry) -> DirEntry {
        let (is_dir, len) = match entry {
            Entry::Dir => (true, 0),
            Entry::File(node) => (false, self.nodes[&node].len),
        };
        DirEntry { path: path.to_owned(), is_dir, len }
    }
}

impl Node {
    fn read(&self, at: u64, into: &mut [u8]) -> usize {
        let len = self.len.saturating_sub(at).min(into.len() as u64) as usize;
        let mut done = 0;
        while done < len {
            let byte = at + done as u64;
            let place = (byte % PAGE as u64) as usize;
            let part = &mut into[done..len.min(done + PAGE - place)];
            match self.pages.get(&(byte / PAGE as u64)) {
                Some(page) => part.copy_from_slice(&page[place..place + part.len()]),
                None => part.fill(0),
            }
            done += part.len();
        }
        len
    }

    /// A crash closes every file; handles that are still about count no more.
    pub(super) fn void_handles(&mut self) {
        self.open = 0;
        self.locked_by = None;
    }

    fn truncate(&mut self, len: u64) {
        let keep = len.div_ceil(PAGE as u64);
        for (page, _) in self.pages.split_off(&keep) {
            self.dirty.insert(page);
        }
        if let Some(page) = self.pages.get_mut(&(len / PAGE as u64)) {
            page[len as usize % PAGE..].fill(0);
            self.dirty.insert(len / PAGE as u64);
        }
        self.len = len;
    }
}

/// Paths are kept from the root.
fn whole(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// An open file of the in-memory disk.
pub(crate) struct SimHandle {
    disk: SimDisk,
    pub(super) node: u64,
    id: u64,
}

impl fmt::Debug for SimHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimHandle({})", self.node)
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if let Some(node) = state.nodes.get_mut(&self.node) {
            node.open = node.open.saturating_sub(1);
            if node.locked_by == Some(self.id) {
                node.locked_by = None;
            }
            if node.open == 0 {
                state.sweep();
            }
        }
    }
}

impl Fs for SimDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<(Body, FileId, u64)> {
        let path = whole(path);
        let mut state = self.lock();
        state.faults.strike(Act::Open, &path)?;
        let node = match state.node_at(&path) {
            Ok(_) if how.create && how.exclusive => return Err(ErrorKind::AlreadyExists.into()),
            Ok(node) => node,
            Err(e) if e.kind() == ErrorKind::NotFound && how.create => {
                let parent = state.parent_is_dir(&path)?;
                let node = state.new_id();
                state.nodes.insert(node, Node::default());
                state.change(vec![(path, Some(Entry::File(node)))], [parent].into());
                node
            }
            Err(e) => return Err(e),
        };
        let id = state.new_id();
        let file = state.nodes.get_mut(&node).expect("names lead to nodes");
        file.open += 1;
        if how.truncate {
            file.truncate(0);
        }
        let len = file.len;
        Ok((Body::Memory(SimHandle { disk: self.clone(), node, id }), (0, node), len))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = whole(dir);
        let mut state = self.lock();
        state.faults.strike(Act::Sync, &dir)?;
        if state.names.get(&dir) != Some(&Entry::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        state.sync_names(|changed| *changed == dir);
        Ok(())
    }

    fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.faults.strike(Act::Sync, &whole(path))?;
        state.sync_names(|_| true);
        for node in state.nodes.values_mut() {
            node.pages_durable = node.pages.clone();
            node.len_durable = node.len;
            node.dirty.clear();
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (whole(from), whole(to));
        let mut state = self.lock();
        state.faults.strike(Act::Rename, &from)?;
        let entry = *state.names.get(&from).ok_or(ErrorKind::NotFound)?;
        let dirs = [state.parent_is_dir(&from)?, state.parent_is_dir(&to)?].into();
        match (entry, state.names.get(&to)) {
            (Entry::Dir, Some(Entry::File(_))) => return Err(ErrorKind::NotADirectory.into()),
            (Entry::File(_), Some(Entry::Dir)) => return Err(ErrorKind::IsADirectory.into()),
            (Entry::Dir, Some(Entry::Dir)) if !state.below(&to).is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let mut edits = Vec::new();
        for old in state.below(&from).into_iter().chain([from.clone()]) {
            let rest = old.strip_prefix(&from).expect("it lies below").to_owned();
            let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            edits.push((new, Some(state.names[&old])));
            edits.insert(0, (old, None));
        }
        state.change(edits, dirs);
        state.sweep();
        Ok(())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dir = whole(dir);
        let mut state = self.lock();
        state.faults.strike(Act::CreateDir, &dir)?;
        let missing: Vec<_> = dir.ancestors().map(Path::to_owned).collect();
        for dir in missing.into_iter().rev() {
            match state.names.get(&dir) {
                Some(Entry::Dir) => {}
                Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    let parent = state.parent_is_dir(&dir)?;
                    state.change(vec![(dir, Some(Entry::Dir))], [parent].into());
                }
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = whole(path);
        let mut state = self.lock();
        state.faults.strike(Act::Remove, &path)?;
        state.node_at(&path)?;
        let parent = state.parent_is_dir(&path)?;
        state.change(vec![(path, None)], [parent].into());
        state.sweep();
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let dir = whole(dir);
        let mut state = self.lock();
        state.faults.strike(Act::Remove, &dir)?;
        if state.names.get(&dir) != Some(&Entry::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        // Deepest first, each a change of its own: a crash may leave any part.
        for path in state.below(&dir).into_iter().rev().chain([dir]) {
            let parent = state.parent_is_dir(&path)?;
            state.change(vec![(path, None)], [parent].into());
        }
        state.sweep();
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = whole(dir);
        let mut state = self.lock();
        state.faults.strike(Act::Walk, &dir)?;
        match state.names.get(&dir) {
            Some(Entry::Dir) => {}
            Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
            None => return Err(ErrorKind::NotFound.into()),
        }
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(&dir));
        Ok(inside.map(|(path, entry)| state.entry(path, *entry)).collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<DirEntry>> {
        let path = whole(path);
        let mut state = self.lock();
        state.faults.strike(Act::Stat, &path)?;
        Ok(state.names.get(&path).map(|entry| state.entry(&path, *entry)))
    }

    fn space(&self, _path: &Path) -> io::Result<DiskSpace> {
        let state = self.lock();
        let page = PAGE as u64;
        let free = state.pages_max.saturating_sub(state.pages_used);
        Ok(DiskSpace {
            total: state.pages_max * page,
            available: free * page,
            inodes_total: 0,
            inodes_free: 0,
        })
    }

    fn len(&self, file: &Body) -> io::Result<u64> {
        Ok(self.lock().nodes.get(&file.memory().node).map_or(0, |node| node.len))
    }

    fn truncate(&self, file: &Body, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(node) = state.nodes.get_mut(&file.memory().node) {
            node.truncate(len);
        }
        state.pages_used = state.nodes.values().map(|node| node.pages.len() as u64).sum();
        Ok(())
    }

    fn allocate(&self, _file: &Body, _from: u64, len: u64) -> io::Result<()> {
        let state = self.lock();
        let pages = len.div_ceil(PAGE as u64);
        if state.pages_used + pages > state.pages_max {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn flushes_whole(&self, _device: u64) -> bool {
        self.lock().latency.sync_whole.is_some()
    }

    fn lock_holder(&self, file: &Body) -> io::Result<Option<u32>> {
        let (handle, state) = (file.memory(), self.lock());
        let holder = state.nodes.get(&handle.node).and_then(|node| node.locked_by);
        Ok(holder.filter(|holder| *holder != handle.id).map(|_| 0))
    }

    /// Shared locks exclude each other here as well; nothing that is simulated shares one.
    fn try_lock(&self, file: &Body, _shared: bool) -> io::Result<bool> {
        let handle = file.memory();
        let mut state = self.lock();
        let Some(node) = state.nodes.get_mut(&handle.node) else { return Ok(true) };
        let holder = *node.locked_by.get_or_insert(handle.id);
        Ok(holder == handle.id)
    }
}
