//! Grouped flushes: many waiters against one.

use crate::Effort;
use crate::disk::{on_shard, shards};
use crate::report::{Report, Target, median};
use allotrope_io::{AlignedBuf, Clock, OpenHow, PAGE, Shard, ShardId, Sim, SimConfig, SimLatency};
use futures_util::future::join_all;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Waiters served a second, and waiters one flush served.
#[derive(Clone, Copy)]
struct Served {
    per_second: f64,
    per_flush: f64,
    /// The part of the flushes that were one flush of the whole file system.
    whole: f64,
}

/// `waiters` that each write a page and wait for it to be durable, over and over, spread over `files` files.
async fn serve(shard: Shard, dir: PathBuf, waiters: usize, files: usize, turn: Duration) -> Served {
    let mut open = Vec::new();
    for n in 0..files {
        let file =
            shard.disk().open(dir.join(format!("flush-{n}")), OpenHow::create().direct()).await.unwrap();
        // Overwriting what is there leaves the journal out of it, as fallocated blocks do.
        file.write_at(AlignedBuf::copy_of(&vec![0; 64 * PAGE]), 0).await.1.unwrap();
        file.sync().await.unwrap();
        open.push(file);
    }
    let clock: Clock = shard.clock().clone();
    let served = Rc::new(Cell::new(0u64));
    let before = shard.counters().disk_operations.load(Relaxed);
    let whole_before = shard.counters().flushes_whole.load(Relaxed);
    let began = clock.now();
    let end = began + turn;
    let tasks = (0..waiters).map(|n| {
        let (file, clock, served) = (open[n % files].clone(), clock.clone(), served.clone());
        shard.spawn("waiter", async move {
            let mut buf = AlignedBuf::copy_of(&[n as u8; PAGE]);
            while clock.now() < end {
                let (back, written) = file.write_at(buf, (n % 64 * PAGE) as u64).await;
                written.unwrap();
                file.sync().await.unwrap();
                served.set(served.get() + 1);
                buf = back;
            }
        })
    });
    for ended in join_all(tasks.collect::<Vec<_>>()).await {
        ended.expect("a waiter ends");
    }
    let seconds = clock.now().since(began).as_secs_f64();
    let operations = shard.counters().disk_operations.load(Relaxed) - before;
    let served = served.get() as f64;
    let flushes = (operations as f64 - served).max(1.0);
    let whole = (shard.counters().flushes_whole.load(Relaxed) - whole_before) as f64 / flushes;
    Served { per_second: served / seconds, per_flush: served / flushes, whole }
}

fn on_disk(waiters: usize, files: usize, turn: Duration) -> Served {
    let pool = shards(1);
    let dir = crate::scratch();
    let served = on_shard(&pool, move |shard| serve(shard, dir, waiters, files, turn));
    pool.stop(Duration::from_secs(10));
    served
}

/// The same in memory, with flushes of 2 ms as real drives have them, in virtual time.
fn in_memory(waiters: usize, files: usize, turn: Duration) -> Served {
    let ms = Duration::from_millis;
    let sim = Sim::new(SimConfig::seeded(1, 1));
    sim.disk().set_latency(SimLatency { sync: (ms(2), ms(2)), ..SimLatency::default() });
    let task =
        sim.shards().run_on(ShardId(0), "serve", move |shard| serve(shard, "/".into(), waiters, files, turn));
    sim.run(task.unwrap()).expect("the simulation ends")
}

pub(crate) fn measure(report: &mut Report, effort: Effort) {
    report.section(
        "Grouped flushes",
        "Each waiter writes a page of its own and waits until it is durable, over and over; the ratio is waiters served a \
         second against one waiter alone. Of many files each is flushed for itself, or their file system once, whichever \
         took less in the rounds before: on ext4 only, and only while the page cache holds little that would be written \
         with it.",
        "disk | waiters | files | served/s | one waiter | ratio | target | waiters a flush | target | whole flushes",
    );
    type Run = fn(usize, usize, Duration) -> Served;
    let disks: [(&str, Run, [f64; 2]); 2] = [
        ("this one", on_disk, [3.0, 2.0]),
        ("in memory, 2 ms a flush, virtual time", in_memory, [20.0, 20.0]),
    ];
    for (name, run, targets) in disks {
        for (files, target) in [1, 64].into_iter().zip(targets) {
            let pairs: Vec<_> =
                (0..effort.pairs).map(|_| (run(64, files, effort.turn), run(1, 1, effort.turn))).collect();
            let ratio = median(pairs.iter().map(|(many, one)| many.per_second / one.per_second));
            let per_flush = median(pairs.iter().map(|(many, _)| many.per_flush));
            let flush_target = if files == 1 { Target::AtLeast(16.0) } else { Target::None };
            report.row(&[
                name.into(),
                "64".into(),
                files.to_string(),
                format!("{:.0}", median(pairs.iter().map(|(many, _)| many.per_second))),
                format!("{:.0}", median(pairs.iter().map(|(_, one)| one.per_second))),
                format!("{ratio:.2}"),
                Target::AtLeast(target).judge(ratio),
                format!("{per_flush:.1}"),
                flush_target.judge(per_flush),
                format!("{:.0} %", 100.0 * median(pairs.iter().map(|(many, _)| many.whole))),
            ]);
        }
    }
}
