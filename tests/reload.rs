//! A datanode that runs reads its configuration again on SIGHUP: a data directory comes, the limits of copies change, and a
//! configuration that is wrong changes nothing.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use allotrope_io::Back;
use cluster::Cluster;

/// A datanode with a settings file of its own.
struct Datanode {
    process: Child,
    conf: PathBuf,
    log: PathBuf,
}

impl Datanode {
    fn start(cluster: &Cluster, folders: &[&str], more: &str) -> Datanode {
        let (conf, log) = (cluster.path("datanode.toml"), cluster.path("datanode.log"));
        write(cluster, &conf, folders, more);
        let file = File::create(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_allotrope"))
            .args(["datanode", "--conf"])
            .arg(&conf)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Datanode { process, conf, log }
    }

    fn reload(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -HUP $0", &pid]).status().unwrap().success());
    }

    /// Waits until the log has a line with all of `words`.
    fn says(&self, words: &[&str]) {
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap();
            if log.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "no {words:?} in\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Datanode {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write(cluster: &Cluster, conf: &Path, folders: &[&str], more: &str) {
    let folder = |name: &str| {
        let folder = cluster.path(name);
        fs::create_dir_all(&folder).unwrap();
        folder.display().to_string()
    };
    let folders: Vec<String> = folders.iter().map(|name| folder(name)).collect();
    let (meta, io) = (folder("datanode-meta"), Back::of_this_machine());
    let text = format!(
        "\"hdds.datanode.dir\" = \"{}\"\n\
         \"ozone.metadata.dirs\" = \"{meta}\"\n\
         \"ozone.scm.datanode.address\" = \"{}\"\n\
         \"hdds.container.ipc.port\" = 0\n\
         \"hdds.datanode.replication.port\" = 0\n\
         \"hdds.container.ratis.ipc.port\" = 0\n\
         \"hdds.container.ratis.admin.port\" = 0\n\
         \"hdds.datanode.http-address\" = \"127.0.0.1:0\"\n\
         \"hdds.heartbeat.interval\" = \"1s\"\n\
         \"hdds.datanode.volume.min.free.space\" = \"16MB\"\n\
         \"allotrope.datanode.address\" = \"127.0.0.1\"\n\
         \"allotrope.datanode.shards\" = 1\n\
         \"allotrope.datanode.io\" = \"{io}\"\n\
         \"allotrope.datanode.memory\" = \"32MB\"\n{more}\n",
        folders.join(","),
        cluster.scm_datanode_address(),
    );
    fs::write(conf, text).unwrap();
}

#[test]
fn a_datanode_that_runs_reads_its_configuration_again() {
    let cluster = Cluster::start(0);
    let datanode = Datanode::start(&cluster, &["one"], "");
    let volumes = |count: usize| {
        let wanted = format!("\"volumes\":{count}");
        cluster.admin_eventually(&["datanode", "list", "--json"], |text| text.contains(&wanted));
    };
    volumes(1);
    datanode.says(&["volumes are open"]);
    // A folder more, and other limits.
    let limits = "\"hdds.datanode.replication.streams.limit\" = 3\n\"allotrope.datanode.replication.bandwidth\" = \"5MB\"";
    write(&cluster, &datanode.conf, &["one", "two"], limits);
    datanode.reload();
    datanode.says(&["the configuration was read again", "streams=3"]);
    volumes(2);
    // A wrong configuration is said to be wrong, and what is in use stays.
    write(&cluster, &datanode.conf, &["one"], "\"hdds.datanode.replication.streams.limit\" = \"many\"");
    datanode.reload();
    datanode.says(&["the configuration cannot be read again", "hdds.datanode.replication.streams.limit"]);
    volumes(2);
    // And back.
    write(&cluster, &datanode.conf, &["one"], "");
    datanode.reload();
    datanode.says(&["the configuration was read again", "streams=10"]);
    volumes(1);
}
