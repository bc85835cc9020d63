//! Backups of OM and SCM, taken while they run, and a cluster that starts from them.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;

use cluster::{Cluster, Server};

fn put(cluster: &Cluster, key: &str, bytes: &[u8]) {
    let from = cluster.path("from");
    fs::write(&from, bytes).unwrap();
    cluster.sh_eventually(&["key", "put", key, from.to_str().unwrap()]);
}

fn get(cluster: &Cluster, key: &str) -> Vec<u8> {
    let to = cluster.path("to");
    let _ = fs::remove_file(&to);
    // Right after a start SCM is in safe mode until the datanodes have registered.
    cluster.sh_eventually(&["key", "get", key, to.to_str().unwrap()]);
    fs::read(&to).unwrap()
}

#[test]
fn a_cluster_starts_from_checkpoints_of_a_running_one_with_what_was_there_and_nothing_later() {
    let mut cluster = Cluster::start(1);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/one", "--type", "STAND_ALONE", "--replication", "ONE"]);
    put(&cluster, "/vol1/one/first", b"before the checkpoint");
    let backups = [Server::Om, Server::Scm].map(|server| (server, cluster.checkpoint(server, "tonight")));
    put(&cluster, "/vol1/one/second", b"after the checkpoint");
    let again = cluster.try_checkpoint(Server::Om, "tonight");
    let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && refusal.contains("exists already"), "{refusal}");

    // Both servers lose their disks; the backups were copied away.
    for (server, backup) in backups {
        let copy = cluster.path(&format!("{server:?}-copy"));
        fs::rename(backup, &copy).unwrap();
        cluster.kill(server);
        fs::remove_dir_all(cluster.folder(server)).unwrap();
        let restored = cluster.restore(server, &copy);
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        let again = cluster.restore(server, &copy);
        let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(!again.status.success() && refusal.contains("restore into an empty folder"), "{refusal}");
    }
    cluster.run(Server::Scm);
    cluster.run(Server::Om);
    assert_eq!(get(&cluster, "/vol1/one/first"), b"before the checkpoint");
    let second = cluster.try_sh(&["key", "info", "/vol1/one/second"]);
    let refusal = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && refusal.contains("KEY_NOT_FOUND"), "{refusal}");
    put(&cluster, "/vol1/one/third", b"after the restore");
    assert_eq!(get(&cluster, "/vol1/one/third"), b"after the restore");

    // It is a cluster like any other: it restarts, and is backed up again.
    cluster.restart_after_sigkill();
    assert_eq!(get(&cluster, "/vol1/one/third"), b"after the restore");
    cluster.checkpoint(Server::Om, "tomorrow");
}
