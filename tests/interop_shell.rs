//! Stock `ozone sh`, `ozone admin`, `ozone fs` and the calls of a stock S3 gateway, unchanged, against a cluster of real processes.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests of real processes use real files, clocks and sleeps")]

mod cluster;

use std::fs;

use cluster::Cluster;
use cluster::ozone::Ozone;

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
