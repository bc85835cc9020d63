//! Disks on both real backs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use allotrope_io::{AlignedBuf, OpenHow, PAGE, Shard, ShardId, Shards, ShardsConfig};
use common::{backs, on_each_back};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A directory of the test's own, on the file system the tests are built on: tmpfs would be no disk.
fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn pattern(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ salt).collect()
}

async fn scratch(shard: &Shard) -> (tempfile::TempDir, PathBuf) {
    let dir = shard.blocking(dir).await.unwrap();
    let path = dir.path().join("block");
    (dir, path)
}

#[test]
fn what_is_written_is_read_back_both_ways_and_after_reopening() {
    on_each_back(|shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let bytes = pattern(5 * PAGE, 1);
        let file = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        for (n, part) in bytes.chunks(2 * PAGE).enumerate() {
            let mut buf = shard.buffers().take(part.len()).await.unwrap();
            buf.extend_from_slice(part);
            let (back, written) = file.write_at(buf, (n * 2 * PAGE) as u64).await;
            written.unwrap();
            assert_eq!(back.len(), part.len());
        }
        file.sync().await.unwrap();
        assert_eq!(file.len().await.unwrap(), bytes.len() as u64);
        drop(file);
        let file = shard.disk().open(&path, OpenHow::read()).await.unwrap();
        let (buf, read) = file.read_at(shard.buffers().try_take(8 * PAGE).unwrap(), 0, 8 * PAGE).await;
        assert_eq!(read.unwrap(), bytes.len(), "the end of the file");
        assert_eq!(&buf[..], bytes);
        let (_, short) = file.read_exact_at(buf, PAGE as u64, 5 * PAGE).await;
        let short = short.unwrap_err();
        assert_eq!((short.kind(), short.at), (ErrorKind::UnexpectedEof, Some(5 * PAGE as u64)));
    });
}

#[test]
fn vectored_calls_move_all_buffers_in_order() {
    on_each_back(|shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let bytes = pattern(7 * PAGE, 9);
        let file = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        let parts = [&bytes[..PAGE], &bytes[PAGE..4 * PAGE], &bytes[4 * PAGE..]];
        let bufs = parts.map(AlignedBuf::copy_of).into();
        let (bufs, written) = file.write_vectored_at(bufs, 0).await;
        written.unwrap();
        let mut empty = bufs;
        empty.iter_mut().for_each(|buf| buf.fill(0));
        let (bufs, read) = file.read_vectored_at(empty, PAGE as u64).await;
        assert_eq!(read.unwrap(), 6 * PAGE, "the file ends before the buffers do");
        assert_eq!(bufs.iter().flat_map(|b| b.to_vec()).collect::<Vec<_>>()[..6 * PAGE], bytes[PAGE..]);
    });
}

#[test]
fn more_operations_than_the_ring_is_deep_all_finish() {
    on_each_back(|shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let file = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        let writes = (0..100u64).map(|n| {
            let file = file.clone();
            async move {
                let (_, written) =
                    file.write_at(AlignedBuf::copy_of(&[n as u8; PAGE]), n * PAGE as u64).await;
                written.unwrap();
            }
        });
        futures_util::future::join_all(writes).await;
        for n in 0..100u64 {
            let (buf, read) = file.read_at(AlignedBuf::heap(PAGE), n * PAGE as u64, PAGE).await;
            read.unwrap();
            assert!(buf.iter().all(|b| *b == n as u8));
        }
    });
}

#[test]
fn a_dropped_write_still_happens_and_its_memory_comes_back() {
    on_each_back(|shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let file = shard.disk().open(&path, OpenHow::create_new().direct()).await.unwrap();
        file.write_at(AlignedBuf::copy_of(&[0; 50 * PAGE]), 0).await.1.unwrap();
        let free = shard.buffers().bytes_free();
        for n in 0..50u64 {
            let mut buf = shard.buffers().take(PAGE).await.unwrap();
            buf.extend_from_slice(&[n as u8 + 1; PAGE]);
            let mut write = Box::pin(file.write_at(buf, n * PAGE as u64));
            let _ = futures_util::FutureExt::now_or_never(&mut write);
            drop(write);
        }
        while shard.buffers().bytes_free() < free {
            shard.clock().sleep(Duration::from_millis(1)).await;
        }
        let (buf, read) = file.read_at(AlignedBuf::heap(50 * PAGE), 0, 50 * PAGE).await;
        assert_eq!(read.unwrap(), 50 * PAGE);
        for (n, page) in buf.chunks(PAGE).enumerate() {
            assert!(page.iter().all(|b| *b == n as u8 + 1), "page {n}");
        }
    });
}

#[test]
fn a_file_opened_on_one_shard_is_written_on_another() {
    for shards in backs(2) {
        let dir = dir();
        let path = dir.path().join("block");
        let opened = shards.run_on(ShardId(0), "open", move |shard| async move {
            let file = shard.disk().open(&path, OpenHow::create_new()).await.unwrap();
            file.shared()
        });
        let shared = opened.unwrap().wait().unwrap();
        let written = shards.run_on(ShardId(1), "write", move |shard| async move {
            let file = shard.disk().file(&shared);
            file.write_at(AlignedBuf::copy_of(b"from afar"), 0).await.1.unwrap();
            file.len().await.unwrap()
        });
        assert_eq!(written.unwrap().wait(), Ok(9));
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
    }
}

#[test]
fn names_are_made_listed_renamed_replaced_and_removed() {
    on_each_back(|shard| async move {
        let (dir, _) = scratch(&shard).await;
        let (disk, root) = (shard.disk(), dir.path().to_owned());
        disk.create_dir_all(root.join("a/b")).await.unwrap();
        disk.replace(root.join("a/version"), b"layout 10").await.unwrap();
        disk.replace(root.join("a/version"), b"layout 11").await.unwrap();
        assert_eq!(disk.read_small(root.join("a/version"), 9).await.unwrap(), b"layout 11");
        let long = disk.read_small(root.join("a/version"), 8).await.unwrap_err();
        assert_eq!(long.kind(), ErrorKind::FileTooLarge);
        disk.rename(root.join("a/version"), root.join("a/b/version")).await.unwrap();
        disk.sync_dir(root.join("a/b")).await.unwrap();
        disk.sync_filesystem(&root).await.unwrap();
        let found = disk.walk(&root).await.unwrap();
        let names: Vec<_> = found.iter().map(|e| (e.path.strip_prefix(&root).unwrap(), e.len)).collect();
        let expected = [("a", 0), ("a/b", 0), ("a/b/version", 9)];
        assert_eq!(names, expected.map(|(path, len)| (std::path::Path::new(path), len)));
        assert_eq!(disk.stat(root.join("none")).await.unwrap(), None);
        disk.remove(root.join("a/b/version")).await.unwrap();
        assert!(disk.remove(root.join("a/b/version")).await.unwrap_err().is_not_found());
        disk.remove_dir_all(root.join("a")).await.unwrap();
        assert_eq!(disk.list(&root).await.unwrap(), []);
        let space = disk.space(&root).await.unwrap();
        assert!(space.total > space.available && space.available > 0);
    });
}

#[test]
fn many_files_flushed_at_once_are_all_served_whichever_way_is_chosen() {
    on_each_back(|shard| async move {
        let (dir, _) = scratch(&shard).await;
        let mut files = Vec::new();
        for n in 0..48 {
            let how = OpenHow::create_new();
            // Some lie in the page cache: they are flushed one by one whatever happens to the others.
            let how = if n % 6 == 0 { how } else { how.direct() };
            files.push(shard.disk().open(dir.path().join(n.to_string()), how).await.unwrap());
        }
        for round in 0..4u8 {
            for file in &files {
                file.write_at(AlignedBuf::copy_of(&[round; PAGE]), 0).await.1.unwrap();
            }
            shard.disk().sync_files(&files).await.unwrap();
        }
    });
}

#[test]
fn reserved_space_does_not_change_the_length_and_a_lock_excludes() {
    on_each_back(|shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let file = shard.disk().open(&path, OpenHow::create_new()).await.unwrap();
        file.allocate(0, 1 << 20).await.unwrap();
        assert!(file.is_empty().await.unwrap());
        file.truncate(10).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 10);
        let again = shard.disk().open(&path, OpenHow::write()).await.unwrap();
        assert!(file.try_lock().await.unwrap());
        assert!(!again.try_lock().await.unwrap());
        assert_eq!(again.lock_holder().await.unwrap(), Some(0));
        drop(file);
        assert_eq!(again.lock_holder().await.unwrap(), None);
        assert!(again.try_lock().await.unwrap());
    });
}

#[test]
fn a_lock_excludes_java_and_java_excludes_us() {
    let shards =
        Shards::start(ShardsConfig { memory_per_shard: 1 << 20, ..ShardsConfig::portable(1) }).unwrap();
    let done = shards.run_on(ShardId(0), "lock", |shard| async move {
        let (_dir, path) = scratch(&shard).await;
        let file = shard.disk().open(&path, OpenHow::create_new()).await.unwrap();
        // fcntl's record locks are what Java's FileChannel.tryLock takes on Linux.
        let as_java = format!(
            "import fcntl,sys,time\nf=open({path:?},'r+')\ntry:\n fcntl.lockf(f,fcntl.LOCK_EX|fcntl.LOCK_NB)\n\
             except OSError:\n print('held',flush=True);sys.exit()\nprint('taken',flush=True);time.sleep(60)"
        );
        let java = || {
            let mut child = Command::new("python3")
                .args(["-c", &as_java])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            (child, line.trim().to_owned())
        };
        assert!(file.try_lock().await.unwrap());
        let (mut child, said) = java();
        assert_eq!((said.as_str(), child.wait().unwrap().success()), ("held", true));
        drop(file);
        let (mut child, said) = java();
        assert_eq!(said, "taken");
        let file = shard.disk().open(&path, OpenHow::write()).await.unwrap();
        assert!(!file.try_lock().await.unwrap());
        assert!(!file.try_lock_shared().await.unwrap());
        assert_eq!(file.lock_holder().await.unwrap(), Some(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(file.try_lock_shared().await.unwrap());
    });
    done.unwrap().wait().unwrap();
}

#[test]
fn an_error_names_the_act_the_path_and_the_reason() {
    on_each_back(|shard| async move {
        let missing = shard.disk().open("/nowhere/at/all", OpenHow::read()).await.err().unwrap();
        assert_eq!(missing.to_string(), "cannot open /nowhere/at/all");
        assert!(missing.is_not_found());
        let full = shard.disk().open("/dev/full", OpenHow::write()).await.unwrap();
        let (_, failed) = full.write_at(AlignedBuf::copy_of(b"x"), 0).await;
        assert!(failed.unwrap_err().is_out_of_space());
    });
}
