//! The in-memory twin: repeatable runs, faults, crashes; and grouped flushes, counted.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use allotrope_io::{
    Act, AlignedBuf, BlockingError, Mesh, OpenHow, PAGE, Reply, Shard, ShardId, Sim, SimConfig, SimDisk,
    SimFault, SimLatency, TaskDied,
};
use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Runs one task on shard 0 of `sim` to its end.
fn on_shard<T: Send + 'static, F: Future<Output = T> + 'static>(
    sim: &Sim,
    make: impl FnOnce(Shard) -> F + Send + 'static,
) -> T {
    let task = sim.shards().run_on(ShardId(0), "test", make).unwrap();
    sim.run(task).expect("the test's task panicked")
}

/// Three shards that write, flush, ask each other and sleep: all that a seed may shuffle.
fn busy(seed: u64) -> Sim {
    let sim = Sim::new(SimConfig { record: true, ..SimConfig::seeded(seed, 3) });
    let shards = sim.shards();
    let (mesh, inboxes) = Mesh::<(u64, Reply<u64>)>::new(3, 4);
    let mut done = Vec::new();
    for (id, mut inbox) in shards.ids().zip(inboxes) {
        drop(shards.run_on(id, "serve", move |shard| async move {
            while let Some((n, reply)) = inbox.next().await {
                let _ = shard.blocking(move || n).await;
                reply.send(n + 1);
            }
        }));
        for task in 0..4u64 {
            let mesh = mesh.clone();
            let work = shards.run_on(id, "work", move |shard| async move {
                let how = OpenHow::create_new().direct();
                let file = shard.disk().open(format!("/{}-{task}", id.0), how).await.unwrap();
                for n in 0..5u64 {
                    let buf = AlignedBuf::copy_of(&vec![n as u8; 5000]);
                    file.write_at(buf, n * 5000).await.1.unwrap();
                    file.sync().await.unwrap();
                    let to = ShardId((id.0 + 1) % 3);
                    // A full inbox is an answer too.
                    let _ = mesh.ask(to, |reply| (n, reply)).await;
                    shard.clock().sleep(Duration::from_micros(n * 100)).await;
                }
            });
            done.push(work.unwrap());
        }
    }
    drop(mesh);
    sim.run(async move {
        for task in done {
            task.await.unwrap();
        }
    });
    sim
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let (first, again, other) = (busy(7), busy(7), busy(8));
    assert!(first.trace().lines().count() > 500);
    assert!(first.trace() == again.trace());
    assert_eq!(first.trace_hash(), again.trace_hash());
    assert!(first.trace() != other.trace(), "another seed schedules otherwise");
}

#[test]
#[should_panic(expected = "ALLOTROPE_SEED=99")]
fn a_deadlock_ends_with_the_line_that_repeats_it() {
    Sim::new(SimConfig::seeded(99, 1)).run(std::future::pending::<()>());
}

#[test]
fn virtual_time_jumps_and_panics_stay_in_their_task() {
    let sim = Sim::new(SimConfig::seeded(1, 1));
    let died = sim.shards().run_on(ShardId(0), "faulty", |_| async { panic!("on purpose") }).unwrap();
    assert_eq!(sim.run(died), Err::<(), _>(TaskDied));
    let took = on_shard(&sim, |shard| async move {
        assert_eq!(shard.blocking(|| panic!("x")).await, Err::<(), _>(BlockingError::Panicked("x".into())));
        let began = shard.clock().now();
        shard.clock().sleep(Duration::from_secs(86_400)).await;
        shard.clock().now().since(began)
    });
    assert!(took >= Duration::from_secs(86_400));
    assert_eq!(sim.shards().counters(ShardId(0)).tasks_panicked.load(Relaxed), 1);
}

#[test]
fn sixty_four_waiters_on_one_file_share_few_flushes() {
    let ms = Duration::from_millis;
    let sim = Sim::new(SimConfig::seeded(3, 1));
    sim.disk().set_latency(SimLatency { sync: (ms(2), ms(2)), ..SimLatency::default() });
    let (flushes, took) = on_shard(&sim, |shard| async move {
        let file = shard.disk().open("/block", OpenHow::create_new().direct()).await.unwrap();
        let began = shard.clock().now();
        let waiters = (0..64u64).map(|n| {
            let (file, shard) = (file.clone(), shard.clone());
            async move {
                for round in 0..10 {
                    let buf = AlignedBuf::copy_of(&[1; PAGE]);
                    file.write_at(buf, (n * 10 + round) * PAGE as u64).await.1.unwrap();
                    file.sync().await.unwrap();
                }
                drop(shard);
            }
        });
        futures_util::future::join_all(waiters).await;
        let operations = shard.counters().disk_operations.load(Relaxed);
        (operations - 640, shard.clock().now().since(began))
    });
    assert!(flushes <= 640 / 16, "{flushes} flushes for 640 waits");
    assert!(took < ms(2) * 640 / 20, "{took:?}");
}

#[test]
fn many_files_are_flushed_by_one_flush_of_the_disk_where_that_was_cheaper() {
    let ms = Duration::from_millis;
    for (whole, chosen) in [(Some((ms(1), ms(1))), true), (Some((ms(9), ms(9))), false), (None, false)] {
        let sim = Sim::new(SimConfig::seeded(11, 1));
        sim.disk().set_latency(SimLatency {
            sync: (ms(4), ms(4)),
            sync_whole: whole,
            ..SimLatency::default()
        });
        let rounds = on_shard(&sim, |shard| async move {
            let mut files = Vec::new();
            for n in 0..64 {
                let how = OpenHow::create_new().direct();
                files.push(shard.disk().open(format!("/{n}"), how).await.unwrap());
            }
            for _ in 0..20 {
                for file in &files {
                    file.write_at(AlignedBuf::copy_of(&[1; PAGE]), 0).await.1.unwrap();
                }
                shard.disk().sync_files(&files).await.unwrap();
            }
            shard.counters().flushes_whole.load(Relaxed)
        });
        match chosen {
            true => assert!(rounds >= 15, "{rounds} of 20 rounds"),
            false => assert!(rounds <= 1, "tried once at most, and given up: {rounds}"),
        }
    }
}

#[test]
fn a_failed_flush_of_the_disk_fails_every_file_of_its_round() {
    let ms = Duration::from_millis;
    let sim = Sim::new(SimConfig::seeded(12, 1));
    sim.disk().set_latency(SimLatency {
        sync: (ms(4), ms(4)),
        sync_whole: Some((ms(1), ms(1))),
        ..SimLatency::default()
    });
    let disk = sim.disk();
    on_shard(&sim, move |shard| async move {
        let mut files = Vec::new();
        for n in 0..32 {
            files.push(shard.disk().open(format!("/{n}"), OpenHow::create_new().direct()).await.unwrap());
        }
        for round in 0..4 {
            for file in &files {
                file.write_at(AlignedBuf::copy_of(&[1; PAGE]), 0).await.1.unwrap();
            }
            if round == 3 {
                // The first four are flushed one by one and bring one fault each closer; the next is the whole disk's.
                assert!(shard.counters().flushes_whole.load(Relaxed) > 0);
                disk.fault(Act::Sync, "/", 4, SimFault::Error);
            }
            let flushed = futures_util::future::join_all(files.iter().map(|file| file.sync())).await;
            let failed = flushed.iter().filter(|flushed| flushed.is_err()).count();
            assert!(failed == if round == 3 { 28 } else { 0 }, "round {round}: {failed} failed");
        }
    });
}

#[test]
fn a_failed_flush_fails_every_waiter_and_the_file_is_not_flushed_again() {
    let sim = Sim::new(SimConfig::seeded(5, 2));
    sim.disk().fault(Act::Sync, "/block", 1, SimFault::Error);
    on_shard(&sim, |shard| async move {
        let file = shard.disk().open("/block", OpenHow::create_new()).await.unwrap();
        file.write_at(AlignedBuf::copy_of(b"a"), 0).await.1.unwrap();
        file.sync().await.unwrap();
        file.write_at(AlignedBuf::copy_of(b"b"), 1).await.1.unwrap();
        let waits = futures_util::future::join_all((0..5).map(|_| file.sync())).await;
        assert!(waits.iter().all(Result::is_err));
        file.write_at(AlignedBuf::copy_of(b"c"), 2).await.1.unwrap();
        let again = file.sync().await.unwrap_err();
        assert_eq!(again.to_string(), "cannot sync /block");
        assert!(again.source.to_string().contains("may be lost"), "{}", again.source);
        drop(file);
        let reopened = shard.disk().open("/block", OpenHow::write()).await.unwrap();
        assert!(reopened.sync().await.is_err(), "another handle does not clear it");
    });
}

#[test]
fn faults_strike_the_operation_they_were_set_for() {
    let sim = Sim::new(SimConfig::seeded(6, 1));
    let disk = sim.disk();
    disk.fault(Act::Write, "/vol1", 2, SimFault::Error);
    disk.fault(Act::Read, "/vol1/a", 0, SimFault::FlipBit);
    on_shard(&sim, move |shard| async move {
        shard.disk().create_dir_all("/vol1").await.unwrap();
        let file = shard.disk().open("/vol1/a", OpenHow::create_new()).await.unwrap();
        let mut results = Vec::new();
        for n in 0..4 {
            let (_, written) = file.write_at(AlignedBuf::copy_of(&[7; 100]), n * 100).await;
            results.push(written.is_ok());
        }
        assert_eq!(results, [true, true, false, true]);
        let (buf, _) = file.read_at(AlignedBuf::heap(PAGE), 0, 100).await;
        let flipped: u32 = buf.iter().map(|b| (b ^ 7).count_ones()).sum();
        assert_eq!(flipped, 1);
        let (buf, _) = file.read_at(buf, 0, 100).await;
        assert_eq!(&buf[..], [7; 100], "what is stored is intact");
        assert!(disk.flip_bit("/vol1/a", 5, 0));
        let (buf, _) = file.read_at(buf, 0, 100).await;
        assert_eq!(buf[5], 6, "rot at rest stays");
        disk.set_capacity(PAGE as u64);
        let (_, full) = file.write_at(AlignedBuf::copy_of(&[1; PAGE]), PAGE as u64).await;
        assert!(full.unwrap_err().is_out_of_space());
    });
}

/// Writes, of which some is synced, then dies and crashes; what the next start finds.
fn crashed(seed: u64) -> (SimDisk, Option<Vec<u8>>, Option<Vec<u8>>) {
    let disk = SimDisk::new(1 << 30);
    let sim = Sim::with_disk(SimConfig::seeded(seed, 1), disk.clone());
    on_shard(&sim, |shard| async move {
        let disk = shard.disk();
        let kept = disk.open("/kept", OpenHow::create_new().direct()).await.unwrap();
        kept.write_at(AlignedBuf::copy_of(&[1; 2 * PAGE]), 0).await.1.unwrap();
        kept.sync().await.unwrap();
        disk.sync_dir("/").await.unwrap();
        kept.write_at(AlignedBuf::copy_of(&[2; 2 * PAGE]), PAGE as u64).await.1.unwrap();
        let loose = disk.open("/loose", OpenHow::create_new()).await.unwrap();
        loose.write_at(AlignedBuf::copy_of(b"synced bytes"), 0).await.1.unwrap();
        loose.sync().await.unwrap();
    });
    drop(sim);
    disk.crash(seed);
    (disk.clone(), disk.contents("/kept"), disk.contents("/loose"))
}

#[test]
fn a_crash_keeps_what_was_synced_and_by_seed_any_part_of_the_rest() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (_, kept, loose) = crashed(seed);
        let kept = kept.expect("its entry was synced");
        assert!(kept.len() == 2 * PAGE || kept.len() == 3 * PAGE);
        assert!(kept[..PAGE].iter().all(|b| *b == 1), "synced and not written since");
        assert!(kept[PAGE..2 * PAGE].iter().all(|b| *b == 1 || *b == 2));
        assert!(
            kept[PAGE..].chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])),
            "sectors are whole"
        );
        let new = kept[PAGE..2 * PAGE].iter().filter(|b| **b == 2).count();
        assert!(loose.as_deref().is_none_or(|bytes| bytes == b"synced bytes"));
        seen.insert((kept.len(), new.clamp(0, 1) + new / PAGE, loose.is_some()));
        let (_, again, _) = crashed(seed);
        assert_eq!(again.unwrap(), kept, "the same seed leaves the same");
    }
    assert_eq!(seen.len(), 12, "old, torn and new pages, both lengths, with and without the entry: {seen:?}");
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_after_a_crash_at_any_time() {
    for seed in 0..150u64 {
        let disk = SimDisk::new(1 << 30);
        let sim = Sim::with_disk(SimConfig::seeded(seed, 1), disk.clone());
        on_shard(&sim, |shard| async move { shard.disk().replace("/version", b"old").await.unwrap() });
        drop(sim.shards().run_on(ShardId(0), "replace", |shard| async move {
            let _ = shard.disk().replace("/version", b"new and longer").await;
        }));
        sim.run_for(Duration::from_micros(seed * 15));
        drop(sim);
        disk.crash(seed);
        let left = disk.contents("/version").expect("the old file was durable");
        assert!(left == b"old" || left == b"new and longer", "seed {seed}: {left:?}");
    }
}
