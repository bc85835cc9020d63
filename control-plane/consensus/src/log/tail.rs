//! The end of the log in memory: entries on their way to the disk, and the latest of those that are there.
//!
//! Law     an entry that is not yet synced is always here; synced ones go, oldest first, beyond the byte limit.

use std::collections::VecDeque;

use crate::raft::Entry;

pub(crate) struct Tail {
    entries: VecDeque<(usize, Entry)>,
    bytes: usize,
    bytes_max: usize,
    /// Every entry before this index is synced.
    synced_end: u64,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Tail {
        Tail { entries: VecDeque::new(), bytes: 0, bytes_max, synced_end: 0 }
    }

    /// The first index held.
    pub(crate) fn start(&self) -> Option<u64> {
        self.entries.front().map(|(_, entry)| entry.log_id.index)
    }

    /// Adds the entry after the last one, whose record has `len` bytes.
    pub(crate) fn push(&mut self, len: usize, entry: Entry) {
        if let Some((_, last)) = self.entries.back() {
            assert_eq!(last.log_id.index + 1, entry.log_id.index, "the tail has no gap");
        }
        self.bytes += len;
        self.entries.push_back((len, entry));
    }

    /// Everything up to `index` is on disk.
    pub(crate) fn synced(&mut self, index: u64) {
        self.synced_end = self.synced_end.max(index + 1);
        while self.bytes > self.bytes_max
            && self.entries.front().is_some_and(|(_, entry)| entry.log_id.index < self.synced_end)
        {
            self.pop();
        }
    }

    /// Drops the entries from `index` on.
    pub(crate) fn truncate(&mut self, index: u64) {
        while self.entries.back().is_some_and(|(_, entry)| entry.log_id.index >= index) {
            let (len, _) = self.entries.pop_back().expect("looked at it");
            self.bytes -= len;
        }
        self.synced_end = self.synced_end.min(index);
    }

    /// Drops the entries up to `index`.
    pub(crate) fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|(_, entry)| entry.log_id.index <= index) {
            self.pop();
        }
    }

    /// Adds the entries of `from..to` to `out`, until they are about `bytes_max`.
    pub(crate) fn read_into(&self, from: u64, to: u64, bytes_max: usize, out: &mut Vec<Entry>) {
        let Some(start) = self.start() else { return };
        let skip = usize::try_from(from.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        for (len, entry) in self.entries.iter().skip(skip) {
            if entry.log_id.index >= to || bytes >= bytes_max {
                return;
            }
            bytes += len;
            out.push(entry.clone());
        }
    }

    fn pop(&mut self) {
        if let Some((len, _)) = self.entries.pop_front() {
            self.bytes -= len;
        }
    }
}
