//! Stock `ozone sh` against keys that pipelines keep: RATIS/ONE and RATIS/THREE, also while a member is killed or paused.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;
use std::process::Command;
use std::time::Duration;

use cluster::ozone::Ozone;
use cluster::{Cluster, Server};

fn pattern(len: usize, salt: u64) -> Vec<u8> {
    (0..len as u64)
        .map(|x| (x.wrapping_mul(31 + salt) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8)
        .collect()
}

struct World {
    cluster: Cluster,
    ozone: Ozone,
}

impl World {
    fn start(datanodes: usize, settings: &[&str]) -> World {
        let mut all = vec!["ozone.scm.block.size=4MB", "allotrope.pipeline.member-deadline=3s"];
        all.extend(settings);
        let cluster = Cluster::start_with(datanodes, &all);
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
    let mut world = World::start(3, &[]);
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
fn stock_ozone_goes_on_while_a_member_is_killed_paused_and_back() {
    let mut world =
        World::start(6, &["ozone.scm.stale.node.interval=6s", "ozone.scm.dead.node.interval=60s"]);
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
