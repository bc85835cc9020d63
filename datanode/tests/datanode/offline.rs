//! Volumes looked at while no datanode uses them: real disks, real RocksDB, and not a byte changed.

use crate::ask::*;
use crate::wire::{Client, Scm, config, wait_until};
use allotrope_datanode::offline::{self, Finding, OfflineError, Verified};
use allotrope_datanode::{Running, start_with};
use allotrope_proto::container::container_data_proto::State;
use allotrope_proto::container::{ChunkInfo, DatanodeBlockId};
use allotrope_types::{LocalId, ReplicaState};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STRIPE: usize = 20_000;

fn start(root: &Path) -> (Running, Client) {
    let mut config = config(root);
    config.volumes.truncate(1);
    let running = start_with(config, || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let client = Client::of(running.address());
    (running, client)
}

fn coded(container: i64, local: i64) -> DatanodeBlockId {
    DatanodeBlockId { replica_index: Some(2), ..id(container, local) }
}

/// Grows a block by stripes, with a PutBlock after each.
fn grow(client: &Client, node: &str, block: DatanodeBlockId, stripes: std::ops::Range<usize>) {
    let stripe = |at: usize| bytes(block.local_id as u64 * 100 + at as u64, STRIPE);
    let one = |at: usize| chunk(block.local_id, (at * STRIPE) as u64, &stripe(at));
    for at in stripes {
        client.expect(write_chunk(node, block, one(at), stripe(at)));
        let list: Vec<ChunkInfo> = (0..=at).map(one).collect();
        client.expect(put_block(node, block, list, false));
    }
}

/// A volume with an open replica 2 of blocks 7 and 8, a closed container 2 with blocks 1 to 4, and a recovering one.
fn fill(root: &Path) -> PathBuf {
    let (running, client) = start(root);
    let node = running.id().to_string();
    grow(&client, &node, coded(1, 7), 0..3);
    grow(&client, &node, coded(1, 8), 0..2);
    for local in 1..=4 {
        grow(&client, &node, id(2, local), 0..2);
    }
    client.expect(close_container(&node, 2));
    client.expect(create_container(&node, 3, Some(State::Recovering)));
    running.shutdown(Duration::from_secs(5));
    root.join("disk1")
}

/// Every file and folder with its bytes, its mode and when it was changed.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, facts) = (entry.path(), entry.metadata().unwrap());
            let bytes = if facts.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            if facts.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (bytes, facts.mode(), facts.mtime(), facts.mtime_nsec()));
        }
    }
    found
}

fn container_dir(volume: &Path, container: u64) -> PathBuf {
    let cluster = volume.join("hdds").join(crate::world::CLUSTER);
    cluster.join(format!("current/containerDir0/{container}"))
}

fn verify(path: &Path) -> (Verified, Vec<Finding>) {
    let found: Arc<Mutex<Vec<Finding>>> = Arc::default();
    let seen = found.clone();
    let done = offline::verify(path, move |finding| seen.lock().unwrap().push(finding)).unwrap();
    let found = found.lock().unwrap().clone();
    (done, found)
}

#[test]
fn looking_at_a_volume_tells_what_is_there_and_changes_no_byte() {
    let root = tempfile::tempdir().unwrap();
    let volume = fill(root.path());
    let before = everything(root.path());
    let listed = offline::list(&volume).unwrap();
    let states: Vec<_> = listed.iter().map(|one| one.file.as_ref().unwrap().state).collect();
    assert_eq!(states, [ReplicaState::Open, ReplicaState::Closed, ReplicaState::Recovering]);
    assert_eq!((listed[0].counters.blocks, listed[1].counters.blocks), (2, 4));
    let info = offline::info(&container_dir(&volume, 1)).unwrap();
    assert_eq!((info.blocks, info.growing, info.files.0, info.has_tree), (2, 2, 2, false));
    let info = offline::info(&container_dir(&volume, 2).join("chunks")).unwrap();
    assert_eq!((info.blocks, info.growing, info.files, info.has_tree), (4, 0, (4, 8 * STRIPE as u64), true));
    assert!(matches!(offline::info(&volume), Err(OfflineError::NoContainer { .. })));
    assert!(matches!(offline::list(root.path()), Err(OfflineError::NoVolume { .. })));
    assert!(matches!(offline::list(&container_dir(&volume, 9)), Err(OfflineError::NotThere { .. })));
    let (done, found) = verify(&volume);
    assert_eq!((done.containers, done.blocks, done.bytes), ((3, 0), (6, 0), 13 * STRIPE as u64));
    assert_eq!(found, []);
    assert_eq!(offline::check(&volume, |finding| panic!("{finding:?}")).unwrap(), done);
    assert!(everything(root.path()) == before, "looking changed something");
}

#[test]
fn every_damaged_block_is_named_with_its_replica() {
    let root = tempfile::tempdir().unwrap();
    let volume = fill(root.path());
    let block =
        |container: u64, local: u64| container_dir(&volume, container).join(format!("chunks/{local}.block"));
    let edit = |path: PathBuf, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    edit(block(1, 7), &|bytes| bytes[STRIPE + 5] ^= 1);
    edit(block(2, 1), &|bytes| bytes.truncate(STRIPE + 9));
    edit(block(2, 3), &|bytes| bytes[0] ^= 0x80);
    std::fs::remove_file(block(2, 4)).unwrap();
    std::fs::write(block(2, 99), b"nobody's").unwrap();
    edit(container_dir(&volume, 3).join("metadata/3.container"), &|bytes| bytes[40] ^= 1);
    let before = everything(root.path());
    let (done, found) = verify(&volume);
    assert_eq!((done.containers, done.blocks), ((3, 3), (6, 4)));
    let damaged: Vec<_> = found.iter().filter(|one| one.is_damage).collect();
    let blocks: Vec<_> = damaged
        .iter()
        .map(|one| (one.container.unwrap().as_u64(), one.replica.map(|index| index.number()), one.block))
        .collect();
    let local = |local| Some(LocalId::new(local));
    assert_eq!(
        blocks,
        [
            (1, Some(2), local(7)),
            (2, None, local(1)),
            (2, None, local(3)),
            (2, None, local(4)),
            (3, None, None)
        ]
    );
    assert!(damaged[0].what.contains(&format!("at {STRIPE}")), "{}", damaged[0].what);
    assert!(found.iter().any(|one| !one.is_damage && one.what.contains("99.block")), "{found:?}");
    // A whole container besides is whole.
    assert_eq!(verify(&container_dir(&volume, 1)).0.blocks, (2, 1));
    assert!(everything(root.path()) == before, "looking changed something");
}

#[test]
fn a_volume_in_use_is_refused_with_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let (running, _) = start(root.path());
    let volume = root.path().join("disk1");
    let pid = std::process::id().to_string();
    for refused in [offline::list(&volume).map(|_| ()), offline::fold(&volume, "me").map(|_| ())] {
        let e = refused.unwrap_err().to_string();
        assert!(e.contains(&pid), "{e}");
    }
    running.shutdown(Duration::from_secs(5));
    assert!(offline::list(&volume).unwrap().is_empty());
    // Java's datanodes make no lock of their own on a volume; RocksDB's tells.
    std::fs::remove_file(volume.join("hdds/in_use.lock")).unwrap();
    let db = std::fs::read_dir(volume.join("hdds").join(crate::world::CLUSTER)).unwrap().map(Result::unwrap);
    let db = db.map(|entry| entry.path().join("container.db/LOCK")).find(|lock| lock.exists()).unwrap();
    let program = format!(
        "import fcntl,time\nf=open({db:?},'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\ntime.sleep(60)"
    );
    let mut java = Command::new("python3").args(["-c", &program]).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(java.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let e = offline::list(&volume).unwrap_err().to_string();
    assert!(e.contains(&java.id().to_string()), "{e}");
    java.kill().unwrap();
    java.wait().unwrap();
    assert!(offline::list(&volume).is_ok());
}

#[test]
fn a_folded_volume_is_in_ozones_form_and_goes_on_growing() {
    let root = tempfile::tempdir().unwrap();
    let volume = fill(root.path());
    let done = offline::fold(&volume, "a test").unwrap();
    assert_eq!((done.containers, done.blocks), (3, 2));
    let info = offline::info(&container_dir(&volume, 1)).unwrap();
    assert_eq!((info.growing, info.files), (0, (2, 5 * STRIPE as u64)));
    assert_eq!(
        offline::fold(&volume, "a test").unwrap(),
        offline::Folded { containers: 3, ..Default::default() }
    );
    let (running, client) = start(root.path());
    let node = running.id().to_string();
    grow(&client, &node, coded(1, 7), 3..5);
    let read = client.expect(read_chunk(&node, coded(1, 7), 0, 5 * STRIPE as u64));
    let wanted: Vec<u8> = (0..5).flat_map(|at| bytes(700 + at, STRIPE)).collect();
    assert!(data(&read) == wanted);
    running.shutdown(Duration::from_secs(5));
    assert_eq!(verify(&volume).0.blocks, (6, 0));
}

#[test]
fn an_exported_container_is_a_tar_file_with_its_blocks() {
    let root = tempfile::tempdir().unwrap();
    let volume = fill(root.path());
    let before = everything(&volume);
    for container in [1, 2] {
        let tar = root.path().join(format!("{container}.tar"));
        let dir = container_dir(&volume, container);
        let done = offline::export(&dir, &tar).unwrap();
        assert_eq!(done.bytes, std::fs::metadata(&tar).unwrap().len());
        assert!(offline::export(&dir, &tar).is_err(), "a file is never written over");
        let out = root.path().join(format!("out{container}"));
        std::fs::create_dir(&out).unwrap();
        let tar =
            Command::new("tar").args(["-xf", tar.to_str().unwrap(), "-C", out.to_str().unwrap()]).status();
        assert!(tar.unwrap().success());
        let descriptor = std::fs::read(dir.join(format!("metadata/{container}.container"))).unwrap();
        assert_eq!(std::fs::read(out.join("container.yaml")).unwrap(), descriptor);
        assert_eq!(out.join(format!("{container}.tree")).exists(), container == 2);
        for entry in std::fs::read_dir(dir.join("chunks")).unwrap().map(Result::unwrap) {
            let copy = out.join("chunks").join(entry.file_name());
            assert!(std::fs::read(copy).unwrap() == std::fs::read(entry.path()).unwrap());
        }
        assert!(std::fs::metadata(out.join("db/block_data.data")).unwrap().len() > 0);
        assert_eq!(std::fs::metadata(out.join("db/delete_txns.data")).unwrap().len(), 0);
    }
    assert!(everything(&volume) == before, "exporting changed something");
}
