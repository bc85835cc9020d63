//! Direct files at any offset and length, byte by byte against a plain vector.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use allotrope_io::{Act, AlignedBuf, Around, OpenHow, PAGE, Shard, ShardId, Sim, SimConfig, SimFault};
use common::on_each_back;
use proptest::prelude::*;
use std::path::PathBuf;

/// One step of a file's life.
#[derive(Clone, Debug)]
enum Step {
    /// Write so many bytes at an offset; the flag places the data for the offset, so that nothing is copied. The writer
    /// may know so many bytes around them.
    Write {
        at: u64,
        len: usize,
        placed: bool,
        known: Option<usize>,
    },
    WriteVectored {
        at: u64,
        lens: Vec<usize>,
    },
    Read {
        at: u64,
        len: usize,
    },
    Truncate {
        len: u64,
    },
    Trim,
    Reopen,
}

/// Offsets and lengths near page borders, where the mistakes are.
fn near(pages: u64) -> impl Strategy<Value = u64> {
    (0..pages, prop_oneof![Just(0), Just(1), Just(511), Just(4095), 0..4096u64])
        .prop_map(|(p, o)| p * 4096 + o)
}

fn step() -> impl Strategy<Value = Step> {
    let len = || near(4).prop_map(|n| n as usize);
    let known = || proptest::option::of(0..5000usize);
    prop_oneof![
        6 => (near(8), len(), any::<bool>(), known()).prop_map(|(at, len, placed, known)| Step::Write { at, len, placed, known }),
        2 => (near(8), proptest::collection::vec(len(), 1..4)).prop_map(|(at, lens)| Step::WriteVectored { at, lens }),
        4 => (near(10), len()).prop_map(|(at, len)| Step::Read { at, len }),
        1 => near(8).prop_map(|len| Step::Truncate { len }),
        1 => Just(Step::Trim),
        1 => Just(Step::Reopen),
    ]
}

fn fill(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + salt * 13 + 1) as u8).collect()
}

/// What `model` has around a write, of the bytes behind it `known` at the most.
fn around(model: &[u8], at: usize, len: usize, known: usize) -> Around {
    let part = |from: usize, to: usize| model.get(from..to.min(model.len())).unwrap_or_default().to_vec();
    Around { before: part(at - at % PAGE, at), after: part(at + len, at + len + known) }
}

/// Lives through `steps` and compares every read, and the whole file at the end.
async fn live(shard: Shard, path: PathBuf, steps: Vec<Step>) {
    let how = OpenHow::create().direct();
    let mut file = shard.disk().open(&path, how).await.unwrap();
    let mut model: Vec<u8> = Vec::new();
    let grow = |model: &mut Vec<u8>, at: u64, bytes: &[u8]| {
        let end = at as usize + bytes.len();
        if !bytes.is_empty() && model.len() < end {
            model.resize(end, 0);
        }
        model[at as usize..].iter_mut().zip(bytes).for_each(|(m, b)| *m = *b);
    };
    for (salt, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write { at, len, placed, known } => {
                let bytes = fill(len, salt);
                let mut buf = match placed {
                    true => shard.buffers().try_take_for(at, len).unwrap(),
                    false => shard.buffers().try_take(len).unwrap(),
                };
                buf.extend_from_slice(&bytes);
                let around = known.map(|known| around(&model, at as usize, len, known)).unwrap_or_default();
                let (back, written) = file.write_around(buf, at, around).await;
                written.unwrap();
                assert_eq!(&back[..], bytes, "the buffer comes back as it was");
                if !bytes.is_empty() {
                    model.resize(model.len().max(at as usize), 0);
                    grow(&mut model, at, &bytes);
                }
            }
            Step::WriteVectored { at, lens } => {
                let parts: Vec<_> = lens.iter().map(|len| fill(*len, salt)).collect();
                let (_, written) =
                    file.write_vectored_at(parts.iter().map(|p| AlignedBuf::copy_of(p)).collect(), at).await;
                written.unwrap();
                let bytes = parts.concat();
                if !bytes.is_empty() {
                    model.resize(model.len().max(at as usize), 0);
                    grow(&mut model, at, &bytes);
                }
            }
            Step::Read { at, len } => {
                let (buf, read) = file.read_at(shard.buffers().try_take(len).unwrap(), at, len).await;
                let expected = &model[model.len().min(at as usize)..model.len().min(at as usize + len)];
                assert_eq!(read.unwrap(), expected.len());
                assert_eq!(&buf[..], expected);
            }
            Step::Truncate { len } => {
                file.truncate(len).await.unwrap();
                model.resize(len as usize, 0);
            }
            Step::Trim => {
                file.trim().await.unwrap();
                let there = shard.disk().stat(&path).await.unwrap().unwrap();
                assert_eq!(there.len, model.len() as u64, "the file's own length is exact");
            }
            Step::Reopen => {
                file.trim().await.unwrap();
                drop(file);
                file = shard.disk().open(&path, how).await.unwrap();
            }
        }
        assert_eq!(file.len().await.unwrap(), model.len() as u64);
    }
    file.trim().await.unwrap();
    let (buf, read) = file.read_at(AlignedBuf::heap(model.len() + PAGE), 0, model.len() + PAGE).await;
    assert_eq!(read.unwrap(), model.len());
    assert!(buf[..] == model[..]);
    drop(file);
    shard.disk().remove(&path).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_direct_file_in_memory_is_a_vector_of_bytes(
        steps in proptest::collection::vec(step(), 1..30),
        seed in any::<u64>(),
        shorts in proptest::collection::vec(0..20u64, 0..4),
    ) {
        let sim = Sim::new(SimConfig::seeded(seed, 1));
        for nth in shorts {
            // Operations that move less than asked must not show.
            sim.disk().fault(Act::Write, "/", nth, SimFault::Short);
            sim.disk().fault(Act::Read, "/", nth, SimFault::Short);
        }
        let task = sim.shards().run_on(ShardId(0), "live", move |shard| live(shard, "/block".into(), steps));
        let ended = sim.run(async move { task.unwrap().await });
        prop_assert!(ended.is_ok());
    }
}

#[test]
fn what_the_writer_knows_of_a_page_is_not_read() {
    let sim = Sim::new(SimConfig::seeded(1, 1));
    sim.disk().fault(Act::Read, "/block", 0, SimFault::Error);
    let task = sim.shards().run_on(ShardId(0), "write", |shard| async move {
        let open = || shard.disk().open("/block", OpenHow::create().direct());
        let file = open().await.unwrap();
        assert!(!file.holds_page(0));
        file.write_at(AlignedBuf::copy_of(&[1; 3000]), 0).await.1.unwrap();
        assert!(file.holds_page(0));
        file.trim().await.unwrap();
        drop(file);
        let file = open().await.unwrap();
        assert!(!file.holds_page(0), "a file that was opened again is known by its disk alone");
        let around = Around { before: vec![1; 1000], after: vec![1; 1000] };
        file.write_around(AlignedBuf::copy_of(&[2; 1000]), 1000, around).await.1.unwrap();
        assert!(file.write_at(AlignedBuf::copy_of(&[2; 10]), 5000).await.1.is_ok());
        file.trim().await.unwrap();
    });
    sim.run(async move { task.unwrap().await }).unwrap();
    let there = sim.disk().contents("/block").unwrap();
    assert_eq!(
        (&there[..1000], &there[1000..2000], &there[2000..3000]),
        (&[1; 1000][..], &[2; 1000][..], &[1; 1000][..])
    );
    assert_eq!((&there[3000..5000], &there[5000..]), (&[0; 2000][..], &[2; 10][..]));
}

#[test]
fn a_direct_file_on_a_real_disk_is_a_vector_of_bytes() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let lives = proptest::collection::vec(proptest::collection::vec(step(), 1..30), 12);
    let lives = lives.new_tree(&mut runner).unwrap().current();
    on_each_back(move |shard| {
        let lives = lives.clone();
        async move {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            for (n, steps) in lives.into_iter().enumerate() {
                live(shard.clone(), dir.path().join(n.to_string()), steps).await;
            }
        }
    });
}

#[test]
fn writers_of_neighbouring_bytes_do_not_lose_each_others() {
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = shard.disk().open(dir.path().join("block"), OpenHow::create_new().direct()).await.unwrap();
        // 200 writers of 100 bytes each share five pages.
        let writes = (0..200usize).map(|n| {
            let file = file.clone();
            async move {
                let buf = AlignedBuf::copy_of(&[n as u8 + 1; 100]);
                file.write_at(buf, n as u64 * 100).await.1.unwrap();
            }
        });
        futures_util::future::join_all(writes).await;
        let (buf, read) = file.read_at(AlignedBuf::heap(20_000), 0, 20_000).await;
        assert_eq!(read.unwrap(), 20_000);
        for (n, part) in buf.chunks(100).enumerate() {
            assert!(part.iter().all(|b| *b == n as u8 + 1), "writer {n}");
        }
    });
}

#[test]
fn a_file_is_never_written_through_the_cache_and_past_it_at_once() {
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = dir.path().join("block");
        let direct = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        let refused = shard.disk().open(&path, OpenHow::write()).await.err().unwrap();
        assert_eq!(refused.kind(), std::io::ErrorKind::ResourceBusy);
        assert!(shard.disk().open(&path, OpenHow::read()).await.is_ok());
        drop(direct);
        assert!(shard.disk().open(&path, OpenHow::write()).await.is_ok());
    });
}

#[test]
fn many_ranges_are_read_with_few_operations_in_the_order_asked_for() {
    use std::sync::atomic::Ordering::Relaxed;
    on_each_back(|shard| async move {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes = fill(300_000, 5);
        for how in [OpenHow::create_new().direct(), OpenHow::create_new()] {
            let file = shard.disk().open(dir.path().join(how.direct.to_string()), how).await.unwrap();
            file.write_at(AlignedBuf::copy_of(&bytes), 0).await.1.unwrap();
            let before = shard.counters().disk_operations.load(Relaxed);
            let ranges = [250_001..251_000, 10..20, 4090..4100, 0..5, 7..7, 250_000..250_500];
            let parts = file.read_ranges(shard.buffers(), &ranges, 8192, 4).await.unwrap();
            for (range, part) in ranges.iter().zip(&parts) {
                assert_eq!(part[..], bytes[range.start as usize..range.end as usize]);
            }
            let operations = shard.counters().disk_operations.load(Relaxed) - before;
            assert_eq!(operations, 2, "one for each neighbourhood");
            let past = std::slice::from_ref(&(299_999..300_001));
            let past = file.read_ranges(shard.buffers(), past, 0, 1).await.unwrap_err();
            assert_eq!(past.kind(), std::io::ErrorKind::UnexpectedEof);
        }
    });
}
