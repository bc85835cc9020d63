//! Block files that are open for reading, so that a second read of a block opens nothing.
//!
//! Owns    the open files of one shard's reads, at most [`FILES_MAX`]; the one unused longest is closed for a new one.
//! Closed  when their block or container goes, when the container is sealed or lost with its volume, and after a read that
//!         failed.

use crate::commands::CommandError;
use crate::container::Container;
use crate::store::Store;
use allotrope_io::{DiskError, File, OpenHow};
use allotrope_types::DatanodeResult::UnableToFindChunk;
use allotrope_types::{ContainerId, LocalId};
use std::collections::BTreeMap;

/// Files that one shard's reads hold open.
pub const FILES_MAX: usize = 256;

/// How a block's file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Through the page cache.
    Cached,
    /// Past it.
    Direct,
}

/// A block's file and how it is read.
type Key = (ContainerId, LocalId, Way);

/// Open files by block, and the order in which they were used.
#[derive(Default)]
pub struct OpenFiles {
    files: BTreeMap<Key, (File, u64)>,
    used: BTreeMap<u64, Key>,
    uses: u64,
}

impl OpenFiles {
    /// The block's file, if it is open.
    fn get(&mut self, key: Key) -> Option<File> {
        let (file, used) = self.files.get_mut(&key)?;
        self.used.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.used.insert(self.uses, key);
        Some(file.clone())
    }

    /// Keeps the block's file open.
    fn keep(&mut self, key: Key, file: File) {
        self.drop_one(key);
        if self.files.len() >= FILES_MAX
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.files.remove(&oldest);
        }
        self.uses += 1;
        self.files.insert(key, (file, self.uses));
        self.used.insert(self.uses, key);
    }

    /// Closes the block's file, once those who read it now are done.
    fn close(&mut self, (container, local): (ContainerId, LocalId)) {
        [Way::Cached, Way::Direct].into_iter().for_each(|way| self.drop_one((container, local, way)));
    }

    /// Closes the files of a container's blocks.
    fn close_all(&mut self, container: ContainerId) {
        self.files.retain(|key, (_, used)| key.0 != container || self.used.remove(used).is_none());
    }

    fn drop_one(&mut self, key: Key) {
        if let Some((_, used)) = self.files.remove(&key) {
            self.used.remove(&used);
        }
    }
}

impl Store {
    /// The block's file, open for reading; it stays open for the next reader.
    pub(crate) async fn block_file(
        &self,
        container: &Container,
        local: LocalId,
        way: Way,
    ) -> Result<File, CommandError> {
        let key = (container.id(), local, way);
        if let Some(file) = self.files.borrow_mut().get(key) {
            return Ok(file);
        }
        let path = container.paths().block(local);
        let how = match way {
            Way::Cached => OpenHow::read(),
            Way::Direct => OpenHow::read().direct(),
        };
        match self.disk().open(&path, how).await {
            Ok(file) => {
                // The container may have gone away meanwhile.
                if self.find(key.0).is_some_and(|found| std::ptr::eq(&raw const *found, container)) {
                    self.files.borrow_mut().keep(key, file.clone());
                }
                Ok(file)
            }
            Err(e) if DiskError::is_not_found(&e) => {
                let why = format!("block {local} of container {} has no file", container.id());
                Err(CommandError::new(UnableToFindChunk, why))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Closes the file that readers of a block have left open.
    pub(crate) fn close_file(&self, container: ContainerId, local: LocalId) {
        self.files.borrow_mut().close((container, local));
    }

    /// Closes the files that readers of a container have left open.
    pub(crate) fn close_files(&self, container: ContainerId) {
        self.files.borrow_mut().close_all(container);
    }
}
