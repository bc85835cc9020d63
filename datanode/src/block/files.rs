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

/// Open files by block, and the order in which they were used.
#[derive(Default)]
pub struct OpenFiles {
    files: BTreeMap<(ContainerId, LocalId), (File, u64)>,
    used: BTreeMap<u64, (ContainerId, LocalId)>,
    uses: u64,
}

impl OpenFiles {
    /// The block's file, if it is open.
    pub fn get(&mut self, block: (ContainerId, LocalId)) -> Option<File> {
        let (file, used) = self.files.get_mut(&block)?;
        self.used.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.used.insert(self.uses, block);
        Some(file.clone())
    }

    /// Keeps the block's file open.
    pub fn keep(&mut self, block: (ContainerId, LocalId), file: File) {
        self.close(block);
        if self.files.len() >= FILES_MAX
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.files.remove(&oldest);
        }
        self.uses += 1;
        self.files.insert(block, (file, self.uses));
        self.used.insert(self.uses, block);
    }

    /// Closes the block's file, once those who read it now are done.
    pub fn close(&mut self, block: (ContainerId, LocalId)) {
        if let Some((_, used)) = self.files.remove(&block) {
            self.used.remove(&used);
        }
    }

    /// Closes the files of a container's blocks.
    pub fn close_all(&mut self, container: ContainerId) {
        self.files.retain(|block, (_, used)| block.0 != container || self.used.remove(used).is_none());
    }
}

impl Store {
    /// The block's file, open for reading; it stays open for the next reader.
    pub(crate) async fn block_file(
        &self,
        container: &Container,
        local: LocalId,
    ) -> Result<File, CommandError> {
        let block = (container.id(), local);
        if let Some(file) = self.files.borrow_mut().get(block) {
            return Ok(file);
        }
        let path = container.paths().block(local);
        match self.disk().open(&path, OpenHow::read()).await {
            Ok(file) => {
                // The container may have gone away meanwhile.
                if self.find(block.0).is_some_and(|found| std::ptr::eq(&raw const *found, container)) {
                    self.files.borrow_mut().keep(block, file.clone());
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
