//! A write and a read, end to end, through real processes and real disks.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;

use cluster::{Cluster, Server};

/// Bytes that differ from window to window, so that a misplaced one shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|x| (x.wrapping_mul(31) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8).collect()
}

fn with_bucket(datanodes: usize) -> Cluster {
    let cluster = Cluster::start(datanodes);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/one", "--type", "STAND_ALONE", "--replication", "ONE"]);
    cluster
}

fn put(cluster: &Cluster, key: &str, bytes: &[u8]) {
    let from = cluster.path("from");
    fs::write(&from, bytes).unwrap();
    // Right after a start SCM is in safe mode until the datanodes have registered.
    cluster.sh_eventually(&["key", "put", key, from.to_str().unwrap()]);
}

fn get(cluster: &Cluster, key: &str) -> Vec<u8> {
    let to = cluster.path("to");
    let _ = fs::remove_file(&to);
    cluster.sh(&["key", "get", key, to.to_str().unwrap()]);
    fs::read(&to).unwrap()
}

#[test]
fn a_file_that_was_put_is_got_back_byte_for_byte() {
    let cluster = with_bucket(1);
    for len in [0, 1, 4095, 16 * 1024, 1 << 20, (9 << 20) + 77] {
        let bytes = pattern(len);
        put(&cluster, "/vol1/one/key", &bytes);
        assert!(get(&cluster, "/vol1/one/key") == bytes, "{len} bytes came back changed");
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill_of_every_process() {
    let mut cluster = with_bucket(1);
    let bytes = pattern((5 << 20) + 3);
    put(&cluster, "/vol1/one/kept", &bytes);
    cluster.restart_after_sigkill();
    cluster.sh_eventually(&["key", "info", "/vol1/one/kept"]);
    assert!(get(&cluster, "/vol1/one/kept") == bytes);
    put(&cluster, "/vol1/one/after", &bytes);
    assert!(get(&cluster, "/vol1/one/after") == bytes);
}

#[test]
fn a_changed_byte_on_disk_is_an_error_and_never_bad_data() {
    let mut cluster = with_bucket(1);
    put(&cluster, "/vol1/one/rotten", &pattern(1 << 20));
    cluster.kill(Server::Datanode(0));
    let block = find_block_file(&cluster.data_dir(0)).expect("the block's file is there");
    let mut bytes = fs::read(&block).unwrap();
    bytes[700_000] ^= 1;
    fs::write(&block, bytes).unwrap();
    cluster.run(Server::Datanode(0));
    let to = cluster.path("to");
    let output = cluster.try_sh(&["key", "get", "/vol1/one/rotten", to.to_str().unwrap()]);
    assert!(!output.status.success(), "a flipped bit was served");
    let error = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn a_stopped_datanodes_disk_is_looked_at_and_a_running_ones_is_refused() {
    let mut cluster = with_bucket(1);
    put(&cluster, "/vol1/one/key", &pattern(3 << 20));
    let volume = cluster.data_dir(0);
    let datanode = Server::Datanode(0);
    let run = |cluster: &Cluster, args: &[&str]| {
        let path = volume.to_str().unwrap();
        let output = cluster.run_as(datanode, &[args, &[path]].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for command in [&["debug", "container", "list"][..], &["debug", "volume", "check"]] {
        let (code, _, said) = run(&cluster, command);
        assert!(code == Some(1) && said.contains("in use by"), "{said}");
    }
    let drain = |cluster: &Cluster| cluster.run_as(datanode, &["datanode", "drain-format"]);
    assert_eq!(drain(&cluster).status.code(), Some(1));
    cluster.kill(datanode);
    let (code, listed, _) = run(&cluster, &["debug", "container", "list"]);
    assert!(code == Some(0) && listed.contains("OPEN"), "{listed}");
    let (code, said, _) = run(&cluster, &["debug", "volume", "check"]);
    assert!(code == Some(0) && said.contains("(0 damaged), 3 MiB verified"), "{said}");
    let block = find_block_file(&volume).unwrap();
    let container = block.parent().unwrap().parent().unwrap().to_str().unwrap().to_owned();
    let tar = cluster.path("out.tar");
    let export = ["debug", "container", "export", "--to", tar.to_str().unwrap(), &container];
    assert!(cluster.run_as(datanode, &export).status.success());
    let info = cluster.run_as(datanode, &["debug", "container", "info", "--json", &container]);
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!((&info["state"], &info["blocks"]), (&"OPEN".into(), &1.into()));
    assert!(drain(&cluster).status.success());
    let mut bytes = fs::read(&block).unwrap();
    bytes[5] ^= 1;
    fs::write(&block, bytes).unwrap();
    let (code, said, _) = run(&cluster, &["debug", "container", "verify"]);
    let local = block.file_stem().unwrap().to_str().unwrap();
    assert!(code == Some(1) && said.contains(&format!("block {local}: chunk")), "{said}");
}

fn find_block_file(dir: &std::path::Path) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find_block_file(&path) {
                return Some(found);
            }
        } else if path.extension().is_some_and(|extension| extension == "block") {
            return Some(path);
        }
    }
    None
}

#[test]
fn an_erasure_coded_file_is_read_with_two_of_five_datanodes_gone() {
    let mut cluster = Cluster::start(5);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/coded", "--type", "EC", "--replication", "rs-3-2-1024k"]);
    let lens = [1, (1 << 20) + 1, (3 << 20), (7 << 20) + 12_345];
    let key = |len: usize| format!("/vol1/coded/key{len}");
    for len in lens {
        put(&cluster, &key(len), &pattern(len));
        assert!(get(&cluster, &key(len)) == pattern(len), "{len} bytes came back changed");
    }
    for gone in [0, 3] {
        cluster.kill(Server::Datanode(gone));
        for len in lens {
            assert!(
                get(&cluster, &key(len)) == pattern(len),
                "{len} bytes changed with datanode {gone} gone"
            );
        }
    }
}
