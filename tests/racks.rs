//! What racks of datanodes suffer, and that the data outlives it: losses during repair, too few left, decommission under load, a
//! rack that is cut off. Real processes in network namespaces; the bytes are always those that were put.
#![allow(clippy::print_stdout, reason = "what a minute's silence is for, and how long steps take")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

#[path = "racks/site.rs"]
mod site;

use serde_json::Value;
use site::{NODES, RACKS, Site, address_of, on_a_site, rack_of};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Indexes of rs-6-3.
const WIDTH: usize = 9;

/// Bytes of a key, its own.
fn bytes_of(key: &str) -> Vec<u8> {
    let (seed, len) = key.split_once('-').unwrap();
    let mut state: u64 =
        seed.bytes().fold(88_172_645_463_325_252, |sum, byte| sum.rotate_left(5) ^ u64::from(byte));
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len.parse().unwrap()).map(next).collect()
}

fn put(site: &Site, key: &str) -> bool {
    let from = site.path(&format!("put-{key}"));
    fs::write(&from, bytes_of(key)).unwrap();
    let put =
        site.client(&["sh", "key", "put", &format!("/vol1/bucket1/{key}"), from.to_str().unwrap()]).output();
    fs::remove_file(&from).unwrap();
    put.unwrap().status.success()
}

/// Panics unless the key is there with its bytes.
fn check(site: &Site, key: &str, when: &str) {
    let to = site.path(&format!("got-{key}"));
    site.ok(&["sh", "key", "get", &format!("/vol1/bucket1/{key}"), to.to_str().unwrap()]);
    assert!(fs::read(&to).unwrap() == bytes_of(key), "{key} came back changed {when}");
    fs::remove_file(&to).unwrap();
}

fn check_all(site: &Site, keys: &[String], when: &str) {
    keys.iter().for_each(|key| check(site, key, when));
    println!("{} keys are read {when}", keys.len());
}

/// The datanodes' uuids, by number.
fn uuids(site: &Site) -> Vec<String> {
    let all = site.admin(&["datanode", "list"]);
    let by_address: BTreeMap<&str, &str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["address"].as_str().unwrap(), node["uuid"].as_str().unwrap()))
        .collect();
    (0..NODES).map(|node| by_address[address_of(node).as_str()].to_owned()).collect()
}

/// Where the replicas of each container that was written to are: index and holder.
fn replicas(site: &Site) -> Vec<Vec<(u64, String)>> {
    let all = site.admin(&["container", "list"]);
    let of = |container: &Value| {
        let info = site.admin(&["container", "info", &container["id"].to_string()]);
        let replicas = info["replicas"].as_array().unwrap().iter();
        let good = replicas.filter(|replica| replica["state"] == "CLOSED" || replica["state"] == "OPEN");
        good.map(|replica| {
            (replica["index"].as_u64().unwrap(), replica["datanode"].as_str().unwrap().to_owned())
        })
        .collect::<Vec<_>>()
    };
    all.as_array().unwrap().iter().map(of).filter(|replicas| !replicas.is_empty()).collect()
}

/// Waits until every container has all its indexes on datanodes that are not among `gone`.
fn until_whole_without(site: &Site, gone: &[String]) {
    site.until(&format!("whole without {}", gone.len()), |site| {
        let whole = |replicas: &Vec<(u64, String)>| {
            let mut indexes: Vec<u64> =
                replicas.iter().filter(|(_, node)| !gone.contains(node)).map(|(index, _)| *index).collect();
            indexes.sort_unstable();
            indexes.dedup();
            indexes.len() == WIDTH
        };
        let found = replicas(site);
        (!found.is_empty() && found.iter().all(whole)).then_some(())
    });
}

/// How many containers SCM counts as `ill`.
fn count(site: &Site, ill: &str) -> u64 {
    site.admin(&["container", "report"])["counts"][ill].as_u64().unwrap()
}

fn until_dead(site: &Site, uuid: &str) {
    site.until("dead", |site| {
        let all = site.admin(&["datanode", "list"]);
        let node = all.as_array().unwrap().iter().find(|node| node["uuid"] == *uuid).cloned();
        (node.unwrap()["state"] == "DEAD").then_some(())
    });
}

fn begin(site: &Site) -> Vec<String> {
    site.ok(&["sh", "volume", "create", "/vol1"]);
    site.ok(&["sh", "bucket", "create", "/vol1/bucket1", "--layout", "OBJECT_STORE"]);
    let keys: Vec<String> = ["a-1", "b-70001", "c-6291456", "d-20000001"].map(str::to_owned).into();
    keys.iter().for_each(|key| assert!(put(site, key), "{key}"));
    check_all(site, &keys, "at first");
    keys
}

#[test]
fn datanodes_of_each_rack_are_lost_one_after_the_other_until_nobody_is_left_to_repair_on() {
    let name = "datanodes_of_each_rack_are_lost_one_after_the_other_until_nobody_is_left_to_repair_on";
    on_a_site(name, |site| {
        let keys = begin(site);
        let uuids = uuids(site);
        for held in replicas(site) {
            let on = |rack| held.iter().filter(|(_, uuid)| rack_of(at(&uuids, uuid)) == rack).count();
            assert!((0..RACKS).all(|rack| on(rack) == WIDTH / RACKS), "spread over the racks: {held:?}");
        }
        // One of each rack that holds something, so that each loss must be repaired.
        let held = &replicas(site)[0];
        let lost = [0, 1, 2].map(|rack| {
            held.iter().map(|(_, uuid)| at(&uuids, uuid)).find(|node| rack_of(*node) == rack).unwrap()
        });
        let gone: Vec<String> = lost.iter().map(|node| uuids[*node].clone()).collect();

        site.kill(lost[0]);
        until_whole_without(site, &gone[..1]);
        check_all(site, &keys, "after the first loss");

        // The third goes as soon as the second's death is known, which is when its repair begins.
        site.kill(lost[1]);
        until_dead(site, &gone[1]);
        site.kill(lost[2]);
        until_whole_without(site, &gone);
        check_all(site, &keys, "after a loss in each rack");

        // Nine are left, and rs-6-3 takes nine: with one fewer there is nowhere to rebuild, and SCM says so.
        let last = (0..NODES).find(|node| !lost.contains(node)).unwrap();
        site.kill(last);
        until_dead(site, &uuids[last]);
        site.until("under-replicated", |site| (count(site, "UNDER_REPLICATED") > 0).then_some(()));
        site.until("no target", |site| site.scm_said("no target").then_some(()));
        check_all(site, &keys, "with eight datanodes");
        site.start(last);
        until_whole_without(site, &gone);
        site.until("well again", |site| (count(site, "UNDER_REPLICATED") == 0).then_some(()));
        check_all(site, &keys, "with nine datanodes again");
    });
}

#[test]
fn a_datanode_leaves_under_load_and_a_rack_is_cut_off_for_a_minute() {
    let name = "a_datanode_leaves_under_load_and_a_rack_is_cut_off_for_a_minute";
    on_a_site(name, |site| {
        let mut keys = begin(site);
        let uuids = uuids(site);
        let leaves = replicas(site)[0][0].1.clone();

        // Clients put and get all the while; no call fails.
        let ended = AtomicBool::new(false);
        let during: Vec<String> = std::thread::scope(|scope| {
            // Also when a check fails: else the clients would go on for ever.
            let _end = End(&ended);
            let client = |client: usize| {
                let (site, ended) = (&*site, &ended);
                move || {
                    let mut keys = Vec::new();
                    while !ended.load(Relaxed) {
                        let key = format!("{client}:{}-{}", keys.len(), 300_000 + client * 1_000_000);
                        assert!(put(site, &key), "{key} under a decommission\n{}", site.logs());
                        check(site, &key, "under a decommission");
                        keys.push(key);
                        std::thread::sleep(Duration::from_millis(200));
                    }
                    keys
                }
            };
            let clients = [0, 1].map(|number| scope.spawn(client(number)));
            site.admin(&["datanode", "decommission", &leaves]);
            site.until("decommissioned", |site| {
                let status = site.admin(&["datanode", "status", &leaves]);
                (status[0]["state"] == "DECOMMISSIONED").then_some(())
            });
            ended.store(true, Relaxed);
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        assert!(!during.is_empty());
        keys.extend(during);
        until_whole_without(site, std::slice::from_ref(&leaves));
        check_all(site, &keys, "after a decommission");
        site.admin(&["datanode", "recommission", &leaves]);

        // A rack is cut off: three of nine at the most are out of reach. Whoever is asked to put says that there is no room for nine.
        let rack = 1;
        site.uplink(rack, false);
        check_all(site, &keys, "with a rack cut off a moment ago");
        let cut: Vec<&String> =
            uuids.iter().enumerate().filter(|(at, _)| rack_of(*at) == rack).map(|(_, id)| id).collect();
        cut.iter().for_each(|uuid| until_dead(site, uuid));
        std::thread::sleep(Duration::from_secs(45));
        check_all(site, &keys, "with a rack dead");
        assert!(!put(site, "none-100"), "eight datanodes take no rs-6-3");
        site.uplink(rack, true);
        site.until("well again", |site| {
            let ill = ["UNDER_REPLICATED", "MISSING", "UNHEALTHY"].map(|ill| count(site, ill));
            (ill == [0; 3]).then_some(())
        });
        until_whole_without(site, &[]);
        site.until("a put", |site| put(site, "after-5000000").then_some(()));
        keys.push("after-5000000".into());
        check_all(site, &keys, "with the rack back");
    });
}

/// Says to the clients that they may end, when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A datanode's number.
fn at(uuids: &[String], uuid: &str) -> usize {
    uuids.iter().position(|found| found == uuid).unwrap()
}
