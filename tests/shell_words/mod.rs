//! What `allotrope sh` sets, links, lists and deletes, in a volume of its own that is gone at the end.

use allotrope_client::{Client, Config};
use serde_json::{Deserializer, Value};

use super::cluster::Cluster;
use super::{fails, has, ok, put, said, sh};

const KEPT: [&str; 4] = ["--type", "STAND_ALONE", "--replication", "ONE"];

pub(super) fn all(cluster: &Cluster) {
    ok(cluster, &["volume", "create", "/words"]);
    bucket(cluster, "/words/plain", "obs");
    quotas(cluster);
    owners_and_replication(cluster);
    links(cluster);
    puts_and_sums(cluster);
    lists(cluster);
    bucket_and_keys(cluster);
    volume_and_buckets(cluster);
}

fn bucket(cluster: &Cluster, path: &str, layout: &str) {
    ok(cluster, &[&["bucket", "create", path, "--layout", layout][..], &KEPT].concat());
}

fn json(cluster: &Cluster, args: &[&str]) -> Value {
    serde_json::from_slice(&ok(cluster, args).stdout).unwrap()
}

fn refused(cluster: &Cluster, words: &str, wanted: &str) {
    has(&fails(cluster, None, &words.split(' ').collect::<Vec<_>>()), wanted);
}

/// Bytes and names, as a volume or a bucket shows its quotas.
fn shown(cluster: &Cluster, noun: &str, path: &str) -> (i64, i64) {
    let info = json(cluster, &[noun, "info", path]);
    (info["quotaInBytes"].as_i64().unwrap(), info["quotaInNamespace"].as_i64().unwrap())
}

fn quotas(cluster: &Cluster) {
    let (bucket, volume) = ("/words/plain", "/words");
    ok(cluster, &["bucket", "setquota", bucket, "--space-quota", "1GB", "--namespace-quota", "10"]);
    assert_eq!(shown(cluster, "bucket", bucket), (1 << 30, 10));
    ok(cluster, &["bucket", "clrquota", bucket, "--namespace-quota"]);
    assert_eq!(shown(cluster, "bucket", bucket), (1 << 30, -1));
    ok(cluster, &["volume", "setquota", volume, "--quota", "2GB"]);
    assert_eq!(shown(cluster, "volume", volume), (2 << 30, -1));
    ok(cluster, &["volume", "setquota", volume, "--namespace-quota", "1"]);
    assert_eq!(shown(cluster, "volume", volume), (2 << 30, 1));
    refused(cluster, "bucket create /words/beyond --space-quota 1GB", "QUOTA_EXCEEDED");
    refused(cluster, "bucket clrquota /words/plain --space-quota", "QUOTA_ERROR");
    ok(cluster, &["volume", "clrquota", volume, "--space-quota", "--namespace-quota"]);
    ok(cluster, &["bucket", "clrquota", bucket, "--space-quota", "--namespace-quota"]);
    assert_eq!(shown(cluster, "volume", volume), (-1, -1));
    assert_eq!(shown(cluster, "bucket", bucket), (-1, -1));
    for noun in ["volume setquota /words", "bucket setquota /words/plain"] {
        refused(
            cluster,
            noun,
            "error: no quota is named, so nothing would change\n  try: --space-quota 10GB",
        );
        refused(cluster, &format!("{noun} --space-quota 0"), "QUOTA_ERROR");
    }
    for noun in ["volume clrquota /words", "bucket clrquota /words/plain"] {
        refused(cluster, noun, "error: no quota is named, so nothing would change\n  try: --space-quota,");
    }
    refused(cluster, "volume setquota /none --space-quota 1GB", "VOLUME_NOT_FOUND");
    refused(cluster, "volume clrquota /none --space-quota", "VOLUME_NOT_FOUND");
    refused(cluster, "bucket setquota /words/none --namespace-quota 1", "BUCKET_NOT_FOUND");
    refused(cluster, "bucket clrquota /words/none --namespace-quota", "BUCKET_NOT_FOUND");
}

fn owners_and_replication(cluster: &Cluster) {
    // The second time it is the owner's already.
    for _ in 0..2 {
        assert_eq!(json(cluster, &["volume", "update", "/words", "--user", "bob"])["owner"], "bob");
        assert_eq!(json(cluster, &["bucket", "update", "/words/plain", "-u", "eve"])["owner"], "eve");
    }
    assert_eq!(json(cluster, &["volume", "info", "/words"])["owner"], "bob");
    refused(cluster, "volume update /none --user bob", "VOLUME_NOT_FOUND");
    refused(cluster, "bucket update /words/none --user bob", "BUCKET_NOT_FOUND");

    let set = ["bucket", "set-replication-config", "/words/plain"];
    let kept = || json(cluster, &["bucket", "info", "/words/plain"])["replicationConfig"].clone();
    ok(cluster, &[&set[..], &["-t", "EC", "-r", "rs-3-2-1024k"]].concat());
    assert_eq!((&kept()["replicationType"], &kept()["data"]), (&"EC".into(), &3.into()));
    ok(cluster, &[&set[..], &KEPT].concat());
    assert_eq!(kept()["replicationType"], "STAND_ALONE");
    refused(cluster, &set.join(" "), "no replication is named");
    refused(cluster, "bucket set-replication-config /words/none -t RATIS -r ONE", "BUCKET_NOT_FOUND");
}

fn links(cluster: &Cluster) {
    put(cluster, "/words/plain/key", b"linked");
    ok(cluster, &["bucket", "link", "/words/plain", "/words/link"]);
    assert_eq!(ok(cluster, &["key", "cat", "/words/link/key"]).stdout, b"linked");
    let info = json(cluster, &["bucket", "info", "/words/link"]);
    assert_eq!((&info["sourceBucket"], &info["link"]), (&"plain".into(), &true.into()));
    refused(cluster, "bucket link /words/plain /words/link", "BUCKET_ALREADY_EXISTS");
    refused(cluster, "bucket link /words/plain /words", "\"/words\" has too few parts");
    refused(cluster, "bucket setquota /words/link --space-quota 1GB", "NOT_SUPPORTED_OPERATION");
}

fn puts_and_sums(cluster: &Cluster) {
    for key in ["/words/plain/key2", "/words/plain/key3"] {
        let output = sh(cluster, None, b"streamed", &["key", "put", "--stream", key, "-"]);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(ok(cluster, &["key", "cat", key]).stdout, b"streamed");
    }
    refused(cluster, "key put --stream /words/plain/key2 here/none", "cannot read here/none");
    refused(cluster, "key checksum /words/plain/key -c MD5MD5CRC", "MD5MD5CRC is not served yet");
}

/// The names in each of the lists that a command prints.
fn names(text: &[u8]) -> Vec<Vec<String>> {
    let name = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
    let lists = Deserializer::from_slice(text).into_iter::<Value>();
    lists.map(|list| list.unwrap().as_array().unwrap().iter().map(name).collect()).collect()
}

fn lists(cluster: &Cluster) {
    bucket(cluster, "/words/tree", "fso");
    put(cluster, "/words/tree/a/b/deep", b"deep");
    put(cluster, "/words/tree/wide", b"wide");
    let listed = |words: &str| ok(cluster, &words.split(' ').collect::<Vec<_>>());
    let whole = listed("key list /words --all");
    assert!(whole.stderr.is_empty(), "{}", said(&whole));
    let mut found = names(&whole.stdout);
    found[2].sort();
    let keys = ["key", "key2", "key3"];
    assert_eq!(found, [&keys[..], &keys, &["a/", "a/b/", "a/b/deep", "wide"]]);
    let first = listed("key list /words -l 4");
    assert_eq!(names(&first.stdout), [&keys[..], &["key"]]);
    has(&said(&first), "these are the first 4 keys\n  try: --length COUNT for more of them, --all for all");
    let page = listed("key ls /words/plain --prefix key --start key --length 1");
    assert_eq!(names(&page.stdout), [["key2"]]);
    has(&said(&page), "these are the first 1 keys");
    assert!(listed("key list /words/plain -l 3").stderr.is_empty(), "there are no more");
    refused(cluster, "key list /none", "VOLUME_NOT_FOUND");
}

fn bucket_and_keys(cluster: &Cluster) {
    let delete = ["bucket", "delete", "-r", "/words/tree"];
    refused(cluster, "bucket delete /words/tree", "BUCKET_NOT_EMPTY");
    refused(cluster, "bucket delete /words/tree", "try: -r to delete it with all that is in it");
    let unasked =
        "error: bucket /words/tree was left as it is: nobody said yes\n  try: --yes to delete it unasked\n";
    for answer in ["", "no\n"] {
        let output = sh(cluster, None, answer.as_bytes(), &delete);
        assert_eq!(output.status.code(), Some(1));
        has(&said(&output), unasked);
    }
    ok(cluster, &["key", "info", "/words/tree/a/b/deep"]);
    let output = sh(cluster, None, b"yes\n", &delete);
    assert!(output.status.success(), "{}", said(&output));
    refused(cluster, "bucket info /words/tree", "BUCKET_NOT_FOUND");
    // Of a link only the link goes.
    ok(cluster, &["bucket", "delete", "-r", "--yes", "/words/link"]);
    ok(cluster, &["key", "info", "/words/plain/key"]);
    refused(cluster, "bucket delete -r -y /words/link", "BUCKET_NOT_FOUND");
}

/// A tree, a bucket that keeps versions, a link and plain keys go with their volume.
fn volume_and_buckets(cluster: &Cluster) {
    bucket(cluster, "/words/tree", "fso");
    put(cluster, "/words/tree/a/b/deep", b"deep");
    ok(cluster, &["bucket", "link", "/vol1/one", "/words/link"]);
    bucket(cluster, "/words/versions", "obs");
    let client = Client::new(Config::at("127.0.0.1", cluster.om_grpc())).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(client.set_versioning(&"/words/versions".parse().unwrap(), true)).unwrap();
    for data in [b"older", b"newer"] {
        put(cluster, "/words/versions/key", data);
    }
    refused(cluster, "volume delete /words", "VOLUME_NOT_EMPTY");
    refused(cluster, "volume delete -r /words", "volume words was left as it is: nobody said yes");
    ok(cluster, &["volume", "delete", "-r", "--yes", "--threads", "2", "/words"]);
    refused(cluster, "volume info /words", "VOLUME_NOT_FOUND");
    refused(cluster, "volume delete -r --yes /words", "VOLUME_NOT_FOUND");
    ok(cluster, &["key", "info", "/vol1/one/key"]);
}
