//! `allotrope debug`: what the command line says of volumes that a cluster wrote, whole and damaged, and that it changes nothing.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

/// Killed when it is dropped before it was stopped.
struct Quickstart(Child);

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn allotrope(ports: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allotrope"));
    command.args(ports).args(["--set", "hdds.datanode.volume.min.free.space=16MB"]).stdin(Stdio::null());
    command
}

fn settings_of_ports() -> Vec<String> {
    let names = [
        "ozone.scm.client.address",
        "ozone.scm.datanode.address",
        "ozone.scm.block.client.address",
        "ozone.om.address",
        "ozone.om.grpc.port",
        "hdds.container.ipc.port",
        "hdds.container.ratis.ipc.port",
        "hdds.container.ratis.admin.port",
        "ozone.s3g.http-address",
    ];
    let held = names.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = |n: usize| held[n].local_addr().unwrap().port();
    let setting = |(n, name): (usize, &&str)| {
        let host = if name.ends_with("address") { "127.0.0.1:" } else { "" };
        format!("--set={name}={host}{}", port(n))
    };
    names.iter().enumerate().map(setting).collect()
}

/// Has a cluster write a key of three data and two parity replicas, and end. The volumes that hold one, sorted.
fn volumes(data: &Path, key: &Path) -> Vec<PathBuf> {
    let ports = settings_of_ports();
    let mut command = allotrope(&ports);
    command.args(["quickstart", "--data"]).arg(data).stdout(Stdio::piped());
    let mut child = Quickstart(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("ready in "));
    std::thread::spawn(move || lines.for_each(drop));
    for args in [
        &["volume", "create", "/vol1"][..],
        &["bucket", "create", "/vol1/bucket1"],
        &["key", "put", "/vol1/bucket1/key1", key.to_str().unwrap()],
    ] {
        let output = allotrope(&ports).arg("sh").args(args).output().unwrap();
        assert!(output.status.success(), "sh {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    rustix::process::kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    let disks = (1..=6).map(|n| data.join(format!("datanode{n}/disk1")));
    disks.filter(|disk| !container_dirs(disk).is_empty()).collect()
}

/// Every folder of a container on a volume.
fn container_dirs(volume: &Path) -> Vec<PathBuf> {
    let below =
        |dir: PathBuf| std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let clusters = below(volume.join("hdds")).filter(|path| path.is_dir());
    clusters.flat_map(|cluster| below(cluster.join("current"))).flat_map(below).collect()
}

/// Every file and folder with its bytes, its mode and when it was changed.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
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

fn debug(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_allotrope"))
        .arg("debug")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn as_json(output: &Output) -> Vec<Value> {
    said(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_command_line_shows_a_volume_names_each_damaged_block_and_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("data"), dir.path().join("key"));
    // Three cells of 1 MiB and a half: every replica holds something.
    let bytes: Vec<u8> = (0..3_600_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&key, bytes).unwrap();
    let volumes = volumes(&data, &key);
    assert_eq!(volumes.len(), 5, "a replica each");
    let (volume, container) = (volumes[2].to_str().unwrap(), container_dirs(&volumes[2]).remove(0));
    let id = container.file_name().unwrap().to_str().unwrap().to_owned();
    let folder = container.to_str().unwrap();
    let before = everything(&data);

    // What is there.
    let listed = debug(&["container", "list", volume]);
    assert!(listed.status.success());
    assert!(said(&listed).lines().nth(1).unwrap().starts_with(&id), "{}", said(&listed));
    let listed = as_json(&debug(&["container", "list", "--json", volume])).remove(0);
    assert_eq!(listed[0]["container"].to_string(), id);
    let replica = listed[0]["replicaIndex"].as_u64().expect("a replica of an erasure code has an index");
    assert!((1..=5).contains(&replica));
    let info = as_json(&debug(&["container", "info", "--json", folder])).remove(0);
    assert_eq!((&info["container"], info["blocks"].as_u64()), (&listed[0]["container"], Some(1)));
    assert_eq!(info["replicaIndex"].as_u64(), Some(replica));
    assert!(
        said(&debug(&["container", "info", folder])).contains(&format!("{:<18} {replica}", "replicaIndex"))
    );
    let refused = debug(&["container", "info", volume]);
    assert!(!refused.status.success() && !refused.stderr.is_empty());

    // All of it is whole.
    for looked in [debug(&["container", "verify", folder]), debug(&["volume", "check", volume])] {
        assert_eq!(looked.status.code(), Some(0));
        assert!(
            said(&looked).starts_with("1 containers (0 damaged), 1 blocks (0 damaged)"),
            "{}",
            said(&looked)
        );
    }
    let tar = dir.path().join("container.tar");
    let exported = debug(&["container", "export", folder, "--to", tar.to_str().unwrap()]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let names = Command::new("tar").arg("-tf").arg(&tar).output().unwrap();
    assert!(said(&names).lines().next() == Some("container.yaml") && said(&names).contains(".block"));
    assert!(!debug(&["container", "export", folder, "--to", tar.to_str().unwrap()]).status.success());
    assert!(everything(&data) == before, "looking changed something");

    // One bit of one block.
    let block = std::fs::read_dir(container.join("chunks")).unwrap().next().unwrap().unwrap().path();
    let local = block.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut bytes = std::fs::read(&block).unwrap();
    bytes[70_000] ^= 4;
    std::fs::write(&block, bytes).unwrap();
    let before = everything(&data);
    let place = format!("damaged: container {id}, replica {replica}, block {local}: ");
    for looked in [debug(&["container", "verify", volume]), debug(&["volume", "check", volume])] {
        assert_eq!(looked.status.code(), Some(1));
        assert!(said(&looked).lines().any(|line| line.starts_with(&place)), "{}", said(&looked));
        assert!(said(&looked).ends_with("verified\n") && said(&looked).contains("1 blocks (1 damaged)"));
    }
    let found = as_json(&debug(&["volume", "check", "--json", volume]));
    assert_eq!(found[0]["replicaIndex"].as_u64(), Some(replica));
    assert_eq!((found[0]["block"].to_string(), &found[0]["damage"]), (local, &Value::Bool(true)));
    assert_eq!(found.last().unwrap()["blocksDamaged"].as_u64(), Some(1));
    assert!(everything(&data) == before, "looking changed something");
}
