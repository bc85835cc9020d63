//! What shards log: a task that panics and one that holds its shard are named.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod common;

use allotrope_io::{ShardId, TaskDied};
use common::backs;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the log of this process goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_task_that_panics_and_one_that_holds_its_shard_are_logged_by_name() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    for shards in backs(1) {
        let died = shards.run_on(ShardId(0), "scrub of volume 3", |_| async { panic!("a page too far") });
        assert_eq!(died.unwrap().wait(), Err::<(), _>(TaskDied));
        let held =
            shards.run_on(ShardId(0), "greedy", |_| async { std::thread::sleep(Duration::from_millis(20)) });
        held.unwrap().wait().unwrap();
        assert!(shards.stop(Duration::from_secs(5)).is_clean());
        let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
        let line = |of: &str| text.lines().find(|line| line.contains(of)).unwrap_or_else(|| panic!("{text}"));
        let panicked = line("a task panicked; the shard goes on");
        assert!(
            panicked.contains("task=scrub of volume 3") && panicked.contains("a page too far"),
            "{panicked}"
        );
        assert!(line("task=greedy").contains("a task held its shard"), "{text}");
    }
}
