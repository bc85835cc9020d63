//! How the files of one file system are made durable when many are dirty at once: each for itself, all in parallel, or the
//! file system as a whole, whichever was measured cheaper here.
//!
//! Shape   one [`Device`] a file system and pool of shards. A few files are flushed as soon as they are asked for; those that
//!         come meanwhile gather, and are the next round. A round is flushed one way or the other, and what it took is
//!         remembered for the choice.
//! Units   nanoseconds.
//! Errors  those of the flush, for every file of it. A whole flush that fails fails all files of its round.
//! Source  DESIGN.md, 'The write path, and what an answer means'; docs/performance/io.md, 'Grouped flushes'.
//!
//! A whole flush covers a direct file, whose writes have been answered by the disk: what is left is the journal and the
//! drive's cache. Of file systems only ext4 is known to flush the drive's cache in syncfs whatever the journal holds, so
//! only there it is a choice; and an error of writing back is told to the file it hit alone, so files in the page cache are
//! always flushed one by one.

use crate::clock::Moment;
use crate::disk::Disk;
use crate::file::FileInner;
use crate::mesh::Reply;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Flushes under way below which another starts at once.
const AT_ONCE: usize = 4;
/// The smallest round for which a whole flush is considered.
const ROUND_MIN: usize = 8;
/// With more than this in the page cache, other programs' included, a whole flush would write it all: it is not tried. Bytes.
pub(crate) const DIRTY_MAX: u64 = 64 << 20;
/// How long after a whole flush lost it is tried again; doubles up to [`RETRY_MAX`] while it loses.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// How long the cost of single flushes is believed while whole ones win.
const BELIEVED: Duration = Duration::from_secs(10);

/// How a round is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Each,
    Whole,
}

/// What rounds took, and what follows for the next. Pure: the moments come in.
#[derive(Debug, Default)]
struct Costs {
    /// Of one file in a round of single flushes, and when that was measured last.
    each: Option<(f64, Moment)>,
    /// Of a whole flush.
    whole: Option<f64>,
    /// A whole flush is not tried before.
    retry_at: Option<Moment>,
    retry_after: Duration,
}

impl Costs {
    fn choose(&self, files: usize, now: Moment) -> Way {
        let Some((each, measured_at)) = self.each.filter(|_| files >= ROUND_MIN) else { return Way::Each };
        let may_try = self.retry_at.is_none_or(|at| now >= at);
        match self.whole {
            Some(whole) if whole < 0.8 * each * files as f64 => match now.since(measured_at) < BELIEVED {
                true => Way::Whole,
                false => Way::Each,
            },
            _ if may_try => Way::Whole,
            _ => Way::Each,
        }
    }

    fn measured(&mut self, way: Way, files: usize, took: Duration, now: Moment) {
        let took = took.as_nanos() as f64;
        let blend = |old: Option<f64>, new: f64| old.map_or(new, |old| old * 0.75 + new * 0.25);
        match way {
            Way::Each if files >= ROUND_MIN => {
                let each = blend(self.each.map(|(each, _)| each), took / files as f64);
                self.each = Some((each, now));
            }
            Way::Each => {}
            Way::Whole => {
                let lost = self.each.is_some_and(|(each, _)| took >= 0.8 * each * files as f64);
                // A loss counts at once: waiters have paid for it.
                self.whole = Some(if lost { took } else { blend(self.whole, took) });
                self.lost(lost, now);
            }
        }
    }

    /// Notes whether a whole flush lost (or was not possible), which puts the next one off.
    fn lost(&mut self, lost: bool, now: Moment) {
        if lost {
            self.retry_after = (self.retry_after * 2).clamp(RETRY_MIN, RETRY_MAX);
            self.retry_at = Some(now + self.retry_after);
        } else {
            self.retry_after = Duration::ZERO;
            self.retry_at = None;
        }
    }
}

type Flushed = Result<(), Arc<io::Error>>;
type Waiting = (Arc<FileInner>, Reply<Flushed>);

/// The flushes of one file system.
#[derive(Debug)]
pub(crate) struct Device {
    /// A flush of the whole is a choice here.
    whole: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    gathered: Vec<Waiting>,
    costs: Costs,
}

impl Device {
    pub(crate) fn new(whole: bool) -> Device {
        Device { whole, state: Mutex::default() }
    }

    /// Makes `file` durable, in company where others are at it.
    pub(crate) async fn flush(self: &Arc<Self>, disk: &Disk, file: &Arc<FileInner>) -> io::Result<()> {
        let answer = {
            let mut state = self.lock();
            if !self.whole || state.running < AT_ONCE {
                state.running += 1;
                None
            } else {
                let (reply, answer) = Reply::new();
                state.gathered.push((file.clone(), reply));
                Some(answer)
            }
        };
        match answer {
            None => {
                let turn = Turn { device: self.clone(), files: 1 };
                let flushed = disk.engine().sync(file).await;
                turn.end(disk);
                flushed
            }
            Some(answer) => {
                let flushed =
                    answer.await.ok_or_else(|| io::Error::other("the shard that flushed stopped"))?;
                flushed.map_err(|e| io::Error::new(e.kind(), e))
            }
        }
    }

    /// Flushes those that gathered. The turn comes with them, so that it ends even if this is never run.
    async fn round(self: Arc<Self>, disk: Disk, turn: Turn, round: Vec<Waiting>) {
        let clock = disk.clock();
        let (direct, cached): (Vec<_>, Vec<_>) = round.into_iter().partition(|(file, _)| file.how.direct);
        let (files, began) = (direct.len(), clock.now());
        let way = self.lock().costs.choose(files, began);
        let direct = match (way, direct.first()) {
            (Way::Whole, Some((file, _))) => match disk.engine().sync_whole(file).await {
                Ok(false) => {
                    self.lock().costs.lost(true, clock.now());
                    Err(direct)
                }
                done => {
                    let flushed = done.map(drop).map_err(Arc::new);
                    direct.into_iter().for_each(|(_, reply)| reply.send(flushed.clone()));
                    Ok(())
                }
            },
            _ => Err(direct),
        };
        let way = if direct.is_ok() { Way::Whole } else { Way::Each };
        each(&disk, direct.err().unwrap_or_default()).await;
        let now = clock.now();
        self.lock().costs.measured(way, files, now.since(began), now);
        each(&disk, cached).await;
        if way == Way::Whole {
            disk.counters().disk_operations.fetch_add(1, Relaxed);
            disk.counters().flushes_whole.fetch_add(1, Relaxed);
        }
        turn.end(&disk);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes each of `files` for itself, all at once.
async fn each(disk: &Disk, files: Vec<Waiting>) {
    let flushes = files.into_iter().map(|(file, reply)| async move {
        reply.send(disk.engine().sync(&file).await.map_err(Arc::new));
    });
    futures_util::future::join_all(flushes).await;
}

/// Flushes under way. If dropped unfinished, as when the shard stops, those that gathered behind it are told.
struct Turn {
    device: Arc<Device>,
    files: usize,
}

impl Turn {
    /// Ends it and starts the next round if few others are under way.
    fn end(mut self, disk: &Disk) {
        let next = {
            let mut state = self.device.lock();
            state.running -= std::mem::take(&mut self.files);
            if state.running >= AT_ONCE || state.gathered.is_empty() {
                return;
            }
            let next = std::mem::take(&mut state.gathered);
            state.running += next.len();
            next
        };
        let turn = Turn { device: self.device.clone(), files: next.len() };
        disk.start_flush(self.device.clone().round(disk.clone(), turn, next));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.files > 0 {
            let mut state = self.device.lock();
            state.running -= self.files;
            let left = std::mem::take(&mut state.gathered);
            drop(state);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(0) + MS * u32::try_from(ms).unwrap()
    }

    #[test]
    fn a_whole_flush_is_tried_once_single_ones_are_known_and_kept_while_it_is_cheaper() {
        let mut costs = Costs::default();
        assert_eq!(costs.choose(64, at(0)), Way::Each, "nothing is known");
        costs.measured(Way::Each, 64, MS * 64, at(1));
        assert_eq!(costs.choose(64, at(2)), Way::Whole, "worth a try");
        costs.measured(Way::Whole, 64, MS * 5, at(7));
        assert_eq!(costs.choose(64, at(8)), Way::Whole);
        assert_eq!(costs.choose(7, at(8)), Way::Each, "too few to gain by it");
        assert_eq!(costs.choose(64, at(20_000)), Way::Each, "single flushes are measured again");
    }

    #[test]
    fn a_whole_flush_that_lost_is_put_off_longer_each_time() {
        let mut costs = Costs::default();
        costs.measured(Way::Each, 10, MS * 10, at(0));
        costs.measured(Way::Whole, 10, MS * 300, at(300));
        assert_eq!(costs.choose(10, at(1_000)), Way::Each);
        assert_eq!(costs.choose(10, at(1_301)), Way::Whole, "another try");
        costs.measured(Way::Whole, 10, MS * 300, at(1_600));
        assert_eq!(costs.choose(10, at(3_000)), Way::Each);
        assert_eq!(costs.choose(10, at(3_601)), Way::Whole);
        costs.measured(Way::Whole, 10, MS, at(3_700));
        assert_eq!(costs.choose(10, at(3_701)), Way::Whole, "a good one ends the wait");
    }
}
