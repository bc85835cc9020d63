//! Several SCMs of one group, as real processes: they elect, hand over, lose their leader while blocks are allocated, and take
//! another in.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;

use cluster::{Cluster, Server};
use serde_json::Value;

const SCMS: [Server; 4] = [Server::Scm, Server::ScmNode(1), Server::ScmNode(2), Server::ScmNode(3)];

/// The SCM that leads, by what the SCMs say of themselves.
fn leader(cluster: &Cluster) -> Server {
    let text = cluster.admin_eventually(&["scm", "roles", "--json"], |text| text.contains("LEADER"));
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let leading = rows.iter().find(|row| row["role"] == "LEADER").unwrap();
    let name = leading["node"].as_str().unwrap();
    SCMS[name.strip_prefix("scm").unwrap().parse::<usize>().unwrap() - 1]
}

fn name(server: Server) -> String {
    format!("scm{}", SCMS.iter().position(|scm| *scm == server).unwrap() + 1)
}

/// What each key holds: bytes of its own, so that two keys in one block would show.
fn bytes_of(key: &str) -> Vec<u8> {
    let seed = key.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
    (0..700_000_u64).map(|x| (x.wrapping_mul(31) ^ (x >> 8) ^ seed) as u8).collect()
}

fn put_args(cluster: &Cluster, key: &str) -> [String; 4] {
    let from = cluster.path(&format!("from-{key}"));
    fs::write(&from, bytes_of(key)).unwrap();
    ["key".into(), "put".into(), format!("/vol1/one/{key}"), from.display().to_string()]
}

fn put(cluster: &Cluster, key: &str) {
    let args = put_args(cluster, key);
    cluster.sh_eventually(&args.each_ref().map(String::as_str));
}

fn check(cluster: &Cluster, keys: &[String]) {
    for key in keys {
        let to = cluster.path("to");
        let _ = fs::remove_file(&to);
        cluster.sh_eventually(&["key", "get", &format!("/vol1/one/{key}"), to.to_str().unwrap()]);
        assert!(fs::read(&to).unwrap() == bytes_of(key), "{key} came back changed");
    }
}

#[test]
fn scms_elect_hand_over_lose_their_leader_while_blocks_are_allocated_and_take_another_in() {
    let mut cluster = Cluster::start_group(3, 1, &[]);
    cluster.sh_eventually(&["volume", "create", "/vol1"]);
    cluster.sh(&["bucket", "create", "/vol1/one", "--type", "STAND_ALONE", "--replication", "ONE"]);
    put(&cluster, "before");
    // Leadership goes where it is told to.
    let first = leader(&cluster);
    let heir = SCMS[..3].iter().copied().find(|scm| *scm != first).unwrap();
    cluster.admin_eventually(&["scm", "transfer", "--to", &name(heir)], |_| true);
    assert_eq!(leader(&cluster), heir);

    // The leader dies while keys are put: each put is answered all the same.
    let during: Vec<String> = (0..6).map(|n| format!("during{n}")).collect();
    let arguments: Vec<_> = during.iter().map(|key| put_args(&cluster, key)).collect();
    let puts: Vec<_> =
        arguments.iter().map(|args| cluster.begin_sh(&args.each_ref().map(String::as_str))).collect();
    std::thread::sleep(std::time::Duration::from_millis(30));
    cluster.kill(heir);
    puts.into_iter().for_each(|child| cluster.end_sh(child));
    let mut keys: Vec<String> = [vec!["before".to_owned()], during].concat();
    put(&cluster, "after");
    keys.push("after".into());
    check(&cluster, &keys);

    // It comes back; then another goes, so that those that are left need it.
    cluster.run(heir);
    let second = leader(&cluster);
    assert_ne!(second, heir);
    cluster.kill(second);
    put(&cluster, "again");
    keys.push("again".into());
    cluster.run(second);
    check(&cluster, &keys);

    // A fourth comes once all know of it.
    let fourth = cluster.add_scm();
    for scm in &SCMS[..3] {
        cluster.kill(*scm);
        cluster.run(*scm);
    }
    for server in [Server::Om, Server::Datanode(0)] {
        cluster.kill(server);
        cluster.run(server);
    }
    let said = cluster.name_scm(fourth, "--bootstrap");
    assert_eq!(said, cluster.name_scm(fourth, "--bootstrap"), "the identity stays");
    cluster.run(fourth);
    cluster.admin_eventually(&["scm", "transfer", "--to", &name(fourth)], |_| true);
    assert_eq!(leader(&cluster), fourth);
    put(&cluster, "by-the-fourth");
    keys.push("by-the-fourth".into());
    check(&cluster, &keys);
}

#[test]
fn an_administrator_sees_nodes_pipelines_containers_and_safe_mode() {
    let cluster = Cluster::start(1);
    cluster.admin(&["safemode", "wait", "--timeout", "60"]);
    let status: Value = serde_json::from_str(&cluster.admin(&["safemode", "status", "--json"])).unwrap();
    assert_eq!(status["safeMode"], false);
    assert_eq!(status["rules"][0]["name"], "DataNodeSafeModeRule");
    assert!(
        cluster
            .admin(&["safemode", "status"])
            .contains("registered datanodes (=1) >= required datanodes (=1)")
    );
    assert!(cluster.admin(&["safemode", "exit"]).contains("out of safe mode"));
    assert!(cluster.admin(&["scm", "roles"]).contains("LEADER"));

    let nodes: Value = serde_json::from_str(&cluster.admin(&["datanode", "list", "--json"])).unwrap();
    let uuid = nodes[0]["uuid"].as_str().unwrap().to_owned();
    assert_eq!((nodes.as_array().unwrap().len(), &nodes[0]["state"]), (1, &Value::from("HEALTHY")));
    assert!(cluster.admin(&["datanode", "list", "--state", "dead"]).lines().count() == 1, "only the head");
    assert!(cluster.admin(&["datanode", "info", &uuid]).contains("HEALTHY, IN_SERVICE"));
    let unknown = cluster.try_admin(&["datanode", "info", "nobody"]);
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("datanode list"));
    for about in [&["datanode", "usageinfo"][..], &["datanode", "usageinfo", &uuid]] {
        assert!(cluster.admin(about).contains(&uuid), "{about:?}");
    }
    let usage: Value = serde_json::from_str(&cluster.admin(&["datanode", "usageinfo", "--json"])).unwrap();
    assert!(usage[0]["capacity"].as_u64().unwrap() > 0);
    assert!(cluster.admin(&["printTopology"]).starts_with("/default-rack\n    HEALTHY"));

    let made: Value = serde_json::from_str(&cluster.admin(&["container", "create", "--json"])).unwrap();
    let id = made["id"].to_string();
    assert!(cluster.admin(&["container", "info", &id]).contains("OPEN"));
    assert!(cluster.admin(&["container", "close", &id]).contains("closing"));
    let listed = cluster.admin(&["container", "list"]);
    assert!(listed.starts_with("CONTAINER  STATE") && listed.contains("STAND_ALONE/ONE"), "{listed}");
    let unknown = cluster.try_admin(&["container", "info", "99"]);
    let error = String::from_utf8_lossy(&unknown.stderr).into_owned();
    let wanted = "error: SCM knows no container 99\n  try: allotrope admin container list --start 89\n";
    assert_eq!(error, wanted);

    let made: Value = serde_json::from_str(&cluster.admin(&["pipeline", "create", "--json"])).unwrap();
    let pipeline = made[0]["id"].as_str().unwrap();
    assert!(cluster.admin(&["pipeline", "list", "--state", "open"]).contains(pipeline));
    cluster.admin(&["pipeline", "close", pipeline]);
    assert!(!cluster.admin(&["pipeline", "list", "--state", "open"]).contains(pipeline));
}

/// How many containers SCM knows.
fn containers(cluster: &Cluster) -> usize {
    let listed = cluster.admin(&["container", "list", "--count", "5000", "--json"]);
    serde_json::from_str::<Vec<Value>>(&listed).unwrap().len()
}

/// An SCM whose disk is full says so, lives, and has all that it answered when there is room again.
#[test]
fn a_full_disk_under_scms_log_costs_nothing_that_was_answered() {
    let mut cluster = Cluster::start(1);
    cluster.admin_eventually(&["datanode", "list", "--json"], |text| text.contains("HEALTHY"));
    cluster.admin_eventually(&["safemode", "status"], |text| text.contains("out of safe mode"));
    cluster.kill(Server::Scm);
    cluster.run_without_room(Server::Scm, 160);
    cluster.admin_eventually(&["safemode", "status"], |text| text.contains("out of safe mode"));
    let (before, mut made) = (containers(&cluster), 0);
    let why = loop {
        let output = cluster.try_admin(&["container", "create"]);
        if !output.status.success() {
            break String::from_utf8_lossy(&output.stderr).into_owned();
        }
        made += 1;
        assert!(made < 3000, "the disk is never full");
    };
    println!("{made} containers, then: {why}");
    // It lives, and says no again.
    let again = cluster.try_admin(&["container", "create"]);
    assert!(!again.status.success());
    cluster.kill(Server::Scm);
    cluster.run(Server::Scm);
    cluster.admin_eventually(&["safemode", "status"], |text| text.contains("out of safe mode"));
    let there = containers(&cluster) - before;
    // The one that met the full disk may have landed.
    assert!(there == made || there == made + 1, "{made} were answered, {there} are there");
    cluster.admin(&["container", "create"]);
}
