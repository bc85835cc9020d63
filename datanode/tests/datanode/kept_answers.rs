//! Reads that come again are answered from memory, and never with what the block was before a change that was acknowledged.

use crate::ask::*;
use crate::wire::{Client, Scm, config, running, wait_until};
use allotrope_datanode::{Config, Running, start_with};
use allotrope_types::DatanodeResult;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Connections, one a read, until every shard has heard a question twice: each goes to either of two.
const HEARD_BY_ALL: usize = 40;
const LEN: usize = 30_000;

fn put(client: &Client, node: &str, local: i64, data: &bytes::Bytes) {
    client.expect(write_chunk(node, id(1, local), chunk(local, 0, data), data.clone()));
    client.expect(put_block(node, id(1, local), vec![chunk(local, 0, data)], true));
}

fn block_file(dir: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => block_file(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}

/// Writes other bytes over the block's first ones, behind the datanode's back.
fn damage(dir: &Path, local: i64) {
    let path = block_file(dir, &format!("{local}.block")).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..100].fill(0xEE);
    std::fs::write(path, bytes).unwrap();
}

fn started(config: Config) -> (Running, Client) {
    let running = start_with(config, || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let client = Client::of(running.address());
    (running, client)
}

#[test]
fn what_is_read_again_does_not_come_from_the_disk_and_is_not_kept_beyond_its_block() {
    let dir = tempfile::tempdir().unwrap();
    let (running, client, _scm) = running(dir.path());
    let (node, whole) = (running.id().to_string(), bytes(1, LEN));
    put(&client, &node, 7, &whole);
    put(&client, &node, 8, &whole);
    // As clients ask that follow no trace, ours and Java's.
    let read = |local, offset, len| {
        let mut request = read_chunk(&node, id(1, local), offset, len);
        request.message.trace_id = Some(String::new());
        client.ask(request)
    };
    for _ in 0..HEARD_BY_ALL {
        assert!(data(&read(7, 0, LEN as u64)) == whole);
    }
    damage(dir.path(), 7);
    damage(dir.path(), 8);
    for _ in 0..HEARD_BY_ALL {
        assert!(data(&read(7, 0, LEN as u64)) == whole, "it was answered from the disk");
    }
    // Who follows one is told his own, and what the disk has now.
    let mut traced = read_chunk(&node, id(1, 7), 0, 1000);
    traced.message.trace_id = Some("a:b:c".into());
    for _ in 0..HEARD_BY_ALL {
        let answer = client.ask(traced.clone());
        assert_eq!(answer.message.trace_id.as_deref(), Some("a:b:c"));
        assert_eq!(result(&answer), DatanodeResult::ChecksumMismatch);
    }
    // What was not read before is read now, and found out.
    assert_eq!(result(&read(8, 0, LEN as u64)), DatanodeResult::ChecksumMismatch);
    client.expect(delete_container(&node, 1, true));
    for _ in 0..HEARD_BY_ALL {
        assert_eq!(result(&read(7, 0, LEN as u64)), DatanodeResult::ContainerNotFound);
    }
    running.shutdown(Duration::from_secs(10));
}

#[test]
fn bytes_that_nobody_verified_are_not_kept_and_without_room_nothing_is() {
    let lets: [fn(&mut Config); 2] =
        [|config| config.verify_reads = false, |config| config.read_cache = allotrope_types::ByteCount::ZERO];
    for set in lets {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        set(&mut config);
        let verified = config.verify_reads;
        let (running, client) = started(config);
        let (node, whole) = (running.id().to_string(), bytes(2, LEN));
        put(&client, &node, 7, &whole);
        let read = || client.ask(read_chunk(&node, id(1, 7), 0, LEN as u64));
        (0..HEARD_BY_ALL).for_each(|_| assert!(data(&read()) == whole));
        damage(dir.path(), 7);
        for _ in 0..HEARD_BY_ALL {
            let answer = read();
            match verified {
                true => assert_eq!(result(&answer), DatanodeResult::ChecksumMismatch),
                false => assert!(data(&answer) != whole),
            }
        }
        running.shutdown(Duration::from_secs(10));
    }
}

/// The block's length as its list has it.
fn length(client: &Client, node: &str) -> u64 {
    let answer = client.expect(get_block(node, id(1, 7)));
    let chunks = answer.message.get_block.unwrap().block_data.chunks;
    chunks.iter().map(|chunk| chunk.len).sum()
}

#[test]
fn a_reader_never_sees_less_than_what_was_acknowledged() {
    const PIECE: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    let (running, client, _scm) = running(dir.path());
    let node = running.id().to_string();
    let whole = bytes(3, PIECE * 1000);
    let (acknowledged, readers) = (AtomicU64::new(0), [(); 2].map(|()| Client::of(running.address())));
    put(&client, &node, 7, &whole.slice(..PIECE));
    acknowledged.store(PIECE as u64, SeqCst);
    let end = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|threads| {
        for reader in &readers {
            threads.spawn(|| {
                let mut reads = 0;
                while Instant::now() < end || reads < 10 {
                    let least = acknowledged.load(SeqCst);
                    let seen = length(reader, &node);
                    assert!(seen >= least, "{seen} bytes where {least} were acknowledged");
                    reads += 1;
                }
            });
        }
        let mut chunks = vec![chunk(7, 0, &whole.slice(..PIECE))];
        while Instant::now() < end && chunks.len() < 1000 {
            let at = chunks.len() * PIECE;
            let more = whole.slice(at..at + PIECE);
            chunks.push(chunk(7, at as u64, &more));
            client.expect(write_chunk(&node, id(1, 7), chunks[chunks.len() - 1].clone(), more));
            client.expect(put_block(&node, id(1, 7), chunks.clone(), true));
            acknowledged.store((at + PIECE) as u64, SeqCst);
            // Long enough between two changes for the list to be kept and given again.
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(chunks.len() > 5, "only {} puts", chunks.len());
    });
    running.shutdown(Duration::from_secs(10));
}
