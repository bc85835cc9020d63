//! The in-memory twin of a volume's database: what the fault tests run on.
//!
//! Shape   the view that readers see, what is stable of it, and the batches between the two, in order.
//!
//! On a crash every synced batch stays and, as the test decides, a prefix of the unsynced ones.

mod rows;

use super::{Batch, Change, Durability, Entry, Family, Metadata, MetadataError, Pending};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

type Map = BTreeMap<(Family, Vec<u8>), Bytes>;

/// An ordered map in memory. Clones share it, so that a test can crash what a datanode uses.
#[derive(Clone, Debug, Default)]
pub struct MemoryMetadata(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    view: Map,
    stable: Map,
    unsynced: VecDeque<Batch>,
    /// Commits until one fails; after it the store takes no more, as RocksDB does.
    fails_in: Option<u64>,
    failed: bool,
    copies: BTreeMap<PathBuf, Map>,
    /// Bytes of keys and values that commits carried.
    bytes: u64,
}

impl MemoryMetadata {
    /// An empty store.
    pub fn new() -> MemoryMetadata {
        MemoryMetadata::default()
    }

    /// How many batches a crash could lose now.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Bytes of keys and values that all commits carried.
    pub fn bytes_committed(&self) -> u64 {
        self.lock().bytes
    }

    /// Loses what is not stable, but for the first `kept` batches of it, and forgets that it failed.
    pub fn crash(&self, kept: usize) {
        let mut state = self.lock();
        for batch in std::mem::take(&mut state.unsynced).into_iter().take(kept) {
            apply(&mut state.stable, &batch);
        }
        state.view = state.stable.clone();
        (state.fails_in, state.failed) = (None, false);
    }

    /// Makes the commit after `commits` good ones fail, and all that follow it.
    pub fn fail_after(&self, commits: u64) {
        self.lock().fails_in = Some(commits);
    }

    /// The copy that [`Metadata::checkpoint`] made at `path`, as a store.
    pub fn copy_at(&self, path: &std::path::Path) -> Option<MemoryMetadata> {
        let map = self.lock().copies.get(path)?.clone();
        let state = State { view: map.clone(), stable: map, ..State::default() };
        Some(MemoryMetadata(Arc::new(Mutex::new(state))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(map: &mut Map, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put(family, key, value) => {
                map.insert((*family, key.clone()), value.clone());
            }
            Change::Delete(family, key) => {
                map.remove(&(*family, key.clone()));
            }
            Change::DeleteRange(family, from, to) => {
                if from < to {
                    let range = (*family, from.clone())..(*family, to.clone());
                    let gone: Vec<_> = map.range(range).map(|(key, _)| key.clone()).collect();
                    gone.iter().for_each(|key| drop(map.remove(key)));
                }
            }
        }
    }
}

impl State {
    fn sync(&mut self) -> Result<(), MetadataError> {
        if self.failed {
            return Err(failed());
        }
        for batch in std::mem::take(&mut self.unsynced) {
            apply(&mut self.stable, &batch);
        }
        Ok(())
    }
}

fn failed() -> MetadataError {
    MetadataError::Store { act: "write to", at: "memory".into(), why: "a write failed".into() }
}

/// Lets other tasks run once, as a wait for a disk would.
async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Metadata for MemoryMetadata {
    fn commit(&self, batch: Batch, durability: Durability) -> Pending<()> {
        let store = self.clone();
        let accepted = {
            let mut state = self.lock();
            if state.fails_in == Some(0) {
                state.failed = true;
            }
            state.fails_in = state.fails_in.map(|left| left.saturating_sub(1));
            if !state.failed {
                apply(&mut state.view, &batch);
                state.bytes += batch.len_bytes() as u64;
                state.unsynced.push_back(batch);
            }
            !state.failed
        };
        Box::pin(async move {
            if !accepted {
                return Err(failed());
            }
            pause().await;
            if durability == Durability::Disk { store.lock().sync() } else { Ok(()) }
        })
    }

    fn get(&self, family: Family, key: Vec<u8>) -> Pending<Option<Bytes>> {
        let store = self.clone();
        Box::pin(async move {
            pause().await;
            Ok(store.lock().view.get(&(family, key)).cloned())
        })
    }

    fn get_each(&self, family: Family, keys: Vec<Vec<u8>>) -> Pending<Vec<Option<Bytes>>> {
        let store = self.clone();
        Box::pin(async move {
            pause().await;
            let state = store.lock();
            Ok(keys.into_iter().map(|key| state.view.get(&(family, key)).cloned()).collect())
        })
    }

    fn scan(&self, family: Family, from: Vec<u8>, to: Vec<u8>, count_max: usize) -> Pending<Vec<Entry>> {
        let store = self.clone();
        Box::pin(async move {
            pause().await;
            if from >= to {
                return Ok(Vec::new());
            }
            let state = store.lock();
            let range = state.view.range((family, from)..(family, to));
            Ok(range.take(count_max).map(|((_, k), v)| (Bytes::from(k.clone()), v.clone())).collect())
        })
    }

    fn sync(&self) -> Pending<()> {
        let store = self.clone();
        Box::pin(async move {
            pause().await;
            store.lock().sync()
        })
    }

    fn checkpoint(&self, to: PathBuf) -> Pending<()> {
        let store = self.clone();
        Box::pin(async move {
            pause().await;
            let mut state = store.lock();
            if state.copies.contains_key(&to) {
                let why = "the folder exists".to_owned();
                return Err(MetadataError::Store { act: "copy to", at: to, why });
            }
            let copy = state.view.clone();
            state.copies.insert(to, copy);
            Ok(())
        })
    }

    fn row_files(&self) -> &dyn super::rows::RowFiles {
        &rows::PlainFiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::conformance;

    #[test]
    fn it_conforms() {
        let store = MemoryMetadata::new();
        conformance::run(&store, &PathBuf::from("copy"), |path| {
            Box::new(store.copy_at(path).expect("the copy was made"))
        });
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest() {
        let store = MemoryMetadata::new();
        let put = |n: u8, durability| {
            let mut batch = Batch::new();
            batch.put(Family::Counters, [n], vec![n]);
            conformance::wait(store.commit(batch, durability)).unwrap();
        };
        put(1, Durability::Disk);
        for n in 2..=4 {
            put(n, Durability::PageCache);
        }
        assert_eq!(store.unsynced(), 3);
        store.crash(2);
        let left = conformance::wait(store.scan(Family::Counters, vec![0], vec![9], 9)).unwrap();
        assert_eq!(left.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn after_a_failed_write_nothing_is_taken_until_the_crash() {
        let store = MemoryMetadata::new();
        store.fail_after(1);
        let commit = || conformance::wait(store.commit(Batch::new(), Durability::Disk));
        assert!(commit().is_ok());
        assert!(commit().is_err());
        assert!(commit().is_err());
        assert!(conformance::wait(store.sync()).is_err());
        store.crash(0);
        assert!(commit().is_ok());
    }
}
