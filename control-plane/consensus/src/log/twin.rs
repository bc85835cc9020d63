//! The log's twin in memory: what is synced and what is not, with crashes, torn ends, full disks and slow syncs.
//!
//! Law     as on a disk: a write is durable when `done` says so, in the order of writes; a crash keeps every synced
//!         write, some of the unsynced ones from the front, and maybe a torn piece of the next.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{LogDisk, LogHead, LogWrite, Opened, Written, record};
use crate::{error::StartError, raft::pause};

/// A member's log disk, which outlives the member's crashes.
#[derive(Clone)]
pub(crate) struct TwinDisk(Arc<Mutex<Disk>>);

struct Disk {
    chance: StdRng,
    sync_ms_max: u64,
    head: LogHead,
    synced: BTreeMap<u64, Vec<u8>>,
    waiting: Vec<(LogWrite, Written)>,
    syncing: bool,
    /// Grows with each opening: what an earlier run of the member still writes goes nowhere.
    run: u64,
    full: bool,
    /// While true no sync ends.
    stuck: bool,
}

/// The disk as one run of the member sees it.
struct Mounted {
    disk: TwinDisk,
    run: u64,
}

impl TwinDisk {
    pub(crate) fn new(seed: u64, sync_ms_max: u64, head: LogHead) -> TwinDisk {
        TwinDisk(Arc::new(Mutex::new(Disk {
            chance: StdRng::seed_from_u64(seed),
            sync_ms_max,
            head,
            synced: BTreeMap::new(),
            waiting: Vec::new(),
            syncing: false,
            run: 0,
            full: false,
            stuck: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the power: see the module's law.
    pub(crate) fn crash(&self) {
        let mut disk = self.lock();
        disk.run += 1;
        let waiting = std::mem::take(&mut disk.waiting);
        disk.syncing = false;
        let kept = disk.chance.gen_range(0..=waiting.len());
        let torn = disk.chance.gen_bool(0.5);
        for (n, (write, _)) in waiting.into_iter().enumerate() {
            if n < kept {
                disk.store(write);
            } else if n == kept && torn {
                // The first part of a batch of records, the last of them cut short.
                if let Some((index, mut bytes)) = write.put.into_iter().next() {
                    let cut = disk.chance.gen_range(0..bytes.len());
                    bytes.truncate(cut);
                    disk.synced.insert(index, bytes);
                }
            }
        }
    }

    /// From now on writes fail as on a full disk.
    pub(crate) fn fill(&self) {
        self.lock().full = true;
    }

    /// There is room again.
    pub(crate) fn free(&self) {
        self.lock().full = false;
    }

    /// From now on no sync ends, until it may again.
    pub(crate) fn stick(&self, stuck: bool) {
        self.lock().stuck = stuck;
    }

    /// Flips a bit in the record at `index`.
    pub(crate) fn damage(&self, index: u64) {
        let mut disk = self.lock();
        let record = disk.synced.get_mut(&index).expect("the record is there");
        let middle = record.len() / 2;
        record[middle] ^= 1;
    }

    /// Cuts the record at `index` short, as a torn write leaves it.
    pub(crate) fn tear(&self, index: u64) {
        let mut disk = self.lock();
        let record = disk.synced.get_mut(&index).expect("the record is there");
        record.truncate(record.len() - 3);
    }

    /// The indexes held.
    pub(crate) fn indexes(&self) -> Vec<u64> {
        self.lock().synced.keys().copied().collect()
    }

    /// Loses everything but the head: a disk whose last entries were never written.
    pub(crate) fn lose_from(&self, index: u64) {
        self.lock().synced.retain(|held, _| *held < index);
    }

    /// Opens the log as a start does: a torn last record is cut off, any other damage is refused.
    pub(crate) fn open(&self) -> Result<Opened, StartError> {
        let mut disk = self.lock();
        disk.run += 1;
        disk.waiting.clear();
        disk.syncing = false;
        let mut last = None;
        let first = disk.head.purged.map_or(0, |id| id.index + 1);
        let end = disk.synced.last_key_value().map(|(index, _)| *index);
        let records: Vec<(u64, Vec<u8>)> = disk.synced.range(first..).map(|(i, r)| (*i, r.clone())).collect();
        for (expected, (index, bytes)) in (first..).zip(records) {
            let damaged = |reason: String| StartError::LogDamaged { dir: "twin".into(), index, reason };
            match record::decode(&bytes) {
                Ok(entry) if index == expected => last = Some(entry.log_id),
                Ok(_) => return Err(damaged("entries before it are missing".to_owned())),
                Err(record::RecordError::Short) if Some(index) == end => {
                    disk.synced.remove(&index);
                }
                Err(e) => return Err(damaged(e.to_string())),
            }
        }
        let mounted = Box::new(Mounted { disk: self.clone(), run: disk.run });
        Ok(Opened { disk: mounted, head: disk.head.clone(), last, open: Arc::default() })
    }

    /// Syncs all that waits, after as long as a sync takes.
    async fn sync(self, run: u64) {
        let time = {
            let mut disk = self.lock();
            let max = disk.sync_ms_max;
            disk.chance.gen_range(0..=max)
        };
        pause(Duration::from_millis(time)).await;
        while self.lock().stuck {
            pause(Duration::from_millis(5)).await;
        }
        let done = {
            let mut disk = self.lock();
            if disk.run != run {
                return;
            }
            disk.syncing = false;
            let waiting = std::mem::take(&mut disk.waiting);
            let full = disk.full;
            let mut done = Vec::with_capacity(waiting.len());
            for (write, written) in waiting {
                if !full {
                    disk.store(write);
                }
                done.push(written);
            }
            (full, done)
        };
        let (full, done) = done;
        for written in done {
            written(if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) });
        }
    }
}

impl Disk {
    fn store(&mut self, write: LogWrite) {
        if let Some(from) = write.truncate_from {
            self.synced.split_off(&from);
        }
        if let Some(to) = write.purge_to {
            self.synced = self.synced.split_off(&(to + 1));
        }
        self.synced.extend(write.put);
        if let Some(head) = write.head {
            self.head = head;
        }
    }
}

impl LogDisk for Mounted {
    fn write(&self, write: LogWrite, done: Written) {
        let mut disk = self.disk.lock();
        if disk.run != self.run {
            drop(disk);
            done(Err(io::Error::other("the machine has crashed")));
            return;
        }
        disk.waiting.push((write, done));
        if !disk.syncing {
            disk.syncing = true;
            tokio::spawn(self.disk.clone().sync(self.run));
        }
    }

    fn read(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let disk = self.disk.lock();
        Ok(disk.synced.range(from..to.max(from)).map(|(index, bytes)| (*index, bytes.clone())).collect())
    }
}
