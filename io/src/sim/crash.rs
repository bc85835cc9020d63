//! What a crash leaves: all that was synced, and by seed any part of the rest.
//!
//! Shape   names: any subset of the changes whose directories were not synced, each whole. Bytes: of each page that was not
//!         synced the old sectors, the new ones or a mix. Lengths: the old or the new.

use super::SimRng;
use super::disk::{Entry, Node, Page, SECTOR, SimDisk, State};
use crate::buffer::PAGE;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A change of names that a crash takes whole or not at all.
pub(super) struct Change {
    /// Names that appear or, with `None`, go.
    pub(super) edits: Vec<(PathBuf, Option<Entry>)>,
    /// Directories that have yet to be synced.
    pub(super) dirs: BTreeSet<PathBuf>,
}

impl SimDisk {
    /// Crashes the machine: what is left is what was synced and, chosen by `seed`, any subset of what was not. Kill the
    /// simulation first; open handles are void afterwards.
    pub fn crash(&self, seed: u64) {
        let rng = SimRng::seeded(seed);
        let mut state = self.lock();
        state.faults = Default::default();
        for (_, (node, at, bytes)) in std::mem::take(&mut state.in_flight) {
            // A write the disk was at may be there, in part or not at all.
            if rng.chance(1, 2) {
                let part = rng.below(bytes.len() as u64 / SECTOR as u64 + 1) as usize * SECTOR;
                let _ = state.write(node, at, &bytes[..part]);
            }
        }
        for change in std::mem::take(&mut state.changes) {
            if rng.chance(1, 2) {
                apply(&mut state.names_durable, change.edits);
            }
        }
        let names = reachable(&state.names_durable);
        state.names = names.clone();
        state.names_durable = names;
        for node in state.nodes.values_mut() {
            node.crash(&rng);
        }
        state.sweep();
    }
}

impl State {
    /// Makes the changes durable that lie in directories `synced` picks, as far as all their directories are synced.
    pub(super) fn sync_names(&mut self, synced: impl Fn(&Path) -> bool) {
        for mut change in std::mem::take(&mut self.changes) {
            change.dirs.retain(|dir| !synced(dir));
            if change.dirs.is_empty() {
                apply(&mut self.names_durable, change.edits);
            } else {
                self.changes.push(change);
            }
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Entry>, edits: Vec<(PathBuf, Option<Entry>)>) {
    for (path, entry) in edits {
        match entry {
            Some(entry) => names.insert(path, entry),
            None => names.remove(&path),
        };
    }
}

/// The names whose directories are there as well.
fn reachable(names: &BTreeMap<PathBuf, Entry>) -> BTreeMap<PathBuf, Entry> {
    let is_dir = |path: &Path| names.get(path) == Some(&Entry::Dir);
    let whole = |path: &&PathBuf| path.ancestors().skip(1).all(is_dir);
    names.iter().filter(|(path, _)| whole(path)).map(|(path, entry)| (path.clone(), *entry)).collect()
}

impl Node {
    fn crash(&mut self, rng: &SimRng) {
        for page in std::mem::take(&mut self.dirty) {
            let zeros: Page = Box::new([0; PAGE]);
            let old = self.pages_durable.get(&page).unwrap_or(&zeros).clone();
            let new = self.pages.get(&page).unwrap_or(&zeros).clone();
            let mut left = old.clone();
            match rng.below(3) {
                0 => {}
                1 => left = new,
                _ => {
                    for from in (0..PAGE).step_by(SECTOR) {
                        if rng.chance(1, 2) {
                            left[from..from + SECTOR].copy_from_slice(&new[from..from + SECTOR]);
                        }
                    }
                }
            }
            self.pages_durable.insert(page, left);
        }
        if rng.chance(1, 2) {
            self.len_durable = self.len;
        }
        self.len = self.len_durable;
        // What lies behind the end reads as zeros if the file grows again.
        let end = self.len;
        self.pages_durable.retain(|page, _| page * (PAGE as u64) < end);
        if let Some(page) = self.pages_durable.get_mut(&(end / PAGE as u64)) {
            page[end as usize % PAGE..].fill(0);
        }
        self.pages = self.pages_durable.clone();
        self.void_handles();
    }
}
