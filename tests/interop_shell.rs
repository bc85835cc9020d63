//! Stock `ozone sh`, `ozone admin`, `ozone fs` and the calls of a stock S3 gateway, unchanged, against a cluster of real processes.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;

use cluster::Cluster;
use cluster::ozone::Ozone;
use serde_json::Value;

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|x| (x.wrapping_mul(31) ^ (x >> 8).wrapping_mul(17) ^ (x >> 16)) as u8).collect()
}

fn has(text: &str, wanted: &[&str]) {
    for word in wanted {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

/// Five datanodes, keys kept as rs-3-2, blocks of 2 MiB so that files have several.
fn cluster() -> Cluster {
    Cluster::start_with(
        5,
        &[
            "ozone.server.default.replication.type=EC",
            "ozone.server.default.replication=rs-3-2-1024k",
            "ozone.scm.block.size=2MB",
            // Each open container reserves its size on its datanodes, which share one disk here.
            "ozone.scm.container.size=256MB",
            "ozone.block.deleting.service.interval=1s",
        ],
    )
}

#[test]
fn stock_shells_and_s3_calls_work_as_on_ozone() {
    let cluster = cluster();
    cluster.sh_eventually(&["volume", "create", "/ready"]);
    let mut ozone = Ozone::start(&cluster);
    volumes_and_buckets(&mut ozone);
    keys(&mut ozone, &cluster);
    both_ways(&mut ozone, &cluster);
    prefixes(&mut ozone, &cluster);
    set_linked_and_deleted(&mut ozone, &cluster);
    administration(&mut ozone);
    files(&mut ozone, &cluster);
    reclaimed(&mut ozone);
    s3(&mut ozone);
}

/// A service list, a business error, then everything about volumes and buckets.
fn volumes_and_buckets(ozone: &mut Ozone) {
    ozone.fails("sh volume info /none", "VOLUME_NOT_FOUND");
    ozone.ok("sh volume create /vol1");
    ozone.fails("sh volume create /vol1", "VOLUME_ALREADY_EXISTS");
    ozone.fails("sh volume create /Vol_1", "INVALID_VOLUME_NAME");
    has(&ozone.ok("sh volume info /vol1"), &["\"name\" : \"vol1\"", "\"owner\" : \"ann\""]);
    has(&ozone.ok("sh volume list"), &["vol1"]);
    ozone.ok("sh volume setquota --namespace-quota 20 --space-quota 10GB /vol1");
    has(&ozone.ok("sh volume info /vol1"), &["\"quotaInNamespace\" : 20"]);
    ozone.ok("sh volume clrquota --namespace-quota --space-quota /vol1");
    ozone.ok("sh volume update --user bob /vol1");
    has(&ozone.ok("sh volume info /vol1"), &["\"owner\" : \"bob\""]);
    ozone.ok("sh volume update --user ann /vol1");
    ozone.ok("sh volume addacl -a user:eve:rw[DEFAULT] /vol1");
    has(&ozone.ok("sh volume getacl /vol1"), &["eve"]);
    for (layout, bucket) in [("OBJECT_STORE", "obs"), ("FILE_SYSTEM_OPTIMIZED", "fso"), ("LEGACY", "legacy")]
    {
        // ofs asks for RATIS/THREE unless its bucket says otherwise.
        let kept = "--type EC --replication rs-3-2-1024k";
        ozone.ok(&format!("sh bucket create --layout {layout} {kept} /vol1/{bucket}"));
        has(&ozone.ok(&format!("sh bucket info /vol1/{bucket}")), &[layout]);
    }
    ozone.fails("sh bucket create /vol1/obs", "BUCKET_ALREADY_EXISTS");
    ozone.ok("sh bucket link /vol1/obs /vol1/link");
    has(&ozone.ok("sh bucket info /vol1/link"), &["\"sourceBucket\" : \"obs\""]);
    ozone.ok("sh bucket setquota --namespace-quota 100 --space-quota 1GB /vol1/obs");
    has(&ozone.ok("sh bucket info /vol1/obs"), &["\"quotaInNamespace\" : 100"]);
    ozone.ok("sh bucket clrquota --namespace-quota --space-quota /vol1/obs");
    ozone.ok("sh bucket setacl -a user:eve:a /vol1/legacy");
    has(&ozone.ok("sh bucket getacl /vol1/legacy"), &["eve"]);
    has(&ozone.ok("sh bucket list /vol1"), &["fso", "legacy", "link", "obs"]);
    ozone.ok("sh bucket create /vol1/short");
    ozone.ok("sh bucket delete /vol1/short");
    ozone.fails("sh bucket info /vol1/short", "BUCKET_NOT_FOUND");
    ozone.fails("sh volume delete /vol1", "VOLUME_NOT_EMPTY");
}

fn keys(ozone: &mut Ozone, cluster: &Cluster) {
    let (from, to) = (cluster.path("from"), cluster.path("to"));
    let (from_text, to_text) = (from.to_str().unwrap(), to.to_str().unwrap());
    fs::write(&from, pattern(1000)).unwrap();
    ozone.eventually(&format!("sh key put /vol1/obs/warm {from_text}"));
    ozone.ok("sh key delete /vol1/obs/warm");
    for bucket in ["obs", "fso", "legacy"] {
        for (name, len) in [("empty", 0), ("small", 1000), ("dir/large", (13 << 20) + 77)] {
            fs::write(&from, pattern(len)).unwrap();
            let _ = fs::remove_file(&to);
            ozone.ok(&format!("sh key put /vol1/{bucket}/{name} {from_text}"));
            ozone.ok(&format!("sh key get /vol1/{bucket}/{name} {to_text}"));
            assert!(fs::read(&to).unwrap() == pattern(len), "{bucket}/{name} came back changed");
        }
        has(&ozone.ok(&format!("sh key info /vol1/{bucket}/small")), &["\"dataSize\" : 1000"]);
        has(&ozone.ok(&format!("sh key list /vol1/{bucket}")), &["dir/large", "empty", "small"]);
        ozone.ok(&format!("sh key cp /vol1/{bucket} small copy"));
        ozone.ok(&format!("sh key rename /vol1/{bucket} copy renamed"));
        ozone.fails(&format!("sh key info /vol1/{bucket}/copy"), "KEY_NOT_FOUND");
        has(&ozone.ok(&format!("sh key checksum /vol1/{bucket}/small")), &["checksum"]);
        ozone.ok(&format!("sh key addacl -a user:eve:r /vol1/{bucket}/small"));
        has(&ozone.ok(&format!("sh key getacl /vol1/{bucket}/small")), &["eve"]);
        ozone.ok(&format!("sh key delete /vol1/{bucket}/renamed"));
        ozone.fails(&format!("sh key info /vol1/{bucket}/renamed"), "KEY_NOT_FOUND");
    }
    has(&ozone.ok("sh key cat /vol1/link/small"), &[]);
    ozone.fails("sh bucket delete /vol1/obs", "BUCKET_NOT_EMPTY");
}

/// What one shell prints as JSON, behind what its logger says.
fn json(text: &str) -> Value {
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with(['{', '['])).collect();
    serde_json::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Both shells print the same of a command.
fn same(ozone: &mut Ozone, cluster: &Cluster, command: &str) -> Value {
    let words: Vec<&str> = command.split(' ').collect();
    let (ours, theirs) = (json(&cluster.sh(&words)), json(&ozone.ok(&format!("sh {command}"))));
    assert_eq!(ours, theirs, "{command}");
    ours
}

/// What either shell writes the other reads, and both sum and show it alike.
fn both_ways(ozone: &mut Ozone, cluster: &Cluster) {
    let (from, to) = (cluster.path("from"), cluster.path("to"));
    let (from_text, to_text) = (from.to_str().unwrap(), to.to_str().unwrap());
    cluster.sh(&["volume", "create", "/both"]);
    for (bucket, kind, replication) in
        [("coded", "EC", "rs-3-2-1024k"), ("one", "RATIS", "ONE"), ("three", "RATIS", "THREE")]
    {
        let bucket = format!("/both/{bucket}");
        let kept = ["--replication-type", kind, "-r", replication, "--layout", "fso"];
        cluster.sh(&[&["bucket", "create", &bucket][..], &kept].concat());
        fs::write(&from, "warm").unwrap();
        cluster.sh_eventually(&["key", "put", &format!("{bucket}/warm"), from_text]);
        // Nothing, a byte, a checksum's window and one, a stripe and some, several blocks.
        for len in [0, 1, 16_385, (3 << 20) + 77, (7 << 20) + 5] {
            let data = pattern(len);
            fs::write(&from, &data).unwrap();
            let (ours, theirs) = (format!("{bucket}/ours{len}"), format!("{bucket}/theirs{len}"));
            cluster.sh(&["key", "put", &ours, from_text]);
            ozone.ok(&format!("sh key put {theirs} {from_text}"));
            let _ = fs::remove_file(&to);
            ozone.ok(&format!("sh key get {ours} {to_text}"));
            assert!(fs::read(&to).unwrap() == data, "{ours} came back changed");
            cluster.sh(&["key", "get", "--force", &theirs, to_text]);
            assert!(fs::read(&to).unwrap() == data, "{theirs} came back changed");
            let sums = [ours, theirs].map(|key| {
                same(ozone, cluster, &format!("key info {key}"));
                let sum = same(ozone, cluster, &format!("key checksum {key}"));
                let (algorithm, text) =
                    (sum["algorithm"].as_str().unwrap(), sum["checksum"].as_str().unwrap());
                assert!(len == 0 || algorithm == "COMPOSITE-CRC32", "{sum}");
                // The first 28 bytes are the sum; the shell prints some more when it has no bytes to sum.
                let text = text.get(..56).unwrap_or(text).to_lowercase();
                has(&ozone.ok(&format!("fs -checksum {key}")), &[&format!("{key}\t{algorithm}\t{text}\n")]);
                text
            });
            assert_eq!(sums[0], sums[1], "{bucket}: the same {len} bytes");
        }
        same(ozone, cluster, &format!("bucket info {bucket}"));
        same(ozone, cluster, &format!("key list {bucket} --all"));
    }
    cluster.sh(&["volume", "addacl", "/both", "-a", "user:eve:rwl,group:staff:r[DEFAULT],world::r"]);
    for command in ["volume info /both", "volume list / --all", "bucket list /both", "bucket list /vol1"] {
        same(ozone, cluster, command);
    }
}

/// Prefixes' rights, written by either shell and shown by both.
fn prefixes(ozone: &mut Ozone, cluster: &Cluster) {
    let shown = |ozone: &mut Ozone, wanted: &str| {
        for prefix in ["/both/coded/dir/", "/both/coded/dir/below/"] {
            same(ozone, cluster, &format!("prefix getacl {prefix}"));
            for no_json in ["--json=false", "--no-json"] {
                let words = ["prefix", "getacl", no_json, prefix];
                assert_eq!(cluster.sh(&words), format!("{wanted}\n"), "{prefix}");
                has(&ozone.ok(&format!("sh {}", words.join(" "))), &[wanted]);
            }
        }
    };
    let at = "/both/coded/dir/";
    shown(ozone, "");
    let added = cluster.sh(&["prefix", "addacl", at, "-a", "user:bob:rw,group:dev:l[DEFAULT]"]);
    assert_eq!(added, "user:bob:rw added\ngroup:dev:l[DEFAULT] added\n");
    assert_eq!(cluster.sh(&["prefix", "addacl", at, "--acl=user:bob:w"]), "user:bob:w was there already\n");
    shown(ozone, "user:bob:rw,group:dev:l[DEFAULT]");
    ozone.ok(&format!("sh prefix addacl {at} -a world::r,client_ip:10.0.0.7:x"));
    shown(ozone, "user:bob:rw,group:dev:l[DEFAULT],world:WORLD:r,ip:10.0.0.7:x");
    assert_eq!(cluster.sh(&["prefix", "removeacl", at, "-a", "user:bob:w"]), "user:bob:w removed\n");
    assert_eq!(cluster.sh(&["prefix", "removeacl", at, "-a", "user:eve:w"]), "user:eve:w was not there\n");
    shown(ozone, "user:bob:r,group:dev:l[DEFAULT],world:WORLD:r,ip:10.0.0.7:x");
    assert_eq!(cluster.sh(&["prefix", "setacl", at, "-s", "OZONE", "-a", "user:bob:mywrcldxa"]), "");
    shown(ozone, "user:bob:rwcldxyam");
    ozone.ok(&format!("sh prefix setacl {at} -a anonymous::n"));
    shown(ozone, "anonymous:ANONYMOUS:n");
    cluster.sh(&["prefix", "removeacl", at, "-a", "anonymous::n"]);
    shown(ozone, "");
    // Buckets and keys have the same commands.
    for (noun, at) in [("bucket", "/both/one"), ("key", "/both/one/warm")] {
        cluster.sh(&[noun, "addacl", at, "-a", "user:eve:r"]);
        let acls = same(ozone, cluster, &format!("{noun} getacl {at}"));
        assert!(acls.as_array().unwrap().iter().any(|acl| acl["name"] == "eve"), "{acls}");
    }
}

/// What our shell sets and links stock Ozone shows alike, and what it deletes is gone there.
fn set_linked_and_deleted(ozone: &mut Ozone, cluster: &Cluster) {
    let ours = |command: &str| cluster.sh(&command.split(' ').collect::<Vec<_>>());
    ours("volume create /ours");
    ours("bucket create /ours/bucket --layout fso");
    ours("bucket setquota /ours/bucket --space-quota 1GB --namespace-quota 7");
    ours("volume setquota /ours --space-quota 10GB --namespace-quota 5");
    ours("bucket link /ours/bucket /ours/link");
    ours("bucket set-replication-config /ours/bucket -t EC -r rs-3-2-1024k");
    let shown = json(&ours("volume update /ours --user bob"));
    assert_eq!(shown, json(&ozone.ok("sh volume info /ours")));
    assert_eq!((&shown["owner"], &shown["quotaInNamespace"]), (&"bob".into(), &5.into()));
    let shown = json(&ours("bucket update /ours/bucket --user eve"));
    assert_eq!(shown, json(&ozone.ok("sh bucket info /ours/bucket")));
    assert_eq!((&shown["owner"], &shown["quotaInNamespace"]), (&"eve".into(), &7.into()));
    assert_eq!(same(ozone, cluster, "bucket info /ours/link")["sourceBucket"], "bucket");
    // Theirs has a list for each bucket, one after the other.
    let lists = |text: &str| -> Vec<Value> {
        let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with('[')).collect();
        serde_json::Deserializer::from_str(&lines.join("\n")).into_iter().map(Result::unwrap).collect()
    };
    let (listed, theirs) = (lists(&ours("key list /both --all")), ozone.ok("sh key list /both --all"));
    assert_eq!((&listed, listed.len()), (&lists(&theirs), 3));
    let from = cluster.path("from");
    fs::write(&from, "x").unwrap();
    ozone.ok(&format!("sh key put /ours/link/dir/below/key {}", from.to_str().unwrap()));
    ours("volume delete -r --yes /ours");
    ozone.fails("sh volume info /ours", "VOLUME_NOT_FOUND");
}

/// What an administrator asks of SCM.
fn administration(ozone: &mut Ozone) {
    let nodes = ozone.ok("admin datanode list");
    assert_eq!(nodes.matches("Health State: HEALTHY").count(), 5, "{nodes}");
    has(&nodes, &["Operational State: IN_SERVICE", "Healthy volume count: 1", "EC{rs-3-2-1024k}"]);
    has(
        &ozone.ok("admin datanode usageinfo -m -c 5"),
        &["Usage Information (5 Datanodes)", "Ozone Capacity"],
    );
    has(&ozone.ok("admin pipeline list"), &["rs-3-2-1024k", "State:OPEN", "ReplicaIndex: 5"]);
    has(&ozone.ok("admin container list"), &["\"containerID\" : 1", "\"state\" : \"OPEN\""]);
    has(
        &ozone.ok("admin container info 1"),
        &["Container id: 1", "Container State: OPEN", "ReplicaIndex: 5"],
    );
    ozone.ok("admin container close 1");
    let closing = ozone.ok("admin container info 1");
    has(&closing, &["Container State: CLOS"]); // CLOSING, or CLOSED already
    assert_eq!(closing.matches("Origin").count(), 5, "{closing}");
    has(&ozone.ok("admin safemode status --verbose"), &["SCM is out of safe mode", "DataNodeSafeModeRule"]);
    has(&ozone.ok("admin safemode wait -t 10"), &["SCM is out of safe mode"]);
    has(&ozone.ok("admin printTopology"), &["State = HEALTHY", "/default-rack"]);
    has(&ozone.ok("admin scm roles"), &[":LEADER:"]);
    has(&ozone.ok("admin replicationmanager status"), &["ReplicationManager is"]);
}

fn files(ozone: &mut Ozone, cluster: &Cluster) {
    let (from, to) = (cluster.path("from"), cluster.path("to"));
    let (from_text, to_text) = (from.to_str().unwrap(), to.to_str().unwrap());
    has(&ozone.ok("fs -ls /"), &["/vol1"]);
    has(&ozone.ok("fs -ls /vol1"), &["/vol1/fso", "/vol1/legacy"]);
    for bucket in ["fso", "legacy"] {
        let at = format!("/vol1/{bucket}");
        ozone.ok(&format!("fs -mkdir -p {at}/a/b/c"));
        fs::write(&from, pattern(70_000)).unwrap();
        ozone.ok(&format!("fs -put {from_text} {at}/a/b/file"));
        ozone.fails(&format!("fs -put {from_text} {at}/a/b/file"), "File exists");
        ozone.ok(&format!("fs -put -f {from_text} {at}/a/b/file"));
        let _ = fs::remove_file(&to);
        ozone.ok(&format!("fs -get {at}/a/b/file {to_text}"));
        assert!(fs::read(&to).unwrap() == pattern(70_000));
        has(&ozone.ok(&format!("fs -ls -R {at}/a")), &["/a/b/c", "/a/b/file", "70000"]);
        ozone.ok(&format!("fs -touchz {at}/a/empty"));
        ozone.ok(&format!("fs -test -z {at}/a/empty"));
        ozone.ok(&format!("fs -test -d {at}/a/b"));
        has(&ozone.ok(&format!("fs -stat %b {at}/a/b/file")), &["70000"]);
        has(&ozone.ok(&format!("fs -du -s {at}/a")), &["70000"]);
        has(&ozone.ok(&format!("fs -count {at}/a")), &["70000"]);
        ozone.ok(&format!("fs -mv {at}/a/b {at}/moved"));
        ozone.fails(&format!("fs -ls {at}/a/b"), "No such file");
        has(&ozone.ok(&format!("fs -ls {at}/moved")), &["/moved/c", "/moved/file"]);
        ozone.ok(&format!("fs -cp {at}/moved/file {at}/copied"));
        has(&ozone.ok(&format!("fs -checksum {at}/copied")), &["COMPOSITE-CRC"]);
        ozone.fails(&format!("fs -rmdir {at}/moved"), "not empty");
        ozone.ok(&format!("fs -rm -r -skipTrash {at}/moved"));
        ozone.ok(&format!("fs -rm {at}/copied"));
        ozone.fails(&format!("fs -test -e {at}/moved"), "");
    }
    // With trash a deletion is a move, by the client alone.
    ozone.ok("fs -touchz /vol1/fso/thrown");
    ozone.ok("trash -rm /vol1/fso/thrown");
    has(&ozone.ok("fs -ls -R /vol1/fso/.Trash"), &["Current", "thrown"]);
    ozone.ok("fs -rm -r -skipTrash /vol1/fso/.Trash");
    // ofs makes volume and bucket by itself.
    ozone.ok("fs -mkdir -p /vol2/bucket2/dir");
    has(&ozone.ok("sh bucket info /vol2/bucket2"), &["FILE_SYSTEM_OPTIMIZED"]);
    let o3fs = format!("o3fs://bucket2.vol2.{}/", cluster.om_address());
    ozone.ok(&format!("fs -touchz {o3fs}dir/file"));
    has(&ozone.ok(&format!("fs -ls {o3fs}dir")), &["file"]);
}

/// What is deleted leaves nothing: usage falls to zero, and buckets and volumes go.
fn reclaimed(ozone: &mut Ozone) {
    ozone.ok("fs -rm -r -skipTrash /vol2/bucket2/dir");
    ozone.ok("fs -rm -r -skipTrash /vol1/fso/*");
    ozone.ok("sh key delete /vol1/obs/small");
    for key in ["empty", "dir/large"] {
        ozone.ok(&format!("sh key delete /vol1/obs/{key}"));
    }
    has(&ozone.ok("sh bucket info /vol1/obs"), &["\"usedBytes\" : 0", "\"usedNamespace\" : 0"]);
    for _ in 0..100 {
        let text = ozone.ok("sh bucket info /vol1/fso");
        if text.contains("\"usedBytes\" : 0") && text.contains("\"usedNamespace\" : 0") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    has(&ozone.ok("sh bucket info /vol1/fso"), &["\"usedBytes\" : 0", "\"usedNamespace\" : 0"]);
    for bucket in ["link", "obs", "fso"] {
        ozone.ok(&format!("sh bucket delete /vol1/{bucket}"));
    }
    ozone.ok("sh bucket delete -r --yes /vol1/legacy");
    ozone.ok("sh volume delete /vol1");
    // A quota that is full refuses what is beyond it.
    ozone.ok("sh bucket setquota --namespace-quota 1 --space-quota 1GB /vol2/bucket2");
    // What the deleted directory held counts until it is moved out.
    ozone.eventually("fs -touchz /vol2/bucket2/one");
    ozone.fails("fs -touchz /vol2/bucket2/two", "quota");
}

fn s3(ozone: &mut Ozone) {
    let said = ozone.ok("s3");
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("WARN")).collect();
    let hash = "hash: ";
    let shown: Vec<&str> =
        lines.iter().map(|line| if line.starts_with(hash) { hash } else { line }).collect();
    assert_eq!(
        shown,
        [
            "volume: s3v",
            "layout: OBJECT_STORE",
            "parts: 2",
            "uploads: 1",
            "wrong part: INVALID_PART",
            hash,
            "size: 5242887",
            "bytes: true",
            "aborted: NO_SUCH_MULTIPART_UPLOAD_ERROR",
            "tags: {colour=blue}",
            "tags: {}",
            "again: KEY_ALREADY_EXISTS",
            "etag: v1",
            "stale: ETAG_MISMATCH",
            "etag: v2",
            "secret: 64",
            "secret again: S3_SECRET_ALREADY_EXISTS",
            "set: chosen secret",
            "revoked: S3_SECRET_NOT_FOUND",
            "done",
        ]
    );
}
