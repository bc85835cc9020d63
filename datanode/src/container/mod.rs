//! A container on its home shard: what it is, what it counts, and the blocks that are being written.
//!
//! Owns    [`Container`]; how containers are found at start ([`load`]), sealed ([`seal`]) and deleted ([`delete`]).
//! Shape   counters are in memory and in the metadata; a batch carries their new values, so the order of batches is the
//!         order of the values.
//! Source  docs/formats/datanode-volume.md.

pub mod delete;
pub mod delete_blocks;
pub mod load;
pub mod seal;

use crate::block::OpenBlock;
use crate::commands::CommandError;
use crate::format::container_file::ContainerFile;
use crate::format::keys;
use crate::format::layout::ContainerPaths;
use crate::metadata::{Batch, Family};
use crate::volume::Volume;
use allotrope_io::Moment;
use allotrope_types::{ContainerId, DatanodeResult, LocalId, ReplicaIndex, ReplicaState};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;

/// Blocks of one container that are held open; beyond it one whose bytes are all put is let go, the oldest first.
pub const OPEN_BLOCKS_MAX: usize = 256;
/// The same where none is put: beyond it one is let go whose writer may be gone. What that one has written it can still put; more than that it
/// writes to another block, as after a restart.
pub const UNPUT_BLOCKS_MAX: usize = 4 * OPEN_BLOCKS_MAX;

/// What a container counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The highest BCSID a PutBlock carried.
    pub bcsid: u64,
    /// Bytes that were written into block files.
    pub bytes_used: u64,
    /// Blocks in the metadata.
    pub blocks: u64,
    /// The newest delete transaction.
    pub delete_transaction: u64,
    /// The root of the Merkle tree, once one was built.
    pub data_checksum: Option<u32>,
}

impl Counters {
    /// Takes in a counter as the metadata names it; one of another name is left out.
    pub fn take(&mut self, name: &[u8], value: i64) {
        let number = u64::try_from(value).unwrap_or(0);
        match std::str::from_utf8(name) {
            Ok(keys::BCSID) => self.bcsid = number,
            Ok(keys::BYTES_USED) => self.bytes_used = number,
            Ok(keys::BLOCK_COUNT) => self.blocks = number,
            Ok(keys::DELETE_TRANSACTION) => self.delete_transaction = number,
            Ok(keys::DATA_CHECKSUM) => self.data_checksum = u32::try_from(value).ok(),
            _ => {}
        }
    }
}

/// A container.
pub struct Container {
    volume: Arc<Volume>,
    paths: ContainerPaths,
    file: RefCell<ContainerFile>,
    counters: Cell<Counters>,
    /// Bytes of its volume that are kept for it to grow by.
    kept: Cell<u64>,
    /// Writers share it; what changes the container's state or removes it holds it alone.
    pub gate: RwLock<()>,
    open: RefCell<BTreeMap<LocalId, Rc<OpenBlock>>>,
    /// Whether sealing has begun in this process.
    sealing: Cell<bool>,
    /// Since when it has been seen without a write; `None` after one.
    idle_since: Cell<Option<Moment>>,
}

impl Container {
    /// A container as its file and the metadata describe it.
    pub fn new(
        volume: Arc<Volume>,
        paths: ContainerPaths,
        file: ContainerFile,
        counters: Counters,
    ) -> Container {
        Container {
            volume,
            paths,
            file: RefCell::new(file),
            counters: Cell::new(counters),
            kept: Cell::new(0),
            gate: RwLock::new(()),
            open: RefCell::default(),
            sealing: Cell::new(false),
            idle_since: Cell::new(None),
        }
    }

    /// Its name.
    pub fn id(&self) -> ContainerId {
        self.file.borrow().id
    }

    /// Where its replica here is in its life.
    pub fn state(&self) -> ReplicaState {
        self.file.borrow().state
    }

    /// Whether every block's list is one value in the metadata and stays so: closing saw to it.
    pub fn is_folded(&self) -> bool {
        matches!(self.state(), ReplicaState::Closed | ReplicaState::QuasiClosed)
    }

    /// Its place in an erasure code.
    pub fn replica(&self) -> Option<ReplicaIndex> {
        self.file.borrow().replica
    }

    /// What its `.container` file says.
    pub fn file(&self) -> ContainerFile {
        self.file.borrow().clone()
    }

    /// Publishes a `.container` file that has been written. In a state that takes no writes, room that was kept is given back.
    pub fn set_file(&self, file: ContainerFile) {
        let grows = file.state.check_writable().is_ok();
        *self.file.borrow_mut() = file;
        if !grows {
            self.give_room_back();
        }
    }

    /// The volume it lies on.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Where its files lie.
    pub fn paths(&self) -> &ContainerPaths {
        &self.paths
    }

    /// Its counters.
    pub fn facts(&self) -> Counters {
        self.counters.get()
    }

    /// Changes its counters in memory.
    pub fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// Adds the present counters to a batch.
    pub fn put_counters(&self, batch: &mut Batch) {
        let counters = self.counters.get();
        let mut put = |name: &str, value: u64| {
            let value = keys::counter(i64::try_from(value).unwrap_or(i64::MAX));
            batch.put(Family::Counters, keys::named(self.id(), name), value.to_vec());
        };
        if counters.bcsid != 0 {
            put(keys::BCSID, counters.bcsid);
        }
        put(keys::BYTES_USED, counters.bytes_used);
        put(keys::BLOCK_COUNT, counters.blocks);
    }

    /// Takes no more writes, whatever comes of the sealing. A seal that fails may have reached the disk all the same, and
    /// what came after it would lie where nobody looks in a sealed container.
    pub fn begin_sealing(&self) {
        self.sealing.set(true);
        self.give_room_back();
    }

    /// Refuses a write that its state does not allow.
    pub fn check_writable(&self) -> Result<(), CommandError> {
        let state = self.state();
        if self.sealing.get() && state.check_writable().is_ok() {
            let why = format!("container {} is being closed and takes no writes", self.id());
            return Err(CommandError::new(DatanodeResult::ClosedContainerIo, why));
        }
        state.check_writable().map_err(|result| {
            CommandError::new(result, format!("container {} is {state} and takes no writes", self.id()))
        })
    }

    /// The block, as one that is being written.
    pub fn open_block(&self, local: LocalId) -> Rc<OpenBlock> {
        let mut open = self.open.borrow_mut();
        if let Some(block) = open.get(&local) {
            return block.clone();
        }
        // One that nobody uses now; it can be opened again at any time. Numbers of blocks go up with time.
        let idle = |unput: bool| {
            let mut each = open.iter().filter(|(_, block)| Rc::strong_count(block) == 1);
            let found = each.find(|(_, block)| block.tail.try_lock().is_ok_and(|tail| unput || !tail.dirty));
            found.map(|(local, _)| *local)
        };
        let let_go = match open.len() {
            OPEN_BLOCKS_MAX..UNPUT_BLOCKS_MAX => idle(false),
            UNPUT_BLOCKS_MAX.. => idle(false).or_else(|| idle(true)),
            _ => None,
        };
        if let Some(local) = let_go {
            open.remove(&local);
        }
        let block = Rc::new(OpenBlock::new(local));
        open.insert(local, block.clone());
        block
    }

    /// The block if it is being written.
    pub fn if_open(&self, local: LocalId) -> Option<Rc<OpenBlock>> {
        self.open.borrow().get(&local).cloned()
    }

    /// Lets go of a block that has come to its end, unless another writer is waiting for it.
    pub fn close_block(&self, block: &Rc<OpenBlock>) {
        // One count is the table's, one the caller's.
        if Rc::strong_count(block) <= 2 {
            self.open.borrow_mut().remove(&block.local);
        }
    }

    /// Takes all blocks that are being written off the table.
    pub fn take_open(&self) -> BTreeMap<LocalId, Rc<OpenBlock>> {
        std::mem::take(&mut self.open.borrow_mut())
    }

    /// Notes that it was written to.
    pub fn renew(&self) {
        self.idle_since.set(None);
    }

    /// How long nobody has written to it, as far as this was asked before.
    pub fn idle_for(&self, now: Moment) -> Duration {
        let since = self.idle_since.get().unwrap_or(now);
        self.idle_since.set(Some(since));
        now.since(since)
    }

    /// The same, for which `kept` bytes of its volume are kept already.
    pub fn with_room(self, kept: u64) -> Container {
        Container { kept: Cell::new(kept), ..self }
    }

    /// Keeps room on its volume for all that it may still grow by.
    pub fn keep_room(&self) {
        let room = self.file.borrow().size_max.as_u64().saturating_sub(self.counters.get().bytes_used);
        let room = room.min(i64::MAX as u64);
        let before = self.kept.replace(room);
        self.volume.commit(room as i64 - before as i64);
    }

    /// Counts bytes that a write added, in the room that is kept for it as far as that goes.
    pub fn grew(&self, bytes: u64) {
        self.count(|counters| counters.bytes_used += bytes);
        let kept = self.kept.get();
        let into = kept.min(bytes);
        self.kept.set(kept - into);
        self.volume.grew(bytes as i64);
        self.volume.commit(-(into as i64));
    }

    /// Gives back what is kept for it: it does not grow any more.
    pub fn give_room_back(&self) {
        self.volume.commit(-(self.kept.take() as i64));
    }
}
