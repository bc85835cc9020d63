//! What every back of [`Metadata`] keeps: one suite, run on each.

use super::{Batch, Durability, Family, Metadata};
use bytes::Bytes;
use std::path::Path;

/// Runs a future to its end on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Holds an empty store to the face's promises; `open_copy` opens what `checkpoint` wrote to `copy`.
pub(crate) fn run(store: &dyn Metadata, copy: &Path, open_copy: impl Fn(&Path) -> Box<dyn Metadata>) {
    wait(async {
        an_empty_store_has_nothing(store).await;
        a_batch_is_read_back_and_families_are_apart(store).await;
        later_changes_win(store).await;
        a_scan_is_ordered_bounded_and_half_open(store).await;
        a_range_goes_with_one_change(store).await;
        batches_take_effect_in_the_order_they_were_handed_in(store).await;
        a_copy_stays_as_it_was(store, copy, open_copy).await;
    });
}

async fn an_empty_store_has_nothing(store: &dyn Metadata) {
    assert_eq!(store.get(Family::BlockData, b"a".to_vec()).await.unwrap(), None);
    assert!(store.scan(Family::BlockData, vec![], vec![0xff], 10).await.unwrap().is_empty());
    store.sync().await.unwrap();
    store.commit(Batch::new(), Durability::Disk).await.unwrap();
}

async fn a_batch_is_read_back_and_families_are_apart(store: &dyn Metadata) {
    let mut batch = Batch::new();
    batch.put(Family::BlockData, *b"a", &b"1"[..]).put(Family::Counters, *b"a", &b""[..]);
    store.commit(batch, Durability::Disk).await.unwrap();
    assert_eq!(store.get(Family::BlockData, b"a".to_vec()).await.unwrap(), Some(Bytes::from_static(b"1")));
    assert_eq!(store.get(Family::Counters, b"a".to_vec()).await.unwrap(), Some(Bytes::new()));
    assert_eq!(store.get(Family::LastChunk, b"a".to_vec()).await.unwrap(), None);
    let asked = [b"b", b"a", b"c", b"a"].map(|key| key.to_vec()).to_vec();
    let one = Some(Bytes::from_static(b"1"));
    assert_eq!(store.get_each(Family::BlockData, asked).await.unwrap(), [None, one.clone(), None, one]);
    assert!(store.get_each(Family::BlockData, Vec::new()).await.unwrap().is_empty());
}

async fn later_changes_win(store: &dyn Metadata) {
    let mut batch = Batch::new();
    batch
        .put(Family::BlockData, *b"b", &b"1"[..])
        .delete(Family::BlockData, *b"b")
        .delete(Family::BlockData, *b"a")
        .put(Family::BlockData, *b"a", &b"2"[..]);
    store.commit(batch, Durability::PageCache).await.unwrap();
    assert_eq!(store.get(Family::BlockData, b"b".to_vec()).await.unwrap(), None);
    assert_eq!(store.get(Family::BlockData, b"a".to_vec()).await.unwrap(), Some(Bytes::from_static(b"2")));
}

async fn keys(store: &dyn Metadata, from: &[u8], to: &[u8], count_max: usize) -> Vec<Vec<u8>> {
    let found = store.scan(Family::LastChunk, from.to_vec(), to.to_vec(), count_max).await.unwrap();
    found.into_iter().map(|(key, _)| key.to_vec()).collect()
}

async fn a_scan_is_ordered_bounded_and_half_open(store: &dyn Metadata) {
    let mut batch = Batch::new();
    for key in [&b"x|10"[..], b"x|9", b"y|1", b"x|", b"w|\xff"] {
        batch.put(Family::LastChunk, key, &b"v"[..]);
    }
    store.commit(batch, Durability::Disk).await.unwrap();
    assert_eq!(keys(store, b"x|", b"x}", 10).await, [&b"x|"[..], b"x|10", b"x|9"]);
    assert_eq!(keys(store, b"x|1", b"y|1", 10).await, [&b"x|10"[..], b"x|9"]);
    assert_eq!(keys(store, b"", b"z", 2).await, [&b"w|\xff"[..], b"x|"]);
    assert!(keys(store, b"z", b"a", 10).await.is_empty());
}

async fn a_range_goes_with_one_change(store: &dyn Metadata) {
    let mut batch = Batch::new();
    batch.delete_range(Family::LastChunk, *b"x|", *b"x}").put(Family::LastChunk, *b"x|5", &b"v"[..]);
    store.commit(batch, Durability::Disk).await.unwrap();
    assert_eq!(keys(store, b"", b"z", 10).await, [&b"w|\xff"[..], b"x|5", b"y|1"]);
}

async fn batches_take_effect_in_the_order_they_were_handed_in(store: &dyn Metadata) {
    let commits: Vec<_> = (0..100u8)
        .map(|n| {
            let mut batch = Batch::new();
            batch.put(Family::Counters, *b"last", vec![n]).put(Family::Counters, [b'n', n], vec![n]);
            store.commit(batch, Durability::Disk)
        })
        .collect();
    for commit in commits {
        commit.await.unwrap();
    }
    assert_eq!(store.get(Family::Counters, b"last".to_vec()).await.unwrap().unwrap(), vec![99]);
    assert_eq!(store.scan(Family::Counters, b"n".to_vec(), b"o".to_vec(), 1000).await.unwrap().len(), 100);
}

async fn a_copy_stays_as_it_was(
    store: &dyn Metadata,
    copy: &Path,
    open_copy: impl Fn(&Path) -> Box<dyn Metadata>,
) {
    store.checkpoint(copy.to_owned()).await.unwrap();
    let mut batch = Batch::new();
    batch.put(Family::BlockData, *b"a", &b"3"[..]);
    store.commit(batch, Durability::Disk).await.unwrap();
    assert!(store.checkpoint(copy.to_owned()).await.is_err(), "a copy does not overwrite");
    let then = open_copy(copy);
    assert_eq!(then.get(Family::BlockData, b"a".to_vec()).await.unwrap(), Some(Bytes::from_static(b"2")));
    assert_eq!(store.get(Family::BlockData, b"a".to_vec()).await.unwrap(), Some(Bytes::from_static(b"3")));
}
