//! SIGKILL in the middle of writes, on the real file system: what was acknowledged is read back after each.

use crate::ask::{self, *};
use crate::wire::{Client, Scm, config, wait_until};
use allotrope_datanode::start_with;
use allotrope_types::DatanodeResult;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const ROUNDS: u64 = 50;
/// Names the folder to a child of this test; nobody else sets it.
const FOLDER: &str = "ALLOTROPE_TEST_DATANODE_FOLDER";

/// Not a test of its own: what the child process runs. Without the variable it does nothing.
#[test]
fn child_of_the_kill_test() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let root = PathBuf::from(folder);
    let running = start_with(config(&root), || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let text = format!("{} {}", running.address(), running.id());
    std::fs::write(root.join("address.new"), text).unwrap();
    std::fs::rename(root.join("address.new"), root.join("address")).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

pub(crate) fn start(root: &Path) -> (Child, Client, String) {
    drop(std::fs::remove_file(root.join("address")));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child_of_the_kill_test", "--exact", "--nocapture"])
        .env(FOLDER, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut found = None;
    wait_until("the child to serve", || {
        found = std::fs::read_to_string(root.join("address")).ok();
        found.is_some()
    });
    let found = found.unwrap();
    let (address, node) = found.split_once(' ').unwrap();
    (child, Client::of(address.parse().unwrap()), node.to_owned())
}

#[test]
fn every_acknowledged_block_survives_sigkill_under_load() {
    let root = tempfile::tempdir().unwrap();
    let mut put: BTreeMap<(i64, i64), (u64, usize)> = BTreeMap::new();
    for round in 0..ROUNDS {
        let (mut child, client, node) = start(root.path());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3i64)
                .map(|writer| {
                    let (client, node, stop) = (&client, &node, &stop);
                    scope.spawn(move || {
                        let mut done = Vec::new();
                        for n in 0.. {
                            let (container, local) =
                                (1 + (n + writer) % 5, (round as i64) * 10_000 + writer * 1000 + n);
                            let (seed, len) = (local as u64, 1 + (local as usize * 7919) % 100_000);
                            let data = bytes(seed, len);
                            let one = chunk(local, 0, &data);
                            let ok = |answer: Result<_, String>| {
                                answer.is_ok_and(|one| ask::result(&one) == DatanodeResult::Success)
                            };
                            if stop.load(Relaxed)
                                || !ok(client.try_ask(write_chunk(
                                    node,
                                    id(container, local),
                                    one.clone(),
                                    data,
                                )))
                                || !ok(client.try_ask(put_block(node, id(container, local), vec![one], true)))
                            {
                                return done;
                            }
                            done.push(((container, local), (seed, len)));
                        }
                        done
                    })
                })
                .collect();
            // Long enough to be in the middle of something else each time.
            std::thread::sleep(Duration::from_millis(40 + 37 * round % 120));
            child.kill().unwrap();
            child.wait().unwrap();
            stop.store(true, Relaxed);
            writers.into_iter().for_each(|writer| put.extend(writer.join().unwrap()));
        });
    }
    assert!(put.len() as u64 > ROUNDS, "only {} blocks were put", put.len());
    let (mut child, client, node) = start(root.path());
    for (&(container, local), &(seed, len)) in &put {
        let read = client.expect(read_chunk(&node, id(container, local), 0, len as u64));
        assert!(ask::data(&read) == bytes(seed, len), "block {local} of container {container}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
