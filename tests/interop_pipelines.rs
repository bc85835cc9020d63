//! Stock `ozone sh` against keys that pipelines keep: RATIS/ONE and RATIS/THREE, also while a member is killed, paused or cut off.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::ozone::Ozone;
use cluster::{Cluster, Server, apart};
use serde_json::Value;

fn pattern(len: usize, salt: u64) -> Vec<u8> {
    (0..len as u64)
        .map(|x| (x.wrapping_mul(31 + salt) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8)
        .collect()
}

// Small containers: a machine that builds has little room, and each open container reserves its size on three datanodes.
const SETTINGS: [&str; 2] = ["ozone.scm.container.size=64MB", "allotrope.pipeline.member-deadline=3s"];
/// Keys of several blocks each.
const SMALL_BLOCKS: &str = "ozone.scm.block.size=4MB";
/// A block that no retry of these tests' keys fills. Ozone's client (2.2) writes what nobody has acknowledged again to a new
/// block, and when that fills the block it waits for ever for the retry that it is itself in
/// (`KeyOutputStream.handleRetry`, `handleFlushOrClose`).
const LARGE_BLOCKS: &str = "ozone.scm.block.size=16MB";

struct World {
    cluster: Cluster,
    ozone: Ozone,
}

impl World {
    fn start(datanodes: usize, settings: &[&str]) -> World {
        World::on(Cluster::start_with(datanodes, &[&SETTINGS, settings].concat()))
    }

    fn on(cluster: Cluster) -> World {
        cluster.sh_eventually(&["volume", "create", "/ready"]);
        let mut ozone = Ozone::start(&cluster);
        ozone.ok("sh volume create /vol1");
        for replication in ["ONE", "THREE"] {
            let bucket = replication.to_lowercase();
            ozone.ok(&format!("sh bucket create --type RATIS --replication {replication} /vol1/{bucket}"));
        }
        World { cluster, ozone }
    }

    fn put(&mut self, key: &str, len: usize, salt: u64) -> (i32, String) {
        let from = self.cluster.path("from");
        fs::write(&from, pattern(len, salt)).unwrap();
        self.ozone.run(&["sh", "key", "put", key, from.to_str().unwrap()])
    }

    fn puts(&mut self, key: &str, len: usize, salt: u64) {
        let (code, text) = self.put(key, len, salt);
        assert_eq!(code, 0, "{key}: {text}");
    }

    /// Puts a key as soon as its pipeline is there.
    fn puts_eventually(&mut self, key: &str, len: usize, salt: u64) {
        let from = self.cluster.path("from");
        fs::write(&from, pattern(len, salt)).unwrap();
        self.ozone.eventually(&format!("sh key put {key} {}", from.display()));
    }

    fn gets(&mut self, key: &str, len: usize, salt: u64) {
        let to = self.cluster.path("to");
        let _ = fs::remove_file(&to);
        self.ozone.ok(&format!("sh key get {key} {}", to.display()));
        assert!(fs::read(&to).unwrap() == pattern(len, salt), "{key} came back changed");
    }

    fn signal(&self, server: Server, name: &str) {
        let pid = self.cluster.pid(server).to_string();
        assert!(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap().success());
    }
}

#[test]
fn stock_ozone_writes_and_reads_what_one_and_three_keep() {
    let mut world = World::start(3, &[SMALL_BLOCKS]);
    for (n, bucket) in ["one", "three"].into_iter().enumerate() {
        world.puts_eventually(&format!("/vol1/{bucket}/warm"), 1000, 0);
        // Nothing, one short chunk, whole chunks, several blocks of several chunks with a short end.
        for (name, len) in [("empty", 0), ("small", 1000), ("chunk", 4 << 20), ("large", (13 << 20) + 77)] {
            world.puts(&format!("/vol1/{bucket}/{name}"), len, n as u64);
        }
        for (name, len) in [("empty", 0), ("small", 1000), ("chunk", 4 << 20), ("large", (13 << 20) + 77)] {
            world.gets(&format!("/vol1/{bucket}/{name}"), len, n as u64);
        }
    }
}

#[test]
fn stock_freon_writes_keys_that_three_keep_and_reads_them_back() {
    let mut world = World::start(3, &[SMALL_BLOCKS]);
    world.puts_eventually("/vol1/three/warm", 1000, 0);
    for (bucket, factor) in [("one", "ONE"), ("three", "THREE")] {
        let keys = format!("--volume vol1 --bucket {bucket} --prefix load -t 8");
        world.ozone.ok(&format!("freon ockg {keys} -n 40 --size 300KB --type RATIS --replication {factor}"));
        // It reads each key and holds its digest against the first one's.
        world.ozone.ok(&format!("freon ockv {keys} -n 40"));
        world.ozone.fails(&format!("freon ockv {keys} -n 41"), "freon test is failed");
    }
}

#[test]
fn stock_ozone_goes_on_while_a_member_is_killed_paused_and_back() {
    let settings = [LARGE_BLOCKS, "ozone.scm.stale.node.interval=6s", "ozone.scm.dead.node.interval=60s"];
    let mut world = World::start(6, &settings);
    world.puts_eventually("/vol1/three/warm", 1000, 0);
    world.puts("/vol1/three/before", 9 << 20, 1);
    // Shorter than the deadline: nobody notices.
    world.signal(Server::Datanode(0), "STOP");
    let paused = world.cluster.pid(Server::Datanode(0));
    let waking = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        assert!(Command::new("sh").args(["-c", &format!("kill -CONT {paused}")]).status().unwrap().success());
    });
    for n in 0..4 {
        world.puts(&format!("/vol1/three/paused{n}"), 5 << 20, 2);
    }
    waking.join().unwrap();
    // While one is killed the client moves to another pipeline.
    for victim in [1, 2] {
        world.cluster.kill(Server::Datanode(victim));
        for n in 0..4 {
            world.puts(&format!("/vol1/three/killed{victim}-{n}"), 5 << 20, 3);
        }
        world.cluster.run(Server::Datanode(victim));
    }
    world.gets("/vol1/three/before", 9 << 20, 1);
    for n in 0..4 {
        world.gets(&format!("/vol1/three/paused{n}"), 5 << 20, 2);
        world.gets(&format!("/vol1/three/killed1-{n}"), 5 << 20, 3);
        world.gets(&format!("/vol1/three/killed2-{n}"), 5 << 20, 3);
    }
}

/// The open pipelines of three: members and leader, each by its datanode's number.
fn open_pipelines(cluster: &Cluster) -> Vec<(Vec<usize>, usize)> {
    let parse = |text: String| serde_json::from_str::<Vec<Value>>(&text).unwrap();
    let nodes = parse(cluster.admin(&["datanode", "list", "--json"]));
    let number = |uuid: &Value| {
        let node = nodes.iter().find(|node| node["uuid"] == *uuid)?;
        cluster.datanode_at(node["address"].as_str()?)
    };
    let pipelines = parse(cluster.admin(&["pipeline", "list", "--state", "OPEN", "--json"]));
    let three = pipelines.iter().filter(|one| one["replication"] == "RATIS/THREE");
    three
        .filter_map(|one| {
            let members = one["datanodes"].as_array()?.iter().filter_map(number).collect();
            Some((members, number(&one["leader"])?))
        })
        .collect()
}

#[test]
fn stock_ozone_goes_on_while_a_member_is_cut_off_and_when_it_is_back() {
    cluster::java_class_path("shell"); // which may have to be fetched, and there nothing can be
    if !apart::enter("stock_ozone_goes_on_while_a_member_is_cut_off_and_when_it_is_back") {
        return;
    }
    let settings = [
        LARGE_BLOCKS,
        "ozone.scm.datanode.pipeline.limit=1",
        "ozone.scm.pipeline.creation.auto.factor.one=false",
    ];
    let cluster = Cluster::start_apart(6, &[&SETTINGS[..], &settings].concat());
    let mut world = World::on(cluster);
    let began = Instant::now();
    while open_pipelines(&world.cluster).len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(90), "{}", world.cluster.logs());
        std::thread::sleep(Duration::from_millis(300));
    }
    for n in 0..4 {
        world.puts(&format!("/vol1/three/before{n}"), 5 << 20, 1);
    }
    // A client whose leader is away has only its own patience; with a follower away the leader has its own.
    let open = open_pipelines(&world.cluster);
    let (members, leader) = open.first().unwrap();
    let follower = *members.iter().find(|member| *member != leader).unwrap();
    world.cluster.cut_off(follower);
    for n in 0..6 {
        world.puts(&format!("/vol1/three/apart{n}"), 5 << 20, 2);
    }
    assert!(
        open_pipelines(&world.cluster).iter().all(|(members, _)| !members.contains(&follower)),
        "its pipeline has ended"
    );
    for n in 0..4 {
        world.gets(&format!("/vol1/three/before{n}"), 5 << 20, 1);
    }
    world.cluster.mend(follower);
    for n in 0..4 {
        world.puts(&format!("/vol1/three/back{n}"), 5 << 20, 3);
    }
    for n in 0..4 {
        world.gets(&format!("/vol1/three/apart{n}"), 5 << 20, 2);
        world.gets(&format!("/vol1/three/back{n}"), 5 << 20, 3);
    }
}
