//! How fast a data directory is: what `allotrope doctor` measures in a few seconds, and `allotrope perf limits` in more.
//!
//! Shape   one shard of its own: 1 MiB writes, then 1 MiB reads, eight at a time past the page cache; then pages that are each
//!         written and made durable before the next. A sweep does the same with other lengths, and other numbers at a time.
//! Units   bytes a second; times of one durable page.
//! Errors  those of the disk; the file it writes is removed either way.

use crate::error::DiskError;
use crate::file::{File, OpenHow};
use crate::probe::{ProbeLine, Severity};
use crate::shard::Shard;
use crate::shards::{Back, ShardId, Shards, ShardsConfig, StartError};
use futures_util::future::join_all;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

const BLOCK: usize = 1 << 20;
const DEPTH: usize = 8;
/// The longest file that is written, in blocks.
const BLOCKS_MAX: u64 = 256;
/// The part of the free space that is written at the most.
const FREE_PART: u64 = 16;

/// Below these a data directory is called slow.
const WRITE_MIN: f64 = 0.1e9;
const SYNC_MAX: Duration = Duration::from_millis(20);
const EXPECTED: &str = "at least 0.1 GB/s written, and a page durable within 20 ms";

/// What was measured of one data directory.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSpeed {
    /// The directory.
    pub path: PathBuf,
    /// Bytes written a second, in sequence, durable at the end.
    pub write_per_second: f64,
    /// Bytes read a second, in sequence.
    pub read_per_second: f64,
    /// The time until a written page was durable: the median.
    pub sync_p50: Duration,
    /// The time that one page in a hundred took longer than.
    pub sync_p99: Duration,
}

/// Writes or reads of one length, so many at a time, in sequence and past the page cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskRate {
    /// Whether they were writes; durable at the end.
    pub write: bool,
    /// Bytes of each.
    pub len: usize,
    /// How many were under way at a time.
    pub depth: usize,
    /// Bytes a second.
    pub per_second: f64,
}

/// What a data directory does by length and depth.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSweep {
    /// The rates: writes before reads, short before long, few before many.
    pub rates: Vec<DiskRate>,
    /// The time until a written page was durable: the median.
    pub sync_p50: Duration,
    /// The time that one page in a hundred took longer than.
    pub sync_p99: Duration,
}

/// The lengths and depths of a sweep.
const SWEEP: [(usize, usize); 8] = [
    (4 << 10, 1),
    (4 << 10, 8),
    (4 << 10, 32),
    (64 << 10, 1),
    (64 << 10, 8),
    (64 << 10, 32),
    (BLOCK, 1),
    (BLOCK, DEPTH),
];

/// Why a data directory was not measured.
#[derive(Debug, thiserror::Error)]
pub enum DiskSpeedError {
    /// No shard could be started for it.
    #[error("no shard can be started to measure it")]
    Shard(#[from] StartError),
    /// The disk failed.
    #[error("the disk failed")]
    Disk(#[from] DiskError),
    /// The shard ended without an answer, or too little space is free for the file.
    #[error("{0}")]
    Other(&'static str),
}

impl DiskSpeed {
    /// Measures the directory `path` on `back`, within about `within`. Blocks.
    pub fn measure(path: &Path, back: Back, within: Duration) -> Result<DiskSpeed, DiskSpeedError> {
        let (dir, turn) = (path.to_owned(), within / 3);
        on_a_shard(back, move |shard| probe(shard, dir, turn))
    }

    /// The finding, for people.
    pub fn line(&self) -> ProbeLine {
        let text = format!(
            "{} writes {:.2} GB/s, reads {:.2} GB/s, a page is durable in {:.1} ms (p50), {:.1} ms (p99)",
            self.path.display(),
            self.write_per_second / 1e9,
            self.read_per_second / 1e9,
            self.sync_p50.as_secs_f64() * 1e3,
            self.sync_p99.as_secs_f64() * 1e3,
        );
        if self.write_per_second < WRITE_MIN || self.sync_p50 > SYNC_MAX {
            let advice = "a disk of its own for each data directory; flash with power-loss protection answers a flush at once";
            return ProbeLine::new(Severity::Slower, text, EXPECTED, Some(advice));
        }
        ProbeLine::new(Severity::Fine, text, EXPECTED, None)
    }
}

impl DiskSweep {
    /// Measures the directory `path` on `back`, within about `within`. Blocks.
    ///
    /// # Errors
    /// As [`DiskSpeed::measure`].
    pub fn measure(path: &Path, back: Back, within: Duration) -> Result<DiskSweep, DiskSpeedError> {
        let turns = u32::try_from(2 * SWEEP.len() + 2).unwrap_or(u32::MAX);
        let (dir, turn) = (path.to_owned(), within / turns);
        on_a_shard(back, move |shard| async move {
            let at = file_of(&dir);
            let measured = sweep(&shard, &dir, &at, turn).await;
            removing(&shard, &at, measured).await
        })
    }
}

/// Runs `work` on a shard that is started for it. Blocks.
fn on_a_shard<T, F>(back: Back, work: impl FnOnce(Shard) -> F + Send + 'static) -> Result<T, DiskSpeedError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DiskSpeedError>> + 'static,
{
    let config = ShardsConfig {
        back,
        name: "probe".into(),
        pin: false,
        memory_per_shard: 2 * DEPTH * BLOCK,
        buffer_max: BLOCK,
        blocking_threads_max: DEPTH,
        ..ShardsConfig::portable(1)
    };
    let shards = Shards::start(config)?;
    let probing = shards.run_on(ShardId(0), "probe", work);
    let ended = probing.map(|task| task.wait());
    shards.stop(Duration::from_secs(1));
    match ended {
        Ok(Ok(measured)) => measured,
        _ => Err(DiskSpeedError::Other("the measuring shard ended without an answer")),
    }
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join(format!(".allotrope-speed-{}", std::process::id()))
}

async fn removing<T>(
    shard: &Shard,
    file: &Path,
    measured: Result<T, DiskSpeedError>,
) -> Result<T, DiskSpeedError> {
    let removed = shard.disk().remove(file).await;
    let measured = measured?;
    removed?;
    Ok(measured)
}

async fn probe(shard: Shard, dir: PathBuf, turn: Duration) -> Result<DiskSpeed, DiskSpeedError> {
    let file = file_of(&dir);
    let measured = measure(&shard, &dir, &file, turn).await;
    removing(&shard, &file, measured).await
}

/// Bytes of the file that is measured: a part of what is free.
async fn room(shard: &Shard, dir: &Path) -> Result<u64, DiskSpeedError> {
    let free = shard.disk().space(dir).await?.available;
    match (free / FREE_PART / BLOCK as u64).min(BLOCKS_MAX) {
        0 => Err(DiskSpeedError::Other("less than 16 MiB are free: too little to measure")),
        blocks => Ok(blocks * BLOCK as u64),
    }
}

async fn sweep(shard: &Shard, dir: &Path, at: &Path, turn: Duration) -> Result<DiskSweep, DiskSpeedError> {
    let room = room(shard, dir).await?;
    let file = shard.disk().open(at, OpenHow::create_new().direct()).await?;
    // Blocks of the file that are there: what is read later, and what short writes find.
    stream(shard, &file, Stream { len: BLOCK, depth: DEPTH, room, write: true }, turn).await?;
    let mut rates = Vec::new();
    for write in [true, false] {
        let room = file.len().await?.max(BLOCK as u64);
        for (len, depth) in SWEEP {
            let per_second = stream(shard, &file, Stream { len, depth, room, write }, turn).await?;
            rates.push(DiskRate { write, len, depth, per_second });
        }
    }
    let (sync_p50, sync_p99) = pages(shard, &file, turn).await?;
    Ok(DiskSweep { rates, sync_p50, sync_p99 })
}

async fn measure(shard: &Shard, dir: &Path, at: &Path, turn: Duration) -> Result<DiskSpeed, DiskSpeedError> {
    let usual = Stream { len: BLOCK, depth: DEPTH, room: room(shard, dir).await?, write: true };
    let file = shard.disk().open(at, OpenHow::create_new().direct()).await?;
    let write_per_second = stream(shard, &file, usual, turn).await?;
    let written = file.len().await?.max(BLOCK as u64);
    let read_per_second = stream(shard, &file, Stream { room: written, write: false, ..usual }, turn).await?;
    let (sync_p50, sync_p99) = pages(shard, &file, turn).await?;
    Ok(DiskSpeed { path: dir.to_owned(), write_per_second, read_per_second, sync_p50, sync_p99 })
}

/// One pattern of writes or reads.
#[derive(Clone, Copy)]
struct Stream {
    len: usize,
    depth: usize,
    /// Bytes of the file that it goes round.
    room: u64,
    write: bool,
}

/// Writes or reads the file over and over; answers bytes a second.
async fn stream(shard: &Shard, file: &File, how: Stream, turn: Duration) -> Result<f64, DiskSpeedError> {
    let Stream { len, depth, room, write } = how;
    let clock = shard.clock();
    let began = clock.now();
    let next = Rc::new(Cell::new(0u64));
    let places = (room / len as u64).max(1);
    let workers = (0..depth).map(|_| {
        let (next, clock, file, shard) = (next.clone(), clock.clone(), file.clone(), shard.clone());
        async move {
            let buf = shard.buffers().take(len).await;
            let mut buf = buf.map_err(|_| DiskSpeedError::Other("the probe's buffers are too small"))?;
            while clock.now().since(began) < turn {
                let at = next.replace(next.get() + 1) % places * len as u64;
                buf = match write {
                    true => {
                        buf.set_len(len);
                        let (buf, written) = file.write_at(buf, at).await;
                        written?;
                        buf
                    }
                    false => {
                        let (buf, read) = file.read_at(buf, at, len).await;
                        read?;
                        buf
                    }
                };
            }
            Ok::<_, DiskSpeedError>(())
        }
    });
    for ended in join_all(workers).await {
        ended?;
    }
    if write {
        file.sync().await?;
    }
    Ok((next.get() * len as u64) as f64 / clock.now().since(began).as_secs_f64().max(1e-9))
}

/// Writes page after page, each durable before the next; answers the median and the 99th of a hundred.
async fn pages(shard: &Shard, file: &File, turn: Duration) -> Result<(Duration, Duration), DiskSpeedError> {
    let clock = shard.clock();
    let (began, mut took) = (clock.now(), Vec::new());
    let mut buf = crate::buffer::AlignedBuf::copy_of(&[1; crate::buffer::PAGE]);
    while clock.now().since(began) < turn {
        let start = clock.now();
        let (back, written) = file.write_at(buf, 0).await;
        written?;
        file.sync().await?;
        took.push(clock.now().since(start));
        buf = back;
    }
    took.sort();
    let at = |part: usize| took.get((took.len() * part / 100).min(took.len().saturating_sub(1)));
    Ok((at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default()))
}
