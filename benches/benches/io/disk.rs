//! Reads and writes of one file against fio.

use crate::Effort;
use crate::fio::{self, Job};
use crate::meter::{GIB, Meter, Turn};
use crate::report::{Report, Target, median};
use allotrope_io::{Back, Class, File, OpenHow, Shard, ShardId, Shards, ShardsConfig};
use futures_util::future::join_all;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Shards with enough buffers for any job here, on the back that the probe found.
pub(crate) fn shards(count: usize) -> Shards {
    let back = Back::of_this_machine();
    let config = ShardsConfig { back, memory_per_shard: 64 << 20, ..ShardsConfig::uring(count) };
    Shards::start(config).expect("the probe said that this back works here")
}

/// Runs `make` on shard 0 of a pool and waits for it.
pub(crate) fn on_shard<T, F>(shards: &Shards, make: impl FnOnce(Shard) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    shards.run_on(ShardId(0), "bench", make).unwrap().wait().expect("the bench's task ends")
}

/// A file of `len` bytes on the disk, none of them sparse.
pub(crate) fn file_of(name: &str, len: u64) -> PathBuf {
    let path = crate::scratch().join(name);
    let target = path.clone();
    let shards = shards(1);
    on_shard(&shards, move |shard| async move {
        let file = shard.disk().open(&target, OpenHow::create().direct()).await.unwrap();
        if file.len().await.unwrap() == len {
            return;
        }
        for at in (0..len).step_by(4 << 20) {
            let mut buf = shard.buffers().take(4 << 20).await.unwrap();
            buf.set_len(4 << 20);
            buf.iter_mut().enumerate().for_each(|(n, b)| *b = (n ^ n >> 9) as u8);
            file.write_at(buf, at).await.1.unwrap();
        }
        file.truncate(len).await.unwrap();
        file.sync().await.unwrap();
    });
    shards.stop(Duration::from_secs(10));
    path
}

/// Our turn: `depth` tasks that each do one operation after the other.
async fn ours(shard: Shard, path: PathBuf, len: u64, job: Job, turn: Duration) -> Turn {
    let write = job.rw == "write";
    let how = if write { OpenHow::write() } else { OpenHow::read() };
    let file: File = shard.disk().open(path, how.direct()).await.unwrap();
    let blocks = len / job.block as u64;
    let (next, done) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(0u64)));
    let meter = Meter::start();
    let over = Rc::new(Cell::new(false));
    let (bell, clock) = (over.clone(), shard.clock().clone());
    drop(shard.spawn("bell", async move {
        clock.sleep(turn).await;
        bell.set(true);
    }));
    let workers = (0..job.depth).map(|_| {
        let (file, shard, next, done) = (file.clone(), shard.clone(), next.clone(), done.clone());
        let over = over.clone();
        let tasks = shard.clone();
        tasks.spawn("worker", async move {
            let mut buf = shard.buffers().take(job.block).await.unwrap();
            buf.set_len(job.block);
            while !over.get() {
                let n = next.replace(next.get() + 1);
                let block = match job.rw {
                    // A full-period walk over a shuffled order: cheap, and no block twice in a row.
                    "randread" => n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20,
                    _ => n,
                };
                let at = block % blocks * job.block as u64;
                buf = match write {
                    true => {
                        let (buf, written) = file.write_at(buf, at).await;
                        written.unwrap();
                        buf
                    }
                    false => {
                        let (buf, read) = file.read_at(buf, at, job.block).await;
                        assert_eq!(read.unwrap(), job.block);
                        buf
                    }
                };
                done.set(done.get() + 1);
            }
        })
    });
    for ended in join_all(workers).await {
        ended.expect("a worker ends");
    }
    meter.stop(done.get(), done.get() * job.block as u64)
}

/// Sequential and random turns, ours and fio's in pairs.
pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Disk",
        "One shard against fio's io_uring engine with one thread: O_DIRECT on one file that exists whole. The buffers are \
         registered where memlock allows; fio registers none. Random reads are answered in batches here, all that are under \
         way at once, so the device rests until the next ones reach it: operations are submitted four at a time, and one at a \
         time while fewer than four are with the device. What is left of the difference is CPU: a task's wake-up, its poll with \
         two looks at the clock, and glommio's own system calls before it sleeps. A timer is pending on the shard throughout, \
         as on every shard of a datanode.",
        "what | ours | fio | ratio | target | CPU s/GiB | fio's | CPU target",
    );
    let path = file_of("block", effort.file_len);
    const MIB: usize = 1 << 20;
    let jobs = [
        ("sequential write, 1 MiB, depth 8", Job { rw: "write", block: MIB, depth: 8 }, 0.95),
        ("sequential read, 1 MiB, depth 8", Job { rw: "read", block: MIB, depth: 8 }, 0.95),
        ("random read, 4 KiB, depth 32", Job { rw: "randread", block: 4096, depth: 32 }, 0.85),
    ];
    for (what, job, target) in jobs {
        let pairs: Vec<(Turn, Turn)> = (0..effort.pairs)
            .map(|_| {
                let limit = fio::run(job, &path, effort.file_len, effort.turn);
                let pool = shards(1);
                let (path, len, turn) = (path.clone(), effort.file_len, effort.turn);
                let mine = on_shard(&pool, move |shard| ours(shard, path, len, job, turn));
                pool.stop(Duration::from_secs(10));
                (mine, limit)
            })
            .collect();
        let ratio = median(pairs.iter().map(|(mine, limit)| mine.per_second / limit.per_second));
        let middle = |of: fn(&(Turn, Turn)) -> f64| median(pairs.iter().map(of));
        let (mine, limit) = match job.block {
            MIB => (
                format!("{:.2} GiB/s", middle(|p| p.0.bytes_per_second) / GIB),
                format!("{:.2} GiB/s", middle(|p| p.1.bytes_per_second) / GIB),
            ),
            _ => (
                format!("{:.0} IOPS", middle(|p| p.0.per_second)),
                format!("{:.0} IOPS", middle(|p| p.1.per_second)),
            ),
        };
        let (cpu, cpu_limit) = (middle(|p| p.0.cpu_per_gib), middle(|p| p.1.cpu_per_gib));
        let cpu_target = if job.block == MIB { Target::AtMost(0.05) } else { Target::None };
        report.row(&[
            what.into(),
            mine,
            limit,
            format!("{ratio:.3}"),
            Target::AtLeast(target).judge(ratio),
            format!("{cpu:.3}"),
            format!("{cpu_limit:.3}"),
            match job.block {
                MIB => format!("fio's + {}", cpu_target.judge(cpu - cpu_limit)),
                _ => "–".into(),
            },
        ]);
    }
}

/// Latencies of a client that reads 4 KiB at a time, four at once, while a scrub reads all it can, or none.
async fn beside_scrub(
    shard: Shard,
    path: PathBuf,
    len: u64,
    scrub: Option<Class>,
    turn: Duration,
) -> (f64, f64, f64) {
    let how = OpenHow::read().direct();
    let end = Instant::now() + turn;
    let scrubbed = Rc::new(Cell::new(0u64));
    let mut tasks = Vec::new();
    if let Some(class) = scrub {
        let file = shard.disk().for_class(class).open(&path, how).await.unwrap();
        for task in 0..8u64 {
            let (file, on, scrubbed) = (file.clone(), shard.clone(), scrubbed.clone());
            tasks.push(shard.spawn_in(class, "scrub", async move {
                let mut buf = on.buffers().take(1 << 20).await.unwrap();
                for n in 0.. {
                    let at = ((n * 8 + task) % (len >> 20)) << 20;
                    let (back, read) = file.read_at(buf, at, 1 << 20).await;
                    scrubbed.set(scrubbed.get() + read.unwrap() as u64);
                    buf = back;
                    if Instant::now() >= end {
                        break;
                    }
                }
            }));
        }
    }
    let file = shard.disk().open(&path, how).await.unwrap();
    let took = Rc::new(std::cell::RefCell::new(Vec::new()));
    for task in 0..4u64 {
        let (file, on, took) = (file.clone(), shard.clone(), took.clone());
        tasks.push(shard.spawn("client", async move {
            let mut buf = on.buffers().take(4096).await.unwrap();
            for n in 0u64.. {
                let block = (n * 4 + task).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                let began = Instant::now();
                let (back, read) = file.read_at(buf, (block % (len >> 12)) << 12, 4096).await;
                read.unwrap();
                took.borrow_mut().push(began.elapsed());
                buf = back;
                if Instant::now() >= end {
                    break;
                }
            }
        }));
    }
    for ended in join_all(tasks).await {
        ended.expect("a task ends");
    }
    let mut took = took.take();
    took.sort();
    let at = |percent: usize| took[took.len() * percent / 100].as_nanos() as f64 / 1e3;
    (at(50), at(99), scrubbed.get() as f64 / turn.as_secs_f64() / GIB)
}

/// What a scrub at full speed costs those who wait for reads.
pub(crate) fn measure_classes(report: &mut Report, effort: Effort) {
    report.section(
        "Classes of work",
        "Four clients on one shard read 4 KiB at a time past the page cache while eight tasks of the same shard read 1 MiB \
         at a time: in the scrub's class, and as if they were clients.",
        "beside | client p50 µs | client p99 µs | p99 against alone | scrub GiB/s",
    );
    let path = file_of("block", effort.file_len);
    let kinds = [
        ("nothing", None),
        ("a scrub", Some(Class::Scrub)),
        ("the same as foreground", Some(Class::Foreground)),
    ];
    let mut turns = vec![Vec::new(); kinds.len()];
    for _ in 0..effort.pairs {
        for ((_, class), turns) in kinds.iter().zip(&mut turns) {
            let pool = shards(1);
            let (path, len, class, turn) = (path.clone(), effort.file_len, *class, effort.turn);
            turns.push(on_shard(&pool, move |shard| beside_scrub(shard, path, len, class, turn)));
            pool.stop(Duration::from_secs(10));
        }
    }
    let alone: Vec<f64> = turns[0].iter().map(|turn| turn.1).collect();
    for ((name, _), turns) in kinds.iter().zip(&turns) {
        let ratio = median(turns.iter().zip(&alone).map(|(turn, alone)| turn.1 / alone));
        report.row(&[
            (*name).into(),
            format!("{:.0}", median(turns.iter().map(|turn| turn.0))),
            format!("{:.0}", median(turns.iter().map(|turn| turn.1))),
            format!("{ratio:.2}"),
            format!("{:.2}", median(turns.iter().map(|turn| turn.2))),
        ]);
    }
}
