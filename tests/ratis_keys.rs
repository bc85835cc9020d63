//! Keys of three copies, written by our own client through pipelines of real processes.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;
use std::process::Command;

use cluster::{Cluster, Server};

// Small containers: each open one reserves its size on three datanodes.
const SETTINGS: [&str; 4] = [
    "ozone.scm.block.size=4MB",
    "ozone.scm.container.size=64MB",
    "ozone.scm.stale.node.interval=6s",
    "allotrope.pipeline.member-deadline=3s",
];

fn pattern(len: usize, salt: u64) -> Vec<u8> {
    (0..len as u64)
        .map(|x| (x.wrapping_mul(31 + salt) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8)
        .collect()
}

fn start(datanodes: usize) -> Cluster {
    let cluster = Cluster::start_with(datanodes, &SETTINGS);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    for (bucket, copies) in [("/vol1/one", "ONE"), ("/vol1/three", "THREE")] {
        cluster.sh(&["bucket", "create", bucket, "--type", "RATIS", "--replication", copies]);
    }
    cluster
}

fn file(cluster: &Cluster, bytes: &[u8]) -> String {
    let from = cluster.path("from");
    fs::write(&from, bytes).unwrap();
    from.to_str().unwrap().to_owned()
}

fn get(cluster: &Cluster, key: &str) -> Vec<u8> {
    let to = cluster.path("to");
    let _ = fs::remove_file(&to);
    cluster.sh(&["key", "get", key, to.to_str().unwrap()]);
    fs::read(&to).unwrap()
}

#[test]
fn keys_of_one_and_three_copies_come_back_whole() {
    let cluster = start(3);
    for (salt, bucket) in ["/vol1/one", "/vol1/three"].into_iter().enumerate() {
        for len in [0, 1, 16 * 1024, 4 << 20, (9 << 20) + 77] {
            let (key, bytes) = (format!("{bucket}/key{len}"), pattern(len, salt as u64));
            cluster.sh_eventually(&["key", "put", &key, &file(&cluster, &bytes)]);
            assert!(get(&cluster, &key) == bytes, "{key} came back changed");
        }
    }
}

#[test]
fn a_key_is_written_while_members_are_killed_and_paused_and_read_from_who_is_left() {
    let mut cluster = start(6);
    let before = pattern(5 << 20, 1);
    cluster.sh_eventually(&["key", "put", "/vol1/three/before", &file(&cluster, &before)]);
    let mut kept = vec![("/vol1/three/before".to_owned(), before)];
    for victim in 0..6 {
        let pid = cluster.pid(Server::Datanode(victim)).to_string();
        let signal = |name: &str| {
            let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
            assert!(sent.unwrap().success());
        };
        let (key, bytes) = (format!("/vol1/three/without{victim}"), pattern(9 << 20, 2 + victim as u64));
        let from = file(&cluster, &bytes);
        match victim % 2 {
            // Longer than the members wait for each other: its pipelines end.
            0 => {
                signal("STOP");
                cluster.sh(&["key", "put", &key, &from]);
                signal("CONT");
            }
            _ => {
                cluster.kill(Server::Datanode(victim));
                cluster.sh(&["key", "put", &key, &from]);
                for (key, bytes) in &kept {
                    assert!(get(&cluster, key) == *bytes, "{key} without datanode {victim}");
                }
                cluster.run(Server::Datanode(victim));
            }
        }
        kept.push((key, bytes));
    }
    for (key, bytes) in &kept {
        assert!(get(&cluster, key) == *bytes, "{key} at the end");
    }
}
