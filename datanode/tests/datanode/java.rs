//! Ozone's own classes against the datanode and its disk: the gRPC client, Java's file locks, the RocksDB of its release.

use crate::ask::*;
use crate::wire::{Client, Scm, config, running, wait_until};
use allotrope_datanode::{offline, start_with};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A Java peer, ready to be started.
fn java(class: &str, args: &[&str]) -> Command {
    let prepare = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/interop-java/prepare");
    let prepared = Command::new(&prepare).output().unwrap();
    let said = String::from_utf8_lossy(&prepared.stderr);
    assert!(
        prepared.status.success(),
        "the Java peer could not be prepared: {said}\n(Java and Maven come with './dev setup'; the jars from Maven Central)"
    );
    let class_path = String::from_utf8(prepared.stdout).unwrap();
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true", "-cp", &class_path])
        .arg(format!("allotrope.interop.{class}"))
        .args(args);
    command
}

/// What a peer printed, a line a step.
fn said(mut peer: Command) -> Vec<String> {
    let ran = peer.stdin(Stdio::null()).output().unwrap();
    let lines = String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect();
    assert!(ran.status.success(), "{lines:?}\n{}", String::from_utf8_lossy(&ran.stderr));
    lines
}

#[test]
fn ozones_grpc_client_writes_and_reads_blocks() {
    let root = tempfile::tempdir().unwrap();
    let (running, _, _) = running(root.path());
    let (port, node) = (running.address().port().to_string(), running.id().to_string());
    let steps = said(java("DatanodePeer", &["127.0.0.1", &port, &node]));
    assert_eq!(
        steps,
        [
            "put-block: 1048576",
            "put-block: 2097152",
            "put-block: 3145728",
            "get-block: 3145728 bytes in 3 chunks",
            "read-chunk: 3 chunks verified",
            "small-file: true",
            "committed-length: 3145728",
            "list-block: 10 7",
            "no-such-block: NO_SUCH_BLOCK",
            "close-container: CLOSED",
            "write-after-close: CONTAINER_NOT_OPEN",
            "done: ok",
        ]
    );
    running.shutdown(Duration::from_secs(5));
}

#[test]
fn ozones_stubs_move_a_container_and_its_rocksdb_reads_the_archive() {
    use crate::replication::processes::{check, fill};
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((source, client, _), (target, copy, _)) = (running(here.path()), running(there.path()));
    let blocks = fill(&client, &source.id().to_string(), 7);
    let ports = [source.replication_address().port(), target.replication_address().port()]
        .map(|port| port.to_string());
    let folder = tempfile::tempdir().unwrap();
    let steps = said(java("ReplicationPeer", &[&ports[0], &ports[1], "7", folder.path().to_str().unwrap()]));
    let rows = format!("db/block_data.data: {} rows", blocks.len());
    let count = format!("blocks: {}", blocks.len());
    assert_eq!(
        steps,
        [
            "download: whole",
            &count,
            "db/metadata.data: read",
            &rows,
            "upload: ok",
            "again: ALREADY_EXISTS",
            "cut: INTERNAL",
            "done: ok",
        ]
    );
    check(&copy, &target.id().to_string(), 7, &blocks);
    source.shutdown(Duration::from_secs(5));
    target.shutdown(Duration::from_secs(5));
}

#[test]
fn javas_locks_and_ours_exclude_each_other_and_ozones_rocksdb_opens_a_folded_volume() {
    let root = tempfile::tempdir().unwrap();
    let one_disk = || {
        let mut config = config(root.path());
        config.volumes.truncate(1);
        config
    };
    let running = start_with(one_disk(), || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let (client, node) = (Client::of(running.address()), running.id().to_string());
    let mut list = Vec::new();
    for at in 0..5 {
        let data = bytes(at + 1, 30_000);
        let one = chunk(7, at * 30_000, &data);
        client.expect(write_chunk(&node, id(3, 7), one.clone(), data));
        list.push(one);
        client.expect(put_block(&node, id(3, 7), list.clone(), false));
    }
    let lock = root.path().join("disk1/hdds/in_use.lock");
    let lock = lock.to_str().unwrap();
    assert_eq!(said(java("VolumePeer", &["lock", lock])), ["held by another"]);
    running.shutdown(Duration::from_secs(5));
    let mut holder = java("VolumePeer", &["hold", lock]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "taken");
    assert!(start_with(one_disk(), || vec![Scm::default()]).is_err(), "Java holds the volume");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    let volume = root.path().join("disk1");
    offline::fold(&volume, "a test").unwrap();
    let cluster = volume.join("hdds").join(crate::world::CLUSTER);
    let folders = std::fs::read_dir(cluster).unwrap().map(|entry| entry.unwrap().path().join("container.db"));
    let db = folders.into_iter().find(|db| db.exists()).unwrap();
    let lines = said(java("VolumePeer", &["db", db.to_str().unwrap()]));
    assert_eq!(
        lines,
        [
            "block_data 3 7: 5 chunks, 150000 bytes",
            "metadata 3 #BLOCKCOUNT: 1",
            "metadata 3 #BYTESUSED: 150000"
        ]
    );
    // And back.
    let running = start_with(one_disk(), || vec![Scm::default()]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let client = Client::of(running.address());
    let block = client.expect(get_block(&node, id(3, 7))).message.get_block.unwrap().block_data;
    assert_eq!(block.chunks, list);
    running.shutdown(Duration::from_secs(5));
}
