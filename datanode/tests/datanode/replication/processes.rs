//! Two datanodes as processes: a container full of blocks goes from one to the other, then the first one dies.

use crate::ask::*;
use crate::wire::{Client, Scm, config, running, wait_until};
use allotrope_datanode::replication::Compression;
use allotrope_datanode::{Running, start_with};
use allotrope_proto::container::*;
use allotrope_proto::hdds::{DatanodeDetailsProto, DatanodeIdProto, Port, Uuid};
use allotrope_proto::heartbeat::command_status::Status;
use allotrope_proto::heartbeat::{ReplicateContainerCommandProto, ScmCommandProto, scm_command_proto};
use allotrope_types::{DatanodeId, DatanodeResult};
use bytes::Bytes;
use prost::Message;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the folder to a child of these tests; nobody else sets it.
const FOLDER: &str = "ALLOTROPE_TEST_COPY_FOLDER";

/// Not a test of its own: what a child process runs. Without the variable it does nothing.
#[test]
fn child_of_the_copy_tests() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let root = PathBuf::from(folder);
    let (running, _, scm) = running(&root);
    let text =
        format!("{} {} {}", running.id(), running.address().port(), running.replication_address().port());
    std::fs::write(root.join("address.new"), text).unwrap();
    std::fs::rename(root.join("address.new"), root.join("address")).unwrap();
    for _ in 0..6000 {
        if let Ok(command) = std::fs::read(root.join("command")) {
            std::fs::remove_file(root.join("command")).unwrap();
            scm.told(|told| told.commands.push(ScmCommandProto::decode(&command[..]).unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A datanode in a process of its own.
pub(crate) struct Child {
    process: std::process::Child,
    root: PathBuf,
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) standalone: u16,
    pub(crate) replication: u16,
}

impl Child {
    pub(crate) fn start(root: &Path) -> Child {
        drop(std::fs::remove_file(root.join("address")));
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["replication::processes::child_of_the_copy_tests", "--exact", "--nocapture"])
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
        let words: Vec<&str> = found.split(' ').collect();
        let (standalone, replication) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let client = Client::of(([127, 0, 0, 1], standalone).into());
        let (node, root) = (words[0].to_owned(), root.to_owned());
        Child { process, root, client, node, standalone, replication }
    }

    /// Has its SCM give it a command.
    pub(crate) fn command(&self, command: &ScmCommandProto) {
        std::fs::write(self.root.join("command.new"), command.encode_to_vec()).unwrap();
        std::fs::rename(self.root.join("command.new"), self.root.join("command")).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn die(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A datanode as SCM names it in a command.
pub(crate) fn details(id: &str, replication: u16, standalone: u16) -> DatanodeDetailsProto {
    let (most_sig_bits, least_sig_bits) = id.parse::<DatanodeId>().unwrap().to_halves();
    let uuid = Uuid { most_sig_bits, least_sig_bits };
    let port = |name: &str, value: u16| Port { name: name.into(), value: value.into() };
    DatanodeDetailsProto {
        uuid: Some(id.into()),
        ip_address: "127.0.0.1".into(),
        host_name: "localhost".into(),
        ports: vec![port("REPLICATION", replication), port("STANDALONE", standalone)],
        uuid128: Some(uuid),
        id: Some(DatanodeIdProto { uuid }),
        ..Default::default()
    }
}

pub(crate) fn replicate(cmd_id: i64, command: ReplicateContainerCommandProto) -> ScmCommandProto {
    ScmCommandProto {
        command_type: scm_command_proto::Type::ReplicateContainerCommand.into(),
        replicate_container_command_proto: Some(ReplicateContainerCommandProto { cmd_id, ..command }),
        term: Some(1),
        ..Default::default()
    }
}

/// How the command of this number has ended, once it has.
pub(crate) fn ended(scm: &Scm, cmd_id: i64) -> (Status, String) {
    let mut found = None;
    wait_until("SCM to hear how the command ended", || {
        found = scm.told(|told| {
            let one = told.statuses.iter().find(|one| one.cmd_id == cmd_id)?;
            Some((one.status(), one.msg.clone().unwrap_or_default()))
        });
        found.is_some()
    });
    found.unwrap()
}

/// Blocks of many shapes: empty, of one byte, of several chunks, one as long as several pieces.
pub(crate) fn fill(client: &Client, node: &str, container: i64) -> Vec<(i64, Bytes)> {
    let mut blocks = Vec::new();
    for (local, lens) in [(1, vec![1]), (2, vec![3 << 20, 700_001, 16_384]), (3, vec![]), (4, vec![100, 100])]
    {
        put(client, node, container, local, &lens, &mut blocks);
    }
    for local in 100..160 {
        put(client, node, container, local, &[50_000 + local as usize], &mut blocks);
    }
    client.expect(close_container(node, container));
    blocks
}

fn put(
    client: &Client,
    node: &str,
    container: i64,
    local: i64,
    lens: &[usize],
    blocks: &mut Vec<(i64, Bytes)>,
) {
    let (mut chunks, mut whole) = (Vec::new(), Vec::new());
    for (n, len) in lens.iter().enumerate() {
        let data = bytes((local * 10 + n as i64) as u64, *len);
        let one = chunk(local, whole.len() as u64, &data);
        client.expect(write_chunk(node, id(container, local), one.clone(), data.clone()));
        chunks.push(one);
        whole.extend_from_slice(&data);
    }
    client.expect(put_block(node, id(container, local), chunks, true));
    blocks.push((local, whole.into()));
}

/// Every byte of every block.
pub(crate) fn check(client: &Client, node: &str, container: i64, blocks: &[(i64, Bytes)]) {
    for (local, whole) in blocks {
        let block =
            client.expect(get_block(node, id(container, *local))).message.get_block.unwrap().block_data;
        assert_eq!(block.size, Some(whole.len() as i64));
        let mut at = 0;
        while at < whole.len() {
            let len = (whole.len() - at).min(2 << 20);
            let read = client.expect(read_chunk(node, id(container, *local), at as u64, len as u64));
            assert!(data(&read) == whole[at..at + len], "block {local} at {at}");
            at += len;
        }
    }
}

fn info(client: &Client, node: &str, container: i64) -> ContainerDataProto {
    client.expect(read_container(node, container)).message.read_container.unwrap().container_data.unwrap()
}

/// What lies under every volume's `tmp/container-copy`.
pub(crate) fn leftovers(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for disk in ["disk1", "disk2"] {
        if let Ok(entries) = std::fs::read_dir(root.join(disk).join("tmp/container-copy")) {
            found.extend(entries.map(|entry| entry.unwrap().path().display().to_string()));
        }
    }
    found
}

fn with(root: &Path, compression: Compression) -> (Running, Client, Scm) {
    let scm = Scm::default();
    let (link, mut config) = (scm.clone(), config(root));
    config.replication.compression = compression;
    let running = start_with(config, move || vec![link]).unwrap();
    wait_until("the volumes to open", || running.is_open());
    let client = Client::of(running.address());
    (running, client, scm)
}

#[test]
fn a_container_that_was_pushed_is_read_from_the_copy_after_its_source_died() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The source is a process of its own, so that it can die as one does.
    let mut source = Child::start(here.path());
    let blocks = fill(&source.client, &source.node, 9);
    let (target, client, scm) = running(there.path());
    let node = target.id().to_string();
    let to = details(&node, target.replication_address().port(), target.address().port());
    source.command(&replicate(
        5,
        ReplicateContainerCommandProto { container_id: 9, target: Some(to), ..Default::default() },
    ));
    wait_until("SCM to hear of the copy", || {
        scm.told(|told| told.reported.iter().any(|one| one.container_id == 9 && one.state == 4))
    });
    let (theirs, ours) = (info(&source.client, &source.node, 9), info(&client, &node, 9));
    assert_eq!((theirs.bytes_used, theirs.block_count), (ours.bytes_used, ours.block_count));
    source.die();
    check(&client, &node, 9, &blocks);
    assert_eq!(leftovers(there.path()), Vec::<String>::new());
    target.shutdown(Duration::from_secs(5));
    // It is the same after a restart, and the tree verifies.
    let (again, client, _) = running(there.path());
    check(&client, &node, 9, &blocks);
    again.shutdown(Duration::from_secs(5));
    let disks = ["disk1", "disk2"].map(|disk| {
        allotrope_datanode::offline::verify(&there.path().join(disk), |finding| {
            assert!(!finding.is_damage, "{finding:?}");
        })
        .unwrap()
    });
    assert_eq!(disks[0].containers.0 + disks[1].containers.0, 1);
}

#[test]
fn a_container_travels_in_every_compression_pushed_and_pulled() {
    let here = tempfile::tempdir().unwrap();
    for (n, compression) in
        [Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd].into_iter().enumerate()
    {
        let n = n as i64;
        let (source, client, scm) = with(here.path(), compression);
        let node = source.id().to_string();
        let blocks = fill(&client, &node, n + 1);
        for pull in [false, true] {
            let there = tempfile::tempdir().unwrap();
            let (target, copy, target_scm) = with(there.path(), compression);
            let name = target.id().to_string();
            let of = |one: &Running| {
                details(&one.id().to_string(), one.replication_address().port(), one.address().port())
            };
            let container_id = n + 1;
            let (asked, command) = match pull {
                true => (
                    &target_scm,
                    ReplicateContainerCommandProto {
                        container_id,
                        sources: vec![of(&source)],
                        ..Default::default()
                    },
                ),
                false => (
                    &scm,
                    ReplicateContainerCommandProto {
                        container_id,
                        target: Some(of(&target)),
                        ..Default::default()
                    },
                ),
            };
            asked.told(|told| told.commands.push(replicate(10 + i64::from(pull), command)));
            assert_eq!(
                ended(asked, 10 + i64::from(pull)),
                (Status::Executed, String::new()),
                "{compression:?}"
            );
            check(&copy, &name, container_id, &blocks);
            target.shutdown(Duration::from_secs(5));
        }
        source.shutdown(Duration::from_secs(5));
    }
}

#[test]
fn a_copy_that_is_here_or_open_or_damaged_at_its_source_is_refused_and_leaves_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, client, scm) = running(here.path());
    let (target, copy, _) = running(there.path());
    let (node, name) = (source.id().to_string(), target.id().to_string());
    let to = || details(&name, target.replication_address().port(), target.address().port());
    let push = |cmd: i64, container_id: i64| {
        let command =
            ReplicateContainerCommandProto { container_id, target: Some(to()), ..Default::default() };
        scm.told(|told| told.commands.push(replicate(cmd, command)));
        ended(&scm, cmd)
    };
    let blocks = fill(&client, &node, 1);
    assert_eq!(push(1, 1).0, Status::Executed);
    let (status, why) = push(2, 1);
    assert!(status == Status::Failed && why.contains("already"), "{why}");
    check(&copy, &name, 1, &blocks);
    // One that takes writes.
    let data = bytes(1, 100);
    client.expect(write_chunk(&node, id(2, 1), chunk(1, 0, &data), data.clone()));
    let (status, why) = push(3, 2);
    assert!(status == Status::Failed && why.contains("OPEN"), "{why}");
    // One that is not there.
    assert_eq!(push(4, 99).0, Status::Failed);
    // One whose bytes on the disk are not those that were put: found on arrival, before anybody relies on it.
    fill(&client, &node, 3);
    let file = ["disk1", "disk2"].map(|disk| {
        here.path()
            .join(disk)
            .join("hdds")
            .join(crate::world::CLUSTER)
            .join("current/containerDir0/3/chunks/102.block")
    });
    let file = file.iter().find(|path| path.exists()).unwrap();
    let mut damaged = std::fs::read(file).unwrap();
    damaged[40_000] ^= 1;
    std::fs::write(file, damaged).unwrap();
    let (status, why) = push(5, 3);
    assert!(status == Status::Failed && why.contains("102_chunk"), "{why}");
    assert_eq!(result(&copy.ask(read_container(&name, 3))), DatanodeResult::ContainerNotFound);
    assert_eq!(leftovers(there.path()), Vec::<String>::new());
    assert_eq!(leftovers(here.path()), Vec::<String>::new());
    // Nothing of it stays reserved: the next one has room.
    let blocks = fill(&client, &node, 4);
    assert_eq!(push(6, 4).0, Status::Executed);
    check(&copy, &name, 4, &blocks);
    source.shutdown(Duration::from_secs(5));
    target.shutdown(Duration::from_secs(5));
}
